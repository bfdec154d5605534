"""A result as text, table, CSV, JSON and pictures, from made-up numbers."""

import csv
import json
import math
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from filterscope.report.theme import LIGHT, Theme
from filterscope.studies import StudyResult, find_study
from filterscope.studies.study import Entry, Findings
from filterscope.studies.verdict import RULE, Claim, judge

NAN = float("nan")
ENTRIES = (
    Entry("accuracy", "standard", (0.9, 0.92, 0.94), 0.9169, "share"),
    Entry("accuracy", "gated", (0.93,), None, "share"),
    Entry("MIS", "standard", (0.11, NAN)),
    Entry("MIS", "gated", (0.16, 0.18), 0.1603),
    Entry("density", "gated", (0.1,), 0.1),
    Entry("queries", "gated", (1000.0, 2000.0), kind="count"),
)
CLAIMS = (Claim("gated is higher", (0.1, 0.2, 0.3), 0.2), Claim("faster", (NAN,)))


def drawing(theme: Theme) -> Figure:
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([0, 1], color=theme.ink)
    return figure


def made_up(**changes: object) -> StudyResult:
    findings = Findings(ENTRIES, CLAIMS, {"curve": drawing, "map": drawing}, ("A note.",))
    values: dict[str, object] = {
        "study": find_study("csg-table1"),
        "findings": findings,
        "verdicts": tuple(judge(claim, papers_setting=True) for claim in CLAIMS),
        "command": "filterscope study csg-table1",
        "data": "cifar10",
        "preset": "paper",
        "seeds": (0, 1, 2),
        "num_samples": 10000,
        "runs": ("runs/a", "runs/b"),
        "versions": {"torch": "2"},
    }
    return StudyResult(**{**values, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up().save(tmp_path_factory.mktemp("result") / "new" / "folder")


def test_every_file_is_there(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {
        "table.md", "table.csv", "result.json", "curve.png", "map.png"
    }  # fmt: skip
    for name in ("curve", "map"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_the_table_has_our_number_its_spread_and_the_papers(folder: Path) -> None:
    lines = (folder / "table.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    table = {row[0]: row[1:] for row in rows}
    assert rows[0] == ["", "standard", "gated"]
    assert table["accuracy"] == ["92.00 % ± 2.00 (91.69 %)", "93.00 %"]
    assert table["MIS"] == ["undefined", "0.1700 ± 0.0141 (0.1603)"]
    assert table["density"] == ["-", "0.1000 (0.1000)"]
    assert table["queries"] == ["-", "1500 ± 707"]


def test_bars_within_a_cell_do_not_end_it(tmp_path: Path) -> None:
    claim = Claim("|r| < 1", (0.5,))
    findings = Findings((Entry("|r| over |y|", "bicubic", (0.5,)),), (claim,))
    result = made_up(findings=findings, verdicts=(judge(claim, papers_setting=True),))
    text = (result.save(tmp_path / "bars") / "table.md").read_text()
    assert r"| \|r\| over \|y\| | 0.5000 |" in text
    assert r"| \|r\| < 1 |" in text


def test_the_table_tells_claims_rule_notes_figures_and_command(folder: Path) -> None:
    text = (folder / "table.md").read_text()
    told = "| gated is higher | holds | holds | +0.1000, +0.2000, +0.3000 |"
    assert told in text
    assert "| faster | not testable here | not testable here | +nan |" in text
    assert RULE in text
    assert "- A note." in text
    assert "![curve](curve.png)" in text
    assert "`filterscope study csg-table1`" in text
    head = text.splitlines()[0]
    for word in ("csg-table1", "table 1", "cifar10", "10000 test images", "paper", "3 seeds"):
        assert word in head


def test_the_csv_holds_every_value(folder: Path) -> None:
    with (folder / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(ENTRIES)
    for row, entry in zip(rows, ENTRIES, strict=True):
        assert (row["quantity"], row["side"]) == (entry.quantity, entry.side)
        values = [float(value) for value in row["values"].split()]
        assert values == pytest.approx(entry.values, nan_ok=True)
        assert int(row["seeds"]) == len(values)
        assert float(row["mean"]) == pytest.approx(entry.mean, nan_ok=True)
        published = float(row["published"]) if row["published"] else None
        assert published == entry.published
        assert (row["spread"] == "") == (len(values) < 2)
    assert float(rows[0]["spread"]) == pytest.approx(0.02)


def test_the_json_is_strict_and_holds_everything(folder: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    content = json.loads((folder / "result.json").read_text(), parse_constant=refuse)
    assert content["study"] == "csg-table1"
    assert content["seeds"] == [0, 1, 2]
    assert content["num_samples"] == 10000
    assert content["runs"] == ["runs/a", "runs/b"]
    assert content["rule"] == RULE
    assert content["figures"] == ["curve.png", "map.png"]
    assert content["notes"] == ["A note."]
    for stored, entry in zip(content["entries"], ENTRIES, strict=True):
        values = tuple(NAN if value is None else value for value in stored["values"])
        assert values == pytest.approx(entry.values, nan_ok=True)
        assert stored["published"] == entry.published
        assert (stored["mean"] is None) == math.isnan(entry.mean)
    first, second = content["claims"]
    assert (first["direction"], first["number"]) == ("holds", "holds")
    assert first["mean"] == pytest.approx(0.2)
    assert first["standard_error"] == pytest.approx(0.1 / math.sqrt(3))
    assert second["direction"] == "not testable here"
    assert second["mean"] is None
    assert second["differences"] == [None]


def test_the_console_shows_table_claims_and_notes() -> None:
    lines = made_up().console().splitlines()
    assert lines[2].split() == ["standard", "gated"]
    assert "92.00 % ± 2.00 (91.69 %)" in lines[3]
    claims = [line for line in lines if "on cifar10:" in line]
    assert claims[0].startswith("holds ")
    assert "(+0.1000, +0.2000, +0.3000); the published +0.2000: holds" in claims[0]
    assert claims[1].startswith("not testable here ")
    assert "published" not in claims[1]
    assert lines[-1] == "note: A note."
    assert "1 seed" in made_up(seeds=(0,)).console().splitlines()[0]
    assert "1 seeds" not in made_up(seeds=(0,)).console().splitlines()[0]


def test_an_earlier_result_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "table.md").write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    made_up().save(tmp_path)
    assert (tmp_path / "table.md").read_text().startswith("# csg-table1")
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_an_entry_has_a_spread_from_two_seeds_on() -> None:
    assert Entry("q", "s", (1.0,)).spread is None
    assert Entry("q", "s", (1.0, 3.0)).spread == pytest.approx(math.sqrt(2))
    assert Entry("q", "s", (1.0, 3.0)).mean == 2
    assert math.isnan(Entry("q", "s", (1.0, NAN)).mean)


def test_a_figure_is_drawn_on_the_themes_paper() -> None:
    seen = []

    def watch(theme: Theme) -> Figure:
        seen.append(theme)
        return drawing(theme)

    findings = Findings(ENTRIES, (), {"one": watch})
    made_up(findings=findings, verdicts=()).console()
    assert not seen, "nothing is drawn for the console"
    assert Findings(ENTRIES).figures == {}
    from filterscope.report.theme import render

    assert render(watch, LIGHT).startswith(b"\x89PNG")
    assert seen == [LIGHT]
