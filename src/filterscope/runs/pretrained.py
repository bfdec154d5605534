"""Networks and runs as folders to keep, share and build again."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from filterscope.core.brief import Brief
from filterscope.core.pretrained import (
    NETWORK,
    SavedForm,
    count_numbers,
    fill_network,
    read_pretrained_config,
    saved_form,
    stored_value,
    write_pretrained,
)
from filterscope.data import Transform
from filterscope.gates import GatedClassifier
from filterscope.gates.saved import GATED, fill_gated, stored_gate
from filterscope.models import ImageNetwork, create_model
from filterscope.models.saved import IMAGE_NETWORK, image_network_form, read_image_network
from filterscope.parts import PartTemplateNetwork
from filterscope.parts.network import PART_TEMPLATES
from filterscope.runs.hub import local_folder, publish_folder
from filterscope.runs.load import Run, load_run
from filterscope.runs.shared import write_run_texts

KINDS = (NETWORK, GATED, PART_TEMPLATES, IMAGE_NETWORK)
"""Kinds of networks that folders hold."""

_CARD = """---
library_name: filterscope
---
# {name}

```python
import filterscope as fs

saved = fs.load_pretrained("hub:{name}")
saved.model, saved.classes, saved.transform
```
"""


@dataclass(frozen=True, repr=False)
class Pretrained(Brief):
    """A network from a folder, with what was saved beside its weights.

    Attributes:
        model: The network in eval mode, on CPU: a plain one, a `GatedClassifier`, a
            `PartTemplateNetwork`, or an `ImageNetwork`.
        classes: Class names in the order of the logits, None where none were saved.
        transform: Turns an image (file or PIL) into the network's input, None where none was
            saved.
        path: The folder.
        config: What its ``config.json`` holds; of a run folder without one, its settings.
    """

    model: Any
    classes: tuple[str, ...] | None
    transform: Transform | None
    path: Path
    config: dict[str, Any]


def save_pretrained(
    network: nn.Module | ImageNetwork | Run,
    folder: str | Path,
    *,
    classes: Sequence[str] | None = None,
    transform: Transform | None = None,
) -> Path:
    """Write a network of any kind, or a run, as a folder that `from_pretrained` builds it from.

    The folder holds ``config.json``, ``model.safetensors`` (the plain network's weights with their
    own keys, which load without this library), and ``gate`` or ``parts.safetensors`` where the
    network has them. Of a run it also holds settings, history and numbers, so that `load_run`
    reads it; no checkpoint, no picture of the data, no place of this machine.

    Args:
        network: A `GatedClassifier`, a `PartTemplateNetwork`, a gate around part templates, an
            `ImageNetwork`, any other network, or a `Run`. A compiled one is saved as what it
            compiles.
        folder: Where to; made if absent. Earlier files of the same names are replaced; a run
            wants a new or empty folder.
        classes: Class names in the order of the logits. A run knows its own.
        transform: What turns an image into the network's input. A run knows its own.

    Returns:
        The folder.

    Raises:
        TypeError: Something else than a network or a run.
        ValueError: `classes` or `transform` of what has its own, repeated names, or a network
            that holds a function of your own.
        FileExistsError: A run, and a folder that holds something.

    Examples:
        >>> import tempfile
        >>> folder = save_pretrained(create_model("resnet20", 2), tempfile.mkdtemp(),
        ...                          classes=["cat", "dog"])
        >>> load_pretrained(folder).classes
        ('cat', 'dog')
    """
    folder = Path(folder)
    if isinstance(network, Run | ImageNetwork) and (classes is not None or transform is not None):
        raise ValueError(f"`classes` and `transform` are not for a {type(network).__name__}")
    if classes is not None and len(set(classes)) < len(classes):
        raise ValueError(f"`classes` must be different names, got {list(classes)}")
    form = _form(network)
    if isinstance(network, Run):
        classes, transform = network.classes, network.transform
        write_run_texts(network, folder)
    extras = {
        "classes": None if classes is None else [str(name) for name in classes],
        "transform": None if transform is None else transform.to_dict(),
    }
    write_pretrained(folder, {**form.config, **extras}, form.weights)
    return folder


def load_pretrained(
    source: str | Path, model: nn.Module | None = None, *, revision: str | None = None
) -> Pretrained:
    """Read a folder that `save_pretrained` or a training run wrote, here or on the Hub.

    Args:
        source: The folder, or ``"hub:owner/name"`` to fetch one from the Hugging Face Hub (extra
            ``hub``). Nothing is unpickled.
        model: A network of the saved architecture, to be filled; only needed for your own
            architectures, those of ``filterscope list models`` are built by name.
        revision: Commit, branch or tag on the Hub.

    Returns:
        The network with what was saved beside it.

    Raises:
        FileNotFoundError: No such folder, or a file of it is missing.
        ValueError: A damaged file, an unknown kind or a newer schema, weights that do not fit, or
            an own architecture without `model`.
        ConnectionError: The Hub did not give it.
        ModuleNotFoundError: The Hub without huggingface_hub, or timm's networks without timm.

    Examples:
        >>> import tempfile
        >>> folder = save_pretrained(create_model("resnet20", 2), tempfile.mkdtemp())
        >>> load_pretrained(folder).config["kind"]
        'network'
    """
    folder = local_folder(source, revision)
    if not (folder / "config.json").is_file() and (folder / "config.yaml").is_file():
        _refuse_model(model, folder)
        run = load_run(folder)
        return Pretrained(run.model, run.classes, run.transform, folder, run.config)
    config = read_pretrained_config(folder)
    with torch.random.fork_rng(devices=[]):  # the global generator is the caller's
        network = _network(config, folder, model)
    classes = config.get("classes")
    if classes is not None:
        classes = tuple(str(name) for name in stored_value(config, "classes", list, folder))
    told = config.get("transform")
    transform = None if told is None else Transform.from_dict(told)
    return Pretrained(network, classes, transform, folder, config)


def from_pretrained(
    source: str | Path, model: nn.Module | None = None, *, revision: str | None = None
) -> Any:
    """Build a network of any kind from what `save_pretrained` or a training run wrote.

    Args:
        source: See `load_pretrained`, which also gives classes and transform.
        model: See `load_pretrained`.
        revision: See `load_pretrained`.

    Returns:
        The network in eval mode: a `GatedClassifier`, a `PartTemplateNetwork`, an `ImageNetwork`
        or a plain one.

    Raises:
        FileNotFoundError: No such folder, or a file of it is missing.
        ValueError: See `load_pretrained`.
        ConnectionError: The Hub did not give it.
        ModuleNotFoundError: See `load_pretrained`.

    Examples:
        >>> import tempfile
        >>> net = GatedClassifier(create_model("resnet20", 10), "layer3", 10, 64)
        >>> from_pretrained(save_pretrained(net, tempfile.mkdtemp())).gate.matrix.shape
        torch.Size([10, 64])
    """
    return load_pretrained(source, model, revision=revision).model


def push_to_hub(
    network: nn.Module | ImageNetwork | Run,
    name: str,
    *,
    classes: Sequence[str] | None = None,
    transform: Transform | None = None,
    private: bool = True,
    message: str = "Save with filterscope",
) -> str:
    """Publish a network or a run on the Hugging Face Hub (extra ``hub``), in one commit.

    What goes is what `save_pretrained` writes, and a page that says how to load it where the
    repository has none. You are who huggingface_hub was logged in as (``hf auth login``).

    Args:
        network: See `save_pretrained`.
        name: ``owner/name``; the repository is made if absent.
        classes: See `save_pretrained`.
        transform: See `save_pretrained`.
        private: Whether a repository that is made here is for its owner alone.
        message: Of the commit.

    Returns:
        The commit's address.

    Raises:
        TypeError: See `save_pretrained`.
        ValueError: A name that is not owner/name, or see `save_pretrained`.
        ConnectionError: The Hub did not take it.
        ModuleNotFoundError: huggingface_hub is missing.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = save_pretrained(network, Path(temporary), classes=classes, transform=transform)
        return publish_folder(
            folder, name, private=private, message=message, card=_CARD.format(name=name)
        )


def _form(network: nn.Module | ImageNetwork | Run) -> SavedForm:
    if isinstance(network, ImageNetwork):
        return image_network_form(network)
    plain = network.model if isinstance(network, Run) else network
    if not isinstance(plain, nn.Module):
        raise TypeError(
            f"`network` must be a network, an ImageNetwork or a Run, got {type(plain).__name__}"
        )
    compiled = getattr(plain, "_orig_mod", plain)
    assert isinstance(compiled, nn.Module)
    return saved_form(compiled)


def _network(
    config: dict[str, Any], folder: Path, model: nn.Module | None
) -> nn.Module | ImageNetwork:
    """Build and fill the network of a folder."""
    kind = config.get("kind")
    if kind not in KINDS:
        raise ValueError(f"{folder} holds a {kind!r}; this filterscope knows {', '.join(KINDS)}")
    if kind == IMAGE_NETWORK:
        _refuse_model(model, folder)
        return read_image_network(config, folder)
    around = config.get("wrapped") is not None
    wrapped = stored_value(config, "wrapped", dict, folder) if around else None
    plain = _built(wrapped or config, folder) if model is None else model
    if kind == PART_TEMPLATES:
        return PartTemplateNetwork.from_config(config, folder, plain)
    if kind == GATED:
        gate = stored_gate(config, folder)
        if wrapped is not None:
            plain = PartTemplateNetwork.from_config(wrapped, folder, plain)
        else:
            fill_gated(config, folder, plain)
        return GatedClassifier(plain, gate[0], gate=gate[1], activation=gate[2]).eval()
    fill_network(plain, config, folder)
    return plain.eval()


def _built(config: Mapping[str, Any], folder: Path) -> nn.Module:
    """Build the plain network by the name that stands in its configuration."""
    if config.get("architecture") is None:
        raise ValueError(
            f"{folder} holds an architecture of your own: give an instance of it as `model`"
        )
    architecture = stored_value(config, "architecture", dict, folder)
    name = stored_value(architecture, "name", str, folder)
    num_classes = stored_value(architecture, "num_classes", int, folder)
    numbers = count_numbers(folder / "model.safetensors")
    if num_classes > numbers:  # before a head of any size is made
        raise ValueError(
            f"the config.json of {folder} tells of {num_classes} classes, but its weights hold "
            f"{numbers} numbers"
        )
    return create_model(name, num_classes)


def _refuse_model(model: nn.Module | None, folder: Path) -> None:
    if model is not None:
        raise ValueError(f"`model` is not for {folder}, whose network is built by name")
