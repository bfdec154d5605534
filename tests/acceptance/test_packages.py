"""Wheel and sdist: what they hold, and that the demo runs from the wheel."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from filterscope import __version__

ROOT = Path(__file__).parents[2]
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both; the wheel is built from the sdist."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=out, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def wheel_in(folder: Path) -> Path:
    return folder / f"filterscope-{__version__}-py3-none-any.whl"


def sources(folder: Path) -> set[str]:
    """Files below a folder of the repository, by their path in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(wheel_in(built)) as wheel:
        names = set(wheel.namelist())
        about = f"filterscope-{__version__}.dist-info"
        entry = wheel.read(f"{about}/entry_points.txt").decode()
        metadata = wheel.read(f"{about}/METADATA").decode()
    package = {name for name in names if not name.startswith(about)}
    assert package == {name.removeprefix("src/") for name in sources(ROOT / "src")}
    for needed in (
        "filterscope/py.typed",
        "filterscope/explorer/static/index.html",
        "filterscope/explorer/static/main.js",
        "filterscope/report/templates/report.html.j2",
        "filterscope/data/imagenet_synsets.txt",
        f"{about}/licenses/LICENSE",
    ):
        assert needed in names
    assert "filterscope = filterscope.cli:main" in entry
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert wheel_in(built).stat().st_size < 2 * MEGABYTE


@pytest.mark.slow
def test_the_sdist_holds_what_its_tests_need(built: Path) -> None:
    file = built / f"filterscope-{__version__}.tar.gz"
    with tarfile.open(file) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert sources(ROOT / "src") | sources(ROOT / "tests") | sources(ROOT / "tools") <= names
    for needed in ("pyproject.toml", "Makefile", "mkdocs.yml", "CONTRIBUTING.md", "LICENSE"):
        assert needed in names
    kinds = {Path(name).suffix for name in names}
    assert not kinds & {".pyc", ".pt", ".pth", ".safetensors", ".ckpt", ".zip", ".npz"}
    assert file.stat().st_size < 5 * MEGABYTE


@pytest.mark.full
@pytest.mark.timeout(1500)
def test_the_demo_runs_from_the_wheel(built: Path, tmp_path: Path) -> None:
    """With the packages that are installed here; `make try-wheel` installs them anew."""
    venv.create(tmp_path / "venv", symlinks=True, with_pip=False)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel_in(built)) as wheel:
        wheel.extractall(site)
    # A path in such a file is searched, but the files like it there, as the one that leads to
    # this checkout, are not read.
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    python = str(tmp_path / "venv" / "bin" / "python")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def answer(code: str) -> str:
        done = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    place = answer("import filterscope; print(filterscope.__file__)")
    assert Path(place.strip()).is_relative_to(tmp_path)
    shown = answer("from filterscope.cli import main; raise SystemExit(main(['demo']))")
    assert "gated - standard" in shown
    assert (tmp_path / "demo" / "report.html").stat().st_size > 100_000
    shutil.rmtree(tmp_path / "demo")
