"""filterscope study: what it prints, writes and refuses."""

import json
from pathlib import Path

import pytest

from filterscope.cli import main
from filterscope.studies import STUDIES

TINY = ["--preset=smoke", "--epochs=1", "--limit=60", "--limit_test=30", "--batch_size=20"]


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run words that must be refused with exit code 2; the last line of the errors."""
    try:
        code = main(["study", *words])
    except SystemExit as end:
        code = end.code
    assert code == 2
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    line = errors.strip().splitlines()[-1]
    assert line.startswith("filterscope study: error: ")
    return line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["csg-fig55"], "unknown study 'csg-fig55'; near: csg-fig5"),
        (["table"], "(all: filterscope list studies)"),
        (["csg-fig4", "--preset", "quik"], "quik"),
        (["csg-fig4", "--seed", "3"], "near: --seeds"),
        (["csg-fig4", "--seeds", "0"], "`seeds` must be at least 1, got 0"),
        (["csg-fig4", "--use", "nowhere"], "nowhere is no run folder"),
        (["csg-fig4", "--use", "nowhere", "there"], "nowhere is no run folder"),
        (["csg-fig4", "--data", "digit"], "near: digits"),
        (["csg-fig4", "--model", "resnet21"], "near: "),
        (["csg-fig4", "--data", "cifar10", "--data_root", "nowhere"], "cifar-10-batches-py"),
    ],
)
def test_bad_input_ends_in_one_line_and_leaves_nothing(
    words: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FILTERSCOPE_TRACEBACK", raising=False)
    assert expected in refused(words, capsys)
    assert not list(tmp_path.iterdir())


def test_an_earlier_result_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, words in (("mine", ["--out", "mine"]), ("studies/csg-fig4", [])):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "result.json").write_text("{}")
        line = refused(["csg-fig4", *words], capsys)
        assert f"{folder} holds a result; replace it with --overwrite" in line
        assert (tmp_path / folder / "result.json").read_text() == "{}"
    assert not (tmp_path / "studies/runs").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("few_gradient_maps")
def test_a_study_prints_its_table_and_says_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["study", "csg-fig4", *TINY, "--device=cpu"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("csg-fig4: ")
    assert "by chance" in shown
    assert "not testable here" in shown
    assert shown.strip().splitlines()[-1] == "written: studies/csg-fig4"
    folders = sorted((tmp_path / "studies/runs").iterdir())
    assert len(folders) == 2
    content = json.loads((tmp_path / "studies/csg-fig4/result.json").read_text())
    assert content["command"] == f"filterscope study csg-fig4 {' '.join(TINY)} --device=cpu"
    assert content["preset"] == "smoke"

    use = ["--use", *(str(folder) for folder in folders)]
    assert main(["study", "csg-fig4", *use, "--out", "again"]) == 0
    again = json.loads((tmp_path / "again/result.json").read_text())
    assert again["preset"] == "given runs"
    assert [e["values"] for e in again["entries"]] == [e["values"] for e in content["entries"]]
    capsys.readouterr()
    assert "missing: standard" in refused(["csg-fig4", *use[:2], "--out", "third"], capsys)
    assert main(["study", "csg-fig4", *use, "--out", "again", "--overwrite"]) == 0


def test_every_study_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "studies"]) == 0
    shown = capsys.readouterr().out
    for name, title in STUDIES.items():
        assert f"{name} " in shown
        assert title in shown


def test_help_tells_the_flags(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["study", "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    for flag in ("--use", "--out", "--runs", "--preset", "--seeds", "--overwrite"):
        assert flag in shown
