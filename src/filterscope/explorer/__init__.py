"""The web app: rows, columns, contributions and votes of networks live in the browser."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.explorer.app import create_app
    from filterscope.explorer.session import Session
    from filterscope.explorer.settings import Limits

__all__ = ["Limits", "Session", "create_app"]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "Limits": f"{__name__}.settings",
        "Session": f"{__name__}.session",
        "create_app": f"{__name__}.app",
    },
)
