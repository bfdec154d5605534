"""How much of a score comes from the network's constants, and not from the image?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from scipy.stats import spearmanr

from filterscope.linear import Contributions, residual_shares
from filterscope.studies.affine import TOY, answers, networks, sample
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study
from filterscope.studies.targets import RESIDUAL_SHARES
from filterscope.studies.verdict import Claim

IMAGES = 100

# By rising depth.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "SqueezeNet": ("squeezenet1_0", "squeezenet1_1"),
    "VGG": ("vgg11", "vgg13", "vgg16", "vgg19"),
    "VGG with batch norm": ("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
}
_LARGEST = ("densenet", "inception")
_CANDIDATES = ("R1", "R2", "R3", "R4", "R5")


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Measure every candidate of the residual's share over test images of each network."""
    entries: list[Entry] = []
    means: dict[str, tuple[float, ...]] = {}
    deviations: dict[str, tuple[float, ...]] = {}
    for name, runs in networks(evidence):
        shares: list[torch.Tensor] = []
        within: list[torch.Tensor] = []
        accuracy: list[float] = []
        for seed, run in zip(evidence.seeds, runs, strict=True):
            chosen = sample(evidence, run, seed, IMAGES)
            found = answers(run, chosen)
            shares.append(_shares(found.parts))
            within.append(_shares(answers(run, chosen, preprocess=True).parts))
            accuracy.append(found.accuracy)
        means[name] = _each([table.nanmean(0) for table in shares], 0)
        deviations[name] = _each([_deviation(table) for table in shares], 0)
        printed = RESIDUAL_SHARES.get(name, (None, None))
        if evidence.data != STUDY.paper_data:
            printed = (None, None)
        entries += [
            Entry(name, "R1", means[name], printed[0], "share"),
            Entry(name, "R1 over images", deviations[name], printed[1], "share"),
            *(
                Entry(name, candidate, _each([t.nanmean(0) for t in shares], k), None, "share")
                for k, candidate in enumerate(_CANDIDATES[1:], start=1)
            ),
            Entry(
                name,
                "R1 with the normalisation inside",
                _each([table.nanmean(0) for table in within], 0),
                None,
                "share",
            ),
            Entry(name, "accuracy", tuple(accuracy), None, "share"),
        ]
    notes = (
        "R1 = |r| / (|r| + |F x0|), R2 = r / y, R3 = |r| / |y|, R4 = the sum of |kappa| over "
        "itself and |F x0|, R5 = 1 - |F x0| / |y|; the paper does not print which one it took",
        f"of the top label, mean over {IMAGES} test images at most; R1 over images is the standard "
        "deviation over them",
    )
    return Findings(tuple(entries), tuple(_claims(means, deviations)), notes=notes)


def _shares(parts: Sequence[Contributions]) -> torch.Tensor:
    """R1 to R5 of each image, (N, 5)."""
    rows = [residual_shares(part) for part in parts]
    return torch.tensor([[row.r1, row.r2, row.r3, row.r4, row.r5] for row in rows])


def _each(rows: Sequence[torch.Tensor], k: int) -> tuple[float, ...]:
    return tuple(float(row[k]) for row in rows)


def _deviation(table: torch.Tensor) -> torch.Tensor:
    return torch.stack([column[~column.isnan()].std() for column in table.T])


def _claims(
    means: Mapping[str, tuple[float, ...]], deviations: Mapping[str, tuple[float, ...]]
) -> list[Claim]:
    """The trends of the table, as far as its networks are there."""
    claims = []
    for family, members in FAMILIES.items():
        there = [name for name in members if name in means]
        if len(there) > 1:
            depth = range(len(there))
            claims.append(
                Claim(
                    f"the residual's share rises with depth in {family} (rank correlation over "
                    f"{len(there)} networks)",
                    tuple(_rank(depth, row) for row in _by_seed(means, there)),
                )
            )
    if len(means) > 2:
        pairs = zip(_by_seed(means, list(means)), _by_seed(deviations, list(means)), strict=True)
        claims.append(
            Claim(
                "images differ less where the share is larger (rank correlation over "
                f"{len(means)} networks, its sign turned)",
                tuple(-_rank(share, deviation) for share, deviation in pairs),
            )
        )
    largest = [name for name in means if name.startswith(_LARGEST)]
    others = [name for name in means if name not in largest]
    if largest and others:
        pairs = zip(_by_seed(means, largest), _by_seed(means, others), strict=True)
        claims.append(
            Claim(
                "the shares of DenseNet and Inception are the largest (the least of them minus the "
                "largest of the others)",
                tuple(min(high) - max(low) for high, low in pairs),
            )
        )
    return claims


def _by_seed(values: Mapping[str, tuple[float, ...]], names: list[str]) -> list[tuple[float, ...]]:
    return list(zip(*(values[name] for name in names), strict=True))


def _rank(a: Sequence[float], b: Sequence[float]) -> float:
    return float(spearmanr(a, b).statistic)


STUDY = Study(
    name="linear-table1",
    source="Navarrete Michelini et al., ICCV 2019, table 1 of the appendix",
    sides=("standard",),
    paper_data="imagenet",
    analyse=analyse,
    models=("squeezenet1_0", "resnet18", "resnet34", "densenet121", "vgg11_bn", "vgg13_bn"),
    measured=False,
    published=tuple(RESIDUAL_SHARES),
    shorter=TOY,
)
