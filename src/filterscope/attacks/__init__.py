"""Attacks: images changed so that a network errs."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.attacks.gradient_sign import fgsm

__all__ = ["fgsm"]

__getattr__, __dir__ = lazy_members(__name__, {"fgsm": f"{__name__}.gradient_sign"})
