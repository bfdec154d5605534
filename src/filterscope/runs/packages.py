"""The packages that filterscope wants: what is installed, what is missing, what does not fit."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.version import Version

DISTRIBUTION = "filterscope"
CORE = "core"
WORKSHOP = ("docs", "dev")
"""Extras for work on filterscope itself."""
TOGETHER = (
    "install both from one place: uninstall both, then follow the installation page of PyTorch, "
    "https://pytorch.org/get-started/locally/"
)


@dataclass(frozen=True)
class Package:
    """A package that filterscope wants.

    Attributes:
        name: As the package index has it.
        version: Installed; None: missing.
        wanted: Versions that fit, as ``>=2.8``.
        extra: What needs it: "core" or the name of an extra.
    """

    name: str
    version: str | None
    wanted: str
    extra: str

    @property
    def fits(self) -> bool:
        """Whether it is there in a version that fits."""
        if self.version is None:
            return False
        wanted = Requirement(f"x{self.wanted}").specifier
        return wanted.contains(Version(self.version), prereleases=True)

    def __str__(self) -> str:
        """Name and version, or what is wrong with it."""
        if self.version is None:
            return f"{self.name} {self.wanted} is missing"
        return f"{self.name} {self.version}" + ("" if self.fits else f" is not {self.wanted}")


def find_packages() -> list[Package]:
    """Look up what the installed filterscope wants, each package once, the core first.

    Raises:
        PackageNotFoundError: filterscope runs from its source without being installed.
    """
    extras: list[str] = metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    order = [CORE, *sorted(extras, key=_rank)]
    found: dict[str, Package] = {}
    wanted = [Requirement(text) for text in requires(DISTRIBUTION) or []]
    for extra in order:
        for needed in wanted:
            is_core = needed.marker is None or needed.marker.evaluate({"extra": ""})
            belongs = is_core if extra == CORE else _asks(needed, extra)
            if belongs and needed.name not in found:
                found[needed.name] = Package(
                    needed.name, _installed(needed.name), str(needed.specifier), extra
                )
    return list(found.values())


def command_for(extra: str) -> str:
    """The command that installs an extra."""
    return "pip install filterscope" if extra == CORE else f"pip install 'filterscope[{extra}]'"


def package_problems(packages: Sequence[Package]) -> list[str]:
    """Tell which packages of the core are missing, and which are older than what is wanted."""
    wrong = [one for one in packages if not one.fits and one.extra == CORE]
    found = [f"{', '.join(map(str, wrong))}: {command_for(CORE)}"] if wrong else []
    old = [one for one in packages if one.version and not one.fits and one.extra != CORE]
    return found + [f"{one}: pip install '{one.name}{one.wanted}'" for one in old]


def pair_problem() -> str | None:
    """Tell why PyTorch and torchvision do not work together; None where they do, or one is missing.

    Both are imported: builds that do not belong together, as one for processors alone and one for
    CUDA, have versions that fit.
    """
    names = ("torch", "torchvision")
    versions = [_installed(name) for name in names]
    if None in versions:
        return None
    told = " and ".join(f"{name} {found}" for name, found in zip(names, versions, strict=True))
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # a library that is not found, an operator that is unknown
            first = next(iter(str(error).strip().splitlines()), repr(error))
            return f"{told} do not work together ({name}: {first}); {TOGETHER}"
    from torchvision import extension

    if not extension._has_ops():
        return f"{told} do not work together (torchvision's operators do not load); {TOGETHER}"
    return None


def _rank(extra: str) -> tuple[int, str]:
    return (WORKSHOP.index(extra) + 1 if extra in WORKSHOP else 0), extra


def _asks(needed: Requirement, extra: str) -> bool:
    """Whether a package comes with an extra alone."""
    if needed.marker is None or needed.marker.evaluate({"extra": ""}):
        return False
    return needed.marker.evaluate({"extra": extra})


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
