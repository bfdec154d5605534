"""Training: one loop for standard and gated networks, resumable and bit for bit repeatable."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.training.losses import TrainingDivergedError
    from filterscope.training.presets import PRESETS, preset
    from filterscope.training.run import train
    from filterscope.training.settings import TrainSettings

__all__ = ["PRESETS", "TrainSettings", "TrainingDivergedError", "preset", "train"]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "PRESETS": f"{__name__}.presets",
        "TrainSettings": f"{__name__}.settings",
        "TrainingDivergedError": f"{__name__}.losses",
        "preset": f"{__name__}.presets",
        "train": f"{__name__}.run",
    },
)
