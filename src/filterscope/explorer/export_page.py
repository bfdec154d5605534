"""The page and the manifest of an export."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from filterscope.core.files import atomic_write, write_text


def write_page(out: Path, manifest: Mapping[str, Any], pictures: Mapping[str, Tensor]) -> Path:
    """Write what a browser needs beside the sheets.

    Args:
        out: The folder.
        manifest: What the sheets hold. It is written twice, as JSON for programs and as a script
            for pages that are opened as files, which may read no JSON.
        pictures: By name, RGB (3, H, W) uint8.

    Returns:
        The page.
    """
    for name, pixels in pictures.items():
        with atomic_write(out / f"{name}.png") as file:
            file.write(png(pixels))
    text = json.dumps(manifest, separators=(",", ":"), allow_nan=False)
    write_text(out / "manifest.json", text + "\n")
    write_text(out / "manifest.js", f"globalThis.filterscopeExport = {text};\n")
    page = files("filterscope.explorer") / "static" / "export.html"
    write_text(out / "index.html", page.read_text(encoding="utf-8"))
    return out / "index.html"


def png(pixels: Tensor) -> bytes:
    """Write RGB pixels (3, H, W) uint8 as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(file, "PNG")
    return file.getvalue()
