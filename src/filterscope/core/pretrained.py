"""Networks as folders: weights in safetensors, what they mean in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from filterscope.core.files import atomic_write, read_json, write_json

SCHEMA = 1


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
