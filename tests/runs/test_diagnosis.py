"""What the doctor finds, in environments that are made to lack something."""

import importlib
import sys
import types
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import torchvision

from filterscope.runs import diagnosis, packages
from filterscope.runs.diagnosis import diagnose
from filterscope.runs.packages import Package, find_packages, package_problems, pair_problem


def refusing(name: str, error: Exception) -> Callable[[str], Any]:
    """An import that fails for one name."""
    load = importlib.import_module

    def refuse(asked: str) -> Any:
        if asked == name:
            raise error
        return load(asked)

    return refuse


def uninstalled() -> list[Package]:
    raise PackageNotFoundError("filterscope")


def test_core_packages_come_first_and_none_stands_twice() -> None:
    found = find_packages()
    names = [one.name for one in found]
    assert len(set(names)) == len(names)
    assert {"torch", "torchvision", "lightning", "packaging"} <= {
        one.name for one in found if one.extra == "core"
    }
    assert next(one.extra for one in found if one.name == "foolbox") == "attacks"
    order = list(dict.fromkeys(one.extra for one in found))
    assert order[0] == "core"
    assert order[-2:] == ["docs", "dev"]


@pytest.mark.parametrize(
    ("version", "fits", "told"),
    [
        ("2.6.0", True, "torch 2.6.0"),
        ("2.13.0+cpu", True, "torch 2.13.0+cpu"),
        ("2.16.0rc1", True, "torch 2.16.0rc1"),
        ("2.5.1", False, "torch 2.5.1 is not >=2.6"),
        (None, False, "torch >=2.6 is missing"),
    ],
)
def test_versions_are_compared_as_versions(version: str | None, fits: bool, told: str) -> None:
    package = Package("torch", version, ">=2.6", "core")
    assert (package.fits, str(package)) == (fits, told)


def test_a_missing_core_package_is_a_problem_with_the_way_out() -> None:
    (problem,) = package_problems([Package("numba", None, ">=0.61", "core")])
    assert problem == "numba >=0.61 is missing: pip install filterscope"


def test_missing_extras_are_none_and_old_ones_are() -> None:
    assert package_problems([Package("timm", None, ">=1.0.9", "timm")]) == []
    (problem,) = package_problems([Package("timm", "0.9", ">=1.0.9", "timm")])
    assert problem == "timm 0.9 is not >=1.0.9: pip install 'timm>=1.0.9'"


def test_pytorch_and_torchvision_that_do_not_match_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert pair_problem() is None
    error = RuntimeError("operator torchvision::nms does not exist\nmore")
    with monkeypatch.context() as patch:
        patch.setattr(packages.importlib, "import_module", refusing("torchvision", error))
        told = pair_problem()
    assert told is not None
    assert f"torchvision {torchvision.__version__}".split("+")[0] in told
    assert "(torchvision: operator torchvision::nms does not exist)" in told
    assert "pytorch.org" in told
    with monkeypatch.context() as patch:
        patch.setattr(torchvision.extension, "_has_ops", lambda: False)
        assert "operators do not load" in (pair_problem() or "")
    monkeypatch.setattr(packages, "version", lambda name: uninstalled())
    assert pair_problem() is None, "which is told as a missing package"


def test_a_machine_that_works_has_no_problems(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FILTERSCOPE_DATA", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none" / "yet"))
    (tmp_path / "pets" / "cat").mkdir(parents=True)
    (tmp_path / "pets" / "cat" / "1.png").touch()
    found = diagnose()
    assert found.problems == ()
    assert found.devices[-1].name == "cpu"
    assert (found.threads or 0) >= 1
    assert [one.use for one in found.data] == ["--data folder:pets"]
    assert {place.what: place.path for place in found.places}["downloaded weights"] == str(
        tmp_path / "none" / "yet" / "hub"
    )
    assert not (tmp_path / "none").exists(), "looking leaves nothing behind"


def test_what_stands_in_the_way_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    full = types.SimpleNamespace(free=2**28)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FILTERSCOPE_DATA", "nowhere")
    monkeypatch.setattr(diagnosis, "find_packages", uninstalled)
    monkeypatch.setattr(diagnosis.shutil, "disk_usage", lambda path: full)
    monkeypatch.setattr(diagnosis, "_writable", lambda path: path != tmp_path)
    told = "\n".join(diagnose().problems)
    for words in (
        "filterscope is not installed: pip install .",
        f"{tmp_path} cannot be written to (runs and reports)",
        "0.2 GB are free in ",
        "FILTERSCOPE_DATA is nowhere, which is no folder",
    ):
        assert words in told


def test_without_pytorch_the_processor_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    devices, threads = diagnosis._devices()
    assert [device.name for device in devices] == ["cpu"]
    assert threads is None


def test_kernels_are_kept_at_home_where_the_package_is_read_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(diagnosis, "_writable", lambda path: False)
    assert ("compiled kernels", tmp_path / "numba") in diagnosis._folders()
