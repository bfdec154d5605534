"""What an evaluation found, on disk and in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from filterscope.core.brief import Brief
from filterscope.core.files import atomic_write, write_json
from filterscope.runs.folder import RunFolder

SCHEMA = 7


@dataclass(frozen=True, repr=False)
class Evaluation(Brief):
    """Every number about a run, with the settings that it was measured with.

    Attributes:
        settings: Split, sample counts, layer, settings of the estimators, versions.
        metrics: Numbers and short lists by name; a metric that does not apply is absent.
        arrays: ``mi`` (C, K), ``gate`` (C, K), ``confusion`` (C, C) counts of true by predicted
            class, ``removal_RULE`` (S, C, C) the same with the filters of the classes in
            ``removed_classes`` (S, C) removed, ``mean_features`` (C, K), ``correlation`` (K, K),
            ``similarity_tp`` and ``similarity_fn`` (C, C), ``cluster_centres`` (C, K),
            ``alignment`` (C, K), ``contributions`` (C, K) of filters to the logit of each class on
            its images, the redundancy curve, the images that fire the most class-specific
            filters, and for data with landmarks ``instability`` and ``peak_...`` of each category
            and filter, and ``part_...``, see `part_filters`.
    """

    settings: dict[str, Any]
    metrics: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def save(self, folder: str | Path) -> None:
        """Write ``evaluation.json`` and ``arrays.npz`` into a run folder."""
        files = RunFolder(Path(folder))
        with atomic_write(files.arrays) as target:
            np.savez_compressed(target, allow_pickle=False, **self.arrays)
        write_json(
            files.evaluation,
            {"schema": SCHEMA, "settings": self.settings, "metrics": self.metrics},
        )

    @staticmethod
    def is_current(folder: str | Path) -> bool:
        """Whether a run folder holds an evaluation with every metric of this version."""
        files = RunFolder(Path(folder))
        if not files.evaluation.is_file() or not files.arrays.is_file():
            return False
        return (files.read_json(files.evaluation) or {}).get("schema") == SCHEMA

    @classmethod
    def load(cls, folder: str | Path) -> Evaluation:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: The run was not evaluated.
            ValueError: A damaged file, or one of a newer schema.
        """
        files = RunFolder(Path(folder))
        if not files.evaluation.is_file():
            raise FileNotFoundError(
                f"{folder} was not evaluated; run `filterscope evaluate {folder}`"
            )
        content = files.read_json(files.evaluation) or {}
        if not all(isinstance(content.get(name), dict) for name in ("settings", "metrics")):
            raise ValueError(f"{files.evaluation} holds no evaluation: no settings or no metrics")
        if content.get("schema", 0) > SCHEMA:
            raise ValueError(
                f"{files.evaluation} has schema {content['schema']}; this reads up to {SCHEMA}"
            )
        return cls(content["settings"], content["metrics"], dict(files.read_arrays() or {}))
