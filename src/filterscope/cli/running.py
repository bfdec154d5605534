"""Running a verb: bad input ends in one line, never in a traceback."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from typing import Any

from filterscope.core.names import unknown_name


def run_verb(verb: str, words: list[str], verbs: list[str]) -> int:
    """Import the verb's module, run it, and turn errors into one line and an exit code."""
    if verb not in verbs:
        return _fail("filterscope", unknown_name("verb", verb, verbs, "filterscope --help"))
    name = "listing" if verb == "list" else verb.replace("-", "_")
    module = importlib.import_module(f"filterscope.cli.{name}")
    with warnings.catch_warnings():
        if "FILTERSCOPE_TRACEBACK" not in os.environ:
            warnings.simplefilter("ignore")
            warnings.filterwarnings("always", module="filterscope")
            warnings.showwarning = _note
        try:
            code: int | None = module.run(words)
            return code or 0
        except KeyboardInterrupt:
            print("\nstopped", file=sys.stderr)
            return 130
        except (ValueError, TypeError, OSError, ImportError) as error:
            if "FILTERSCOPE_TRACEBACK" in os.environ:
                raise
            return _fail(f"filterscope {verb}", error)


def _note(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning of ours as a line."""
    print(f"note: {message}", file=sys.stderr)


def _fail(program: str, error: BaseException) -> int:
    """Print one line about an error; FILTERSCOPE_TRACEBACK=1 shows the whole of it."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{error.filename}: {error.strerror}"
    print(f"{program}: error: {' '.join(text.split())}", file=sys.stderr)
    return 2
