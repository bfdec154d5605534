"""Networks as folders: weights in safetensors, what they mean in JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from filterscope.core.files import atomic_write, read_json, write_json

SCHEMA = 1
NETWORK = "network"
"""Kind of a network that says nothing of itself: its weights are all that is saved."""


@dataclass(frozen=True)
class SavedForm:
    """What ``save_pretrained`` writes of a network.

    Attributes:
        config: What is needed to build it again, as plain JSON values, with its "kind".
        weights: For each file ("model", "gate", "parts"), its tensors by name.
    """

    config: dict[str, Any]
    weights: Mapping[str, Mapping[str, Tensor]]


def saved_form(network: nn.Module) -> SavedForm:
    """Tell what is written of a network.

    A network with more than weights to it answers for itself, by a method
    ``filterscope_saved_form``.

    Args:
        network: Any network. One of `filterscope.models.create_model` is saved with its name.

    Raises:
        ValueError: A layer is masked by part templates that are no part of `network`.

    Examples:
        >>> saved_form(nn.Linear(2, 1)).config
        {'kind': 'network', 'architecture': None, 'described': {}}
    """
    own = getattr(network, "filterscope_saved_form", None)
    if callable(own):
        form: SavedForm = own()
        return form
    _refuse_foreign_masks(network)
    config = {
        "kind": NETWORK,
        "architecture": getattr(network, "filterscope_architecture", None),
        "described": described_layers(network),
    }
    return SavedForm(config, {"model": network.state_dict()})


def described_layers(network: nn.Module) -> dict[str, Any]:
    """Collect what layers say of themselves that their weights do not hold, by their names.

    Such layers have a method ``filterscope_description``.
    """
    found = {}
    for name, layer in network.named_modules():
        describe = getattr(layer, "filterscope_description", None)
        if callable(describe):
            found[name] = describe()
    return found


def _refuse_foreign_masks(network: nn.Module) -> None:
    """Raise where a hook of a wrapper around `network` changes what it computes."""
    inside = set(network.modules())
    for name, layer in network.named_modules():
        for hook in layer._forward_hooks.values():
            owner = getattr(hook, "__self__", None)
            if hasattr(owner, "filterscope_description") and owner not in inside:
                raise ValueError(
                    f"layer {name!r} is masked by part templates that would not be saved: save the "
                    "network that wraps it, or unwrap it first"
                )


def fill_network(network: nn.Module, config: Mapping[str, Any], folder: str | Path) -> None:
    """Fill a network with the ``model.safetensors`` of a folder.

    Args:
        network: Of the saved architecture; changed in place.
        config: What the folder says of it.
        folder: What ``save_pretrained`` wrote.

    Raises:
        FileNotFoundError: The weights are missing.
        ValueError: Weights that are damaged or do not fit, or layers with other settings.
    """
    tensors = read_tensors(Path(folder) / "model.safetensors")
    saved, own = config.get("described"), described_layers(network)
    if isinstance(saved, dict) and saved != own:  # the earliest folders say nothing of layers
        raise ValueError(f"{folder} was saved with {_difference(saved, own)}")
    load_strictly(network, tensors, str(folder))


def _difference(saved: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """Say in which layer, and in what of it, a network is not the saved one."""
    layer = next(name for name in {**saved, **own} if saved.get(name) != own.get(name))
    if not isinstance(saved.get(layer), dict) or layer not in own:
        return f"{'no ' if layer in own else ''}settings of layer {layer!r}, unlike `model`"
    there, here = saved[layer], own[layer]
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    told = [f"{n} {str(there.get(n))[:40]}, not {str(here.get(n))[:40]}" for n in names]
    return f"other settings of layer {layer!r} than `model` has: {'; '.join(told)}"


def stored_value(config: Mapping[str, Any], name: str, kind: type, folder: str | Path) -> Any:
    """Take a value of a folder's configuration, or say in one line what it should be.

    Args:
        config: The configuration.
        name: Of the value.
        kind: str, int, float, bool, list or dict; a whole number counts as float, too.
        folder: Where it comes from, for the message.

    Raises:
        ValueError: It is missing or of another kind.

    Examples:
        >>> stored_value({"num_classes": 3}, "num_classes", int, "here")
        3
    """
    value = config.get(name)
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise ValueError(
            f"`{name}` in the config.json of {folder} must be {kind.__name__}, got "
            f"{str(value)[:60]!r}"
        )
    return value


def write_tensors(file: str | Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a safetensors file, atomically.

    Tied weights are written once for each of their names, so that the file loads anywhere.
    """
    whole = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    with atomic_write(file) as target:
        target.write(save(whole))


def read_tensors(file: str | Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is truncated or is something else.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(f"{file} does not exist")
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file} is not readable as safetensors: {error}") from error


def count_numbers(file: str | Path) -> int:
    """Tell how many numbers a safetensors file holds in all its tensors, without reading them.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is truncated or is something else.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(f"{file} does not exist")
    try:
        with safe_open(file, "pt") as tensors:
            names: list[str] = tensors.keys()
            return sum(math.prod(tensors.get_slice(name).get_shape()) for name in names)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file} is not readable as safetensors: {error}") from error


def write_pretrained(
    folder: str | Path, config: Mapping[str, Any], weights: Mapping[str, Mapping[str, Tensor]]
) -> None:
    """Write a network as a folder: ``config.json`` and one safetensors file a part.

    Args:
        folder: Where to; made if absent. Earlier files of the same names are replaced.
        config: What is needed to build the network again, as plain JSON values.
        weights: For each part ("model", "gate"), its tensors by name.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for part, tensors in weights.items():
        write_tensors(folder / f"{part}.safetensors", tensors)
    write_json(folder / "config.json", {"filterscope_schema": SCHEMA, **config})


def read_pretrained_config(folder: str | Path) -> dict[str, Any]:
    """Read the ``config.json`` of a folder that `write_pretrained` wrote.

    Raises:
        FileNotFoundError: The folder holds none.
        ValueError: It is damaged, foreign, or of a newer schema.
    """
    file = Path(folder) / "config.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"{folder} holds no config.json; expected what save_pretrained writes"
        )
    config = read_json(file)
    schema = config.get("filterscope_schema") if isinstance(config, dict) else None
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise ValueError(f"{file} was not written by filterscope")
    if schema > SCHEMA:
        raise ValueError(f"{file} has schema {schema}; this filterscope reads up to {SCHEMA}")
    return dict(config)


def with_versions(module: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give tensors from a file the version notes that some modules ask for when they load.

    A state dict carries them beside its entries; safetensors and plain dictionaries lose them.
    """
    state: dict[str, Tensor] = module.state_dict()
    state.clear()
    state.update(tensors)
    return state


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Load every tensor into `module`, or say in one line why they do not fit.

    Raises:
        ValueError: Keys are missing, unexpected, or of another shape.
    """
    try:
        module.load_state_dict(with_versions(module, tensors))
    except RuntimeError as error:
        reasons = [line.strip() for line in str(error).splitlines()[1:]]
        raise ValueError(
            f"the weights in {source} do not fit {type(module).__name__}: {' '.join(reasons)[:300]}"
        ) from error
