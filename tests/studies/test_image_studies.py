"""What the studies of image networks compute from rows, columns and singular vectors."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from filterscope.linear import LinearInterpreter
from filterscope.models import create_image_network
from filterscope.studies import StudyResult, StudySettings, find_study, run_study
from filterscope.studies.image_filters import (
    Probed,
    change,
    finite_mean,
    follows_contrast,
    near_energy,
    probe_places,
    spectrum,
)
from filterscope.studies.image_subjects import image_subjects, study_picture

NAMES = ["linear-fig4", "linear-fig5", "linear-fig6", "linear-fig7", "linear-fig8"]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data folder in the layout of Set5 with files of weights."""
    root = tmp_path_factory.mktemp("data")
    (root / "weights").mkdir()
    for name, file in (("espcn", "espcn_x2.pt"), ("fast_style", "fast_style_a.pt")):
        scale = 2 if name == "espcn" else None
        network = create_image_network(name, random_weights=True, scale=scale)
        torch.save(network.model.state_dict(), root / "weights" / file)
    folder = root / "super_resolution" / "Set5" / "x3"
    folder.mkdir(parents=True)
    for k in range(2):
        draw = torch.Generator().manual_seed(k)
        pixels = torch.randint(0, 256, (48, 60, 3), generator=draw, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(folder / f"img_00{k}_SRF_3_HR.png")
    return str(root)


@pytest.fixture(scope="module")
def results(learned: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, StudyResult]:
    settings = StudySettings("smoke", data="set5", data_root=learned, seeds=2, image_size=12)
    runs = tmp_path_factory.mktemp("runs")
    return {name: run_study(find_study(name), settings, runs=runs, command=name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_two_pictures_are_enough_for_a_verdict(
    name: str, results: dict[str, StudyResult], tmp_path: Path
) -> None:
    result = results[name]
    assert result.data == "set5"
    assert all(len(entry.values) == 2 for entry in result.findings.entries)
    assert result.verdicts
    for verdict in result.verdicts:
        assert verdict.number == "not testable here"
        if all(map(math.isfinite, verdict.claim.differences)):
            assert verdict.direction != "not testable here"
    result.save(tmp_path)
    assert "set5, one a seed" in (tmp_path / "table.md").read_text()
    assert all((tmp_path / f"{figure}.png").is_file() for figure in result.findings.figures)


def test_bicubic_upscaling_is_local_fixed_and_has_no_residual(
    results: dict[str, StudyResult],
) -> None:
    result = results["linear-fig4"]
    cells = {(e.quantity, e.side): e.mean for e in result.findings.entries}
    assert cells["energy of rows within 2 pixels of the probe", "bicubic"] > 0.99
    assert cells["change of the columns from picture to picture", "bicubic"] == 0
    assert cells["|r| over |y|", "bicubic"] < 1e-5
    held = [v.direction for v in result.verdicts if v.claim.text.startswith("bicubic")]
    assert held == ["holds", "holds"]


def test_both_readings_of_the_areas_are_judged(results: dict[str, StudyResult]) -> None:
    for name in ("linear-fig5", "linear-fig7"):
        by_text = {v.claim.text.split(": ")[1]: v.claim for v in results[name].verdicts}
        larger, smaller = (
            next(claim for text, claim in by_text.items() if word in text)
            for word in ("cover larger", "cover smaller")
        )
        assert larger.differences == tuple(-value for value in smaller.differences)


def test_partial_sums_come_nearer_with_every_triplet(results: dict[str, StudyResult]) -> None:
    entries = results["linear-fig8"].findings.entries
    for side in {entry.side for entry in entries} - {"bicubic"}:
        errors = [e.mean for e in entries if e.side == side and e.quantity.startswith("error")]
        assert len(errors) == 3
        assert errors == sorted(errors, reverse=True)


def test_random_weights_test_nothing_of_learned_networks(tmp_path: Path) -> None:
    settings = StudySettings("smoke", seeds=2, image_size=12)
    result = run_study(find_study("linear-fig6"), settings, runs=tmp_path)
    assert result.data == "built-in"
    assert result.verdicts
    assert {verdict.direction for verdict in result.verdicts} == {"not testable here"}
    assert any("random weights" in note for note in result.findings.notes)


def test_what_such_a_study_cannot_use_is_refused(tmp_path: Path) -> None:
    study = find_study("linear-fig4")
    with pytest.raises(ValueError, match="--use"):
        run_study(study, StudySettings("smoke"), runs=tmp_path, use=["run"])
    with pytest.raises(ValueError, match="built-in or set5"):
        run_study(study, StudySettings("smoke", data="digits"), runs=tmp_path)
    empty = StudySettings("smoke", data="set5", data_root=str(tmp_path))
    with pytest.raises(FileNotFoundError, match="weights"):
        run_study(study, empty, runs=tmp_path)
    with pytest.raises(FileNotFoundError, match="_HR"):
        study_picture(empty, "set5", 0)
    with pytest.raises(ValueError, match="`image_size`"):
        study_picture(StudySettings("smoke", image_size=500), "built-in", 0)


def test_a_seed_is_a_picture_of_its_own() -> None:
    settings = StudySettings("smoke")
    first, again, third = (study_picture(settings, "built-in", seed) for seed in (0, 0, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, third)
    assert first.shape == (3, 16, 16)


def test_weights_are_found_by_their_names(learned: str) -> None:
    settings = StudySettings("quick", data_root=learned)
    found = image_subjects(settings, "set5", "super-resolution")
    assert [(s.name, s.trained) for s in found] == [
        ("bicubic", False),
        ("4-layer PixelShuffle", True),
    ]
    assert found[1].network.scale == 2


def probed_identity(side: int = 11) -> Probed:
    model = torch.nn.Conv2d(1, 1, 1, bias=False)
    torch.nn.init.constant_(model.weight, 1.0)
    picture = torch.zeros(1, 1, side, side)
    picture[..., side // 2 :] = torch.linspace(0, 1, side - side // 2) ** 2
    places = tuple((side // 2, column) for column in range(2, side - 2))
    units = torch.zeros(len(places), 1, side, side)
    for unit, (row, column) in zip(units, places, strict=True):
        unit[0, row, column] = 1
    return Probed(LinearInterpreter(model, picture), places, places, units, units)


def test_numbers_of_hand_made_filters() -> None:
    found = probed_identity()
    assert near_energy(found) == (1.0, 1.0)
    far = torch.zeros_like(found.rows)
    far[:, 0, 0, 0] = 1
    assert near_energy(Probed(found.interpreter, found.inputs, found.outputs, far, far))[0] == 0
    nothing = torch.zeros_like(far)
    none = near_energy(Probed(found.interpreter, found.inputs, found.outputs, nothing, far))
    assert math.isnan(none[0])
    assert change(far, far) == 0
    assert change(far, -far) == pytest.approx(2)
    assert change(far, found.rows) == pytest.approx(2**0.5)
    assert math.isnan(change(nothing, nothing))
    assert math.isnan(follows_contrast(found))  # all columns have one length
    steep = found.rows * torch.arange(1, len(found.rows) + 1)[:, None, None, None]
    rising = Probed(found.interpreter, found.inputs, found.outputs, found.rows, steep)
    assert follows_contrast(rising) > 0.8
    assert finite_mean([math.nan, 2.0]) == 2


def test_the_whole_spectrum_makes_the_whole_output() -> None:
    torch.manual_seed(0)
    model = torch.nn.Conv2d(1, 1, 3, padding=1).double()
    picture = torch.rand(1, 1, 4, 4, dtype=torch.float64)
    triplets = LinearInterpreter(model, picture).svd(16, tolerance=1e-9)
    found = spectrum(triplets)
    assert found.errors[-1] < 1e-4 < found.errors[0]
    assert found.values[0] == 1
    assert list(found.values) == sorted(found.values, reverse=True)
    assert all(1 / 16 <= area <= 1 for area in found.areas)


def test_probes_keep_off_the_border() -> None:
    assert all(4 <= k < 28 for place in probe_places(32, 50, 1) for k in place)
    assert probe_places(32, 5, 1) == probe_places(32, 5, 1)
