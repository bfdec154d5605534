"""Architectures by name: ours, torchvision's and timm's, with the place of their gate."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.models.bicubic import Bicubic
    from filterscope.models.cifar_alexnet import CifarAlexNet
    from filterscope.models.cifar_resnet import CifarResNet
    from filterscope.models.classic import ClassicNet
    from filterscope.models.colour import luminance, rgb_to_ycbcr, ycbcr_to_rgb
    from filterscope.models.cyclegan import CycleGanGenerator
    from filterscope.models.edsr import Edsr
    from filterscope.models.fast_style import FastStyleGenerator
    from filterscope.models.image_networks import (
        ImageNetwork,
        create_image_network,
        describe_image_network,
        list_image_networks,
    )
    from filterscope.models.part_networks import PartNetwork, part_layers
    from filterscope.models.part_templates import create_part_network
    from filterscope.models.pixel_shuffle import PixelShuffleNet
    from filterscope.models.registry import ModelInfo, create_model, list_models, model_info
    from filterscope.models.weights import count_classes, freeze, load_weights

__all__ = [
    "Bicubic",
    "CifarAlexNet",
    "CifarResNet",
    "ClassicNet",
    "CycleGanGenerator",
    "Edsr",
    "FastStyleGenerator",
    "ImageNetwork",
    "ModelInfo",
    "PartNetwork",
    "PixelShuffleNet",
    "count_classes",
    "create_image_network",
    "create_model",
    "create_part_network",
    "describe_image_network",
    "freeze",
    "list_image_networks",
    "list_models",
    "load_weights",
    "luminance",
    "model_info",
    "part_layers",
    "rgb_to_ycbcr",
    "ycbcr_to_rgb",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "Bicubic": f"{__name__}.bicubic",
        "CifarAlexNet": f"{__name__}.cifar_alexnet",
        "CifarResNet": f"{__name__}.cifar_resnet",
        "ClassicNet": f"{__name__}.classic",
        "CycleGanGenerator": f"{__name__}.cyclegan",
        "Edsr": f"{__name__}.edsr",
        "FastStyleGenerator": f"{__name__}.fast_style",
        "ImageNetwork": f"{__name__}.image_networks",
        "ModelInfo": f"{__name__}.registry",
        "PartNetwork": f"{__name__}.part_networks",
        "PixelShuffleNet": f"{__name__}.pixel_shuffle",
        "count_classes": f"{__name__}.weights",
        "create_image_network": f"{__name__}.image_networks",
        "create_model": f"{__name__}.registry",
        "create_part_network": f"{__name__}.part_templates",
        "describe_image_network": f"{__name__}.image_networks",
        "freeze": f"{__name__}.weights",
        "list_image_networks": f"{__name__}.image_networks",
        "list_models": f"{__name__}.registry",
        "load_weights": f"{__name__}.weights",
        "luminance": f"{__name__}.colour",
        "model_info": f"{__name__}.registry",
        "part_layers": f"{__name__}.part_networks",
        "rgb_to_ycbcr": f"{__name__}.colour",
        "ycbcr_to_rgb": f"{__name__}.colour",
    },
)
