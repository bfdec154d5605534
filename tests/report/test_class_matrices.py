"""Figures of matrices over classes: what each panel shows."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from filterscope.report.class_matrices import (
    NAMED_CLASSES,
    centres_figure,
    confusion_figure,
    gate_drawing,
    removal_panels,
    similarity_figure,
    similarity_panels,
)
from filterscope.report.theme import DARK, LIGHT, THEMES, Theme, draw, render

CLASSES = ("ant", "bee", "cat")
CONFUSION = np.array([[3, 1, 0], [0, 0, 0], [1, 1, 2]])


def shown(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(axis.images[0].get_array()) for axis in figure.axes if axis.images]


def cells(figure: Figure, panel: int = 0) -> dict[tuple[int, int], str]:
    """Numbers written into a panel by (row, column)."""
    return {
        (round(text.get_position()[1]), round(text.get_position()[0])): text.get_text()
        for text in figure.axes[panel].texts
    }


@pytest.mark.parametrize("theme", THEMES)
def test_confusion_is_shown_as_shares_of_each_true_class(theme: Theme) -> None:
    figure = confusion_figure({"all": CONFUSION, "removed": CONFUSION[:, ::-1]}, CLASSES)(theme)
    one, other = shown(figure)
    expected = np.array([[0.75, 0.25, 0], [0, 0, 0], [0.25, 0.25, 0.5]])
    np.testing.assert_allclose(one, expected)
    np.testing.assert_allclose(other, expected[:, ::-1])
    assert [axis.get_title("left") or axis.get_title() for axis in figure.axes[:2]] == [
        "all", "removed",
    ]  # fmt: skip
    assert cells(figure) == {
        (0, 0): ".75", (0, 1): ".25", (2, 0): ".25", (2, 1): ".25", (2, 2): ".50",
    }  # fmt: skip
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == list(CLASSES)
    assert figure.axes[0].images[0].get_clim() == (0, 1)


def test_a_class_without_samples_stays_empty() -> None:
    (panel,) = shown(confusion_figure({"one": CONFUSION}, CLASSES)(LIGHT))
    assert not panel[1].any()


def test_similarity_leaves_undefined_rows_empty_and_shares_one_scale() -> None:
    tp, fn = np.full((3, 3), 0.4), np.full((3, 3), 0.8)
    fn[1] = np.nan
    figure = similarity_figure({"tp": tp, "fn": fn}, CLASSES)(LIGHT)
    assert [axis.images[0].get_clim() for axis in figure.axes[:2]] == [(0, 0.8)] * 2
    assert {row for row, _ in cells(figure, 1)} == {0, 2}
    assert set(cells(figure).values()) == {".40"}
    for matrix in (np.full((3, 3), np.nan), np.zeros((3, 3))):
        drawn = similarity_figure({"nothing": matrix}, CLASSES)(LIGHT)
        assert drawn.axes[0].images[0].get_clim() == (0, 1)
        assert cells(drawn) == {}


def test_numbers_can_be_read_on_every_colour() -> None:
    values = np.linspace(0.05, 1, 9).reshape(3, 3)
    for theme in THEMES:
        figure = similarity_figure({"all": values}, CLASSES)(theme)
        for text in figure.axes[0].texts:
            column, row = (round(place) for place in text.get_position())
            paper = figure.axes[0].images[0].cmap(values[row, column])
            assert contrast(to_hex(paper), text.get_color()) > 2.5


def contrast(one: str, other: str) -> float:
    """Of two colours, as web pages measure it: 1 for equal ones, 21 for black on white."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("count", "named", "counted"), [
    (12, True, True), (13, True, False), (NAMED_CLASSES, True, False),
    (NAMED_CLASSES + 1, False, False),
])  # fmt: skip
def test_many_classes_lose_numbers_and_then_names(count: int, named: bool, counted: bool) -> None:
    classes = tuple(f"class {c}" for c in range(count))
    figure = confusion_figure({"all": np.eye(count, dtype=int)}, classes)(LIGHT)
    assert (len(figure.axes[0].get_yticks()) == count) == named
    assert bool(figure.axes[0].texts) == counted


def test_centres_stand_above_their_gate_in_the_order_of_its_classes() -> None:
    gate = np.array([[0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 1.0]])
    centres = np.array([[0.0, 2.0, 4.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]])
    above, below = shown(centres_figure(centres, gate, CLASSES)(LIGHT))
    # columns by the class of the largest entry, own filters before shared ones
    order = [2, 1, 0, 3]
    np.testing.assert_array_equal(below, gate[:, order])
    largest = np.array([4.0, 1.0, 4.0])[:, None]  # a centre of zeros stays zeros
    np.testing.assert_allclose(above, (centres / largest)[:, order])


def test_a_gate_is_drawn_as_it_is() -> None:
    gate = np.array([[0.0, 1.0], [1.0, 0.5]])
    figure = gate_drawing(gate, CLASSES[:2])(DARK)
    np.testing.assert_array_equal(shown(figure)[0], gate)
    assert figure.axes[0].get_xlabel() == "2 filters"


def test_panels_of_a_removal_are_untouched_the_first_class_and_the_pair() -> None:
    arrays = {
        "confusion": CONFUSION,
        "removed_classes": np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], dtype=bool),
        "removal_gate": np.stack([CONFUSION + s for s in range(1, 5)]),
    }
    panels = removal_panels(arrays, CLASSES, "gate")
    assert list(panels) == [
        "all filters", "without the filters of ant", "without the filters of ant and bee",
    ]  # fmt: skip
    first, second, third = panels.values()
    assert (first == CONFUSION).all()
    assert (second == CONFUSION + 1).all()
    assert (third == CONFUSION + 4).all()


def test_similarity_panels_share_the_order_of_the_classes() -> None:
    tp, fn = np.arange(9).reshape(3, 3), -np.arange(9).reshape(3, 3)
    arrays = {"similarity_tp": tp, "similarity_fn": fn, "similarity_order": np.array([2, 0, 1])}
    panels, names = similarity_panels(arrays, CLASSES)
    assert names == ("cat", "ant", "bee")
    ours, theirs = panels.values()
    assert ours.tolist() == [[8, 6, 7], [2, 0, 1], [5, 3, 4]]
    assert (theirs == -ours).all()


def test_a_figure_is_drawn_on_the_paper_of_its_theme_and_leaves_no_style_behind() -> None:
    before = dict(mpl.rcParams)
    papers = []

    def figure(theme: Theme) -> Figure:
        drawn = Figure(figsize=(2, 1))
        drawn.subplots()
        papers.append(to_hex(drawn.get_facecolor()))
        return drawn

    for theme in THEMES:
        content = render(figure, theme, dpi=50)
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        assert (int.from_bytes(content[16:20]), int.from_bytes(content[20:24])) == (100, 50)
    assert papers == [LIGHT.paper, DARK.paper]
    assert dict(mpl.rcParams) == before
    picture = draw(figure, "a figure", dpi=48)
    assert (picture.width, picture.height) == (192, 96)
    assert picture.light != picture.dark


def test_drawing_twice_gives_the_same_picture() -> None:
    drawing = confusion_figure({"all": CONFUSION}, CLASSES)
    assert render(drawing, LIGHT) == render(drawing, LIGHT)
