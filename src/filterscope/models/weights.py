"""Starting weights, and parameters that stay as they are."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from filterscope.core.heads import head_name
from filterscope.core.names import unknown_name
from filterscope.core.pretrained import read_tensors, with_versions
from filterscope.models.matconvnet import read_matconvnet

_AUXILIARY_HEADS = ("aux1.", "aux2.", "AuxLogits.")

# DenseNet's published files say denselayer1.norm.1.weight for denselayer1.norm1.weight.
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")

# What torch says of a pickle that holds more than tensors, and of a scripted module.
_OBJECTS = ("Unsupported global", "Unsupported class", "TorchScript archive")


def load_weights(model: nn.Module, file: str | Path) -> tuple[str, ...]:
    """Load weights into a model for fine-tuning.

    Reads safetensors, or a state dict saved by torch (also under the key ``state_dict`` or
    ``model``, also with the prefix ``module.`` of a parallel network), or a ``.mat`` file of
    MatConvNet. A head for another number of classes is left out; so are the new layers of a
    `PartNetwork`, and the head of its backbone, where the file is the backbone's. Anything else
    must fit. Nothing is unpickled but tensors.

    Args:
        model: The network; changed in place.
        file: The weights.

    Returns:
        Names of the parameters that the file had nothing for and that stay as they were; empty
        when everything was loaded.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A damaged file, one that holds more than tensors, or weights of another
            architecture.
    """
    own = model.state_dict()
    if Path(file).suffix == ".mat":
        tensors = read_matconvnet(_existing(Path(file)), model)
    else:
        tensors = _with_our_names(read_state(Path(file)), own)
    new = _new_parameters(model)
    if new and not any(name.startswith(new[0].split(".")[0] + ".") for name in tensors):
        tensors = {name: tensor for name, tensor in tensors.items() if not _is_head(name)}
        load_exactly(model, tensors, file, left_out=new)
        return new
    head = [name for name in _head_parameters(model) if name in tensors and name in own]
    other_head = any(
        tensors[name].shape != own[name].shape and tensors[name].shape[1:] == own[name].shape[1:]
        for name in head
    )
    left_out = tuple(head) if other_head else ()
    kept = {name: tensor for name, tensor in tensors.items() if name not in left_out}
    load_exactly(model, kept, file, left_out=left_out)
    return left_out


def load_exactly(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    file: str | Path,
    *,
    left_out: Collection[str] = (),
) -> None:
    """Load tensors that must be all of the model's; nothing is changed where they are not.

    Args:
        model: The network; changed in place.
        tensors: By the network's names. Counters of batches may be missing.
        file: Where they come from, for the message.
        left_out: Names of those that need not come.

    Raises:
        ValueError: Tensors that are missing, unexpected, of another shape, or whole numbers for
            broken ones.
    """
    own, kept = model.state_dict(), dict(tensors)
    missing = sorted(own.keys() - kept.keys() - set(left_out))
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    foreign = sorted(kept.keys() - own.keys())
    common = kept.keys() & own.keys()
    shapes = [name for name in common if kept[name].shape != own[name].shape]
    kinds = [n for n in common if kept[n].is_floating_point() != own[n].is_floating_point()]
    if missing or foreign or shapes or kinds:
        reasons = [
            f"{what} {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
            for what, names in (
                ("missing", missing),
                ("unexpected", foreign),
                ("of another shape", sorted(shapes)),
                ("of another kind", sorted(kinds)),
            )
            if names
        ]
        raise ValueError(f"{file} does not fit {type(model).__name__}: {'; '.join(reasons)}")
    model.load_state_dict(with_versions(model, kept), strict=False)


def _new_parameters(model: nn.Module) -> tuple[str, ...]:
    """Names of the parameters that a network has and its backbone has not."""
    new = getattr(model, "filterscope_new_layers", ())
    return tuple(name for name in model.state_dict() if name.split(".")[0] in new)


def _is_head(name: str) -> bool:
    return name.startswith(("classifier.", "avgpool."))


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise FileNotFoundError(f"weights {file} do not exist")
    return file


def count_classes(model: nn.Module, file: str | Path) -> int | None:
    """Tell for how many classes a file's head was trained.

    Args:
        model: A network of the file's architecture, for any number of classes; not changed.
        file: The weights, as `load_weights` takes them.

    Returns:
        The number of classes; None where the file has no head that the architecture knows.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A damaged file, or one that holds more than tensors.
    """
    tensors = _with_our_names(read_state(Path(file)), model.state_dict())
    sizes = [len(tensors[name]) for name in _head_parameters(model) if name in tensors]
    return sizes[0] if sizes else None


def freeze(model: nn.Module, prefixes: str | Iterable[str]) -> None:
    """Stop the training of every parameter under the given names.

    Args:
        model: Changed in place.
        prefixes: Names of modules or parameters, as in ``("conv1", "layer1")``.

    Raises:
        ValueError: A name under which there is no parameter, with the near ones.

    Examples:
        >>> from torchvision.models import resnet18
        >>> model = resnet18()
        >>> freeze(model, ["layer1"])
        >>> model.layer1[0].conv1.weight.requires_grad, model.fc.weight.requires_grad
        (False, True)
    """
    parameters = dict(model.named_parameters())
    frozen: list[str] = []
    for prefix in [prefixes] if isinstance(prefixes, str) else prefixes:
        under = [name for name in parameters if name == prefix or name.startswith(f"{prefix}.")]
        if not under:
            known = {name.rsplit(".", 1)[0] for name in parameters} | {
                name.split(".")[0] for name in parameters
            }
            raise unknown_name("layer to freeze", prefix, sorted(known))
        frozen += under
    for name in frozen:  # not before every name is known to be good
        parameters[name].requires_grad_(False)


def read_state(file: Path) -> dict[str, Tensor]:
    """Read tensors by name: safetensors, or a state dict saved by torch.

    Args:
        file: The dict may lie under the key ``state_dict`` or ``model``. The prefix ``module.``
            of a parallel network is taken off where every name has it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A damaged file, one that holds more than tensors, or sparse tensors.
    """
    tensors = _read_any(file)
    if tensors and all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


def _read_any(file: Path) -> dict[str, Tensor]:
    if _existing(file).suffix == ".safetensors":
        return dict(read_tensors(file))
    try:
        _refuse_packed(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise ValueError(_unreadable(file, error)) from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise ValueError(f"{file} holds no state dict (parameter names and tensors)")
    odd = [name for name, value in state.items() if not _is_plain(value)]
    if odd:
        raise ValueError(
            f"{file} holds tensors that are sparse, quantized or without values "
            f"({', '.join(odd[:3])}); save dense ones"
        )
    return state


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not (tensor.is_meta or tensor.is_quantized)


def _refuse_packed(file: Path) -> None:
    """Raise for an archive with compressed entries: PyTorch writes none, and they can be bombs."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            packed = [entry.filename for entry in archive.infolist() if entry.compress_type]
        if packed:
            raise ValueError(f"its entry {packed[0]} is compressed")


def _unreadable(file: Path, error: Exception) -> str:
    """What is wrong with a file, and the way out where it holds a pickled network."""
    said = str(error)
    message = f"{file} is not readable as weights (safetensors, or a state dict)"
    if not any(sign in said for sign in _OBJECTS):
        return f"{message}: {type(error).__name__} {said}".splitlines()[0]
    return (
        f"{message}: it holds Python objects, such as a whole pickled module, and reading those "
        "can run any code. Where you trust it and have the network's classes, convert it once: "
        "`torch.save(model.state_dict(), 'weights.pt')` after "
        "`model = torch.load(file, weights_only=False)`"
    )


def _with_our_names(tensors: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turn names of old releases into today's, and drop auxiliary heads."""
    renamed = {
        name if name in own else _OLD_DENSENET.sub(r"\1\2.", name): tensor
        for name, tensor in tensors.items()
    }
    return {
        name: tensor
        for name, tensor in renamed.items()
        if name in own or not name.startswith(_AUXILIARY_HEADS)
    }


def _head_parameters(model: nn.Module) -> tuple[str, ...]:
    """Names of the head's weight and bias."""
    head = head_name(model)
    return () if head is None else (f"{head}.weight", f"{head}.bias")
