"""What the studies of attacks and of their detection compute, and say of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.quick_run import learned_run
from torch import nn

from filterscope.data import ImageDataset, load_dataset
from filterscope.report.theme import LIGHT, render
from filterscope.runs import Run
from filterscope.studies import StudySettings, adversarial, csg_table3, csg_table4, find_study
from filterscope.studies.study import Evidence
from filterscope.studies.targets import CSG_TABLE_3, CSG_TABLE_4
from filterscope.studies.verdict import judge

SMOKE = StudySettings("smoke", device="cpu")
_SMOKE_TABLE_3 = {**csg_table3._SETTINGS["smoke"], "device": "cpu"}


def trained(dataset: ImageDataset, seed: int, path: Path) -> Run:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(), nn.Flatten(), nn.Linear(128, 10),
    )  # fmt: skip
    path.mkdir()
    return learned_run(dataset, model, "4", 40, path)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    dataset = load_dataset("digits", limit=200, limit_test=60)
    folder = tmp_path_factory.mktemp("adversarial")
    runs = {
        side: tuple(trained(dataset, 2 * s + k, folder / f"{side}{s}") for s in range(2))
        for k, side in enumerate(("standard", "gated"))
    }
    return Evidence(runs, (0, 1), dataset, "digits")


@pytest.mark.parametrize("name", ["csg-table3", "csg-table4"])
def test_two_seeds_are_enough_for_a_verdict(name: str, evidence: Evidence) -> None:
    findings = find_study(name).analyse(evidence, SMOKE)
    pairs = [(entry.quantity, entry.side) for entry in findings.entries]
    assert len(set(pairs)) == len(pairs)
    assert {side for _, side in pairs} == {"standard", "gated"}
    for entry in findings.entries:
        assert len(entry.values) == 2, entry.quantity
        assert entry.published is None
    for claim in findings.claims:
        assert claim.published is None
        if all(map(math.isfinite, claim.differences)):
            assert judge(claim, papers_setting=False).direction != "not testable here"
    for figure in findings.figures.values():
        assert render(figure, LIGHT).startswith(b"\x89PNG")


def test_a_claim_is_the_difference_of_the_table(evidence: Evidence) -> None:
    findings = csg_table3.analyse(evidence, SMOKE)
    rows = {(entry.quantity, entry.side): entry.values for entry in findings.entries}
    claims = {claim.text.split(":")[0]: claim.differences for claim in findings.claims[:2]}
    assert list(claims) == ["fgsm, 3 a class", "fgsm, 6 a class"]
    standard, gated = (rows["fgsm: error, 6 a class", side] for side in ("standard", "gated"))
    expected = [a - b for a, b in zip(standard, gated, strict=True)]
    assert claims["fgsm, 6 a class"] == pytest.approx(expected)
    findings = csg_table4.analyse(evidence, SMOKE)
    rows = {(entry.quantity, entry.side): entry.values for entry in findings.entries}
    accuracy, pixel, search, ratio = (claim.differences for claim in findings.claims)
    for found, key, sign in (
        (accuracy, "accuracy before attacks", 1),
        (pixel, "single-pixel: success", -1),
        (search, "local-search: success", -1),
        (ratio, "distance between over within classes", 1),
    ):
        pairs = zip(rows[key, "gated"], rows[key, "standard"], strict=True)
        assert found == pytest.approx([sign * (a - b) for a, b in pairs])
    within, between = (rows[f"distance {n} classes", "gated"][0] for n in ("within", "between"))
    ours = rows["distance between over within classes", "gated"][0]
    assert ours == pytest.approx(between / within)


def test_what_was_done_is_not_done_again_and_what_others_did_is_kept(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = csg_table4.analyse(evidence, SMOKE)
    with monkeypatch.context() as patch:
        patch.setattr(adversarial, "attack_run", None)
        again = csg_table4.analyse(evidence, SMOKE)
    assert repr(again.entries) == repr(before.entries)  # NaN does not equal itself
    with monkeypatch.context() as patch, pytest.raises(TypeError, match="not callable"):
        patch.setattr(adversarial, "attack_run", None)  # other batches may end cw elsewhere
        adversarial.attacks(
            evidence, {"images": 8, "max_pixels": 10, "rounds": 2, "batch_size": 7,
                       "attacks": csg_table4.ATTACKS, "device": "cpu"}
        )  # fmt: skip
    file = evidence.runs["gated"][0].path / "attack.json"
    kept = file.read_bytes()
    adversarial.attacks(evidence, {"images": 2, "attacks": ("fgsm",), "device": "cpu"})
    assert file.read_bytes() == kept


def test_published_numbers_stand_beside_the_papers_data_alone(evidence: Evidence) -> None:
    paper = Evidence(evidence.runs, evidence.seeds, evidence.dataset, "cifar10")
    findings = csg_table4.analyse(paper, SMOKE)
    printed = {(e.quantity, e.side): e.published for e in findings.entries if e.published}
    assert printed["local-search: success", "standard"] == 0.15
    assert printed["accuracy before attacks", "gated"] == 0.8885
    assert len(printed) == 6
    published = [claim.published for claim in findings.claims]
    assert published[:3] == pytest.approx([0.0082, 0.12, 0.13])
    assert published[3] is None
    # other numbers of images than the paper's have no published error
    assert not any(e.published for e in csg_table3.analyse(paper, SMOKE).entries)


# attack: standard and gated network, 500, 1000, 2000 images
TABLE_3 = {
    "fgsm": "4.76 4.60 4.15 4.50 3.94 3.84",
    "pgd": "5.03 6.20 4.08 4.52 3.95 3.25",
    "cw": "7.33 6.76 6.46 7.03 6.18 5.87",
}


def test_the_published_numbers() -> None:
    for name, line in TABLE_3.items():
        numbers = [float(cell) / 100 for cell in line.split()]
        ours = [
            CSG_TABLE_3[side][name][size]
            for side in ("standard", "gated")
            for size in (500, 1000, 2000)
        ]
        assert ours == pytest.approx(numbers)
    assert CSG_TABLE_4 == {
        "standard": {"accuracy": 0.8803, "single-pixel": 0.14, "local-search": 0.15},
        "gated": {"accuracy": 0.8885, "single-pixel": 0.02, "local-search": 0.02},
    }


def test_what_a_single_run_hides_is_told(evidence: Evidence) -> None:
    (found, *_) = adversarial.detections(evidence, _SMOKE_TABLE_3)["gated"]
    masked = replace(found.attacks[0], notes=("test images: the gradient is zero",))
    changed = replace(found, attacks=(masked, *found.attacks[1:]), notes=("few images",))
    notes = csg_table3._notes({"gated": (found, changed)})
    assert "gated: few images" in notes
    assert "gated: fgsm, test images: the gradient is zero" in notes
    assert any(note.startswith("gated: misclassified anyway and left out: ") for note in notes)
