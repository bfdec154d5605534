"""filterscope prepare: what it prints, refuses and takes up."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from filterscope.cli import main
from filterscope.data import load_dataset

CLASSES = ("bird", "cat", "dog", "cow", "horse", "sheep")


def write_annotation(file: Path, kinds: tuple[str, ...]) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[4:15, 6:20] = 1
    part = np.array([[("head", mask)]], dtype=[("part_name", object), ("mask", object)])
    names = [("class", object), ("mask", object), ("parts", object)]
    objects = np.empty((1, len(kinds)), dtype=names)
    for i, kind in enumerate(kinds):
        objects[0, i] = (kind, mask, part)
    scipy.io.savemat(file, {"anno": {"imname": file.stem, "objects": objects}})


def write_voc(root: Path, count: int) -> Path:
    voc, parts = root / "VOCdevkit/VOC2010", root / "Annotations_Part"
    for folder in (voc / "JPEGImages", voc / "ImageSets/Main", parts):
        folder.mkdir(parents=True)
    names = [f"2008_{i:06d}" for i in range(count)]
    (voc / "ImageSets/Main/trainval.txt").write_text("\n".join(names))
    for name in names:
        Image.effect_noise((30, 20), 60).save(voc / "JPEGImages" / f"{name}.jpg")
        write_annotation(parts / f"{name}.mat", CLASSES)
    return root


def test_the_counts_are_printed_and_the_data_loads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write_voc(tmp_path / "voc", 10), tmp_path / "voc-animals"
    (source / "Annotations_Part/2008_000004.mat").write_bytes(b"nothing")
    (source / "VOCdevkit/VOC2010/JPEGImages/2008_000005.jpg").unlink()
    words = ["prepare", "voc-animals", str(source), str(out), "--size", "16"]
    assert main(words) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0].split() == ["class", "train", "val"]
    assert [line.split()[0] for line in lines[1:7]] == list(CLASSES)
    counts = [int(n) for line in lines[1:7] for n in line.split()[1:]]
    assert sum(counts) == 6 * 8
    assert lines[7].split()[0] == "objects"
    assert lines[8].split() == ["photos", "7", "3"]
    assert lines[9] == "48 masks of parts; 48 objects made, 0 kept"
    assert "2008_000004.mat: not readable as a MATLAB file" in lines[10]
    assert "2008_000005.jpg: missing" in lines[11]
    assert lines[12] == str(out)
    dataset = load_dataset("voc-animals", root=tmp_path)
    assert len(dataset.train) + len(dataset.test) == 48
    assert main(words) == 0
    assert "0 objects made, 48 kept" in capsys.readouterr().out


def test_many_damaged_files_are_counted_not_all_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_voc(tmp_path / "voc", 20)
    for i in range(14):
        (source / f"Annotations_Part/2008_{i:06d}.mat").unlink()
    assert main(["prepare", "voc-animals", str(source), str(tmp_path / "out"), "--size=8"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("missing") == 10
    assert "corrupt: 4 more, see manifest.json" in shown


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["voc-animal", "a", "b"], "near: voc-animals"),
        (["voc-animals", "nowhere", "b"], "expected VOCdevkit/VOC2010"),
        (["voc-animals", "."], "destination"),
        (["voc-animals", ".", "b", "--size", "0"], "`size` must be at least 1"),
        (["voc-animals", ".", "b", "--sized", "3"], "near: --size"),
    ],
)
def test_bad_input_ends_in_one_line(
    words: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FILTERSCOPE_TRACEBACK", raising=False)
    try:
        code = main(["prepare", *words])
    except SystemExit as end:
        code = end.code
    assert code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert expected in lines[-1]
    assert lines[-1].startswith("filterscope")
    assert not list(tmp_path.iterdir())


def test_ctrl_c_tells_how_to_go_on(tmp_path: Path) -> None:
    source, out = write_voc(tmp_path / "a voc", 400), tmp_path / "out"
    words = ["prepare", "voc-animals", str(source), str(out), "--size", "16"]
    program = "from filterscope.cli import main; raise SystemExit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # a shell's background jobs, of which these tests may be one, ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not list(out.rglob("*.jpg")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    told = f"go on with: filterscope prepare voc-animals '{source}' {out} --size 16"
    assert told in output
    assert not list(out.rglob("*.tmp"))


def test_help_names_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert " prepare " in capsys.readouterr().out
    assert main(["list", "datasets"]) == 0
    shown = capsys.readouterr().out
    assert "voc-animals " in shown
    assert "masked-folder:PATH " in shown


def write_cub(root: Path, box: str = "5 5 80 60") -> Path:
    for name in ("images", "parts"):
        (root / name).mkdir(parents=True)
    (root / "neg").mkdir()
    for i in range(1, 5):
        Image.effect_noise((100, 80), 60).save(root / f"images/{i}.jpg")
        Image.effect_noise((50, 50), 60).save(root / f"neg/{i}.jpg")
    numbers = range(1, 5)
    (root / "images.txt").write_text("\n".join(f"{i} {i}.jpg" for i in numbers))
    (root / "train_test_split.txt").write_text("\n".join(f"{i} {i % 2}" for i in numbers))
    (root / "bounding_boxes.txt").write_text("\n".join(f"{i} {box}" for i in numbers))
    (root / "parts/part_locs.txt").write_text("\n".join(f"{i} 1 9 9 1" for i in numbers))
    return root


def test_parts_are_counted_printed_and_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write_cub(tmp_path / "cub"), tmp_path / "cub-parts"
    (source / "images/4.jpg").unlink()
    assert main(["prepare", "cub-parts", str(source), str(out)]) == 0
    shown = capsys.readouterr()
    assert [line.split() for line in shown.out.splitlines()] == [
        ["test/bird", "1"],
        ["train/bird", "2"],
        ["neg", "4"],
        ["3", "landmarks"],
        ["corrupt:", f"{source}/images/4.jpg:", "missing"],
        [str(out)],
    ]
    assert len(load_dataset(f"part-folder:{out}").test) == 3


def test_parts_that_are_all_too_small_or_settings_of_others_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_cub(tmp_path / "cub", box="5 5 20 20")
    assert main(["prepare", "cub-parts", str(source), str(tmp_path / "out")]) != 0
    assert "every object of" in capsys.readouterr().err
    words = ["prepare", "cub-parts", str(source), str(tmp_path / "out"), "--size", "64"]
    assert main(words) != 0
    assert "`--size` and `--seed` are for voc-animals" in capsys.readouterr().err
