"""Names of classes and runs that matplotlib would read as something else."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from filterscope.report.class_matrices import confusion_figure
from filterscope.report.theme import FORMULA, LIGHT, Theme, legend_name, render


def rendered(titles: dict[str, str | None]) -> tuple[Figure, bytes]:
    """A figure of one title with its mark each, whose heights are logarithmic."""
    kept = []

    def figure(theme: Theme) -> Figure:
        drawn = Figure(figsize=(3, 2))
        for axis, (title, mark) in zip(drawn.subplots(1, len(titles), squeeze=False)[0],
                                       titles.items(), strict=True):  # fmt: skip
            axis.plot([1, 1000])
            axis.set_yscale("log")
            axis.set_title(title, gid=mark)
        kept.append(drawn)
        return drawn

    content = render(figure, LIGHT, dpi=50)
    return kept[0], content


@pytest.mark.parametrize("name", [r"$\x$", "$5 and $10", "a$b$", "_a"])
def test_a_class_of_any_name_is_drawn(name: str) -> None:
    drawing = confusion_figure({f"without {name}": np.eye(2)}, (name, "bee"))
    kept = []

    def figure(theme: Theme) -> Figure:
        kept.append(drawing(theme))
        return kept[0]

    render(figure, LIGHT, dpi=50)
    axis = kept[0].axes[0]
    texts = [*axis.get_xticklabels(), *axis.get_yticklabels(), axis.title, axis._left_title]
    assert [text.get_text() for text in axis.get_yticklabels()] == [name, "bee"]
    assert not any(text.get_parse_math() for text in texts)


def test_dollars_are_shown_and_formulas_are_set_where_they_are_meant() -> None:
    _, shown = rendered({"a$b$": None})
    figure, formula = rendered({"a$b$": FORMULA})
    assert shown != formula
    ticks = [label for label in figure.axes[0].get_yticklabels() if "$" in label.get_text()]
    assert ticks and all(label.get_parse_math() for label in ticks)


def test_a_legend_has_names_that_begin_with_an_underline() -> None:
    axis = Figure().subplots()
    axis.plot([1, 2], label=legend_name("_run"))
    (shown,) = axis.legend().get_texts()
    assert shown.get_text().endswith("_run")
    assert legend_name("run") == "run"
