"""The doctor's page, at the widths of terminals, and its JSON."""

import dataclasses
import json

import pytest

from filterscope.cli import doctor, main
from filterscope.data.found import FoundData
from filterscope.runs import diagnosis
from filterscope.runs.diagnosis import Device, Diagnosis, Place
from filterscope.runs.packages import Package

FOUND = Diagnosis(
    filterscope="0.1.0",
    python="3.11.7",
    platform="Linux-6.1-x86_64",
    packages=(
        Package("torch", "2.15.0", ">=2.8", "core"),
        Package("foolbox", None, ">=3.3.4", "attacks"),
        Package("fastapi", "0.165", ">=0.115", "explorer"),
        Package("uvicorn", "0.1", ">=0.30", "explorer"),
    ),
    devices=(Device("cuda:0", "NVIDIA H100", 79.6), Device("cpu", "x86_64", None)),
    threads=1,
    cores=2,
    memory_gb=23.4,
    places=(Place("runs and reports", "/home/somebody/work", True, 13.2),),
    data_root="/data",
    data=(FoundData("pets", "2 classes (cat, dog)", "--data folder:pets", "train"),),
    browser=None,
    problems=(),
)
PAGE = """\
filterscope 0.1.0, Python 3.11.7, Linux-6.1-x86_64

Packages
  core      torch 2.15.0
  attacks   foolbox >=3.3.4 is missing; get it with: pip install
            'filterscope[attacks]'
  explorer  fastapi 0.165, uvicorn 0.1 is not >=0.30; get it with: pip install
            'filterscope[explorer]'

Devices
  cuda:0  NVIDIA H100, 80 GB
  cpu     x86_64, 2 cores, threads of PyTorch: 1, 23 GB of memory

Folders
  runs and reports  /home/somebody/work: writable, 13 GB free

Data in /data
  pets  2 classes (cat, dog): --data folder:pets, for train

Tests of pages
  chromium  not found, only needed to test filterscope: apt-get install chromium

No problems."""


def test_the_page_as_a_terminal_of_80_columns_shows_it() -> None:
    assert doctor._text(FOUND, 80) == PAGE


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, doctor._text(FOUND, width).splitlines())) <= width


def test_problems_stand_last_and_end_with_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ill = dataclasses.replace(FOUND, packages=(), data=(), problems=("no room", "no torch"))
    monkeypatch.setattr(diagnosis, "diagnose", lambda: ill)
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert shown.endswith("Problems\n  !  no room\n  !  no torch\n")
    assert "$FILTERSCOPE_DATA" in shown


def test_json_holds_everything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(diagnosis, "diagnose", lambda: FOUND)
    assert main(["doctor", "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["schema_version"] == 1
    assert read["packages"][1] == {
        "name": "foolbox", "version": None, "wanted": ">=3.3.4", "extra": "attacks",
    }  # fmt: skip
    assert set(read) == {"schema_version", *(field.name for field in dataclasses.fields(Diagnosis))}
