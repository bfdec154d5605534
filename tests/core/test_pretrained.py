import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import mnasnet0_5

from filterscope.core.pretrained import (
    SCHEMA,
    load_strictly,
    read_pretrained_config,
    read_tensors,
    write_pretrained,
    write_tensors,
)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(6.0).reshape(2, 3),
        torch.arange(6.0).reshape(2, 3).T,
        torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last),
        torch.arange(10.0)[::3],
        torch.arange(10.0)[4:6],
        torch.tensor([1.0]).expand(3, 2),
        torch.tensor(2.5),
        torch.empty(0, 3),
        torch.tensor([1, -(2**62)]),
        torch.tensor([True, False]),
        torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        torch.tensor([1.5, -2.0], dtype=torch.float16),
        torch.tensor([1.5, -2.0], dtype=torch.float64),
        nn.Parameter(torch.ones(2)),
        torch.tensor([torch.inf, -torch.inf, -0.0]),
    ],
)
def test_tensor_comes_back_with_its_values_shape_and_dtype(tensor: Tensor, tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", {"x": tensor})
    (back,) = read_tensors(tmp_path / "a.safetensors").values()
    assert back.dtype == tensor.dtype
    assert back.shape == tensor.shape
    assert torch.equal(back, tensor)
    assert not back.requires_grad


def test_tied_tensors_are_written_under_each_of_their_names(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    tensors = {"a": whole, "b": whole, "view": whole.view(2, 3), "part": whole[2:4]}
    write_tensors(tmp_path / "a.safetensors", tensors)
    back = load_file(tmp_path / "a.safetensors")  # with safetensors' own reader
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)
    back["a"].zero_()
    assert torch.equal(back["b"], whole)


def test_tied_weights_of_a_network_survive_the_round_trip(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    write_tensors(tmp_path / "a.safetensors", model.state_dict())
    fresh = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    load_strictly(fresh, read_tensors(tmp_path / "a.safetensors"), "a.safetensors")
    assert torch.equal(fresh[0].weight, model[0].weight)
    assert torch.equal(fresh[1].weight, model[0].weight)


def test_no_tensors_are_a_file_too(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", {})
    assert read_tensors(tmp_path / "a.safetensors") == {}


def test_written_tensors_are_untouched(tmp_path: Path) -> None:
    tensor = torch.arange(6.0).reshape(2, 3).T
    write_tensors(tmp_path / "a.safetensors", {"x": tensor})
    assert not tensor.is_contiguous()
    assert torch.equal(tensor, torch.tensor([[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]))


def test_tensor_that_cannot_be_written_keeps_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    write_tensors(file, {"x": torch.ones(2)})
    with pytest.raises(Exception, match="meta"):
        write_tensors(file, {"x": torch.ones(2, device="meta")})
    assert torch.equal(read_tensors(file)["x"], torch.ones(2))
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("keep", [0, 4, 8, 20, -1])
def test_truncated_tensors_are_refused_by_name_in_one_line(keep: int, tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    write_tensors(file, {"x": torch.arange(5.0), "y": torch.ones(3, 3)})
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"a\.safetensors is not readable as safetensors: ") as got:
        read_tensors(file)
    assert "\n" not in str(got.value)


@pytest.mark.parametrize(
    "content",
    [
        b"no tensors at all, only text",
        b"\xff" * 64,
        b"PK\x03\x04" + b"\0" * 60,
        (2).to_bytes(8, "little") + b"[]",
        (2).to_bytes(8, "little") + b"{}" + b"behind",
    ],
)
def test_file_of_something_else_is_not_readable_as_safetensors(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="not readable as safetensors"):
        read_tensors(tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", ["absent.safetensors", "."])
def test_missing_tensors_are_file_not_found(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_tensors(tmp_path / name)


def test_network_as_a_folder_holds_its_config_and_a_file_a_part(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "network"
    weights = {"model": {"w": torch.ones(2)}, "gate": {"matrix": torch.zeros(2, 3)}}
    write_pretrained(folder, {"kind": "test", "layers": [1, 2]}, weights)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["config.json", "gate.safetensors", "model.safetensors"]
    assert read_pretrained_config(folder) == {
        "filterscope_schema": SCHEMA,
        "kind": "test",
        "layers": [1, 2],
    }
    assert torch.equal(read_tensors(folder / "gate.safetensors")["matrix"], torch.zeros(2, 3))


def test_writing_a_network_again_replaces_it_and_keeps_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write_pretrained(tmp_path, {"kind": "first"}, {"model": {"w": torch.ones(2)}})
    write_pretrained(tmp_path, {"kind": "second"}, {"model": {"w": torch.zeros(2)}})
    assert read_pretrained_config(tmp_path)["kind"] == "second"
    assert torch.equal(read_tensors(tmp_path / "model.safetensors")["w"], torch.zeros(2))
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "was not written by filterscope"),
        ({"architectures": ["Bert"]}, "was not written by filterscope"),
        ({"filterscope_schema": "1"}, "was not written by filterscope"),
        ({"filterscope_schema": None}, "was not written by filterscope"),
        ({"filterscope_schema": 1.0}, "was not written by filterscope"),
        ([1], "was not written by filterscope"),
        (1, "was not written by filterscope"),
        (None, "was not written by filterscope"),
        (
            {"filterscope_schema": SCHEMA + 1},
            f"has schema {SCHEMA + 1}; this filterscope reads up to {SCHEMA}",
        ),
    ],
)
def test_config_of_another_schema_or_origin_is_refused(
    config: Any, message: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError) as caught:
        read_pretrained_config(tmp_path)
    assert str(caught.value) == f"{tmp_path / 'config.json'} {message}"


def test_config_of_this_schema_is_given_whole(tmp_path: Path) -> None:
    config = {"filterscope_schema": SCHEMA, "later": {"a": None}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_pretrained_config(str(tmp_path)) == config


@pytest.mark.parametrize("content", ["", '{"filterscope_schema": 1', "\ufeff{}"])
def test_damaged_config_is_refused_by_name(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"config\.json is not readable as JSON"):
        read_pretrained_config(tmp_path)


@pytest.mark.parametrize("name", ["", "absent"])
def test_folder_without_a_config_is_file_not_found(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    with pytest.raises(FileNotFoundError, match=re.escape(f"{folder} holds no config.json")):
        read_pretrained_config(folder)


def test_fitting_weights_are_loaded() -> None:
    module = nn.Linear(3, 2)
    load_strictly(module, {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, "here")
    assert torch.equal(module.weight, torch.ones(2, 3))
    assert torch.equal(module.bias, torch.zeros(2))


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"weight": torch.ones(2, 3)}, ["Missing", "bias"]),
        (
            {"weight": torch.ones(2, 3), "bias": torch.ones(2), "more": torch.ones(1)},
            ["Unexpected", "more"],
        ),
        ({"weight": torch.ones(2, 4), "bias": torch.ones(2)}, ["size mismatch", "weight"]),
        ({"weight": torch.ones(5, 3), "b": torch.ones(5)}, ["Missing", "Unexpected", "mismatch"]),
        ({}, ["Missing", "weight", "bias"]),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_one_line(
    tensors: dict[str, Tensor], words: list[str]
) -> None:
    with pytest.raises(ValueError) as caught:
        load_strictly(nn.Linear(3, 2), tensors, "runs/a")
    message = str(caught.value)
    assert message.startswith("the weights in runs/a do not fit Linear: ")
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


def test_one_line_stays_short_where_hundreds_of_keys_are_missing() -> None:
    deep = nn.Sequential(*[nn.Linear(1, 1) for _ in range(200)])
    with pytest.raises(ValueError, match="Missing") as caught:
        load_strictly(deep, {}, "a")
    assert len(str(caught.value)) < 400


def test_network_that_asks_for_its_version_is_loaded(tmp_path: Path) -> None:
    source, target = mnasnet0_5(num_classes=2), mnasnet0_5(num_classes=2)
    write_tensors(tmp_path / "model.safetensors", source.state_dict())
    load_strictly(target, read_tensors(tmp_path / "model.safetensors"), "here")
    ours, theirs = target.state_dict(), source.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
