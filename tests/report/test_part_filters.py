"""Pictures of filters and parts, from made-up arrays with known places."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from filterscope.data import Transform
from filterscope.report.part_filters import part_pictures
from filterscope.report.part_pictures import PartPictures
from filterscope.runs import Run, RunFolder

NAN = np.nan


def made_up(path: Path, changes: dict[str, Any], **arrays: np.ndarray) -> Run:
    """Two filters of a map of 2 x 2 units on images of 8 pixels, fields of 4 pixels."""
    unit_points = np.array([[[2.0, 2.0], [6.0, 2.0]], [[2.0, 6.0], [6.0, 6.0]]])
    known: dict[str, np.ndarray] = {
        "instability": np.array([[0.05, 0.2]]),
        "part_filters": np.array([7, 3]),
        "part_filter_choices": np.array([0, 2]),
        "part_filter_categories": np.array([0, 0]),
        "part_filter_instability": np.array([0.05, 0.2]),
        "part_filter_spread": np.array([0.01, 0.3]),
        "part_filter_units": np.array([2, 2]),
        "part_filter_covered": np.array([0.5, 0.0]),
        "part_filter_best": np.array([1, 0]),
        "part_filter_peaks": np.array([[3, 3, 0], [1, 2, -1]]),
        "part_points": unit_points,
        "part_landmarks": np.array([[[[1, 1], [NAN, NAN]], [[3, 5], [4, 4]], [[NAN] * 2] * 2]]),
        "part_mean_images": np.full((1, 8, 8, 3), 9, np.uint8),
        "part_thumbnails": np.zeros((2, 8, 8, 3), np.uint8),
        "part_top_images": np.array([[0, 1], [1, -1]]),
        "part_top_units": np.array([[3, 0], [1, -1]]),
        "part_top_boxes": np.array(
            [[[4, 4, 8, 8], [0, 0, 4, 4]], [[0, 4, 4, 8], [0, 0, 0, 0]]]
        ),
        "part_top_landmarks": np.array(
            [[[[3, 5], [4, 4]], [[1, 1], [NAN, NAN]]], [[[1, 1], [NAN, NAN]], [[NAN] * 2] * 2]]
        ),
        "part_templates": np.array([[[0.2, -1], [1, 0.2]], [[1, 0], [0, -1.0]]]),
        "part_betas": np.array([2.0, 2.5]),
    }  # fmt: skip
    metrics: dict[str, Any] = {
        "instability_categories": ["dog"], "instability_images": [3], "peak_layer": "layer3",
        "peak_radius": 1.0, "peak_field": [4, 4], "peak_field_mixed": False, "peak_image_size": 8,
        "peak_parts": ["head", "legs"], "peak_spread_random_unit": 0.3,
        "peak_units_random_unit": 2.25, "part_interpretability_centre_unit": 0.1,
        "part_interpretability_random_unit": 0.2, "instability_centre_unit": 0.07,
        "instability_fixed_unit": 0.1, "instability_random_unit": 0.15,
    }  # fmt: skip
    path.mkdir(parents=True, exist_ok=True)
    np.savez(RunFolder(path).arrays, allow_pickle=False, **(known | arrays))
    return Run(
        path=path, config={"seed": 0}, model=nn.Identity(), classes=("neg", "dog"), layer="layer3",
        activation=None, transform=Transform(8), history=[],
        evaluation={"settings": {}, "metrics": metrics | changes}, environment={},
    )  # fmt: skip


def pictures(path: Path, changes: dict[str, Any] | None = None, **arrays: Any) -> PartPictures:
    found = part_pictures(made_up(path, changes or {}, **arrays))
    assert found is not None
    return found


def test_numbers_stand_beside_their_chance_levels(tmp_path: Path) -> None:
    first, second = pictures(tmp_path).filters
    assert (first.title, second.title) == ("filter 7", "filter 3")
    assert first.numbers == (
        ("location instability", "0.0500", "middle 0.0700, one unit 0.1000, random 0.1500"),
        ("spread of its peaks", "0.0100", "random 0.3000"),
        ("distinct peak units", "2", "random 2.25"),
        ("covers legs", "50.00\xa0%", "middle 10.00\xa0%, random 20.00\xa0%"),
    )
    assert second.numbers[-1][:2] == ("covers no part", "0.00\xa0%")
    assert first.is_first
    assert second.is_first


def test_what_was_not_measured_is_not_told(tmp_path: Path) -> None:
    found = pictures(tmp_path, part_filter_covered=np.array([NAN, NAN]))
    assert not any("covers" in name for name, _, _ in found.filters[0].numbers)


def test_dots_stand_where_units_peak_and_grow_with_the_images(tmp_path: Path) -> None:
    first, second = pictures(tmp_path).filters
    assert [(dot.x, dot.y, dot.count) for dot in first.dots] == [(6, 6, 2), (2, 2, 1)]
    assert first.dots[0].radius > first.dots[1].radius
    assert first.dots_words == "peaks on 3 test images of dog; at most 2 at one unit"
    assert "1 without a peak" in second.dots_words


def test_a_filter_without_any_peak_has_no_dots(tmp_path: Path) -> None:
    found = pictures(tmp_path, part_filter_peaks=np.full((2, 3), -1))
    assert found.filters[0].dots == ()
    assert "3 without a peak" in found.filters[0].dots_words


def test_parts_have_their_mean_place_and_spread(tmp_path: Path) -> None:
    head, legs = pictures(tmp_path).filters[0].parts
    assert (head.x, head.y, head.rx, head.ry) == (2, 3, 1, 2)
    assert (legs.x, legs.y, legs.rx, legs.ry) == (4, 4, 0, 0)


def test_images_are_cut_to_the_field_of_the_peak_unit(tmp_path: Path) -> None:
    found = pictures(tmp_path)
    strong, weaker = found.filters[0].crops
    assert strong.view == strong.field == (4, 4, 4, 4)
    assert strong.peak == (6, 6)
    assert [(mark.part, mark.x, mark.y) for mark in strong.marks] == [(0, 3, 5), (1, 4, 4)]
    assert [mark.part for mark in weaker.marks] == [0]
    assert len(found.filters[1].crops) == 1  # the other image has no peak
    assert found.filters[1].crops[0].field == (4, 0, 4, 4)
    assert "sees 4 x 4 pixels of the image's 8 x 8" in found.words[0]


def test_fields_larger_than_the_image_leave_it_whole_and_say_so(tmp_path: Path) -> None:
    found = pictures(tmp_path, {"peak_field": [9, 9], "peak_field_mixed": True})
    assert found.filters[0].crops[0].view == (0, 0, 8, 8)
    assert found.filters[0].crops[0].field == (4, 4, 4, 4)
    told = " ".join(found.words)
    assert "more than the image's 8 x 8: the images are shown whole" in told
    assert "dashed" in told
    assert "mix all places" in told


def test_how_many_filters_are_steadier_than_the_middle_is_told(tmp_path: Path) -> None:
    assert "1 of 2 filters are steadier" in pictures(tmp_path).words[-1]
    several = {"instability_categories": ["dog", "cat"], "instability_images": [3, 3]}
    values = np.array([[0.05, 0.2]] * 2)
    found = pictures(tmp_path, several, instability=values)
    assert not any("steadier" in sentence for sentence in found.words)
    assert found.filters[0].title == "filter 7, dog"


def test_templates_with_their_slope_or_none(tmp_path: Path) -> None:
    run = made_up(tmp_path, {})
    found = part_pictures(run)
    assert found is not None
    assert [f.template_words for f in found.filters] == [
        "2 x 2 units, beta 2", "2 x 2 units, beta 2.5",
    ]  # fmt: skip
    assert found.filters[0].template.startswith("data:image/png")
    arrays = {k: v for k, v in (run.arrays or {}).items() if k != "part_templates"}
    np.savez(RunFolder(tmp_path).arrays, allow_pickle=False, **arrays)
    found = part_pictures(run)
    assert found is not None
    assert found.filters[0].template == ""


def test_many_parts_have_distinct_marks(tmp_path: Path) -> None:
    legend = pictures(tmp_path, {"peak_parts": [f"part {i}" for i in range(12)]}).legend
    assert len(set(legend)) == 12
    assert len({color for _, color, _ in legend}) == 12


@pytest.mark.parametrize("kept", [{}, {"mi": np.zeros((2, 2))}])
def test_other_runs_have_no_such_pictures(tmp_path: Path, kept: dict[str, np.ndarray]) -> None:
    run = dataclasses.replace(made_up(tmp_path, {}), evaluation=None)
    np.savez(RunFolder(tmp_path).arrays, allow_pickle=False, **kept)
    assert part_pictures(run) is None
