"""Studies of part templates: their numbers by hand, their pictures, and the runs they take."""

import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from filterscope import load_run
from filterscope.data import load_dataset
from filterscope.models import PartNetwork
from filterscope.report.field_figure import fields_figure, lit
from filterscope.report.side_figures import epoch_curves, instability_and_accuracy, side_style
from filterscope.report.template_figures import templates_figure
from filterscope.report.theme import DARK, LIGHT, render
from filterscope.runs import Run
from filterscope.studies import STUDIES, StudyResult, StudySettings, find_study, run_study
from filterscope.studies.parts_fig6 import drawn_layer, look, scaled_occluder
from filterscope.studies.parts_fig7 import constant_error, epochs_to_settle, running_mean
from filterscope.studies.ranks import rank_correlation
from filterscope.studies.recipes import SIDES, training_settings
from filterscope.studies.shared_runs import SharedRuns, grouped_by_side
from filterscope.studies.study import Study

MakeBlobs = Callable[..., str]
TINY = StudySettings(
    "smoke", data="digit-parts", model="resnet20", epochs=1, limit=24, limit_test=16,
    batch_size=8, device="cpu",
)  # fmt: skip
PARTS = [name for name in STUDIES if name.startswith("parts-")]

# Units above zero: at the centre, at a corner, mean share over units, share of all-ones templates.
COVERAGE = {
    (6, "L1, index space"): (13, 6, 0.272, 0),
    (6, "uniform L1, index space"): (35, 21, 0.784, 0),
    (6, "L2, index space"): (25, 9, 0.444, 0),
    (6, "uniform L2, index space"): (36, 33, 0.985, 0.667),
    (6, "L1, normalised"): (5, 3, 0.120, 0),
    (6, "uniform L1, normalised"): (13, 6, 0.272, 0),
    (6, "L2, normalised"): (5, 3, 0.120, 0),
    (6, "uniform L2, normalised"): (21, 8, 0.395, 0),
    (14, "L1, index space"): (85, 28, 0.308, 0),
    (14, "uniform L1, index space"): (195, 105, 0.810, 0),
    (14, "L2, index space"): (145, 43, 0.463, 0),
    (14, "uniform L2, index space"): (196, 166, 0.976, 0.429),
    (14, "L1, normalised"): (25, 10, 0.108, 0),
    (14, "uniform L1, normalised"): (85, 28, 0.308, 0),
    (14, "L2, normalised"): (37, 13, 0.152, 0),
    (14, "uniform L2, normalised"): (137, 41, 0.445, 0),
}


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    folder = tmp_path_factory.mktemp("templates")
    result = run_study(find_study("parts-templates"), StudySettings("quick"), runs=folder / "runs")
    assert not (folder / "runs").exists()
    return result


def value(result: StudyResult, quantity: str, side: str) -> float:
    (entry,) = [e for e in result.findings.entries if (e.quantity, e.side) == (quantity, side)]
    return entry.mean


@pytest.mark.parametrize(("size", "side"), COVERAGE)
def test_coverage_of_every_template(templates: StudyResult, size: int, side: str) -> None:
    centre, corner, mean, ones = COVERAGE[size, side]
    told = f"n = {size}, "
    assert value(templates, f"{told}units that pass a template at the centre", side) == centre
    assert value(templates, f"{told}units that pass a template at a corner", side) == corner
    found = value(templates, f"{told}share that passes, mean over units", side)
    assert found == pytest.approx(mean, abs=5e-4)
    found = value(templates, f"{told}templates that are 1 everywhere", side)
    assert found == pytest.approx(ones, abs=5e-4)


def test_coverage_of_further_sizes(templates: StudyResult) -> None:
    share = "share that passes, mean over units"
    side = "uniform L1, index space"
    assert value(templates, "n = 13, units that pass a template at the centre", side) == 169
    assert value(templates, f"n = 13, {share}", side) == pytest.approx(0.809, abs=5e-4)
    for size in (7, 13):
        found = value(templates, f"n = {size}, {share}", "uniform L2, index space")
        assert found == pytest.approx(0.975, abs=5e-4)
    different = "different templates"
    assert value(templates, f"n = 6, {different}", "uniform L2, index space") == 9
    assert value(templates, f"n = 14, {different}", "uniform L2, index space") == 73
    zhangs = "L1, index space, beta 4"
    for size, centre, corner in ((6, 5, 3), (14, 25, 10)):
        told = f"n = {size}, units that pass a template at"
        assert value(templates, f"{told} the centre", zhangs) == centre
        assert value(templates, f"{told} a corner", zhangs) == corner


def test_degenerate_templates_are_named(templates: StudyResult) -> None:
    told = "\n".join(templates.findings.notes)
    assert "uniform L2, index space: on a 14 x 14 map 196 of 196" in told
    assert "73 of the 196 templates differ" in told
    assert "uniform L1, index space: on a 14 x 14 map 195 of 196" in told
    assert "normalised: on a" not in told


def test_a_study_of_formulas_is_written_without_data(
    templates: StudyResult, tmp_path: Path
) -> None:
    folder = templates.save(tmp_path / "out")
    content = json.loads((folder / "result.json").read_text())
    assert (content["runs"], content["seeds"], content["num_samples"]) == ([], [], 0)
    assert "computed from formulas" in templates.console()
    assert "| 195 |" in (folder / "table.md").read_text()
    assert len(list(folder.glob("figure?-*.png"))) == 4
    with pytest.raises(ValueError, match="computed from formulas; leave out --use and --data"):
        run_study(find_study("parts-templates"), StudySettings("smoke", data="digits"), runs="x")
    with pytest.raises(ValueError, match="leave out --use"):
        run_study(find_study("parts-templates"), StudySettings("smoke"), runs="x", use=["y"])


def by_hand(errors: list[float], start: float) -> float:
    """The definition, in plain loops."""
    means = []
    for t in range(len(errors)):
        window = errors[max(0, t - 4) : t + 1]
        means.append(sum(window) / len(window))
    for t, mean in enumerate(means):
        if start - mean >= 0.95 * (start - means[-1]) - 1e-12:
            return t + 1
    raise AssertionError


def test_epochs_to_settle_on_hand_made_curves() -> None:
    # the mean of five reaches 0.1 when the fifth epoch at 0.1 is there
    assert epochs_to_settle([0.1] * 8, 0.5) == 1
    assert epochs_to_settle([0.5] * 3 + [0.1] * 9, 0.5) == 8
    # a straight line down to 0: 0.5 - mean must reach 95 % of 0.5 - the last mean
    line = [0.5 - 0.005 * t for t in range(1, 101)]
    assert epochs_to_settle(line, 0.5) == by_hand(line, 0.5) == 96
    rng = np.random.default_rng(0)
    for rate in (2.0, 10.0, 40.0):
        errors = [
            0.1 + 0.4 * math.exp(-t / rate) + 0.01 * float(rng.normal()) for t in range(1, 151)
        ]
        assert epochs_to_settle(errors, 0.5) == by_hand(errors, 0.5)
    slow = [0.1 + 0.4 * math.exp(-t / 40) for t in range(1, 151)]
    soon = [0.1 + 0.4 * math.exp(-t / 10) for t in range(1, 151)]
    assert epochs_to_settle(soon, 0.5) < epochs_to_settle(slow, 0.5)


def test_an_error_that_does_not_fall_never_settles() -> None:
    assert math.isnan(epochs_to_settle([0.5, 0.5], 0.5))
    assert math.isnan(epochs_to_settle([0.6, 0.7], 0.5))
    assert math.isnan(epochs_to_settle([0.4, float("nan")], 0.5))
    with pytest.raises(ValueError, match="an epoch at least"):
        epochs_to_settle([], 0.5)
    assert running_mean([]) == []
    assert epochs_to_settle([0.2], 0.5) == 1


def test_the_error_of_a_constant_answer_is_the_smaller_class() -> None:
    test = load_dataset("digit-parts", image_size=8, limit=20, limit_test=10).test
    assert constant_error(test) == 0.5
    uneven = test.take(torch.cat([torch.nonzero(test.labels == 1), torch.tensor([[0]])])[:, 0])
    smaller = min(uneven.class_counts(2).tolist())
    assert constant_error(uneven) == pytest.approx(smaller / len(uneven))


def test_rank_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 12))
    second[:3] = second[0]  # ties
    found = stats.spearmanr(first, second)
    assert rank_correlation(first, second) == pytest.approx((found.statistic, found.pvalue))
    ranks = [stats.rankdata(values) for values in (first, second)]
    assert rank_correlation(first, second)[0] == pytest.approx(np.corrcoef(ranks)[0, 1])
    for pair in (([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, math.nan], [1, 2, 3])):
        assert all(math.isnan(number) for number in rank_correlation(*pair))


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_figures_are_drawn_with_what_is_there(theme: object) -> None:
    bank = np.random.default_rng(0).uniform(-1, 1, (16, 4, 4))
    curves = {"L1": np.full((2, 3), np.nan), "uniform L1, index space": np.zeros((2, 3))}
    points = {"standard": ((0.1,), (0.9,)), "L1, mask alone": ((math.nan,), (0.8,))}
    for figure in (
        lambda drawn: templates_figure({"index space": bank}, drawn),
        lambda drawn: epoch_curves([("a", curves), ("b", {}), ("c", curves)], drawn, line=0.0),
        lambda drawn: epoch_curves([("a", curves)], drawn, columns=1, logarithmic=True),
        lambda drawn: instability_and_accuracy(points, {"any unit": 0.14}, 0.5, drawn),
        lambda drawn: fields_figure((), 6, drawn),
    ):
        assert render(figure, theme).startswith(b"\x89PNG")


def test_each_side_has_a_colour_and_a_line_of_its_own() -> None:
    sides = find_study("parts-analysis").sides
    styles = {side_style(side, LIGHT) for side in sides}
    assert len(styles) == len(sides)


def test_what_is_outside_the_region_is_dark() -> None:
    pixels = np.full((4, 4, 3), 200, np.uint8)
    region = np.zeros((4, 4), bool)
    region[1:3, 1:3] = True
    found = lit(pixels, region)
    assert (found[region] == 200).all()
    assert (found[~region] == 60).all()
    assert found.dtype == np.uint8


@pytest.fixture(scope="module")
def trained(runs: Path) -> dict[str, Run]:
    """A run of each side of the analysis, not measured."""
    shared = SharedRuns(runs)
    sides = find_study("parts-analysis").sides
    return {
        side: shared.get(
            training_settings(TINY, side, 0, data="digit-parts", num_classes=2), measure=False
        )
        for side in sides
    }


def test_given_runs_are_sorted_by_their_templates(trained: dict[str, Run]) -> None:
    groups = grouped_by_side(list(trained.values()))
    assert {side: group[0].path for side, group in groups.items()} == {
        side: run.path for side, run in trained.items()
    }


def changed(run: Run, seed: int = 0, **changes: object) -> Run:
    config = {**run.config, **changes, "seed": seed}
    return dataclasses.replace(run, path=run.path / f"{changes}-{seed}", config=config)


def test_plain_templates_are_those_with_nothing_beside_them(trained: dict[str, Run]) -> None:
    run = trained["L1"]
    names = [
        ({"mu": "argmax"}, "L1"),  # the paper's own: nothing says that it is a variant
        ({"space": "index", "beta": 4.0}, "L1"),
        ({"template": "uniform_l2", "space": "index"}, "uniform L2, index space"),
        ({"filter_weight": 0.0}, "L1, mask alone"),
        ({"filter_weight": None}, "L1"),
        ({"method": "gated-parts"}, "gated-parts"),
    ]
    for change, name in names:
        assert set(grouped_by_side([changed(run, **change)])) == {name}
    heavy = changed(run, filter_weight=1e-5)
    assert set(grouped_by_side([run, heavy])) == {"L1", "L1, filter loss x 10"}
    both = changed(run, filter_weight=0.0, mu="argmax")
    assert set(grouped_by_side([run, both])) == {"L1", "L1, mask alone, at the largest unit"}
    with pytest.raises(ValueError, match="both L1 with seed 0"):
        grouped_by_side([run, changed(run, lr=0.2)])
    with pytest.raises(ValueError, match="L1 are different experiments"):
        grouped_by_side([run, changed(run, seed=1, lr=0.2)])


@pytest.mark.parametrize("name", ["parts-fig6", "parts-fig7"])
def test_given_runs_are_taken_and_nothing_is_trained(
    name: str, trained: dict[str, Run], tmp_path: Path
) -> None:
    use = [run.path for run in trained.values()]
    result = run_study(find_study(name), TINY, runs=tmp_path / "runs", use=use)
    assert not (tmp_path / "runs").exists()
    assert (result.preset, result.seeds, result.data) == ("given runs", (0,), "digit-parts")
    assert {entry.side for entry in result.findings.entries} == {
        f"resnet20, {side}" for side in find_study(name).sides
    }


def test_given_runs_must_have_every_template(trained: dict[str, Run], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"missing: L2"):
        run_study(find_study("parts-table4"), TINY, runs=tmp_path, use=[trained["L1"].path])


def test_regions_are_where_the_strongest_images_move_the_filter(trained: dict[str, Run]) -> None:
    run = load_run(trained["L1"].path)
    data = run.dataset()
    seen = look(run, data, 3, torch.device("cpu"))
    assert seen.filters == tuple(range(0, 64, 6))
    label = data.classes.index("6")
    for area, places, regions in zip(seen.areas, seen.places, seen.regions, strict=True):
        assert regions.shape == (len(places), 16, 16)
        assert math.isnan(area) == (len(places) == 0)
        assert (data.test.labels[places] == label).all()
        if len(places):
            assert area == pytest.approx(float(regions.double().mean()))
            assert 0 < area < 1
    again = look(run, data, 3, torch.device("cpu"))
    np.testing.assert_equal(again.areas, seen.areas)


def test_every_side_is_drawn_at_the_same_layer(trained: dict[str, Run]) -> None:
    assert {drawn_layer(run) for run in trained.values()} == {"layer3"}
    network = PartNetwork("alexnet_parts", 1)
    for second_mask, layer in (("after_pool", "pool6"), ("before_pool", "relu6")):
        run = changed(trained["standard"], second_mask=second_mask)
        assert drawn_layer(dataclasses.replace(run, model=network)) == layer
    assert (scaled_occluder(227).size, scaled_occluder(16).size) == (33, 3)


def test_several_categories_are_learned_by_networks_of_their_own(
    blobs: MakeBlobs, tmp_path: Path
) -> None:
    data = blobs("bird", "cow")
    settings = dataclasses.replace(TINY, data=data, seeds=2)
    study = dataclasses.replace(find_study("parts-table2"), measured=False, analyse=_names)
    result = run_study(study, settings, runs=tmp_path / "runs")
    assert {entry.side for entry in result.findings.entries} == {
        f"{category}, resnet20, {side}"
        for category in ("bird", "cow")
        for side in ("standard", "L1")
    }
    runs = [load_run(path) for path in result.runs]
    assert len(runs) == len({run.path for run in runs}) == 8
    for run in runs:
        assert run.classes[0] == "neg"
        assert run.config["data"] == f"{data}/{run.classes[1]}"
        assert run.path.name.startswith(f"{run.classes[1]}-resnet20-")
    once = dataclasses.replace(settings, seeds=1)
    curves = run_study(find_study("parts-fig7"), once, runs=tmp_path / "curves")
    assert len(curves.runs) == 2 * 7
    assert {entry.side.split(",")[0] for entry in curves.findings.entries} == {"resnet20"}
    used = [path for path in result.runs if "bird-" in path or "cow-" in path]
    with pytest.raises(ValueError, match="differ in `data`"):
        run_study(find_study("parts-table2"), settings, runs=tmp_path, use=used)


def _names(evidence: object, _: StudySettings) -> object:
    from filterscope.studies.study import Entry, Evidence, Findings

    assert isinstance(evidence, Evidence)
    assert set(evidence.by_category) == {"bird", "cow"}
    for name, data in evidence.by_category.items():
        assert data.categories == (name,)
    return Findings(tuple(Entry("runs", side, (1.0, 1.0)) for side in evidence.sides))


def test_data_without_landmarks_are_refused(tmp_path: Path) -> None:
    settings = dataclasses.replace(TINY, data="digits")
    with pytest.raises(ValueError, match="parts-table1 needs landmarks of parts"):
        run_study(find_study("parts-table1"), settings, runs=tmp_path)


@pytest.mark.parametrize("name", PARTS)
def test_the_sides_exist(name: str) -> None:
    study: Study = find_study(name)
    assert set(study.sides) <= SIDES.keys()
    assert "Ong and Liu" in study.source


def test_long_curves_have_150_epochs_in_every_preset() -> None:
    study = find_study("parts-fig7")
    for preset in ("paper", "quick"):
        made = training_settings(
            StudySettings(preset), "L1", 0, data="part-folder:x/dog", num_classes=2,
            shorter=study.shorter, longer=study.longer,
        )  # fmt: skip
        assert made.epochs == 150


def test_categories_that_have_no_folder_of_their_own_are_told(
    blobs: MakeBlobs, tmp_path: Path
) -> None:
    whole = Path(blobs("dog", "cat").removeprefix("part-folder:"))
    for side in ("train", "test"):
        shutil.copytree(whole, tmp_path / "both" / side)
    settings = StudySettings("smoke", data=f"part-folder:{tmp_path / 'both'}", device="cpu")
    with pytest.raises(ValueError, match="a folder of category folders"):
        run_study(find_study("parts-table1"), settings, runs=tmp_path / "runs")
