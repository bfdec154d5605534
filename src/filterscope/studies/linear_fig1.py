"""Which layers contribute to a score, on clean and on attacked images?"""

from __future__ import annotations

import math
from functools import partial
from statistics import fmean

from torch import Tensor, nn

from filterscope.linear import ContributionHistogram, contribution_histogram
from filterscope.report.contribution_figure import contribution_figure
from filterscope.runs import Run
from filterscope.studies.affine import EPSILON, TOY, answers, attacked, networks, sample
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study
from filterscope.studies.verdict import Claim

IMAGES = 100


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Compare the contribution histograms of clean and attacked images."""
    entries: list[Entry] = []
    claims: list[Claim] = []
    figures = {}
    for name, runs in networks(evidence):
        clean, moved, right = [], [], []
        for seed, run in zip(evidence.seeds, runs, strict=True):
            chosen = sample(evidence, run, seed, IMAGES)
            before, after = answers(run, chosen), answers(run, attacked(run, chosen))
            clean.append(contribution_histogram(before.parts))
            moved.append(contribution_histogram(after.parts))
            right.append((before.accuracy, after.accuracy))
        entries += _entries(name, clean, moved, right)
        claims += _claims(name, runs, clean, moved)
        shown = {"clean": clean[0], "FGSM": moved[0]}
        figures[f"histogram-{name}"] = partial(contribution_figure, shown)
    note = (
        "in units of the score, summed over stages (a layer with its norm and activation); FGSM of "
        f"{EPSILON * 255:.0f}/255 against the true label"
    )
    return Findings(tuple(entries), tuple(claims), figures, (note,))


def _entries(
    name: str,
    clean: list[ContributionHistogram],
    moved: list[ContributionHistogram],
    right: list[tuple[float, float]],
) -> list[Entry]:
    entries = []
    for told, histograms, place in (("clean", clean, 0), ("FGSM", moved, 1)):
        side = f"{name}, {told}"
        entries += [
            Entry("accuracy", side, tuple(pair[place] for pair in right), kind="share"),
            Entry("input F x0", side, tuple(float(h.mean[0]) for h in histograms)),
            Entry("largest |kappa| of a stage", side, tuple(map(_largest, histograms))),
            Entry("deviation over images, mean of the stages", side, tuple(map(_band, histograms))),
        ]
    return entries


def _claims(
    name: str,
    runs: tuple[Run, ...],
    clean: list[ContributionHistogram],
    moved: list[ContributionHistogram],
) -> list[Claim]:
    claims = [
        Claim(
            f"{name}: the input's term is not the largest",
            tuple(_largest(h) - abs(float(h.mean[0])) for h in clean),
        ),
        Claim(
            f"{name}: contributions deviate more over attacked images",
            tuple(_band(b) - _band(a) for a, b in zip(clean, moved, strict=True)),
        ),
    ]
    if not name.startswith("vgg"):
        return claims
    thirds = [_humps(run, h) for run, h in zip(runs, clean, strict=True)]
    if name.endswith("_bn"):
        claims.append(
            Claim(
                f"{name}: the last convolutions before the linear layers contribute more than the "
                "first ones",
                tuple(last - first for first, _, last in thirds),
            )
        )
    else:
        claims += [
            Claim(
                f"{name}: one hump lies before the first pool (against the middle)",
                tuple(first - middle for first, middle, _ in thirds),
            ),
            Claim(
                f"{name}: another lies just before the linear layers (against the middle)",
                tuple(last - middle for _, middle, last in thirds),
            ),
        ]
    return claims


def _largest(histogram: ContributionHistogram) -> float:
    return float(histogram.mean[1:].abs().max())


def _band(histogram: ContributionHistogram) -> float:
    return float(histogram.std.mean())


def _humps(run: Run, histogram: ContributionHistogram) -> tuple[float, float, float]:
    """Mean |kappa| of a stage before the first pool, after the last but one, and between them."""
    features = run.classifier.get_submodule("features")
    pools = [place for place, layer in enumerate(features.children())
             if isinstance(layer, nn.MaxPool2d)]  # fmt: skip
    sizes: Tensor = histogram.mean.abs()
    groups: dict[str, list[float]] = {"first": [], "middle": [], "last": []}
    for layer, size in zip(histogram.layers, sizes.tolist(), strict=True):
        if not layer.startswith("features."):
            continue
        place = int(layer.split(".")[1].split(":")[0])
        groups[_third(place, pools)].append(size)
    means = [fmean(sizes) if sizes else math.nan for sizes in groups.values()]
    return means[0], means[1], means[2]


def _third(place: int, pools: list[int]) -> str:
    if place < pools[0]:
        return "first"
    return "last" if place > pools[-2] else "middle"


STUDY = Study(
    name="linear-fig1",
    source="Navarrete Michelini et al., ICCV 2019, figure 1 of the appendix",
    sides=("standard",),
    paper_data="imagenet",
    analyse=analyse,
    models=("vgg11", "vgg11_bn"),
    measured=False,
    published=("vgg16", "vgg16_bn"),
    shorter=TOY,
)
