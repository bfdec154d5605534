"""The command line as a process sees it: output, exit codes, time."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from filterscope.cli import main

PROGRAM = [sys.executable, "-c", "from filterscope.cli import main; raise SystemExit(main())"]
TINY = ["--epochs=1", "--limit=60", "--limit_test=40", "--batch_size=20"]


def filterscope(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "FILTERSCOPE_TRACEBACK"}
    return subprocess.run(
        [*PROGRAM, *words], capture_output=True, text=True, cwd=cwd, env=environment, timeout=280
    )


def least_seconds(*words: str) -> float:
    """Processor time of a start, best of three, so that other processes' work does not count."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        filterscope(*words)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(seconds)


def test_help_names_every_verb_and_is_fast() -> None:
    done = filterscope("--help")
    for verb in ("demo", "train", "evaluate", "compare", "explain", "list", "doctor"):
        assert f" {verb} " in done.stdout
    assert least_seconds("--help") < 0.6


def test_print_config_and_typos_are_fast() -> None:
    assert least_seconds("train", "--print_config") < 1
    assert least_seconds("train", "--epcohs", "3") < 1


def test_importing_the_package_is_fast_and_brings_no_torch() -> None:
    code = "import sys, time; t = time.process_time(); import filterscope; "
    code += "print(time.process_time() - t, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    seconds, torch_came = done.stdout.split()
    assert float(seconds) < 0.3
    assert torch_came == "False"


@pytest.mark.parametrize("verb", ["demo", "train", "evaluate", "compare", "explain", "list"])
def test_each_verb_explains_itself(verb: str) -> None:
    done = filterscope(verb, "--help")
    assert done.returncode == 0
    assert "usage: filterscope" in done.stdout


def test_help_tells_what_a_setting_does() -> None:
    shown = " ".join(filterscope("train", "--help").stdout.split())
    assert "Compile the network with torch.compile" in shown


def test_an_unknown_setting_of_a_file_is_answered_with_near_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text("epochs: 1\nbatch-size: 8\n")
    with pytest.raises(SystemExit):
        main(["train", "--config", str(tmp_path / "mine.yaml")])
    told = capsys.readouterr().err
    assert "unknown setting 'batch-size'; near: batch_size" in told


def test_settings_come_from_preset_then_file_then_flags(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("epochs: 7\nlr: 0.5\n")
    words = ["train", "--preset=csg-digits", f"--config={file}", "--lr=0.25", "--print_config"]
    shown = yaml.safe_load(filterscope(*words).stdout)
    assert (shown["batch_size"], shown["epochs"], shown["lr"]) == (64, 7, 0.25)
    file.write_text(yaml.safe_dump(shown))
    again = yaml.safe_load(filterscope("train", f"--config={file}", "--print_config").stdout)
    assert again == shown


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trian"], "near: train"),
        (["train", "--epcohs", "3"], "near: --epochs"),
        (["train", "--preset", "csg-digit"], "near: csg-digits"),
        (["train", "--model", "resnet21", *TINY], "near: resnet32, resnet20"),
        (["train", "--data", "digit", *TINY], "near: digits"),
        (["train", "--layer", "layer33", *TINY], "near: layer3"),
        (["train", "--data", "cifar10", "--data_root", "nowhere"], "cifar-10-batches-py"),
        (["train", "--data", "folder:nowhere"], "expected one folder a class"),
        (["train", "--method", "gated", "--density_bound", "0.01", *TINY], "density_bound"),
        (["train", "--epochs", "0"], "`epochs` must be at least 1"),
        (["train", "--resume"], "--out"),
        (["evaluate", "nowhere"], "no run folder"),
        (["compare", "nowhere"], "no run folder"),
        (["list", "modles"], "near: models"),
        (["list", "models", "resnte*"], "near: "),
        (["list", "datasets", "cifar"], "`list datasets` takes no further word, got 'cifar'"),
    ],
)
def test_bad_input_ends_in_one_line(
    words: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FILTERSCOPE_TRACEBACK", raising=False)
    try:
        code = main(words)
    except SystemExit as end:
        code = end.code
    assert code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("filterscope")
    assert expected in lines[-1]
    assert not list(tmp_path.iterdir()), "a refused command leaves nothing behind"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["models", "resnet*"], "resnet20"),
        (["image-networks"], "edsr_baseline  super-resolution, 16 residual blocks"),
        (["presets"], "csg-voc-official"),
        (["datasets"], "folder:PATH"),
        (["layers", "resnet20"], "gated by default, 64 filters"),
    ],
)
def test_lists_show_what_there_is(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", *words]) == 0
    assert expected in capsys.readouterr().out


def test_doctor_tells_versions_and_data() -> None:
    shown = filterscope("doctor").stdout
    for word in ("torch", "threads", "GB free", "Data in"):
        assert word in shown


@pytest.mark.slow
@pytest.mark.usefixtures("few_gradient_maps")
def test_from_training_to_explanation_in_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def said(*words: str, code: int = 0) -> str:
        """What the program writes; in this process, since PyTorch takes seconds to import."""
        assert main(list(words)) == code
        written = capsys.readouterr()
        return written.err.strip().splitlines()[-1] if code and not written.out else written.out

    for method in ("standard", "gated"):
        done = said("train", *TINY, f"--method={method}", "--warmup=0", "--scheme=joint",
                    f"--out={method}")  # fmt: skip
        assert f"report: {method}/report.html" in done
        assert "accuracy" in done
    assert "holds a run" in said("train", *TINY, "--out=gated", code=2)
    assert "gated - standard" in said("compare", "standard", "gated")
    assert (tmp_path / "report.html").stat().st_size > 100_000
    assert "--overwrite" in said("compare", "standard", "gated", code=2)
    from PIL import Image

    Image.effect_noise((20, 20), 50).save(tmp_path / "noise.png")
    (tmp_path / "half.jpg").write_bytes(b"\xff\xd8\xff")
    assert said("explain", "gated", "noise.png", "--top", "2").count("filter ") == 2
    header, *rows = said("explain", "gated", "noise.png", "half.jpg", "--csv", code=2).splitlines()
    assert header.startswith("image,prediction,probability")
    assert len(rows) == 6
    assert "not readable" in rows[-1]
    said("evaluate", "gated")


@pytest.mark.slow
def test_ctrl_c_ends_without_a_traceback_and_resumes(tmp_path: Path) -> None:
    words = ["train", "--epochs=50", "--limit=200", "--limit_test=40", "--out=run"]
    process = subprocess.Popen(
        [*PROGRAM, *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background jobs, of which these tests may be one, ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (tmp_path / "run" / "metrics.csv").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "filterscope train --resume --out run" in output
    done = filterscope("train", "--resume", "--out=run", "--epochs=2", cwd=tmp_path)
    assert done.returncode == 2
    assert "epochs was 50, now 2" in done.stderr


@pytest.mark.parametrize("verb", ["study", "attack", "detect", "demo", "interpret"])
def test_verbs_that_write_alone_refuse_several_processes(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"WORLD_SIZE": "2", "LOCAL_RANK": "0", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert main([verb, "anything"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"filterscope {verb}: error: runs in one process, 2 were started")
    assert ("--devices" in line) == (verb == "study")
    monkeypatch.setenv("RANK", "1")
    assert main([verb, "anything"]) == 2
    assert not capsys.readouterr().err, "one process tells it"
