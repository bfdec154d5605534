"""The core floor: files, contexts, layers, names, saved networks."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from filterscope.core.contexts import captured_features, evaluating, forward_hook, pool_features
from filterscope.core.files import atomic_write, read_json, write_json, write_text
from filterscope.core.layers import find_layer
from filterscope.core.names import unknown_name
from filterscope.core.pretrained import (
    load_strictly,
    read_pretrained_config,
    read_tensors,
    write_pretrained,
    write_tensors,
)


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def small() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten())


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "old")
    with pytest.raises(RuntimeError), atomic_write(file) as target:
        target.write(b"new")
        raise RuntimeError
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_kill_9_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "old")
    code = (
        "import sys, time\nfrom filterscope.core.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as target:\n"
        "    target.write(b'new' * 100000); target.flush(); print('written', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert file.read_text() == "old"


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """A limit on the file size stands in for the full disk: both fail in write or flush."""
    file = tmp_path / "a.txt"
    write_text(file, "old")
    code = (
        "import resource, signal, sys\nfrom filterscope.core.files import write_text\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    write_text(sys.argv[1], 'x' * 10**6)\n"
        "except OSError as error:\n    print(error.errno)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) > 0
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_json_holds_plain_values_only(tmp_path: Path) -> None:
    value = {"a": np.float32(0.5), "b": [float("nan"), np.inf], "c": np.arange(2), 3: (1, None)}
    write_json(tmp_path / "a.json", value)
    shown = json.loads((tmp_path / "a.json").read_text())
    assert shown == {"a": 0.5, "b": [None, None], "c": [0, 1], "3": [1, None]}
    (tmp_path / "a.json").write_text('{"a": ')
    with pytest.raises(ValueError, match=r"a\.json is not readable as JSON"):
        read_json(tmp_path / "a.json")


def test_evaluating_gives_every_module_its_own_flag_back() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Sequential(nn.Dropout(), nn.ReLU()))
    model[1][0].eval()
    before = [module.training for module in model.modules()]
    with pytest.raises(RuntimeError), evaluating(model):
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
        raise RuntimeError
    assert before == [module.training for module in model.modules()]
    assert torch.is_grad_enabled()
    with evaluating(model, grad=True):
        assert torch.is_grad_enabled()


def test_hooks_are_gone_after_an_error() -> None:
    model = small()
    with pytest.raises(RuntimeError), forward_hook(model[0], lambda *_: None):
        assert hooks(model) == 1
        raise RuntimeError
    assert hooks(model) == 0


def test_features_are_pooled_before_a_later_operation_in_place() -> None:
    model, x = small(), torch.randn(2, 3, 6, 6)
    raw = model[0](x)
    with captured_features(model[0], None) as seen:
        model(x)
    torch.testing.assert_close(seen[0], raw.mean((2, 3)))
    with captured_features(model[0]) as seen:
        model(x)
        model(x)
    assert len(seen) == 2
    torch.testing.assert_close(seen[1], raw.relu().mean((2, 3)))
    assert hooks(model) == 0


def test_pooling_takes_any_number_of_positions() -> None:
    x = torch.randn(2, 3, 4, 5, 6)
    torch.testing.assert_close(pool_features(x, None), x.mean((2, 3, 4)))
    assert torch.equal(pool_features(x[:, :, 0, 0, 0]), x[:, :, 0, 0, 0].relu())


def test_layers_are_found_by_name_and_as_modules() -> None:
    model = nn.Sequential(small(), nn.Linear(3, 3))
    assert find_layer(model, "0.1") == ("0.1", model[0][1])
    assert find_layer(model, model[0][1]) == ("0.1", model[0][1])
    with pytest.raises(ValueError, match="near: "):
        find_layer(model, "0.11")
    with pytest.raises(ValueError, match="not"):
        find_layer(model, nn.ReLU())
    with pytest.raises(TypeError):
        find_layer(model, 3)


def test_unknown_names_come_with_the_near_ones() -> None:
    error = unknown_name("model", "resnet81", ["resnet18", "vgg16"], "list models")
    assert str(error) == "unknown model 'resnet81'; near: resnet18 (all: list models)"
    assert str(unknown_name("x", "zzz", ["a", "b"])) == "unknown x 'zzz'; known: a, b"


def test_importing_the_package_imports_neither_torch_nor_numpy() -> None:
    code = "import sys, filterscope; print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_public_name_exists() -> None:
    import filterscope

    for name in filterscope.__all__:
        assert getattr(filterscope, name) is not None
    assert set(filterscope.__all__) <= set(dir(filterscope))
    with pytest.raises(AttributeError, match="GatedClasifier"):
        _ = filterscope.GatedClasifier


def test_tensors_survive_whatever_their_layout(tmp_path: Path) -> None:
    shared = torch.arange(6.0).reshape(2, 3)
    tensors = {"a": shared, "b": shared, "turned": shared.T, "none": torch.empty(0)}
    write_tensors(tmp_path / "t.safetensors", tensors)
    again = read_tensors(tmp_path / "t.safetensors")
    assert all(torch.equal(again[name], tensors[name]) for name in tensors)
    content = (tmp_path / "t.safetensors").read_bytes()
    (tmp_path / "t.safetensors").write_bytes(content[:-4])
    with pytest.raises(ValueError, match="not readable as safetensors"):
        read_tensors(tmp_path / "t.safetensors")
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "absent.safetensors")


def test_saved_networks_say_what_they_are(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    write_pretrained(tmp_path / "net", {"kind": "x"}, {"model": model.state_dict()})
    assert read_pretrained_config(tmp_path / "net")["kind"] == "x"
    config = tmp_path / "net" / "config.json"
    for content, message in (
        ('{"filterscope_schema": 99}', "schema 99"),
        ('{"kind": "x"}', "not written by filterscope"),
        ("[1]", "not written by filterscope"),
    ):
        config.write_text(content)
        with pytest.raises(ValueError, match=message):
            read_pretrained_config(tmp_path / "net")
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        read_pretrained_config(tmp_path)
    with pytest.raises(ValueError, match="do not fit Linear") as caught:
        load_strictly(model, {"weight": torch.ones(3, 2)}, "here")
    assert "\n" not in str(caught.value)
