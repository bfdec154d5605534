"""Completion, asked of the shells themselves."""

import importlib
import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from filterscope.cli import main
from filterscope.cli.verbs import VERBS, verb_module
from filterscope.models import list_models
from filterscope.studies.catalogue import STUDIES
from filterscope.training.presets import PRESETS


def flags_of(verb: str) -> set[str]:
    """The flags that a verb's help tells."""
    told = importlib.import_module(verb_module(verb)).make_parser().format_help()
    return set(re.findall(r"^  (?:-h, )?(--\w+)", told, re.MULTILINE))


SHELLS = [shell for shell in ("bash", "zsh", "fish") if shutil.which(shell)]
FLAGS = {verb: flags_of(verb) for verb in VERBS}
OPTIMIZERS = {"sgd", "adam", "adamw"}
LINES: dict[str, set[str]] = {
    "filterscope ": {*VERBS, "--help", "--version"},
    "filterscope exp": {"explain", "explore", "export-filters"},
    **{f"filterscope {verb} --": flags for verb, flags in FLAGS.items()},
    "filterscope train --optimizer ": OPTIMIZERS,
    "filterscope train --optimizer=": OPTIMIZERS,
    "filterscope train --optimizer=ada": {"adam", "adamw"},
    "filterscope train --resume --preset csg-": {name for name in PRESETS if "csg-" in name},
    "filterscope train --model resnet1": set(list_models("resnet1*")),
    "filterscope train --data folder": {"folder:"},
    "filterscope study ": set(STUDIES),
    "filterscope prepare voc": {"voc-animals", "voc-parts"},
    "filterscope list layers vgg1": set(list_models("vgg1*")),
    "filterscope export-filters out --what r": {"rows"},
    "filterscope completion ": {"bash", "zsh", "fish"},
}


def script(shell: str) -> str:
    written = StringIO()
    with redirect_stdout(written):
        assert main(["completion", shell]) == 0
    return written.getvalue()


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("scripts")
    for shell in ("bash", "zsh", "fish"):
        (folder / shell).write_text(script(shell))
    return {shell: folder / shell for shell in ("bash", "zsh", "fish")}


def words_of(line: str) -> list[str]:
    """The words as bash divides them for completion: `=` stands alone."""
    words = [word for word in re.split(r"\s+|(=)", line.strip()) if word]
    return [*words, ""] if line.endswith(" ") else words


def completed_by_bash(file: Path, lines: Sequence[str], folder: Path) -> dict[str, set[str]]:
    code = [f"source {shlex.quote(str(file))}"]
    for line in lines:
        words = words_of(line)
        code.append(f"COMP_WORDS=({' '.join(map(shlex.quote, words))})")
        code.append(f"COMP_CWORD={len(words) - 1}; _filterscope; echo ${{COMPREPLY[*]}}")
    done = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(code)],
        capture_output=True, text=True, cwd=folder, timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    answers = [set(answer.split()) for answer in done.stdout.splitlines()]
    return dict(zip(lines, answers, strict=True))


def test_bash_completes_every_verb_setting_and_name(
    scripts: dict[str, Path], tmp_path: Path
) -> None:
    assert completed_by_bash(scripts["bash"], list(LINES), tmp_path) == LINES


def test_bash_has_no_names_where_files_are_meant(scripts: dict[str, Path], tmp_path: Path) -> None:
    lines = ["filterscope evaluate ", "filterscope train --out ", "filterscope train --epochs "]
    assert set(map(len, completed_by_bash(scripts["bash"], lines, tmp_path).values())) == {0}


def typed(file: Path, keys: str, folder: Path) -> list[str]:
    """The words that an interactive bash runs filterscope with when these keys are pressed."""
    parent, child = pty.openpty()
    shell = subprocess.Popen(
        ["bash", "--norc", "-i"], stdin=child, stdout=child, stderr=child, cwd=folder,
        start_new_session=True, env={**os.environ, "INPUTRC": "/dev/null", "HISTFILE": ""},
    )  # fmt: skip
    os.close(child)
    answer = folder / "answer"
    tell = "printf '%s\\n' \"$@\" end > half; mv half answer"
    begin = f"source {shlex.quote(str(file))}; filterscope() {{ {tell}; }}"
    os.write(parent, f"{begin}\n{keys}\n".encode())
    seen, end = b"", time.monotonic() + 60
    while not answer.exists() and time.monotonic() < end:
        if select.select([parent], [], [], 0.1)[0]:  # a full terminal would stop it
            seen += os.read(parent, 4096)
    shell.kill()
    shell.wait()
    os.close(parent)
    assert answer.exists(), seen.decode()
    return answer.read_text().splitlines()


def test_the_tab_key_completes_in_bash(scripts: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    keys = "filterscope tra\t--mode\t resnet11\t --optimizer=sg\t --data masked-f\tpho\t"
    words = "train --model resnet110 --optimizer=sgd --data masked-folder:photos/ end"
    assert typed(scripts["bash"], keys, tmp_path) == words.split()


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_reads_its_script(shell: str, scripts: dict[str, Path]) -> None:
    done = subprocess.run([shell, "-n", str(scripts[shell])], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_names_every_verb_and_setting(shell: str, scripts: dict[str, Path]) -> None:
    text = scripts[shell].read_text()
    for verb, flags in FLAGS.items():
        assert verb in text
        missing = [flag for flag in flags if (flag[2:] if shell == "fish" else flag) not in text]
        assert missing == []


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shell == "fish"])
def test_fish_completes_the_same(shell: str, scripts: dict[str, Path], tmp_path: Path) -> None:
    code = [f"source {shlex.quote(str(scripts[shell]))}"]
    code += [f"echo (complete -C {shlex.quote(line)} | cut -f 1)" for line in LINES]
    done = subprocess.run(
        [shell, "--no-config", "-c", "\n".join(code)],
        capture_output=True, text=True, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    alone = {"--help", "--version"}  # without a verb, which fish does not offer
    found = [{word.split("=")[-1] for word in row.split()} for row in done.stdout.splitlines()]
    assert [words - alone for words in found] == [words - alone for words in LINES.values()]


def test_an_unknown_shell_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bosh"]) == 2
    assert "near: bash" in capsys.readouterr().err
