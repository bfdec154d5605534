"""Files of weights from outside: loaded whole, or a ValueError with the name, nothing changed."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from tests.damage import damaged
from torch import Tensor, nn

from filterscope.models.weights import load_weights


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(4, 2))


def torch_saved(state: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(state, file, **options)
    return file.getvalue()


def matconvnet_saved(*, packed: bool) -> bytes:
    """Two convolutions, for a convolution and a linear layer."""
    layers = np.empty((1, 2), object)
    weights = np.empty((1, 2), object)
    weights[0, :] = [np.ones((3, 3, 3, 4), np.float32), np.ones((4, 1), np.float32)]
    layers[0, 0] = {"type": "conv", "weights": weights, "stride": [[1, 1]], "pad": [[1, 1, 1, 1]]}
    filters = np.ones((1, 1, 4, 2), np.float32)
    layers[0, 1] = {"type": "conv", "filters": filters, "biases": np.ones((1, 2), np.float32)}
    meta = {"normalization": {"averageImage": np.full((1, 1, 3), 120.0)}}
    file = io.BytesIO()
    scipy.io.savemat(file, {"layers": layers, "meta": meta}, do_compression=packed)
    return file.getvalue()


STATE = dict(network().state_dict())
FILES = {
    "pt": torch_saved(STATE),
    "legacy.pt": torch_saved(STATE, _use_new_zipfile_serialization=False),
    "safetensors": save(STATE),
}
MATLAB = {"mat": matconvnet_saved(packed=False), "packed.mat": matconvnet_saved(packed=True)}


def fails_by_name(file: Path, model: nn.Module) -> bool:
    """Load; whether that was refused, with the file's name, in a line, and nothing was changed."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    try:
        load_weights(model, file)
    except ValueError as error:
        assert str(file) in str(error)
        assert "\n" not in str(error)
        assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
        return True
    return False


@settings(max_examples=250)
@pytest.mark.filterwarnings("ignore::UserWarning")
@given(st.sampled_from(sorted(FILES)), st.data())
def test_damaged_state_dicts_are_loaded_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    file = tmp_path_factory.getbasetemp() / f"damaged.{kind}"
    file.write_bytes(data.draw(damaged(FILES[kind])))
    fails_by_name(file, network())


@settings(max_examples=250)
@given(st.sampled_from(sorted(MATLAB)), st.data())
def test_damaged_matlab_networks_are_loaded_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    file = tmp_path_factory.getbasetemp() / f"damaged.{kind}"
    file.write_bytes(data.draw(damaged(MATLAB[kind])))
    fails_by_name(file, nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 2)))


def test_the_whole_files_are_loaded(tmp_path: Path) -> None:
    for kind, content in (FILES | MATLAB).items():
        model: nn.Module = network()
        if kind in MATLAB:
            model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 2))
        nn.init.constant_(model[0].weight, 7)
        file = tmp_path / f"whole.{kind}"
        file.write_bytes(content)
        assert not fails_by_name(file, model)
        assert not (model[0].weight == 7).any()


@pytest.mark.parametrize("kind", sorted(FILES))
def test_a_file_cut_at_any_of_fifty_places_is_refused(tmp_path: Path, kind: str) -> None:
    content, file = FILES[kind], tmp_path / f"cut.{kind}"
    for end in np.linspace(0, len(content) - 1, 50).astype(int):
        file.write_bytes(content[:end])
        assert fails_by_name(file, network()), end


@pytest.mark.parametrize("place", range(8, 700, 7))
def test_a_flipped_bit_in_the_header_of_safetensors_is_refused_or_harmless(
    tmp_path: Path, place: int
) -> None:
    content, file = bytearray(FILES["safetensors"]), tmp_path / "flipped.safetensors"
    size = int.from_bytes(content[:8], "little")
    content[8 + place % size] ^= 1 << place % 8
    file.write_bytes(content)
    model = network()
    nn.init.constant_(model[0].weight, 7)
    if not fails_by_name(file, model):
        assert all(torch.equal(STATE[n], t) for n, t in model.state_dict().items())


class Runs:
    """What a malicious pickle holds: a call."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("packing", ["zip", "legacy", "pickle"])
def test_code_in_a_pickle_is_not_run(tmp_path: Path, packing: str) -> None:
    trace, file = tmp_path / "it-ran", tmp_path / "bad.pt"
    state = {"0.weight": Runs(trace)}
    if packing == "pickle":
        file.write_bytes(pickle.dumps(state))
    else:
        file.write_bytes(torch_saved(state, _use_new_zipfile_serialization=packing == "zip"))
    assert fails_by_name(file, network())
    assert not trace.exists()


def meta(name: str) -> dict[str, Tensor]:
    return STATE | {name: STATE[name].to("meta")}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (meta("0.weight"), "without values"),
        (STATE | {"0.weight": STATE["0.weight"].int()}, "of another kind 0.weight"),
        (STATE | {"0.weight": STATE["0.weight"] + 1j}, "of another kind 0.weight"),
        (STATE | {"0.weight": torch.zeros(1).expand(10**9, 3, 3, 3)}, "of another shape 0.weight"),
        (STATE | {"0.weight": [1, 2]}, "no state dict"),
        ({}, "missing 0.bias"),
        ([1, 2], "no state dict"),
    ],
)
def test_tensors_that_are_none_of_the_networks_are_refused(
    tmp_path: Path, state: Any, reason: str
) -> None:
    file = tmp_path / "odd.pt"
    file.write_bytes(torch_saved(state))
    assert fails_by_name(file, network())
    with pytest.raises(ValueError, match=reason):
        load_weights(network(), file)


def test_packed_archives_are_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "bomb.pt"
    with (
        zipfile.ZipFile(io.BytesIO(FILES["pt"])) as source,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    with pytest.raises(ValueError, match=r"bomb\.pt is not readable.*is compressed"):
        load_weights(network(), file)
