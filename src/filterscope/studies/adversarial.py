"""Attacks on the runs of a study; what a run's folder holds already is not done again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filterscope.core.files import read_json
from filterscope.evaluation import (
    AttackResult,
    AttackSettings,
    Detection,
    DetectSettings,
    attack_run,
    detect_run,
)
from filterscope.runs import Run
from filterscope.runs.folder import RunFolder
from filterscope.studies.study import Evidence

# Settings that change no number but its last digits; batches do, as cw ends them as a whole.
_PRACTICAL = ("device", "pictures")


def detections(evidence: Evidence, settings: Mapping[str, Any]) -> dict[str, tuple[Detection, ...]]:
    """Detect adversarial samples of every run, each network's seed being the detector's, too.

    Args:
        evidence: With the runs and their data.
        settings: Of `DetectSettings`, all but the seed.

    Returns:
        For each side one detection a seed.
    """
    return {
        side: tuple(
            _detected(evidence, run, DetectSettings(**{**settings, "seed": seed}))
            for run, seed in zip(runs, evidence.seeds, strict=True)
        )
        for side, runs in evidence.runs.items()
    }


def attacks(evidence: Evidence, settings: Mapping[str, Any]) -> dict[str, tuple[AttackResult, ...]]:
    """Attack every run; the images of a seed are the same on all sides where both are right.

    Args:
        evidence: With the runs and their data.
        settings: Of `AttackSettings`, all but the seed.

    Returns:
        For each side one result a seed.
    """
    return {
        side: tuple(
            _attacked(evidence, run, AttackSettings(**{**settings, "seed": seed}))
            for run, seed in zip(runs, evidence.seeds, strict=True)
        )
        for side, runs in evidence.runs.items()
    }


def _detected(evidence: Evidence, run: Run, settings: DetectSettings) -> Detection:
    file = RunFolder(run.path).detection
    if _is_there(file, settings):
        return Detection.load(run.path)
    found = detect_run(run, settings, dataset=evidence.dataset)
    if not file.exists():  # what was measured with other settings is kept
        found.save(run.path)
    return found


def _attacked(evidence: Evidence, run: Run, settings: AttackSettings) -> AttackResult:
    file = RunFolder(run.path).attack
    if _is_there(file, settings):
        return AttackResult.load(run.path)
    found = attack_run(run, settings, dataset=evidence.dataset)
    if not file.exists():
        found.save(run.path)
    return found


def _is_there(file: Path, settings: AttackSettings | DetectSettings) -> bool:
    """Whether a result was made with these settings."""
    if not file.is_file():
        return False
    made = read_json(file)["settings"]
    wanted = {name: value for name, value in asdict(settings).items() if name not in _PRACTICAL}
    return all(
        made.get(name) == (list(value) if isinstance(value, tuple) else value)
        for name, value in wanted.items()
    )
