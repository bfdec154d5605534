"""A shell whose `filterscope` runs in this process, in short, and whose `pip` and `make` only look.

Bash itself reads the commands, so that variables, loops, patterns and redirections mean what they
mean to a reader. The programs that it finds first hand their words to this process and give back
what it prints.
"""

import contextlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import tomllib
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import jsonargparse
import pytest
from tests.docs.blocks import ROOT

from filterscope.cli import main

PROGRAMS = ("filterscope", "make", "pip", "python")
# What makes a verb short. Later flags win over those of a page.
_SMALL = ["--epochs=1", "--limit=60", "--limit_test=30", "--batch_size=20", "--device=cpu"]
SHORT = {
    "train": [
        *(*_SMALL, "--image_size=32"),
        *("--warmup=0", "--period=1", "--gated_epochs=1"),
    ],
    "study": ["--preset=smoke", "--overwrite", *_SMALL],
    "attack": ["--images=3", "--max_pixels=3", "--rounds=2", "--cw_steps=2", "--cw_searches=1"],
    "detect": [
        *("--per_class=[2]", "--test_per_class=1", "--repeats=1", "--trees=3"),
        *("--cw_steps=2", "--cw_searches=1"),
    ],
    "interpret": ["--image_size=64", "--votes=top:2"],
}
_SHIM = """#!{python} -SE
import json, os, socket, sys
asked = socket.socket(socket.AF_UNIX)
asked.connect({address!r})
words = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
told = asked.makefile("rw")
told.write(json.dumps([words, os.getcwd()]) + "\\n")
told.flush()
code, out, err = json.loads(told.readline())
sys.stderr.write(err)
sys.stdout.write(out)
sys.exit(code)
"""


class Shell:
    """Runs the commands of a page in a folder.

    Args:
        folder: Where they are run.
        environment: Variables that the commands see.
    """

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.environment = environment or {}
        self.ran: list[list[str]] = []

    def run(self, commands: str) -> str:
        """Run commands; give what they print.

        Raises:
            AssertionError: One fails; the message is what they printed.
        """
        return self._bash(f"set -euo pipefail\n{commands}", ":/usr/bin:/bin", self._answer)

    def look(self, commands: str) -> None:
        """Read commands without running any: their flags and what they name must exist.

        Raises:
            AssertionError: One does not.
        """
        wrong: list[str] = []

        def answer(words: Sequence[str]) -> tuple[int, str]:
            code, printed = self._look(words)
            wrong.extend([printed] if code else [])
            return 0, ""

        # Only the programs from here are found, so that nothing else can run either.
        ignored = "command_not_found_handle() { :; }\nset +e\n"
        self._bash(f"{ignored}{commands}\ntrue", "", answer)
        assert not wrong, "\n".join(wrong)

    def _bash(
        self, commands: str, path: str, answer: Callable[[Sequence[str]], tuple[int, str]]
    ) -> str:
        with tempfile.TemporaryDirectory() as made, socket.socket(socket.AF_UNIX) as listener:
            address = f"{made}/asked"
            for program in PROGRAMS:
                file = Path(made) / program
                file.write_text(_SHIM.format(python=sys.executable, address=address))
                file.chmod(0o755)
            listener.bind(address)
            listener.listen()
            listener.settimeout(0.02)
            variables = {"PATH": f"{made}{path}", "HOME": str(self.folder), **self.environment}
            with tempfile.TemporaryFile("w+") as printed:
                bash = subprocess.Popen(
                    ["/bin/bash", "-c", commands], cwd=self.folder, env=variables,
                    stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT,
                )  # fmt: skip
                while bash.poll() is None:
                    with contextlib.suppress(TimeoutError):
                        self._serve(listener.accept()[0], answer)
                printed.seek(0)
                text = printed.read()
        assert bash.returncode == 0, f"{commands}\n{text}"
        return text

    def _serve(
        self, asked: socket.socket, answer: Callable[[Sequence[str]], tuple[int, str]]
    ) -> None:
        asked.settimeout(None)
        with asked, asked.makefile("rw") as told, contextlib.ExitStack() as undo:
            words, folder = json.loads(told.readline())
            self.ran.append(words)
            undo.callback(os.chdir, Path.cwd())
            os.chdir(folder)
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code, more = answer(words)
            told.write(json.dumps([code, out.getvalue(), err.getvalue() + more]) + "\n")

    def _answer(self, words: Sequence[str]) -> tuple[int, str]:
        if words[0] != "filterscope":
            return self._other(words)
        shorter = SHORT.get(words[1], [])
        if "--resume" in words:  # a run goes on with the settings it began with
            shorter = []
        elif any(word.endswith("parts") for word in words):  # whose maps 32 pixels are too few
            shorter = [flag.replace("image_size=32", "image_size=64") for flag in shorter]
        elif "--run" in words:  # which has an image size of its own
            shorter = [flag for flag in shorter if not flag.startswith("--image_size")]
        try:
            return main([*words[1:], *shorter]), ""
        except SystemExit as ended:
            return int(ended.code or 0), ""
        except Exception:
            return 1, traceback.format_exc()

    def _look(self, words: Sequence[str]) -> tuple[int, str]:
        if words[0] != "filterscope":
            return self._other(words, run=False)
        err = io.StringIO()
        try:
            with _only_parsing(), contextlib.redirect_stderr(err):
                code = main(list(words[1:]))
        except _Parsed:
            return 0, ""
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, f"{' '.join(words)}\n{err.getvalue()}"

    def _other(self, words: Sequence[str], run: bool = True) -> tuple[int, str]:
        """Look at what `pip` and `make` are told; run a script of this repository."""
        told = " ".join(words)
        if words[0] == "pip":
            known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            extras = {e for found in re.findall(r"\[([\w,]+)\]", told) for e in found.split(",")}
            unknown = extras - set(known["optional-dependencies"])
            return (1, f"{told}: no extras {sorted(unknown)}") if unknown else (0, "")
        if words[0] == "make":
            targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            unknown = set(words[1:]) - set(targets)
            return (1, f"{told}: no targets {sorted(unknown)}") if unknown else (0, "")
        if words[1] == "-m":
            return 0, ""
        script = ROOT / words[1]
        if not script.is_file():
            return 1, f"{told}: no such file"
        if not run:
            return 0, ""
        done = subprocess.run(
            [sys.executable, str(script), *words[2:]], capture_output=True, text=True
        )
        print(done.stdout)
        return done.returncode, done.stderr


class _Parsed(BaseException):
    """The words of a verb are understood."""


@contextlib.contextmanager
def _only_parsing() -> Iterator[None]:
    """Let the parsers of all verbs end in `_Parsed`."""
    parse = jsonargparse.ArgumentParser.parse_args

    def stop(parser: jsonargparse.ArgumentParser, words: Any = None, **options: Any) -> NoReturn:
        parse(parser, words, **options)
        raise _Parsed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonargparse.ArgumentParser, "parse_args", stop)
        yield
