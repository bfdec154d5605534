"""Experiments that train, measure and compare in one command."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.studies.catalogue import STUDIES, find_study
    from filterscope.studies.demo import run_demo
    from filterscope.studies.result import StudyResult
    from filterscope.studies.running import run_study
    from filterscope.studies.settings import StudySettings

__all__ = ["STUDIES", "StudyResult", "StudySettings", "find_study", "run_demo", "run_study"]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "STUDIES": f"{__name__}.catalogue",
        "StudyResult": f"{__name__}.result",
        "StudySettings": f"{__name__}.settings",
        "find_study": f"{__name__}.catalogue",
        "run_demo": f"{__name__}.demo",
        "run_study": f"{__name__}.running",
    },
)
