"""How much of the output is the residual, and how fast do singular triplets make the rest?"""

from __future__ import annotations

from functools import partial

from filterscope.linear import residual_ratio
from filterscope.report.filter_pictures import reconstruction_figure
from filterscope.report.probe_figures import curves_figure
from filterscope.studies.eigen_study import Figures
from filterscope.studies.image_filters import (
    TRIPLETS,
    Spectrum,
    both_families,
    common_notes,
    each_picture,
    judged,
    learned_pairs,
    singular,
    spectrum,
)
from filterscope.studies.image_subjects import PICTURES, ImageSubject
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study
from filterscope.studies.verdict import Claim


def analyse(evidence: Evidence, settings: StudySettings) -> Findings:
    """Measure residual and reconstruction of both families at the same pictures."""
    subjects = both_families(evidence, settings)
    count = TRIPLETS[settings.preset]
    pictures = each_picture(evidence, settings)
    ratios: dict[str, list[float]] = {}
    spectra: dict[str, list[Spectrum]] = {}
    figures: Figures = {}
    for subject in subjects:
        ratios[subject.name] = [residual_ratio(subject.read(pixels)) for pixels in pictures]
        if subject.name == "bicubic":
            continue
        spectra[subject.name] = []
        for seed, pixels in zip(evidence.seeds, pictures, strict=True):
            triplets = singular(subject, pixels, count, seed)
            spectra[subject.name].append(spectrum(triplets))
            if seed == evidence.seeds[0]:
                name = subject.name.replace(",", "").replace(" ", "-").lower()
                figures[f"reconstruction-{name}"] = partial(
                    reconstruction_figure, triplets, steps=(0, 1, count // 2, count)
                )
    curves = {name: [each.errors for each in found] for name, found in spectra.items()}
    panels = {"|y - r - first k triplets| over |y|": curves}
    figures["reconstruction"] = partial(curves_figure, panels, first=0)
    entries = [Entry("|r| over |y|", name, tuple(values)) for name, values in ratios.items()]
    for name, found in spectra.items():
        for k in (0, 1, count):
            values = tuple(each.errors[k] for each in found)
            entries.append(Entry(f"error of r and {k} triplets, over |y|", name, values))
    notes = (
        *common_notes(subjects),
        "the output is what the network gives, before it is made a picture: 0 to 1 in bicubic and "
        "PixelShuffle, 0 to 255 about a middle that the last layer adds in fast style; the "
        "residual holds such constants",
    )
    return Findings(tuple(entries), _claims(subjects, ratios), figures, notes)


def _claims(subjects: list[ImageSubject], ratios: dict[str, list[float]]) -> tuple[Claim, ...]:
    return tuple(
        Claim(
            f"the residual is larger in {far.name} than in {near.name}",
            judged(
                [b - a for a, b in zip(ratios[near.name], ratios[far.name], strict=True)],
                [near, far],
            ),
        )
        for near, far in learned_pairs(subjects)
    )


STUDY = Study(
    name="linear-fig8",
    source=(
        "Navarrete Michelini et al., ICCV 2019, figure 8 of the appendix, read as residual and "
        "partial sums of singular triplets"
    ),
    sides=(),
    paper_data="the paper's pictures",
    analyse=analyse,
    pictures=PICTURES,
)
