"""Comparisons and the page, on made-up runs with known numbers."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from filterscope.core.files import write_json
from filterscope.data import Transform
from filterscope.report import compare_runs, write_report
from filterscope.report.matrices import contributions_figure, filter_order
from filterscope.report.page import _findings
from filterscope.report.theme import LIGHT
from filterscope.runs import Run, RunFolder
from filterscope.training import TrainSettings


def made_up(
    path: Path,
    mis: float,
    accuracy: float = 0.9,
    method: str = "gated",
    seed: int = 0,
    **extra: Any,
) -> Run:
    """A run with given numbers; the network plays no part."""
    path.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    num_classes, num_filters = 4, 12
    arrays: dict[str, np.ndarray] = {
        "mi": generator.random((num_classes, num_filters)) * 0.3,
        "mean_features": generator.random((num_classes, num_filters)),
        "confusion": np.eye(num_classes, dtype=int) * 5,
        "contributions": np.arange(num_classes * num_filters).reshape(num_classes, -1) - 10.0,
        "correlation": np.eye(num_filters),
        "redundancy_thresholds": np.linspace(0, 1, 5),
        "top_filters": np.arange(2),
        "top_filter_classes": np.array([1, 0]),
        "top_filter_mi": np.array([0.3, 0.2]),
        "top_images": np.zeros((2, 3), int),
        "top_labels": np.array([[1, 1, 2], [0, 0, 0]]),
        "top_activations": np.ones((2, 3)),
        "top_thumbnails": np.zeros((2, 3, 8, 8, 3), np.uint8),
    }
    for suffix in ("", "_off_diagonal", "_absolute"):
        arrays[f"redundancy_curve{suffix}"] = np.linspace(1, 0, 5)
    metrics: dict[str, Any] = {
        "accuracy": accuracy, "mis": mis, "mis_floor": 0.01, "mis_bound": 0.56, "dead_filters": 0,
        "redundancy_0_1": 0.2, "inter_class_correlation": 0.1,
    }  # fmt: skip
    if method == "gated":
        arrays["gate"] = np.eye(num_classes)[generator.integers(0, 4, num_filters)].T
        metrics |= {
            "gated_accuracy": 1.0, "gap": 1.0 - accuracy, "density": 0.25,
            "density_interval": [0.25, 0.25], "overlap_argmax": 0.5, "overlap_argmax_chance": 0.25,
            "overlap_jaccard": 0.4, "overlap_jaccard_chance": 0.1, "monopolised": [3, 3, 3, 3],
            "shared_by": [0, 12, 0, 0, 0], "contribution_open": 0.8123,
            "contribution_open_chance": 0.25, "contribution_auc": 0.9,
        }  # fmt: skip
    settings = {
        "data": "digits", "num_samples": 20, "num_classes": 4, "num_filters": num_filters,
        "layer": "layer3", "balanced": False, "n_neighbors": 3, "target": "labels", "seed": 0,
        "estimator": "Ross 2014",
    }  # fmt: skip
    np.savez(RunFolder(path).arrays, **arrays)
    history = [
        {"epoch": e, "test_accuracy": 0.5, "test_gated_accuracy": None, "test_loss": 1.0,
         "test_gated_loss": None, "density": 0.5 if method == "gated" else None}
        for e in range(3)
    ]  # fmt: skip
    evaluation = {"settings": settings | extra, "metrics": metrics}
    write_json(RunFolder(path).evaluation, evaluation)
    return Run(
        path=path,
        config=TrainSettings(method=method, seed=seed).to_dict(),
        model=nn.Identity(),
        classes=("<b>ant</b>", "bee", "cat", "dog"),
        layer="layer3",
        activation=torch.relu,
        transform=Transform(8),
        history=history,
        evaluation=evaluation,
        environment={"seed": seed, "versions": {"torch": "2"}},
    )


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    standard = [made_up(tmp_path / f"standard-s{s}", 0.10 + 0.01 * s, 0.90, "standard", s)
                for s in range(3)]  # fmt: skip
    gated = [made_up(tmp_path / f"gated-s{s}", 0.13 + 0.02 * s, 0.89, "gated", s) for s in range(3)]
    return [*standard, *gated]


def test_runs_that_differ_only_in_their_seed_form_one_side_and_standard_comes_first(
    runs: list[Run],
) -> None:
    comparison = compare_runs([runs[4], runs[0], runs[5], runs[2], runs[3], runs[1]])
    assert [side.label for side in comparison.sides] == ["standard", "gated"]
    assert [side.seeds for side in comparison.sides] == [(0, 1, 2), (0, 1, 2)]
    assert comparison.warnings == ()


def test_mean_spread_and_paired_differences(runs: list[Run]) -> None:
    comparison = compare_runs(runs)
    standard, gated = comparison.sides
    assert standard.mean("mis") == pytest.approx(0.11)
    assert standard.spread("mis") == pytest.approx(0.01)
    difference = comparison.difference(gated, "mis")
    assert difference is not None
    assert difference.mean == pytest.approx(0.04)
    assert difference.each == pytest.approx((0.03, 0.04, 0.05))
    assert difference.spread == pytest.approx(0.01)
    assert comparison.difference(gated, "density") is None


def test_unequal_seeds_are_not_paired(runs: list[Run]) -> None:
    comparison = compare_runs([*runs[:3], runs[4]])
    difference = comparison.difference(comparison.sides[1], "mis")
    assert difference is not None
    assert difference.each == ()
    assert difference.mean == pytest.approx(0.15 - 0.11)


def test_the_console_table_shows_levels_counts_and_differences(runs: list[Run]) -> None:
    table = compare_runs(runs).console_table()
    assert "floor 0.0100, bound 0.5600" in table
    assert "n=20, 3 seeds" in table
    assert "0.2500 ± 0.0000 in [0.25, 0.25]" in table
    metrics = (runs[-1].evaluation or {})["metrics"]
    dense = replace(runs[-1], evaluation={"settings": {}, "metrics": metrics | {"density": 0.7}})
    assert "0.7000 above [0.25, 0.25]" in compare_runs([dense]).console_table()
    assert "+0.0400 (3 of 3 seeds)" in table
    assert "-1.00 points (3 of 3 seeds)" in table


def test_each_side_stands_beside_its_own_chance_level(runs: list[Run]) -> None:
    evaluation = runs[-1].evaluation or {}
    other = {**evaluation, "metrics": evaluation["metrics"] | {"mis_floor": 0.0347}}
    comparison = compare_runs([runs[2], replace(runs[-1], evaluation=other)])
    assert "floor 0.0100 / 0.0347, bound 0.5600" in comparison.console_table()
    said = _findings(comparison)[0]
    assert "MIS 0.1700 (chance 0.0347) against 0.1200 (chance 0.0100), at most 0.5600" in said


def test_different_test_sets_are_warned_about(runs: list[Run], tmp_path: Path) -> None:
    other = made_up(tmp_path / "other", 0.2, num_samples=10)
    comparison = compare_runs([runs[0], other])
    assert "number of test images: 10, 20" in comparison.warnings[0]
    assert "warning" in comparison.console_table()


def test_a_run_does_not_count_twice(runs: list[Run], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="standard-s0 is given twice"):
        compare_runs([*runs, runs[0]])
    copy = made_up(tmp_path / "copy", 0.1, 0.90, "standard", 0)
    warning = compare_runs([copy, *runs]).warnings
    assert len(warning) == 1
    assert "copy and" in warning[0]
    assert "same experiment with the same seed" in warning[0]


def test_runs_that_were_not_evaluated_are_refused(runs: list[Run]) -> None:
    (runs[0].path / "arrays.npz").unlink()
    with pytest.raises(ValueError, match="filterscope evaluate"):
        compare_runs(runs)
    with pytest.raises(ValueError, match="no runs"):
        compare_runs([])


def test_equal_folder_names_get_distinct_labels(tmp_path: Path) -> None:
    one = made_up(tmp_path / "a" / "run", 0.1, method="standard")
    other = made_up(tmp_path / "b" / "run", 0.1)
    labels = [side.label for side in compare_runs([one, other]).sides]
    assert labels == ["a/run", "b/run"]


def test_the_page_is_one_file_that_needs_nothing_else(runs: list[Run], tmp_path: Path) -> None:
    page = tmp_path / "deep" / "report.html"
    write_report(compare_runs(runs), page)
    text = page.read_text()
    addresses = re.findall(r"""(?:src|srcset|href)=["']([^"']+)""", text)
    assert addresses
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert "<script" not in text


def test_names_from_data_are_escaped(runs: list[Run], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_report(compare_runs(runs), page)
    assert "<b>ant</b>" not in page.read_text()
    assert "&lt;b&gt;ant&lt;/b&gt;" in page.read_text()


def test_the_page_shows_every_number_of_the_table(runs: list[Run], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_report(compare_runs(runs), page)
    text = page.read_text().replace("\xa0", " ")
    for shown in ("0.1100 ± 0.0100", "0.1500 ± 0.0200", "+0.0400 (3 of 3 seeds)", "89.00 %"):
        assert shown in text
    assert "in 3 of 3 seeds" in text
    assert text.count("<figure") > 6


def test_every_picture_says_what_it_shows(runs: list[Run], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_report(compare_runs(runs[:1]), page)
    pictures = re.findall(r"<img [^>]*>", page.read_text())
    assert pictures
    assert all(re.search(r'alt="[^"]{5,}"', picture) for picture in pictures)


def test_filters_are_ordered_by_class(runs: list[Run]) -> None:
    gated = runs[3]
    arrays = gated.arrays
    assert arrays is not None
    order = filter_order(gated)
    assert sorted(order) == list(range(12))
    owners = arrays["gate"].argmax(0)[order]
    assert (np.diff(owners) >= 0).all()


def test_contributions_are_shown_in_the_order_of_the_gate_about_zero(runs: list[Run]) -> None:
    for run in (runs[0], runs[3]):
        figure = contributions_figure(run, LIGHT)
        shown = figure.axes[0].images[0]
        expected = (run.arrays or {})["contributions"][:, filter_order(run)]
        np.testing.assert_array_equal(np.asarray(shown.get_array()), expected)
        assert shown.get_clim() == (-37, 37)
        assert figure.axes[1].get_ylabel() == "in units of the logit"
    assert "the gate's class" in figure.axes[0].get_xlabel()


def test_contributions_of_zero_and_of_absent_classes_can_be_drawn(runs: list[Run]) -> None:
    run = runs[3]
    arrays = dict(run.arrays or {})
    for values in (np.zeros((4, 12)), np.full((4, 12), np.nan)):
        arrays["contributions"] = values
        np.savez(RunFolder(run.path).arrays, allow_pickle=False, **arrays)
        assert contributions_figure(run, LIGHT).axes[0].images[0].get_clim() == (-1, 1)


def test_agreement_of_gate_and_contributions_is_told(runs: list[Run], tmp_path: Path) -> None:
    page, run = tmp_path / "report.html", runs[3]
    write_report(compare_runs([run]), page)
    text = page.read_text().replace("\xa0", " ")
    assert "81 % of what speaks for a class comes through the filters that the gate opens" in text
    assert "(chance 25 %)" in text
    assert "What each filter contributes to each class" in text
    arrays = {k: v for k, v in (run.arrays or {}).items() if k != "contributions"}
    np.savez(RunFolder(run.path).arrays, allow_pickle=False, **arrays)
    write_report(compare_runs([run]), page)
    assert "What each filter contributes to each class" not in page.read_text()
