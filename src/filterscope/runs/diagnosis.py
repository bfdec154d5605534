"""What this machine offers: packages, devices, folders, data, and what stands in the way."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

from filterscope import __version__
from filterscope.core.files import nearest_folder, refuse_unwritable
from filterscope.data.found import FoundData, find_data
from filterscope.runs.packages import Package, find_packages, package_problems, pair_problem

SCHEMA_VERSION = 1
LITTLE_GB = 1.0
"""Below this much free disk a run may not find the room for its checkpoints."""


@dataclass(frozen=True)
class Device:
    """What networks run on.

    Attributes:
        name: As ``--device`` takes it.
        what: Its maker's name for it.
        memory_gb: Its memory in GiB; None where PyTorch does not tell.
    """

    name: str
    what: str
    memory_gb: float | None


@dataclass(frozen=True)
class Place:
    """A folder that is written to.

    Attributes:
        what: What is written there.
        path: The folder; it may not exist yet.
        writable: Whether a file could be made, there or in the folder above that exists.
        free_gb: Free disk in GiB.
    """

    what: str
    path: str
    writable: bool
    free_gb: float


@dataclass(frozen=True)
class Diagnosis:
    """What `filterscope doctor` tells.

    Attributes:
        filterscope: Its version.
        python: Version.
        platform: Operating system and processor.
        packages: What filterscope wants, by extra.
        devices: The accelerators first, the processor last.
        threads: Of PyTorch on the processor; ``OMP_NUM_THREADS`` sets them. None without PyTorch.
        cores: Of the processor.
        memory_gb: Of the machine in GiB; None where the system does not tell.
        places: Folders that are written to.
        data_root: Where data sets are looked for by name.
        data: What lies there.
        browser: Chromium, for the tests of pages; None: not found.
        problems: What keeps filterscope from working, each with the way out.
    """

    filterscope: str
    python: str
    platform: str
    packages: tuple[Package, ...]
    devices: tuple[Device, ...]
    threads: int | None
    cores: int
    memory_gb: float | None
    places: tuple[Place, ...]
    data_root: str
    data: tuple[FoundData, ...]
    browser: str | None
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}


def diagnose() -> Diagnosis:
    """Look at packages, devices, folders and data of this machine.

    PyTorch and torchvision are imported, and two of the folders are written to for a moment;
    nothing else is changed, and what is missing or broken is told and not raised.

    Returns:
        The findings; `Diagnosis.problems` is empty where filterscope works.
    """
    try:
        packages = find_packages()
        problems = package_problems(packages)
    except PackageNotFoundError:
        packages, problems = [], ["filterscope is not installed: pip install ."]
    pair = pair_problem()
    problems += [pair] if pair else []
    devices, threads = _devices()
    places = [_place(what, path) for what, path in _folders()]
    for place in places:
        if not place.writable:
            problems.append(f"{place.path} cannot be written to ({place.what})")
        elif place.free_gb < LITTLE_GB:
            problems.append(f"{place.free_gb:.1f} GB are free in {place.path} ({place.what})")
    root = Path(os.environ.get("FILTERSCOPE_DATA") or "data")
    if not root.is_dir() and os.environ.get("FILTERSCOPE_DATA"):
        problems.append(f"FILTERSCOPE_DATA is {root}, which is no folder")
    return Diagnosis(
        filterscope=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        packages=tuple(packages),
        devices=tuple(devices),
        threads=threads,
        cores=os.cpu_count() or 1,
        memory_gb=_memory_gb(),
        places=tuple(places),
        data_root=str(root),
        data=tuple(find_data(root)) if root.is_dir() else (),
        browser=os.environ.get("CHROMIUM") or shutil.which("chromium"),
        problems=tuple(problems),
    )


def _devices() -> tuple[list[Device], int | None]:
    """Devices and threads; the processor alone where PyTorch cannot be imported."""
    processor = Device("cpu", platform.processor() or platform.machine(), None)
    try:
        import torch
    except Exception:  # which `pair_problem` tells
        return [processor], None
    found = []
    for i in range(torch.cuda.device_count()):
        known = torch.cuda.get_device_properties(i)
        found.append(Device(f"cuda:{i}", known.name, known.total_memory / 2**30))
    if torch.backends.mps.is_available():
        found.append(Device("mps", "Apple's graphics processor", None))
    return [*found, processor], torch.get_num_threads()


def _folders() -> list[tuple[str, Path]]:
    """What is written where, as PyTorch, numba and the Hugging Face Hub choose their folders."""
    home = Path.home() / ".cache"
    caches = Path(os.environ.get("XDG_CACHE_HOME") or home)
    torch_home = Path(os.environ.get("TORCH_HOME") or caches / "torch")
    found = [("runs and reports", Path.cwd()), ("downloaded weights", torch_home / "hub")]
    # numba keeps compiled functions beside their source, and where that is read-only at home
    beside = Path(__file__).parents[1] / "metrics" / "functional" / "__pycache__"
    chosen = Path(os.environ.get("NUMBA_CACHE_DIR") or beside)
    found.append(("compiled kernels", chosen if _writable(chosen) else caches / "numba"))
    if importlib.util.find_spec("huggingface_hub"):
        found.append(
            ("Hugging Face Hub", Path(os.environ.get("HF_HOME") or caches / "huggingface"))
        )
    return found


def _place(what: str, path: Path) -> Place:
    return Place(
        what, str(path), _writable(path), shutil.disk_usage(nearest_folder(path)).free / 2**30
    )


def _writable(path: Path) -> bool:
    """Whether a file can be made."""
    try:
        refuse_unwritable(path)
    except OSError:
        return False
    return True


def _memory_gb() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):  # not on Windows
        return None
