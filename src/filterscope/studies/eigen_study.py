"""What figures of eigen-inputs and eigen-outputs have in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from matplotlib.figure import Figure

from filterscope.report.filter_pictures import eigen_figure
from filterscope.report.probe_figures import curves_figure
from filterscope.report.theme import Theme
from filterscope.studies.image_filters import (
    TRIPLETS,
    Spectrum,
    common_notes,
    each_picture,
    finite_mean,
    judged,
    singular,
    spectrum,
)
from filterscope.studies.image_subjects import Family, ImageSubject, image_subjects
from filterscope.studies.ranks import rank_correlation
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings
from filterscope.studies.verdict import Claim

EVEN = 1 / 3
"""Share of its entries over which white noise is spread, by participation ratio."""

Figures = dict[str, Callable[[Theme], Figure]]


def analyse_spectra(evidence: Evidence, settings: StudySettings, family: Family) -> Findings:
    """Measure the singular vectors of a family of networks against k.

    Args:
        evidence: Its seeds and pictures.
        settings: Of the study.
        family: Which networks.
    """
    subjects = [
        subject
        for subject in image_subjects(settings, evidence.data, family)
        if subject.name != "bicubic"  # its values all but coincide: single vectors mean nothing
    ]
    count = TRIPLETS[settings.preset]
    spectra: dict[str, list[Spectrum]] = {}
    figures: Figures = {}
    pictures = each_picture(evidence, settings)
    for subject in subjects:
        spectra[subject.name] = []
        for seed, pixels in zip(evidence.seeds, pictures, strict=True):
            triplets = singular(subject, pixels, count, seed)
            spectra[subject.name].append(spectrum(triplets))
            if seed == evidence.seeds[0]:
                name = subject.name.replace(",", "").replace(" ", "-").lower()
                figures[f"eigen-inputs-{name}"] = partial(eigen_figure, triplets)
                figures[f"eigen-outputs-{name}"] = partial(eigen_figure, triplets, side="output")
    figures["spectra"] = partial(curves_figure, _panels(spectra))
    entries = [entry for name, found in spectra.items() for entry in _entries(name, found)]
    claims = [claim for subject in subjects for claim in _claims(subject, spectra[subject.name])]
    return Findings(tuple(entries), tuple(claims), figures, _notes(subjects, spectra, count))


def area_trends(found: list[Spectrum]) -> list[float]:
    """Rank correlation of value and area of the eigen-inputs, one a seed."""
    return [rank_correlation(each.values, each.areas)[0] for each in found]


def _entries(name: str, found: list[Spectrum]) -> list[Entry]:
    count = len(found[0].values)
    middle, ends = "mean area of eigen-inputs", "area of eigen-inputs"
    return [
        Entry(f"s{count} over s1", name, tuple(each.values[-1] for each in found)),
        Entry(middle, name, tuple(finite_mean(each.areas) for each in found), kind="share"),
        Entry(
            "mean area of eigen-outputs",
            name,
            tuple(finite_mean(each.output_areas) for each in found),
            kind="share",
        ),
        Entry(f"{ends}, k = 1", name, tuple(each.areas[0] for each in found), kind="share"),
        Entry(f"{ends}, k = {count}", name, tuple(each.areas[-1] for each in found), kind="share"),
        Entry("rank correlation of value and area", name, tuple(area_trends(found))),
        Entry(
            "mean radial frequency of eigen-inputs, cycles a pixel",
            name,
            tuple(finite_mean(each.frequencies) for each in found),
        ),
        Entry(
            "rank correlation of value and frequency",
            name,
            tuple(rank_correlation(each.values, each.frequencies)[0] for each in found),
        ),
    ]


def _claims(subject: ImageSubject, found: list[Spectrum]) -> list[Claim]:
    trends = area_trends(found)
    localised = [EVEN - finite_mean(each.areas) for each in found]
    return [
        Claim(
            f"{subject.name}: eigen-inputs are localised, over less than the third of the picture "
            "that noise covers",
            judged(localised, [subject]),
        ),
        Claim(
            f"{subject.name}: larger singular values cover larger areas (section B's words)",
            judged(trends, [subject]),
        ),
        Claim(
            f"{subject.name}: larger singular values cover smaller areas (figures 5 and 7, "
            "section C)",
            judged([-trend for trend in trends], [subject]),
        ),
    ]


def _panels(spectra: dict[str, list[Spectrum]]) -> dict[str, dict[str, list[tuple[float, ...]]]]:
    def of(name: str) -> dict[str, list[tuple[float, ...]]]:
        return {side: [getattr(each, name) for each in found] for side, found in spectra.items()}

    return {
        "singular value / largest": of("values"),
        "area of eigen-inputs": of("areas"),
        "area of eigen-outputs": of("output_areas"),
        "frequency, cycles a pixel": of("frequencies"),
    }


def _notes(
    subjects: list[ImageSubject], spectra: dict[str, list[Spectrum]], count: int
) -> tuple[str, ...]:
    worst = max(each.worst for found in spectra.values() for each in found)
    most = max(each.products for found in spectra.values() for each in found)
    return (
        *common_notes(subjects),
        f"the first {count} singular triplets; their largest residual over s1 is {worst:.2g}, "
        f"after at most {most} products F v and F^T u",
        "an area is the participation ratio over the number of entries; white noise has "
        f"{EVEN:.0%}",
    )
