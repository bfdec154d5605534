"""What a page shows of filters and parts, as the template reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """A part's mark at a place.

    Attributes:
        part: Its place among the parts.
        x: In pixels of the image.
        y: In pixels of the image.
        rx: Spread over images, to the right; 0 where it is a single landmark.
        ry: Spread over images, down.
    """

    part: int
    x: float
    y: float
    rx: float = 0.0
    ry: float = 0.0


@dataclass(frozen=True)
class Dot:
    """A unit at which a filter peaks.

    Attributes:
        x: In pixels of the image.
        y: In pixels of the image.
        radius: In pixels of the image.
        count: Images that peak there.
    """

    x: float
    y: float
    radius: float
    count: int


@dataclass(frozen=True)
class Crop:
    """A strong image of a filter.

    Attributes:
        image: The whole image's place among `PartPictures.images`.
        view: What is shown of it: left, top, width, height in pixels of the image.
        field: The receptive field of the peak unit, the same way.
        is_whole: Whether the field covers the whole image.
        peak: Where the peak unit stands.
        marks: The parts that the image shows.
        alt: What it shows, in words.
    """

    image: int
    view: tuple[float, float, float, float]
    field: tuple[float, float, float, float]
    is_whole: bool
    peak: tuple[float, float]
    marks: tuple[Mark, ...]
    alt: str


@dataclass(frozen=True)
class PartFilter:
    """What is shown of a filter.

    Attributes:
        title: The filter.
        choice: Why it is shown.
        numbers: Its numbers with their chance levels: name, value, levels in words.
        template: Data URI of its template; empty without templates.
        template_words: Where that template has its peak, and its slope.
        mean_image: That of its category, its place among `PartPictures.images`.
        dots: Where it peaks.
        dots_words: The same in words.
        parts: Where the parts are on average.
        crops: Its strongest images.
        is_first: Whether it is the first of its choice.
    """

    title: str
    choice: str
    numbers: tuple[tuple[str, str, str], ...]
    template: str
    template_words: str
    mean_image: int
    dots: tuple[Dot, ...]
    dots_words: str
    parts: tuple[Mark, ...]
    crops: tuple[Crop, ...]
    is_first: bool


@dataclass(frozen=True)
class PartPictures:
    """The pictures of a run.

    Attributes:
        side: Of the image in pixels.
        radius: Of the ring around a peak, in pixels.
        words: What was looked at, in sentences.
        legend: Name, colour and shape of each part.
        images: Data URIs of the images, then of the mean image of each category.
        filters: Those that are shown.
    """

    side: int
    radius: float
    words: tuple[str, ...]
    legend: tuple[tuple[str, str, str], ...]
    images: tuple[str, ...]
    filters: tuple[PartFilter, ...]
