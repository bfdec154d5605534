"""The parser that all verbs share."""

from __future__ import annotations

import dataclasses
import re
import sys
from argparse import SUPPRESS
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

import jsonargparse

from filterscope.cli.wording import refused_value, wanted
from filterscope.core.choices import literal_words
from filterscope.core.names import unknown_name
from filterscope.core.yaml_files import read_yaml


class Parser(jsonargparse.ArgumentParser):
    """jsonargparse's parser with one-line errors and near names; flags take - and _ alike."""

    def __init__(self, verb: str, description: str, **options: Any) -> None:
        self.switches: set[str] = set()
        self.lists: set[str] = set()
        self.filled: list[str] = []
        self.choices: dict[str, tuple[str, ...]] = {}
        super().__init__(
            prog=f"filterscope {verb}",
            description=description,
            allow_abbrev=False,
            formatter_class=jsonargparse.DefaultHelpFormatter,
            **options,
        )

    def parse(self, words: Sequence[str]) -> jsonargparse.Namespace:
        """Parse a verb's words.

        Beyond jsonargparse: a switch may stand alone (``--download``), a list takes its items
        with spaces (``--freeze layer1 layer2``), and ``--config`` applies before all flags,
        wherever it stands.
        """
        joined: list[str] = []
        configs: list[str] = []
        rest = [self._underscored(word) for word in words]
        while rest:
            word = rest.pop(0)
            count = next((i for i, w in enumerate(rest) if w.startswith("--")), len(rest))
            if word == "--config" and count:
                configs.append(f"{word}={rest.pop(0)}")
            elif word in self.switches and (not count or rest[0] not in ("true", "false")):
                joined.append(f"{word}=true")
            elif word in self.lists and count and not rest[0].startswith("["):
                joined.append(f"{word}=[{', '.join(rest[:count])}]")
                self.filled.append(word)
                del rest[:count]
            else:
                joined.append(word)
        for word in (*configs, *joined):
            if word.startswith("--config="):
                _check_config(Path(word.removeprefix("--config=")))
        return self.parse_args([*configs, *joined])

    def add_switch(self, name: str, default: bool, text: str) -> None:
        """Add a flag that stands alone or takes true or false."""
        self.add_argument(f"--{name}", type=bool, default=default, help=text)
        self.switches.add(f"--{name}")

    def add_settings(self, settings: type) -> None:
        """Add a flag for each field of a dataclass."""
        self.add_class_arguments(settings, as_group=True)
        hints = get_type_hints(settings)
        for field in dataclasses.fields(settings):
            self.choices[f"--{field.name}"] = literal_words(hints[field.name])
            if isinstance(field.default, bool):
                self.switches.add(f"--{field.name}")
            elif "tuple" in str(field.type):
                self.lists.add(f"--{field.name}")

    def error(self, message: str, *_: Any, **__: Any) -> NoReturn:
        """Print one line and exit with 2."""
        unknown = re.search(r"[Uu]nrecognized arguments: (\S+)", message)
        in_file = re.search(r"Option '([^']*)' is not accepted", message)
        if in_file:
            known = [flag.removeprefix("--") for flag in self._flags()]
            message = str(unknown_name("setting", in_file[1], known, f"{self.prog} --help"))
        if unknown:
            name = unknown[1].split("=")[0]
            message = str(unknown_name("argument", name, self._flags(), f"{self.prog} --help"))
        missing = re.search(r"(?:are required: |Option ')(\w+)", message)
        if missing and "required" in message and self.filled:
            message += "; a list takes all words up to the next flag: "
            message += f"put {missing[1]} before {self.filled[-1]}"
        refused = refused_value(message)
        hint = None if refused is None else self._type_of(refused[0])
        if refused is not None and hint is not None:
            message = f"`--{refused[0]}` must be {wanted(hint)}, got {refused[1]}"
        print(f"{self.prog}: error: {' '.join(message.split())}", file=sys.stderr)
        raise SystemExit(2)

    def _flags(self) -> list[str]:
        """The flags that help shows."""
        actions = self._option_string_actions.items()
        return [f for f, action in actions if f.startswith("--") and action.help != SUPPRESS]

    def _type_of(self, name: str) -> Any:
        """The type of a flag; None where there is none."""
        action = self._option_string_actions.get(f"--{name}")
        return getattr(action, "_typehint", None) or getattr(action, "type", None)

    def _underscored(self, word: str) -> str:
        flag, equals, value = word.partition("=")
        known = flag.replace("-", "_").replace("__", "--", 1)
        return known + equals + value if known in self._option_string_actions else word


def _check_config(file: Path) -> None:
    """Raise for a file of settings that jsonargparse would choke on; it tells of a missing one."""
    if file.is_file() and not isinstance(read_yaml(file), dict):
        raise ValueError(f"{file} must hold settings by name, as in `lr: 0.1`")
