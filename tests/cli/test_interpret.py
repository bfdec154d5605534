"""filterscope interpret: what it prints, writes and refuses."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from filterscope.cli import main
from filterscope.evaluation import interpret
from filterscope.evaluation.interpretation_text import COLUMNS

NETWORK = ["--model=resnet20", "--random-weights"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FILTERSCOPE_TRACEBACK", raising=False)
    for k, name in enumerate(("class 1", "class 2")):
        (tmp_path / "set" / name).mkdir(parents=True)
        pixels = np.random.default_rng(k).integers(0, 256, (40, 36, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "set" / name / f"{k}.png")
    return tmp_path / "set"


def test_images_are_told_and_written_as_a_page(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["interpret", "set", *NETWORK, "--labels=folder", "--fgsm=8/255", "--out=page.html"]
    assert main(words) == 0
    shown = capsys.readouterr()
    for word in ("true class: class 1", "residual R1", "votes", "FGSM 8/255", "top-1 accuracy",
                 "2 images"):  # fmt: skip
        assert word in shown.out
    assert "random weights" in shown.err
    assert "page: page.html" in shown.err
    assert "How to read this" in Path("page.html").read_text()
    before = Path("page.html").read_bytes()
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert Path("page.html").read_bytes() == before


def test_csv_has_a_row_for_each_state_and_the_errors(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.jpg").write_bytes(b"no image")
    assert main(["interpret", "set", *NETWORK, "--csv", "--preprocess=both", "--votes=none"]) == 2
    read = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert tuple(read[0]) == COLUMNS
    assert [row["preprocess"] for row in read] == ["", "outside", "inside", "outside", "inside"]
    assert read[0]["image"] == "set/broken.jpg"
    assert sum(bool(row["error"]) for row in read) == 1


def test_ctrl_c_keeps_what_is_done(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = interpret._Reader.read
    seen: list[int] = []

    def stops(self: object, *arguments: object, **options: object) -> object:
        seen.append(1)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return read(self, *arguments, **options)

    monkeypatch.setattr(interpret._Reader, "read", stops)
    assert main(["interpret", "set", *NETWORK, "--out=page.html", "--csv"]) == 130
    assert len(capsys.readouterr().out.strip().splitlines()) == 2
    assert "class 1/0.png" in Path("page.html").read_text()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["set"], "give either --run FOLDER or --model NAME"),
        (["set", "--model=resnet20"], "got none"),
        (
            ["set", "--model=resnet2o", "--random_weights"],
            "unknown model 'resnet2o'; near: resnet32, resnet20",
        ),
        (["nowhere", *NETWORK], "nowhere does not exist"),
        (["set", "--run=nowhere"], "nowhere is no run folder"),
        (["set", *NETWORK, "--votes=most"], "`votes` must be auto, all, none or top:K"),
        (["set", *NETWORK, "--fgsm=2"], "`fgsm` must lie in (0, 1]"),
        (["set", *NETWORK, "--labels=sorted"], "one image for each of 10 classes, got 2"),
        (["set", *NETWORK, "--labels=synset"], "1000 classes"),
        (["set", *NETWORK, "--masks=nowhere"], "nowhere is no folder"),
        (["set", *NETWORK, "--metod=literal"], "near: --method"),
        (["set", *NETWORK, "--std", "1", "0", "1"], "`std` must be above 0"),
    ],
)
def test_bad_input_ends_in_one_line_and_leaves_nothing(
    words: list[str], expected: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["interpret", *words, "--out=page.html"])
    except SystemExit as end:
        code = end.code
    assert code == 2
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    line = errors.strip().splitlines()[-1]
    assert line.startswith("filterscope interpret: error: ")
    assert expected in line
    assert not Path("page.html").exists()


def test_a_refused_operation_names_the_option(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["interpret", "set", "--model=mobilenet_v3_small", "--random_weights",
             "--image_size=64", "--votes=top:2", "--limit=1"]  # fmt: skip
    assert main(words) == 2
    assert "freeze_gates" in capsys.readouterr().err
    assert main([*words, "--freeze-gates"]) == 0
    assert "a preview among 2 of 1000 labels" in capsys.readouterr().out
