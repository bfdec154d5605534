"""filterscope attack and detect: what they print, write and refuse."""

from pathlib import Path

import pytest

from filterscope.cli import main
from filterscope.evaluation import AttackResult, Detection

TRAINING = ["--epochs=5", "--limit=160", "--limit_test=40", "--batch_size=20", "--device=cpu"]
DETECT = [
    "--attacks", "fgsm", "pgd", "--per_class", "2", "4", "--test_per_class=2", "--repeats=2",
    "--trees=5", "--device=cpu",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "plain"
    assert main(["train", *TRAINING, f"--out={folder}"]) == 0
    return folder


def test_attacks_are_told_kept_and_shown(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["attack", str(run), "--attacks", "fgsm", "single-pixel", "--images=4", "--pictures=2",
             "--max_pixels=3", "--epsilon=32/255", "--device=cpu"]  # fmt: skip
    assert main(words) == 0
    shown = capsys.readouterr()
    for word in ("success", "fgsm", "single-pixel", "of 4", "accuracy before any attack"):
        assert word in shown.out
    assert "page:" in shown.err
    assert len(AttackResult.load(run).arrays["places"]) == 4
    page = (run / "attack.html").read_text()
    for word in ("under attack", "What the attacks reach", "test image", "votes", "fgsm: "):
        assert word in page
    assert "All images" not in page, "those shown are no fair sample of those attacked"
    assert "The pictures below together" in page
    assert "fgsm with epsilon 0.1255" in page
    assert page.count("Which label each pixel votes for") == 2 * 3
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_detection_is_told_kept_and_shown_beside_its_baseline(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert main(["detect", str(run), f"--baseline={run}", *DETECT, f"--out={page}"]) == 0
    shown = capsys.readouterr()
    for word in ("error, 2 a class", "error, 4 a class", "learned from the others", "ROC area",
                 "688 features after 19 convolutions", "plain (baseline)", "cosine"):  # fmt: skip
        assert word in shown.out
    assert "fgsm:" in shown.err
    assert Detection.load(run).sizes == (2, 4)
    assert "ROC curves of the detectors" in page.read_text()


def test_help_tells_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, words in (
        ("attack", ("those that the run classifies rightly", "Pixels that single-pixel tries",
                    "First weight of cw")),
        ("detect", ("bounds the attacks' time", "Of the random forest", "First weight of cw")),
    ):  # fmt: skip
        with pytest.raises(SystemExit) as end:
            main([verb, "--help"])
        assert end.value.code == 0
        shown = " ".join(capsys.readouterr().out.split())
        for word in words:
            assert word in shown, verb


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["attack", "nowhere"], "no run folder"),
        (["detect", "nowhere"], "no run folder"),
        (["attack", "RUN", "--attacks", "fgsmm"], "near: fgsm"),
        (["attack", "RUN", "--images", "0"], "`images` must be at least 1"),
        (["attack", "RUN", "--imags", "3"], "near: --images"),
        (["detect", "RUN", "--attacks", "single-pixel"], "`attacks` must be among"),
        (["detect", "RUN", "--per_class", "5", "3"], "`per_class` must be rising"),
        (["detect", "RUN", "--baseline", "nowhere"], "no run folder"),
    ],
)
def test_bad_input_ends_in_one_line(
    words: list[str],
    expected: str,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("FILTERSCOPE_TRACEBACK", raising=False)
    try:
        code = main([str(run) if word == "RUN" else word for word in words])
    except SystemExit as end:
        code = end.code
    assert code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("filterscope")
    assert expected in lines[-1]


@pytest.mark.parametrize("words", [["--attacks", "fgsm", "runs/a"], ["--attacks=[fgsm]"], []])
def test_a_run_behind_a_list_is_told_where_to_stand(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["attack", *words])
    told = capsys.readouterr().err
    assert "required" in told and "run" in told
    assert ("put run before --attacks" in told) == ("runs/a" in words)
