"""Filling a page's template."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2

from filterscope import __version__
from filterscope.core.files import write_text


def write_page(template: str, content: Mapping[str, Any], path: str | Path) -> None:
    """Write an HTML page.

    Args:
        template: Its file among the templates.
        content: What the template names, all of it.
        path: The file to write; its folder is made if absent.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("filterscope.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    page = environment.get_template(template)
    write_text(path, page.render({**content, "version": __version__, "written": written}))
