"""Architectures by name: ours, torchvision's and timm's, with the place of their gate."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.models.cifar_alexnet import CifarAlexNet
    from filterscope.models.cifar_resnet import CifarResNet
    from filterscope.models.registry import ModelInfo, create_model, list_models, model_info
    from filterscope.models.weights import count_classes, freeze, load_weights

__all__ = [
    "CifarAlexNet",
    "CifarResNet",
    "ModelInfo",
    "count_classes",
    "create_model",
    "freeze",
    "list_models",
    "load_weights",
    "model_info",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "CifarAlexNet": f"{__name__}.cifar_alexnet",
        "CifarResNet": f"{__name__}.cifar_resnet",
        "ModelInfo": f"{__name__}.registry",
        "count_classes": f"{__name__}.weights",
        "create_model": f"{__name__}.registry",
        "freeze": f"{__name__}.weights",
        "list_models": f"{__name__}.registry",
        "load_weights": f"{__name__}.weights",
        "model_info": f"{__name__}.registry",
    },
)
