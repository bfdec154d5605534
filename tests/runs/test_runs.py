"""Run folders and saved networks, whole and damaged."""

from pathlib import Path

import pytest
import torch
from torch import nn

import filterscope
from filterscope import GatedClassifier, load_run
from filterscope.models import create_model
from filterscope.runs import RunFolder
from filterscope.training import TrainSettings, train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = TrainSettings(
        method="gated", scheme="joint", warmup=0, epochs=1, limit=40, limit_test=20, batch_size=20
    )
    return train(settings, tmp_path_factory.mktemp("runs") / "gated")


def test_a_run_classifies_images_as_it_was_trained(folder: Path) -> None:
    run = load_run(folder)
    images = run.transform.normalize(run.dataset().test.raw(0)[None])
    assert run.model(images).shape == (1, 10)
    assert run.gate is run.model.gate
    assert run.layer == "layer3"
    assert run.classes == tuple("0123456789")
    assert run.label == "gated"
    assert run.evaluation is None
    assert run.arrays is None


def test_reading_leaves_the_callers_random_numbers_alone(folder: Path, tmp_path: Path) -> None:
    saved = filterscope.save_pretrained(create_model("resnet20", 10), tmp_path / "saved")
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    load_run(folder)
    filterscope.from_pretrained(saved)
    filterscope.from_pretrained(folder)
    assert torch.equal(torch.rand(3), expected)


def test_an_unfinished_run_is_read_from_its_checkpoint(folder: Path, tmp_path: Path) -> None:
    whole = load_run(folder)
    for name in ("config.yaml", "classes.json", "last.ckpt", "metrics.csv"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    cut = load_run(tmp_path)
    for ours, theirs in zip(whole.model.parameters(), cut.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    (tmp_path / "last.ckpt").unlink()
    with pytest.raises(FileNotFoundError, match="no finished epoch"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.yaml", b"a: [", "not readable as YAML"),
        ("config.yaml", b"- 1", "must hold settings"),
        ("classes.json", b"{", "not readable as JSON"),
        ("model.safetensors", b"xx", "not readable as safetensors"),
        ("gate.safetensors", b"xx", "not readable as safetensors"),
        ("evaluation.json", b"{}", "is nothing, which no run has"),
    ],
)
def test_damaged_files_are_named(
    folder: Path, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}.*{message}"):
        load_run(tmp_path)


def test_folders_that_are_no_runs_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="filterscope train --out"):
        load_run(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileExistsError, match="is a file"):
        RunFolder(tmp_path / "file").create()


def test_metrics_keep_numbers_names_and_gaps(tmp_path: Path) -> None:
    rows = [{"epoch": 0, "phase": "standard", "loss": 0.1 + 0.2, "gap": None}]
    RunFolder(tmp_path).write_metrics(rows)
    assert RunFolder(tmp_path).read_metrics() == rows


@pytest.mark.parametrize("name", ["resnet20", "alexnet"])
def test_pretrained_networks_come_back_by_name(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match="gating layer"):
        net = GatedClassifier(create_model(name, 4), num_classes=4).eval()
    with torch.no_grad():
        net.gate.matrix.uniform_()
    net.gate.project_()
    net.save_pretrained(tmp_path / "net")
    again = filterscope.from_pretrained(tmp_path / "net")
    images, labels = torch.randn(2, 3, 64, 64), torch.tensor([0, 3])
    assert torch.equal(net(images, labels), again(images, labels))
    plain = create_model(name, 4, weights=tmp_path / "net" / "model.safetensors").eval()
    assert torch.equal(plain(images), net(images))


def test_own_architectures_need_an_instance(tmp_path: Path) -> None:
    own = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                        nn.Linear(4, 2))  # fmt: skip
    GatedClassifier(own, "1", 2, 4).save_pretrained(tmp_path / "net")
    with pytest.raises(ValueError, match="an instance of it"):
        filterscope.from_pretrained(tmp_path / "net")
    assert filterscope.from_pretrained(tmp_path / "net", own).gate.num_filters == 4


def test_a_run_below_a_file_is_refused_by_the_files_name(tmp_path: Path) -> None:
    (tmp_path / "photo.png").touch()
    with pytest.raises(NotADirectoryError, match=r"photo\.png is a file; .*run wants a folder"):
        RunFolder(tmp_path / "photo.png" / "run").check_free()
