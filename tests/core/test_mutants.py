"""The changes that mutation testing makes: of what a computation depends on, one at a time."""

import ast

import pytest
from benchmarks.mutants import changed_function, mutants, mutated_source

SOURCE = '''
"""Words."""
from __future__ import annotations
LIMIT = 3

def halved(value: int | None, *, least: int = 1) -> float:
    """More words."""
    if value is None or value < least:
        raise ValueError(f"at least {least + 1}, got {value}")
    notes.append(value)
    return round(value / 2, ndigits=1)
'''


def changes(source: str) -> set[tuple[str, str]]:
    return {(one.kind, one.change) for one in mutants(source)}


def test_every_change_is_one_of_what_is_computed() -> None:
    assert changes(SOURCE) == {
        ("constant", "3 -> 4"),
        ("constant", "1 -> 2"),
        ("boolean", "value is None or value < least -> value is None and value < least"),
        ("comparison", "value is None -> value is not None"),
        ("comparison", "value < least -> value <= least"),
        ("comparison", "value < least -> value >= least"),
        ("statement", "raise ValueError(f'at least {least + 1}, got {value}') -> pass"),
        ("statement", "notes.append(value) -> pass"),
        ("arguments", "round(value / 2, ndigits=1) -> round(value / 2)"),
        ("operator", "value / 2 -> value * 2"),
        ("constant", "2 -> 3"),
    }


def test_each_mutant_differs_in_one_line() -> None:
    before = ast.unparse(ast.parse(SOURCE)).splitlines()
    texts = [mutated_source(SOURCE, one.number) for one in mutants(SOURCE)]
    assert len(set(texts)) == len(texts)
    for text in texts:
        after = text.splitlines()
        assert len(after) == len(before)
        assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


def test_lines_are_those_that_a_test_must_run() -> None:
    lines = {one.change: one.lines for one in mutants(SOURCE)}
    assert lines["3 -> 4"] == ()
    assert lines["value / 2 -> value * 2"] == (11,)
    assert lines["value is None -> value is not None"] == (8,)
    default = next(one for one in mutants(SOURCE) if one.change == "1 -> 2")
    assert default.lines == (7, 8, 9, 10, 11)


@pytest.mark.parametrize(
    ("change", "name"), [("value / 2 -> value * 2", "halved"), ("3 -> 4", None), ("1 -> 2", None)]
)
def test_code_of_one_function_is_exchanged_alone(change: str, name: str | None) -> None:
    number = next(one.number for one in mutants(SOURCE) if one.change == change)
    code = changed_function(SOURCE, number)
    assert (code and code.co_qualname) == name
    if code:
        names = {"round": round, "notes": []}
        function = ast.parse(SOURCE).body[-1]
        made: dict[str, object] = {}
        exec(compile(ast.Module([function], []), "given", "exec"), names, made)
        halved = made["halved"]
        assert halved(6) == 3
        halved.__code__ = code
        assert halved(6) == 12
