"""Detecting adversarial samples of a run by the features of its convolutions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from filterscope.attacks import (
    ConvolutionLayer,
    DetectionError,
    Draw,
    Pairs,
    class_cosines,
    class_means,
    detection_error,
)
from filterscope.attacks.detector import ROC_POINTS
from filterscope.attacks.presets import check_attack
from filterscope.data import ImageDataset
from filterscope.evaluation.attack_images import check_classes, on_device, right_images
from filterscope.evaluation.attack_settings import DetectSettings
from filterscope.evaluation.detection_result import COSINES, AttackDetection, Detection
from filterscope.evaluation.detection_samples import (
    TEST,
    TRAIN,
    Samples,
    Side,
    adversarial_samples,
    clean_features,
    draw_side,
    right_of_classes,
)
from filterscope.runs import Run
from filterscope.runs.environment import describe_environment

Tell = Callable[[str], None]

SAMPLING = (
    "The detector learns from images of the split that the network was trained on and is judged on "
    "the test split; rightly classified images only, each as it is and attacked. Each repeat draws "
    "other images and grows another forest; the smaller samples of a repeat are part of its larger "
    "ones."
)


def detect_run(
    run: Run,
    settings: DetectSettings | None = None,
    *,
    dataset: ImageDataset | None = None,
    tell: Tell | None = None,
) -> Detection:
    """Attack images of a run, and learn to tell them from clean ones by the run's own features.

    Args:
        run: Of `load_run`; attacked and read on its standard path.
        settings: Which attacks, how many images; None for the paper's.
        dataset: The data, when it is loaded already; else the run's own.
        tell: Is given a line when something is done.

    Returns:
        Errors, ROC curves, transfer between attacks, and where adversarial samples lie against
        the means of the classes; `Detection.save` writes it into the run's folder.

    Raises:
        FileNotFoundError: The run's data is not there.
        ModuleNotFoundError: foolbox is missing.
        ValueError: Data of other classes than the run's, or no image that it classifies rightly.

    Source: Liang et al., ECCV 2020, section 5.2 and appendix I.
    """
    settings = settings or DetectSettings()
    for name in settings.attacks:
        check_attack(name)
    dataset = dataset or run.dataset()
    check_classes(run, dataset)
    with on_device(run, settings.device) as device:
        right = {
            purpose: right_images(run, split, settings.batch_size, device)
            for purpose, split in ((TRAIN, dataset.train), (TEST, dataset.test))
        }
        sizes, notes = _sizes(right_of_classes(dataset.train, right[TRAIN]), settings)
        notes += _short(right_of_classes(dataset.test, right[TEST]), settings)
        train = draw_side(dataset.train, right[TRAIN], sizes, settings, TRAIN)
        test = draw_side(dataset.test, right[TEST], [settings.test_per_class], settings, TEST)
        clean_train, layers = clean_features(run, train, settings, device)
        clean_test, _ = clean_features(run, test, settings, device)
        made = {
            name: tuple(
                adversarial_samples(
                    run, name, side, settings, device, purpose, _counter(tell, name, side, purpose)
                )
                for side, purpose in ((train, TRAIN), (test, TEST))
            )
            for name in settings.attacks
        }
    job = _Job(settings, train, test, clean_train, clean_test, made)
    means = class_means(clean_train, train.labels, len(run.classes))
    found = tuple(job.detection(name, means, layers) for name in settings.attacks)
    described = _described(run, dataset, settings, str(device), train, test)
    for purpose, key in ((TRAIN, "misclassified_train"), (TEST, "misclassified_test")):
        described[key] = int((~right[purpose]).sum())
    names = tuple(layer.name for layer in layers)
    return Detection(described, names, clean_train.shape[1], found, tuple(notes))


def _sizes(counts: Tensor, settings: DetectSettings) -> tuple[list[int], list[str]]:
    """The numbers of images of a class that tell anything new, and what is left out.

    Args:
        counts: Right training images of each class, (C,).
        settings: With what was asked for.
    """
    least, most = int(counts.min()), int(counts.max())
    useful = [size for size in settings.per_class if size <= most]
    if len(useful) < len(settings.per_class):
        useful.append(settings.per_class[len(useful)])  # it takes every image that there is
    notes = []
    if useful[-1] > least:
        notes.append(
            f"up to {settings.per_class[-1]} training images of a class were asked for; classes "
            f"have {least} to {most} that are classified rightly"
        )
    return useful, notes


def _short(counts: Tensor, settings: DetectSettings) -> list[str]:
    """What is missing of the test images; `counts`: the right ones of each class, (C,)."""
    least, most, asked = int(counts.min()), int(counts.max()), settings.test_per_class
    if asked <= least:
        return []
    return [
        f"{asked} test images of each class were asked for; classes have {least} to {most} that "
        "are classified rightly"
    ]


class _Job:
    """Everything that the detectors of a run learn from and are judged on."""

    def __init__(
        self,
        settings: DetectSettings,
        train: Side,
        test: Side,
        clean_train: Tensor,
        clean_test: Tensor,
        made: Mapping[str, tuple[Samples, ...]],
    ) -> None:
        self.settings, self.train, self.test = settings, train, test
        self.clean = {TRAIN: clean_train, TEST: clean_test}
        self.made = made

    def detection(
        self, name: str, means: Tensor, layers: Sequence[ConvolutionLayer]
    ) -> AttackDetection:
        """Everything about one attack."""
        train, test = self.made[name]
        unchanged = int((~train.changed).sum() + (~test.changed).sum())
        sizes = self.train.draws[0]
        others = [other for other in self.made if other != name]
        return AttackDetection(
            name=name,
            success_rate=float(test.success.double().mean()),
            num_test=len(test.success),
            unchanged=unchanged,
            errors={size: self._error(name, size) for size in sizes},
            transfer=(
                self._transfer(name, others, max(sizes))
                if self.settings.transfer and others
                else None
            ),
            cosines=self._cosines(test, means, layers),
            notes=tuple(dict.fromkeys(train.notes + test.notes)),
        )

    def _pairs(self, name: str, purpose: int) -> Pairs:
        return Pairs(self.clean[purpose], self.made[name][purpose].features)

    def _error(self, name: str, size: int) -> DetectionError:
        train, test = (self.made[name][purpose].changed for purpose in (TRAIN, TEST))
        draws = [
            Draw(_kept(learned[size], train), self._judged(repeat, test))
            for repeat, learned in enumerate(self.train.draws)
        ]
        return self._detect(self._pairs(name, TRAIN), self._pairs(name, TEST), draws)

    def _transfer(self, name: str, others: Sequence[str], size: int) -> DetectionError:
        """Judge on one attack a detector that has learned samples of the others, mixed evenly."""
        features = torch.stack([self.made[other][TRAIN].features for other in others])
        changed = torch.stack([self.made[other][TRAIN].changed for other in others])
        test = self.made[name][TEST].changed
        errors = []
        for repeat, learned in enumerate(self.train.draws):
            generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + repeat)
            ranks = torch.rand(changed.shape, generator=generator)
            # of each image the sample of one attack, drawn among those that changed it
            chosen = torch.where(changed, ranks, -1.0).argmax(0)
            mixed = features[chosen, torch.arange(features.shape[1])]
            draw = Draw(_kept(learned[size], changed.any(0)), self._judged(repeat, test))
            pairs = Pairs(self.clean[TRAIN], mixed)
            errors.append(self._detect(pairs, self._pairs(name, TEST), [draw], repeat))
        return _joined(errors)

    def _judged(self, repeat: int, changed: Tensor) -> Tensor:
        return _kept(self.test.draws[repeat][self.settings.test_per_class], changed)

    def _detect(
        self, train: Pairs, test: Pairs, draws: Sequence[Draw], offset: int = 0
    ) -> DetectionError:
        if not all(len(draw.train) and len(draw.test) for draw in draws):
            return _undefined(draws)
        return detection_error(
            train, test, draws, num_trees=self.settings.trees, seed=self.settings.seed + offset
        )

    def _cosines(
        self, test: Samples, means: Tensor, layers: Sequence[ConvolutionLayer]
    ) -> np.ndarray:
        """Mean cosines in the order of `COSINES`, over test images that the attack changed."""
        # an answer that stayed where no target was set leads to no other class
        kept = test.changed & (test.targets != self.test.labels)
        if not bool(kept.any()):
            return np.full((len(COSINES), len(layers)), np.nan)
        clean, labels = self.clean[TEST][kept], self.test.labels[kept]
        attacked, targets = test.features[kept], test.targets[kept]
        rows = [(attacked, labels), (attacked, targets), (clean, labels), (clean, targets)]
        found = [class_cosines(one, of, means, layers).nanmean(0) for one, of in rows]
        return np.asarray(torch.stack(found).numpy())


def _kept(rows: Tensor, changed: Tensor) -> Tensor:
    """The rows that the attack changed."""
    return rows[changed[rows]]


def _undefined(draws: Sequence[Draw]) -> DetectionError:
    """NaN for an attack that left every image of a draw as it was."""
    nothing = np.full(len(draws), np.nan)
    return DetectionError(
        errors=nothing,
        false_alarms=nothing,
        misses=nothing,
        areas=nothing,
        roc=np.full((len(draws), ROC_POINTS), np.nan),
        num_train=np.array([len(draw.train) for draw in draws]),
        num_test=np.array([len(draw.test) for draw in draws]),
    )


def _joined(errors: Sequence[DetectionError]) -> DetectionError:
    names = [field.name for field in fields(DetectionError)]
    return DetectionError(*(np.concatenate([getattr(e, name) for e in errors]) for name in names))


def _counter(
    tell: Tell | None, name: str, side: Side, purpose: int
) -> Callable[[int], None] | None:
    if tell is None:
        return None
    rest = f"of {len(side.places)} {'training' if purpose == TRAIN else 'test'} images attacked"
    return lambda done: tell(f"{name}: {done} {rest}")


def _described(
    run: Run, dataset: ImageDataset, settings: DetectSettings, device: str, train: Side, test: Side
) -> dict[str, Any]:
    return {
        **asdict(settings),
        "data": dataset.name,
        "model": run.config["model"],
        "method": run.config["method"],
        "sampling": SAMPLING,
        "features": "rectified outputs" if settings.rectify else "outputs",
        "attacked_train": len(train.places),
        "attacked_test": len(test.places),
        "versions": describe_environment(device)["versions"],
    }
