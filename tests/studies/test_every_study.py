"""Every study at its smallest, one after the other on shared runs."""

import json
from pathlib import Path

import pytest

from filterscope.evaluation import localization
from filterscope.studies import (
    STUDIES,
    StudyResult,
    StudySettings,
    find_study,
    run_study,
    shared_runs,
)

# Seventeen networks with templates or beside them; what they learn is not looked at.
SHORT = {"epochs": 2, "limit": 48, "limit_test": 24, "batch_size": 16}

PARTS = {name for name in STUDIES if name.startswith("parts-")}
DATA = {"parts-templates": "no data"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def results(runs: Path) -> dict[str, StudyResult]:
    """The result of each study; runs that several of them need are trained once."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        # each filter of each image is a backward pass, more than half of an evaluation
        patch.setattr(localization, "GRADIENT_FILTERS", 8)
        patch.setattr(localization, "EVERY_FILTER", 8)
        # a run's own page takes longer than its training, and no study reads it
        patch.setattr(shared_runs, "write_report", lambda _, path: path.write_text(""))
        for name in STUDIES:
            model = "resnet20" if find_study(name).models else None
            less = SHORT if name in PARTS else {}
            settings = StudySettings("smoke", model=model, device="cpu", **less)
            found[name] = run_study(find_study(name), settings, runs=runs, command=name)
            found[name].save(runs.parent / name)
    return found


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_runs_and_claims_nothing_from_one_seed(
    name: str, results: dict[str, StudyResult], runs: Path
) -> None:
    result, folder = results[name], runs.parent / name
    assert result.findings.entries
    assert all(entry.values for entry in result.findings.entries)
    pairs = [(entry.quantity, entry.side) for entry in result.findings.entries]
    assert len(set(pairs)) == len(pairs), "an entry hides another one"
    for verdict in result.verdicts:
        assert len(verdict.claim.differences) == 1
        assert (verdict.direction, verdict.number) == ("not testable here",) * 2
    written = {path.name for path in folder.iterdir()}
    pictures = {f"{figure}.png" for figure in result.findings.figures}
    assert written == {"table.md", "table.csv", "result.json"} | pictures
    content = json.loads((folder / "result.json").read_text())
    assert len(content["entries"]) == len(pairs)
    assert len(content["claims"]) == len(result.findings.claims)
    assert result.console().count("not testable here") == len(result.verdicts)


def test_the_networks_learn(results: dict[str, StudyResult]) -> None:
    for entry in results["csg-table1"].findings.entries:
        if entry.quantity == "accuracy":
            assert entry.mean > 0.5, entry.side
    densities = [e for e in results["csg-table1"].findings.entries if e.quantity == "L1-density"]
    assert {entry.side for entry in densities} == {"gated", "fixed"}
    for entry in densities:
        assert 0.1 <= entry.mean < 0.5, entry.side


def test_runs_are_shared(results: dict[str, StudyResult], runs: Path) -> None:
    used = {path for result in results.values() for path in result.runs}
    assert used == {str(path) for path in runs.iterdir()}
    assert set(results["csg-fig4"].runs) <= set(results["csg-table1"].runs)
    assert len(used) < sum(len(result.runs) for result in results.values()) / 2


def test_no_published_number_stands_beside_other_data(results: dict[str, StudyResult]) -> None:
    for name, result in results.items():
        known = DATA.get(name, "digit-parts" if name in PARTS else "digits")
        assert result.data == ("built-in" if find_study(name).pictures else known)
        for entry in result.findings.entries:
            assert entry.published is None, f"{name}: {entry.quantity}"
