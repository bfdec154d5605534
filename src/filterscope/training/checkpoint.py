"""Everything that is needed to go on as if nothing had happened."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from filterscope.core.files import atomic_write
from filterscope.core.pretrained import load_strictly
from filterscope.runs.checkpoint import read_checkpoint
from filterscope.runs.folder import Row
from filterscope.training.network import Network
from filterscope.training.optimizers import Optimizers
from filterscope.training.settings import TrainSettings

# Settings that may differ in a resumed run: none of them changes what is computed.
FREE_TO_CHANGE = frozenset(
    {"data_root", "download", "max_unreadable", "device", "workers", "compile", "tensorboard"}
)


def write_checkpoint(
    file: Path,
    network: Network,
    optimizers: Optimizers,
    settings: TrainSettings,
    rows: list[Row],
) -> None:
    """Write the state after the last epoch of `rows`, atomically."""
    state = {
        "epoch": len(rows),
        "model": network.classifier.state_dict(),
        "gate": None if network.gate is None else network.gate.state_dict(),
        "parts": None if network.parts is None else network.parts.templates.state_dict(),
        "optimizers": {name: optimizer.state_dict() for name, optimizer in optimizers.all()},
        "rows": rows,
        "settings": settings.to_dict(),
    }
    # PyTorch's writer ends the process where Ctrl-C or a full disk takes its file away
    content = BytesIO()
    torch.save(state, content)
    with atomic_write(file) as target:
        target.write(content.getbuffer())


def restore_checkpoint(
    file: Path, network: Network, optimizers: Optimizers, settings: TrainSettings
) -> list[Row]:
    """Put network and optimizers back to where the checkpoint was written.

    Args:
        file: What `write_checkpoint` wrote.
        network: Of the same architecture.
        optimizers: Made for it.
        settings: Of the resumed run.

    Returns:
        The history so far, one row an epoch.

    Raises:
        ValueError: The file is damaged, foreign, of another architecture, or of a run with other
            settings.
    """
    state = read_checkpoint(file)
    refuse_other_settings(state["settings"], settings)
    load_strictly(network.classifier, state["model"], str(file))
    if network.gate is not None:
        load_strictly(network.gate, state["gate"] or {}, str(file))
    if network.parts is not None:
        load_strictly(network.parts.templates, state["parts"] or {}, str(file))
    for name, optimizer in optimizers.all():
        try:
            optimizer.load_state_dict(state["optimizers"][name])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{file} does not fit: the state of optimizer {name}") from error
    rows: list[Row] = state["rows"]
    return rows


def refuse_other_settings(stored: dict[str, Any], settings: TrainSettings) -> None:
    """Raise where a run would be continued with settings that change what is computed.

    Raises:
        ValueError: Naming each difference.
    """
    asked = settings.to_dict()
    stored = {**TrainSettings().to_dict(), **stored}  # of a run made before a setting was there
    changed = [
        f"{name} was {stored[name]!r}, now {asked[name]!r}"
        for name in asked
        if name not in FREE_TO_CHANGE and asked[name] != stored[name]
    ]
    if changed:
        raise ValueError(f"a resumed run keeps its settings: {'; '.join(changed)}")
