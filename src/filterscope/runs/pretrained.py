"""Networks saved with ``save_pretrained``, built again."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from filterscope.core.pretrained import read_pretrained_config
from filterscope.gates import GatedClassifier
from filterscope.models import create_model
from filterscope.parts import PartTemplateNetwork


def from_pretrained(
    path: str | Path, model: nn.Module | None = None
) -> GatedClassifier | PartTemplateNetwork:
    """Build a network with a gate or with part templates from what ``save_pretrained`` wrote.

    Args:
        path: The folder.
        model: A network of the saved architecture, to be filled; only needed for your own
            architectures, those of ``filterscope list models`` are built by name.

    Returns:
        The network, in eval mode.

    Raises:
        FileNotFoundError: No such folder, or a file of it is missing.
        ValueError: A damaged file, weights of another architecture, or an own architecture
            without `model`.

    Examples:
        >>> import tempfile
        >>> from filterscope.models import create_model
        >>> net = GatedClassifier(create_model("resnet20", 10), "layer3", 10, 64)
        >>> folder = tempfile.mkdtemp()
        >>> net.save_pretrained(folder)
        >>> from_pretrained(folder).gate.matrix.shape
        torch.Size([10, 64])
    """
    config = read_pretrained_config(path)
    if model is None:
        architecture = config.get("architecture")
        if architecture is None:
            raise ValueError(
                f"{path} holds an architecture of your own: give an instance of it as `model`"
            )
        model = create_model(architecture["name"], architecture["num_classes"])
    if config.get("kind") == "part-template-network":
        return PartTemplateNetwork.from_pretrained(path, model)
    return GatedClassifier.from_pretrained(path, model)
