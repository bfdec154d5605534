"""Image networks in folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from filterscope.core.pretrained import SavedForm, stored_value
from filterscope.models.bicubic import Bicubic
from filterscope.models.image_networks import ImageNetwork, create_image_network

IMAGE_NETWORK = "image-network"


def image_network_form(network: ImageNetwork) -> SavedForm:
    """Tell what is written of a network whose output is an image.

    Examples:
        >>> image_network_form(create_image_network("bicubic", scale=2)).config["kernel"]
        'torch'
    """
    model = network.model
    config = {
        "kind": IMAGE_NETWORK,
        "name": network.name,
        "scale": network.scale,
        "kernel": model.kernel if isinstance(model, Bicubic) else None,
        "source": network.source,
    }
    tensors = model.state_dict()
    return SavedForm(config, {"model": tensors} if tensors else {})


def read_image_network(config: Mapping[str, Any], folder: str | Path) -> ImageNetwork:
    """Build a network whose output is an image from a folder.

    Args:
        config: The folder's configuration.
        folder: What ``save_pretrained`` wrote.

    Returns:
        The network, with its own handling of pixels; ``source`` is what it was when it was saved.

    Raises:
        FileNotFoundError: The weights are missing.
        ValueError: An unknown name, weights of another network or scale, or a damaged file.
    """
    if config.get("kind") != IMAGE_NETWORK:
        raise ValueError(f"{folder} holds a {config.get('kind')!r}, not an image network")
    name = stored_value(config, "name", str, folder)
    scale = stored_value(config, "scale", int, folder)
    if config.get("kernel") is not None:
        return create_image_network(name, scale=scale, kernel=config["kernel"])
    network = create_image_network(name, weights=Path(folder) / "model.safetensors", scale=scale)
    return replace(network, source=stored_value(config, "source", str, folder))
