"""Trained runs of a moment, shared by the tests of a module."""

from pathlib import Path

import pytest

from filterscope.studies import StudySettings

TINY = {"epochs": 1, "limit": 60, "limit_test": 30, "batch_size": 20, "device": "cpu"}


@pytest.fixture(scope="session")
def tiny() -> StudySettings:
    """One epoch on sixty digits."""
    return StudySettings("smoke", **TINY)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the runs that a module's tests share."""
    return tmp_path_factory.mktemp("studies") / "runs"
