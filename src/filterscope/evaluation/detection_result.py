"""How well adversarial samples of a run are detected, in memory and on disk."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from filterscope.attacks import DetectionError
from filterscope.core.brief import Brief
from filterscope.evaluation.stored import read_result, write_result
from filterscope.runs.folder import RunFolder

SCHEMA = 1

COSINES = (
    "adversarial, original class",
    "adversarial, target class",
    "clean, own class",
    "clean, target class",
)
"""What is compared to the mean of which class, in the order of the rows of `cosines`."""

_FIELDS = tuple(field.name for field in fields(DetectionError))


@dataclass(frozen=True, eq=False, repr=False)
class AttackDetection(Brief):
    """How well one attack's samples are detected.

    Attributes:
        name: Of the attack.
        success_rate: Share of the attacked test images whose answer the attack turned.
        num_test: Attacked test images.
        unchanged: Images, of training and test, that the attack left as they were: they are no
            adversarial samples, and the detector sees none of them.
        errors: For each number of training images of a class, what the detector errs.
        transfer: What a detector errs that has learned the other attacks alone, with the largest
            number of training images; None where it was not asked for or there is no other.
        cosines: Mean cosine at each convolution, (4, L): rows as `COSINES`; only test images.
        notes: What the attack has to tell, in sentences.
    """

    name: str
    success_rate: float
    num_test: int
    unchanged: int
    errors: dict[int, DetectionError]
    transfer: DetectionError | None
    cosines: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Detection(Brief):
    """How well adversarial samples of a run are detected by the features of its convolutions.

    Attributes:
        settings: Of attacks and detector, with data, network, sampling and versions.
        layers: Names of the L convolutions in the order of their calls.
        num_features: D.
        attacks: One an attack.
        notes: What a reader should know, in sentences.
    """

    settings: dict[str, Any]
    layers: tuple[str, ...]
    num_features: int
    attacks: tuple[AttackDetection, ...]
    notes: tuple[str, ...] = ()

    def attack(self, name: str) -> AttackDetection:
        """How well an attack's samples are detected.

        Raises:
            KeyError: It was not made.
        """
        return {one.name: one for one in self.attacks}[name]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of training images of a class."""
        return tuple(self.attacks[0].errors)

    def save(self, folder: str | Path) -> None:
        """Write ``detection.json`` and ``detection.npz`` into a run folder."""
        files = RunFolder(Path(folder))
        content = {
            "settings": self.settings,
            "layers": self.layers,
            "num_features": self.num_features,
            "notes": self.notes,
            "attacks": [_told(one) for one in self.attacks],
        }
        arrays: dict[str, np.ndarray] = {}
        for one in self.attacks:
            arrays[f"{one.name}_cosines"] = one.cosines
            for size, error in one.errors.items():
                arrays |= _arrays(f"{one.name}_{size}", error)
            if one.transfer is not None:
                arrays |= _arrays(f"{one.name}_transfer", one.transfer)
        write_result(files.detection, files.detection_arrays, SCHEMA, content, arrays)

    @classmethod
    def load(cls, folder: str | Path) -> Detection:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: There is none.
            ValueError: A damaged file, or one of a newer version.
        """
        files = RunFolder(Path(folder))
        content, arrays = read_result(files.detection, files.detection_arrays, SCHEMA, "detect")
        return cls(
            settings=content["settings"],
            layers=tuple(content["layers"]),
            num_features=content["num_features"],
            attacks=tuple(_read(one, arrays) for one in content["attacks"]),
            notes=tuple(content["notes"]),
        )


def _told(one: AttackDetection) -> dict[str, Any]:
    """An attack's numbers; the means stand here for people and are read from the arrays."""
    return {
        "name": one.name,
        "success_rate": one.success_rate,
        "num_test": one.num_test,
        "unchanged": one.unchanged,
        "notes": one.notes,
        "errors": {str(size): _summary(error) for size, error in one.errors.items()},
        "transfer": None if one.transfer is None else _summary(one.transfer),
    }


def _summary(error: DetectionError) -> dict[str, Any]:
    return {
        "error": error.error,
        "spread": error.spread,
        "false_alarms": float(error.false_alarms.mean()),
        "misses": float(error.misses.mean()),
        "area": float(error.areas.mean()),
        "repeats": len(error.errors),
    }


def _arrays(prefix: str, error: DetectionError) -> dict[str, np.ndarray]:
    return {f"{prefix}_{name}": getattr(error, name) for name in _FIELDS}


def _read(content: dict[str, Any], arrays: dict[str, np.ndarray]) -> AttackDetection:
    name = content["name"]

    def error(part: str) -> DetectionError:
        return DetectionError(*(arrays[f"{name}_{part}_{field}"] for field in _FIELDS))

    rate = content["success_rate"]
    return AttackDetection(
        name=name,
        success_rate=float("nan") if rate is None else rate,
        num_test=content["num_test"],
        unchanged=content["unchanged"],
        errors={int(size): error(size) for size in content["errors"]},
        transfer=None if content["transfer"] is None else error("transfer"),
        cosines=arrays[f"{name}_cosines"],
        notes=tuple(content["notes"]),
    )
