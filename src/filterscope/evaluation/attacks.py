"""What attacks do to a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from filterscope.attacks import Attacked, attack, random_targets
from filterscope.attacks.presets import check_attack
from filterscope.core.brief import Brief
from filterscope.data import ImageDataset
from filterscope.evaluation.attack_images import (
    answers,
    check_classes,
    load_pixels,
    on_device,
    right_images,
)
from filterscope.evaluation.attack_settings import AttackSettings
from filterscope.evaluation.counted import Counted
from filterscope.evaluation.stored import read_result, write_result
from filterscope.runs import Run
from filterscope.runs.environment import describe_environment
from filterscope.runs.folder import RunFolder

SCHEMA = 1
Tell = Callable[[str], None]


@dataclass(frozen=True, repr=False)
class Outcome(Brief):
    """What one attack reached.

    Attributes:
        name: Of the attack.
        options: Its settings.
        attempted: Images that were attacked.
        successes: Those that it turned.
        median_queries: Forward passes of single images (steps of a gradient attack) that a turned
            image took; NaN where none was turned.
        total_queries: Of all images.
        largest_change: Of any pixel of any turned image, in [0, 1]; NaN where none was.
        mean_norm: Mean L2 norm of the change over the turned images; NaN where none was.
        mean_pixels: Mean number of changed pixels of a turned image; NaN where none was.
        notes: What the attack has to tell, in sentences.
    """

    name: str
    options: dict[str, Any]
    attempted: int
    successes: int
    median_queries: float
    total_queries: int
    largest_change: float
    mean_norm: float
    mean_pixels: float
    notes: tuple[str, ...] = ()

    @property
    def success_rate(self) -> float:
        """Share of the attacked images that were turned."""
        return self.successes / self.attempted if self.attempted else float("nan")


@dataclass(frozen=True, eq=False, repr=False)
class AttackResult(Brief):
    """What attacks do to a run.

    Attributes:
        settings: Of the attacks, with data, split, network and versions.
        accuracy: On the whole test split before any attack.
        num_tested: Images in it.
        misclassified: Those that were never attacked, because the run errs on them anyway.
        outcomes: One an attack.
        arrays: ``places`` (N,) in the test split, ``labels`` (N,), ``targets`` (N,) where there
            are any, and of each attack ``images_NAME`` (N, 3, S, S) float32 in [0, 1],
            ``success_NAME`` (N,) bool, ``queries_NAME`` and ``answers_NAME`` (N,) int64.
        notes: What a reader should know, in sentences.
    """

    settings: dict[str, Any]
    accuracy: float
    num_tested: int
    misclassified: int
    outcomes: tuple[Outcome, ...]
    arrays: dict[str, np.ndarray]
    notes: tuple[str, ...] = ()

    def outcome(self, name: str) -> Outcome:
        """What an attack reached.

        Raises:
            KeyError: It was not made.
        """
        return {one.name: one for one in self.outcomes}[name]

    def save(self, folder: str | Path) -> None:
        """Write ``attack.json`` and ``attack.npz`` into a run folder."""
        files = RunFolder(Path(folder))
        content = {
            "settings": self.settings,
            "accuracy": self.accuracy,
            "num_tested": self.num_tested,
            "misclassified": self.misclassified,
            "outcomes": [{**asdict(o), "success_rate": o.success_rate} for o in self.outcomes],
            "notes": self.notes,
        }
        write_result(files.attack, files.attack_arrays, SCHEMA, content, self.arrays)

    @classmethod
    def load(cls, folder: str | Path) -> AttackResult:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: The run was not attacked.
            ValueError: A damaged file, or one of a newer version.
        """
        files = RunFolder(Path(folder))
        content, arrays = read_result(files.attack, files.attack_arrays, SCHEMA, "attack")
        return cls(
            settings=content["settings"],
            accuracy=content["accuracy"],
            num_tested=content["num_tested"],
            misclassified=content["misclassified"],
            outcomes=tuple(_outcome(one) for one in content["outcomes"]),
            arrays=arrays,
            notes=tuple(content["notes"]),
        )


def attack_run(
    run: Run,
    settings: AttackSettings | None = None,
    *,
    dataset: ImageDataset | None = None,
    tell: Tell | None = None,
) -> AttackResult:
    """Attack a run on test images that it classifies rightly, on its standard path.

    Args:
        run: Of `load_run`.
        settings: Which attacks, on how many images; None for the defaults.
        dataset: The data, when it is loaded already; else the run's own.
        tell: Is given a line when an attack is done, and every ten seconds while it lasts.

    Returns:
        What each attack reached; `AttackResult.save` writes it into the run's folder.

    Raises:
        FileNotFoundError: The run's data is not there.
        ModuleNotFoundError: An attack along the gradient without foolbox.
        ValueError: Unknown attacks, data of other classes than the run's, or no image that the
            run classifies rightly.

    Source: Liang et al., ECCV 2020, appendix J: success over rightly classified samples.
    """
    settings = settings or AttackSettings()
    for name in settings.attacks:
        check_attack(name)
    dataset = dataset or run.dataset()
    check_classes(run, dataset)
    with on_device(run, settings.device) as device:
        right = right_images(run, dataset.test, settings.batch_size, device)
        generator = torch.Generator().manual_seed(settings.seed)
        order = torch.randperm(len(right), generator=generator)
        # of all images, so that two networks are attacked on the same ones as far as both are right
        places = order[right[order]][: settings.images]
        pixels = load_pixels(run, dataset.test, places, device)
        labels = dataset.test.labels[places].to(device)
        targets = None
        if settings.targeted:
            targets = random_targets(labels, len(run.classes), settings.seed)
        outcomes, arrays = _all_attacks(run, settings, (pixels, labels, targets), tell)
    arrays |= {"places": places.numpy(), "labels": labels.cpu().numpy()}
    arrays |= {} if targets is None else {"targets": targets.cpu().numpy()}
    notes = []
    if len(places) < settings.images:
        notes.append(
            f"{settings.images} images were asked for, and the run classifies only {len(places)} "
            "test images rightly"
        )
    return AttackResult(
        settings=_described(run, dataset, settings, str(device)),
        accuracy=float(right.double().mean()),
        num_tested=len(right),
        misclassified=int((~right).sum()),
        outcomes=outcomes,
        arrays=arrays,
        notes=tuple(notes),
    )


def _all_attacks(
    run: Run,
    settings: AttackSettings,
    chosen: tuple[Tensor, Tensor, Tensor | None],
    tell: Tell | None,
) -> tuple[tuple[Outcome, ...], dict[str, np.ndarray]]:
    """What each attack reached, and its arrays."""
    pixels, labels, targets = chosen
    outcomes: list[Outcome] = []
    arrays: dict[str, np.ndarray] = {}
    for name in settings.attacks:
        options = settings.options(name)
        found = attack(
            name,
            run.classifier,
            pixels,
            labels,
            normalize=Counted(name, run.transform.standardize, tell),
            targets=targets,
            seed=settings.seed,
            batch_size=settings.batch_size,
            **options,
        )
        said = answers(run, found.images, settings.batch_size)
        outcomes.append(_judged(name, options, pixels, found))
        arrays |= {
            f"images_{name}": found.images.float().cpu().numpy(),
            f"success_{name}": found.success.cpu().numpy(),
            f"queries_{name}": found.queries.cpu().numpy(),
            f"answers_{name}": said.cpu().numpy(),
        }
        if tell is not None:
            tell(f"{name}: {outcomes[-1].successes} of {outcomes[-1].attempted}")
    return tuple(outcomes), arrays


def _judged(name: str, options: dict[str, Any], pixels: Tensor, found: Attacked) -> Outcome:
    # on the CPU: some accelerators know no double precision
    turned, queries = found.success.cpu(), found.queries.cpu()
    change = (found.images - pixels).cpu()[turned].double()
    nothing = float("nan")
    count = len(change)
    return Outcome(
        name=name,
        options=options,
        attempted=found.attempted,
        successes=int(turned.sum()),
        # between the middle two of an even number; torch's own median is the lower of them
        median_queries=float(queries[turned].double().quantile(0.5)) if count else nothing,
        total_queries=int(queries.sum()),
        largest_change=float(change.abs().max()) if count else nothing,
        mean_norm=float(change.flatten(1).norm(dim=1).mean()) if count else nothing,
        mean_pixels=(
            float((change != 0).any(1).flatten(1).sum(1).double().mean()) if count else nothing
        ),
        notes=found.notes,
    )


def _outcome(content: dict[str, Any]) -> Outcome:
    """An outcome as it was written; a null number is NaN."""
    values = {name: content[name] for name in Outcome.__dataclass_fields__}
    for name in ("median_queries", "largest_change", "mean_norm", "mean_pixels"):
        values[name] = float("nan") if values[name] is None else values[name]
    return Outcome(**{**values, "notes": tuple(values["notes"])})


def _described(
    run: Run, dataset: ImageDataset, settings: AttackSettings, device: str
) -> dict[str, Any]:
    return {
        **asdict(settings),
        "data": dataset.name,
        "split": "test",
        "model": run.config["model"],
        "method": run.config["method"],
        "versions": describe_environment(device)["versions"],
    }
