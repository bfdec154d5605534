"""YAML files with settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

LARGEST = 2**18
"""Bytes of the largest file that is read; settings take two or three thousand."""


class _Plain(yaml.SafeLoader):
    """Reads plain values without references, which can stand for more than memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse a reference."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "references (*name) are not taken here")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Refuse a name that is given twice, of which the second would count."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twice!r} is given twice")
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> Any:
    r"""Read a YAML file: plain values, no objects of Python, no references, no name twice.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A damaged file, one with references, or one of more than `LARGEST` bytes.

    Examples:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.yaml"
        >>> _ = file.write_text("epochs: 3\n")
        >>> read_yaml(file)
        {'epochs': 3}
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    size = path.stat().st_size
    if size > LARGEST:
        raise ValueError(f"{path} holds {size} bytes; expected settings, {LARGEST} at most")
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Plain)
    except Exception as error:  # its readers of dates, numbers and keys raise many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is not readable as YAML: {reason}") from error
