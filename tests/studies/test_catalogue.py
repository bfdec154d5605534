"""The names of the studies, and what hides behind each."""

import importlib
from pathlib import Path

import pytest

from filterscope import studies
from filterscope.cli import main
from filterscope.studies import STUDIES, find_study
from filterscope.studies.recipes import SIDES
from filterscope.training.presets import PRESETS

SHARED = {  # modules of the package that are no study
    "__init__", "adversarial", "affine", "catalogue", "demo", "eigen_study", "image_filters",
    "image_subjects", "part_tables", "published", "ranks", "recipes", "result", "running",
    "settings", "shared_runs", "study", "targets", "verdict",
}  # fmt: skip

PAPERS = {
    "csg": "Liang et al., ECCV 2020",
    "linear": "Navarrete Michelini et al., ICCV 2019",
    "parts": "Ong and Liu",
}


@pytest.mark.parametrize("name", STUDIES)
def test_each_name_has_a_module_with_a_study_of_that_name(name: str) -> None:
    module = importlib.import_module(f"filterscope.studies.{name.replace('-', '_')}")
    study = find_study(name)
    assert study is module.STUDY
    assert study.name == name
    assert PAPERS[name.split("-")[0]] in study.source
    assert set(study.sides) <= SIDES.keys()
    assert len(set(study.sides)) == len(study.sides)
    assert study.least_seeds >= 1
    if study.pictures is not None:  # no training: networks that are there, at pictures
        assert not study.sides
        return
    assert study.paper_data in {preset.common["data"] for preset in PRESETS.values()}


def test_each_module_of_a_study_is_listed() -> None:
    files = {path.stem for path in Path(studies.__file__).parent.glob("*.py")}
    assert files - SHARED == {name.replace("-", "_") for name in STUDIES}


def test_the_command_line_lists_the_same_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "studies"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(STUDIES)
    for line, title in zip(lines, STUDIES.values(), strict=True):
        assert line.endswith(title)


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown study 'csg-fig12'; near: .*csg-fig1"):
        find_study("csg-fig12")


def test_the_papers_claims_need_three_networks_and_the_gates_statistics_more() -> None:
    assert find_study("csg-fig10").least_seeds > 3
    assert find_study("csg-backbones").models == ("resnet20", "resnet50_cifar", "resnet101_cifar")
