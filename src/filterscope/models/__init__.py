"""Architectures by name: ours, torchvision's and timm's, with the place of their gate."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.models.cifar_alexnet import CifarAlexNet
    from filterscope.models.cifar_resnet import CifarResNet
    from filterscope.models.classic import ClassicNet
    from filterscope.models.part_networks import PartNetwork, part_layers
    from filterscope.models.part_templates import create_part_network
    from filterscope.models.registry import ModelInfo, create_model, list_models, model_info
    from filterscope.models.weights import count_classes, freeze, load_weights

__all__ = [
    "CifarAlexNet",
    "CifarResNet",
    "ClassicNet",
    "ModelInfo",
    "PartNetwork",
    "count_classes",
    "create_model",
    "create_part_network",
    "freeze",
    "list_models",
    "load_weights",
    "model_info",
    "part_layers",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "CifarAlexNet": f"{__name__}.cifar_alexnet",
        "CifarResNet": f"{__name__}.cifar_resnet",
        "ClassicNet": f"{__name__}.classic",
        "ModelInfo": f"{__name__}.registry",
        "PartNetwork": f"{__name__}.part_networks",
        "count_classes": f"{__name__}.weights",
        "create_model": f"{__name__}.registry",
        "create_part_network": f"{__name__}.part_templates",
        "freeze": f"{__name__}.weights",
        "list_models": f"{__name__}.registry",
        "load_weights": f"{__name__}.weights",
        "model_info": f"{__name__}.registry",
        "part_layers": f"{__name__}.part_networks",
    },
)
