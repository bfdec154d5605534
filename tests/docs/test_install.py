"""The page about installing tells what pyproject.toml holds."""

import re
import tomllib

from packaging.requirements import Requirement
from tests.docs.blocks import DOCS, ROOT

PAGE = (DOCS / "install.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_table_of_lowest_versions_is_that_of_the_project() -> None:
    table = PAGE.split("## Lowest versions")[1].split("```")[0]
    told = re.findall(r"^\| ([\w-]+) \| ([\d.]+) \| ([^|]+) \|$", table, re.MULTILINE)
    wanted = [Requirement(text) for text in PROJECT["dependencies"]]
    assert {(name, f">={version}") for name, version, _ in told} == {
        (needed.name, str(needed.specifier)) for needed in wanted
    }


def test_every_extra_is_told() -> None:
    table = PAGE.split("## Extras")[1].split("```")[0]
    told = {word for row in re.findall(r"^\| (`.*?) \|", table, re.M) for word in row.split(", ")}
    assert {word.strip("`") for word in told} == set(PROJECT["optional-dependencies"])
