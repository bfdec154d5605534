"""Ctrl-C and SIGTERM: one line, the shell's exit code, nothing left running."""

import multiprocessing
import os
import signal
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from filterscope.cli import main, running
from filterscope.cli.running import Terminated, exit_code, terminated_in_order
from filterscope.training import run


def stop_by(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        os.kill(os.getpid(), number)
        time.sleep(5)

    monkeypatch.setattr(run, "train", stop)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_training_says_how_to_go_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    code: int,
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    stop_by(number, monkeypatch)
    out = tmp_path / "run"
    assert main(["train", f"--out={out}"]) == code
    assert "stopped; nothing was written yet" in capsys.readouterr().out
    out.mkdir()
    (out / "config.yaml").write_text("data: digits\n")
    assert main(["train", "--overwrite", f"--out={out}"]) == code
    said = capsys.readouterr()
    assert f"stopped; go on with: filterscope train --resume --out {out}" in said.out
    assert "Traceback" not in said.err
    assert signal.getsignal(signal.SIGTERM) is before
    signal.signal(signal.SIGINT, heard)


def test_ctrl_c_while_a_verb_is_imported_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "importlib", SimpleNamespace(import_module=stop))
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err.strip() == "stopped"


def test_sigterm_ends_the_processes_that_were_started() -> None:
    context = multiprocessing.get_context("fork")
    process = context.Process(target=time.sleep, args=(60,), daemon=True)
    process.start()
    assert exit_code(KeyboardInterrupt()) == 130
    assert process.is_alive()
    assert exit_code(Terminated()) == 143
    process.join(10)
    assert process.exitcode == -signal.SIGTERM


def test_sigterm_ends_a_process_that_was_forked_inside_at_once() -> None:
    with terminated_in_order():
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        time.sleep(0.2)
        os.kill(child, signal.SIGTERM)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM


def test_other_threads_leave_signals_alone() -> None:
    seen = []

    def look() -> None:
        with terminated_in_order():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_note_that_every_figure_repeats_is_printed_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def verb(_words: list[str]) -> None:
        for text in ("a letter is missing", "another", "a letter is missing"):
            warnings.warn_explicit(text, UserWarning, "page.py", 1, module="filterscope.report")

    monkeypatch.delenv("FILTERSCOPE_TRACEBACK", raising=False)
    found = SimpleNamespace(import_module=lambda _: SimpleNamespace(run=verb))
    monkeypatch.setattr(running, "importlib", found)
    assert running.run_verb("list", [], ["list"]) == 0
    assert capsys.readouterr().err == "note: a letter is missing\nnote: another\n"
