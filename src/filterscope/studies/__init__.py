"""Experiments that train, measure and compare in one command."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.studies.demo import run_demo

__all__ = ["run_demo"]

__getattr__, __dir__ = lazy_members(__name__, {"run_demo": f"{__name__}.demo"})
