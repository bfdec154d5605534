"""Figures on light and on dark paper, as pictures inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.text import Text

FORMULA = "formula"
"""Mark (`gid`) of the texts that are written in TeX."""


@dataclass(frozen=True)
class Theme:
    """Colours of a page.

    Attributes:
        name: light or dark.
        paper: Background of figures.
        ink: Text.
        faint: Axes and grid.
        series: Colours of the sides, told apart by colour-blind readers, too.
    """

    name: str
    paper: str
    ink: str
    faint: str
    series: tuple[str, ...]

    @property
    def ramp(self) -> Colormap:
        """From paper to ink, for matrices of values from 0."""
        colors = [self.paper, self.series[0], self.ink]
        return LinearSegmentedColormap.from_list(f"{self.name}-ramp", colors)

    @property
    def balance(self) -> Colormap:
        """From one colour over paper to another, for values from -1 to 1."""
        colors = [self.series[1], self.paper, self.series[0]]
        return LinearSegmentedColormap.from_list(f"{self.name}-balance", colors)


LIGHT = Theme(
    "light",
    "#ffffff",
    "#1c2430",
    "#c9d1db",
    ("#0b6bb8", "#d1530b", "#0a8f6c", "#a8478a", "#6b7280"),
)
DARK = Theme(
    "dark", "#161b22", "#e3e8ee", "#3a434f", ("#58b2f5", "#f39a4b", "#42cfa5", "#e59acb", "#9aa4b2")
)
THEMES = (LIGHT, DARK)


@dataclass(frozen=True)
class Picture:
    """A figure, drawn once for each theme.

    Attributes:
        light: Data URI of a PNG.
        dark: Data URI of a PNG.
        width: In CSS pixels.
        height: In CSS pixels.
        alt: What it shows, in words.
    """

    light: str
    dark: str
    width: int
    height: int
    alt: str


def draw(figure: Callable[[Theme], Figure], alt: str, dpi: int = 150) -> Picture:
    """Draw a figure in every theme.

    Args:
        figure: Draws it in a given theme.
        alt: What it shows, for those who cannot see it.
        dpi: Pixels an inch; figures are laid out at 96 CSS pixels an inch.
    """
    contents = {theme.name: render(figure, theme, dpi) for theme in THEMES}
    width, height = (round(side * 96 / dpi) for side in _png_size(contents["light"]))
    light, dark = (data_uri(contents[theme.name], "image/png") for theme in THEMES)
    return Picture(light, dark, width, height, alt)


def render(figure: Callable[[Theme], Figure], theme: Theme, dpi: int = 150) -> bytes:
    """Draw a figure in one theme.

    Args:
        figure: Draws it in a given theme.
        theme: Its colours.
        dpi: Pixels an inch.

    Returns:
        A PNG file.
    """
    style: Any = {
        "font.family": "DejaVu Sans",
        "font.size": 8.5,
        "axes.edgecolor": theme.faint,
        "axes.labelcolor": theme.ink,
        "axes.titlecolor": theme.ink,
        "axes.titlesize": 9,
        "axes.titlelocation": "left",
        "axes.facecolor": theme.paper,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.facecolor": theme.paper,
        "text.color": theme.ink,
        "xtick.color": theme.ink,
        "ytick.color": theme.ink,
        "grid.color": theme.faint,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
    }
    with mpl.rc_context(style):
        drawn = figure(theme)
        _without_formulas(drawn)
        FigureCanvasAgg(drawn)
        file = io.BytesIO()
        drawn.savefig(file, format="png", dpi=dpi)
    return file.getvalue()


def legend_name(name: str) -> str:
    """A name that stands in a legend whatever it is: matplotlib leaves out those with a first _.

    Examples:
        >>> legend_name("gated"), legend_name("_gated").endswith("_gated")
        ('gated', True)
    """
    return f"\u200b{name}" if name.startswith("_") else name


def _without_formulas(drawn: Figure) -> None:
    """Show dollars in the names of classes and runs as they are; matplotlib takes them for TeX."""
    for text in drawn.findobj(Text):
        text.set_parse_math(text.get_gid() == FORMULA)
    for axes in drawn.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "log":  # its numbers are formulas
                for text in axis.findobj(Text):
                    text.set_parse_math(True)


def _png_size(content: bytes) -> tuple[int, int]:
    """Width and height that a PNG's header tells."""
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def data_uri(content: bytes, kind: str) -> str:
    """A file's content as an address that a page can hold."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
