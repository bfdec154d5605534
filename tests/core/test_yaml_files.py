"""Files of settings: plain values, or a ValueError with the file's name, within bounds."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.damage import damaged

from filterscope.core.yaml_files import LARGEST, read_yaml

PLAIN = {
    "data": "digits", "lr": 0.1, "epochs": 3, "freeze": ["conv1"], "weights": None, "on": True,
    "text": "1e-3", "nested": {"a": [1, {"b": 2}]},
}  # fmt: skip


def test_plain_values_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(yaml.safe_dump(PLAIN))
    assert read_yaml(file) == PLAIN


def laughs(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(levels):
        lines.append(f"a{level + 1}: &a{level + 1} [{', '.join([f'*a{level}'] * 9)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (laughs(12), r"references \(\*name\) are not taken"),
        ("a: &a [*a]", r"references"),
        ("!!python/object/apply:os.abort []", "could not determine a constructor"),
        ("lr: !!python/name:os.abort", "could not determine a constructor"),
        ("day: 2001-99-99", "month must be in 1..12"),
        ("day: !!timestamp x", "readable as YAML"),
        ("n: " + "1" * 5000, "digits"),
        ("n: !!int x", "invalid literal"),
        ("? [a]\n: 1", "unhashable"),
        ("a: " + "[" * 3000, "recursion"),
        ("a: b: c", "mapping values are not allowed"),
        ("a: \0", "not allowed"),
        ("lr: 0.1\nepochs: 3\nlr: 0.2", "'lr' is given twice"),
    ],
)
def test_what_is_more_than_plain_values_is_refused_in_a_line(
    tmp_path: Path, content: str, reason: str
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(content)
    with pytest.raises(ValueError, match=reason) as caught:
        read_yaml(file)
    assert str(caught.value).startswith(f"{file} is not readable as YAML: ")
    assert "\n" not in str(caught.value)


def test_other_encodings_large_and_missing_files_are_named(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xff\xfea\0")
    with pytest.raises(ValueError, match=r"a\.yaml is not readable as YAML: 'utf-8' codec"):
        read_yaml(file)
    file.write_bytes(b"a" * (LARGEST + 1))
    with pytest.raises(ValueError, match=rf"a\.yaml holds {LARGEST + 1} bytes"):
        read_yaml(file)
    with pytest.raises(FileNotFoundError, match=r"none\.yaml"):
        read_yaml(tmp_path / "none.yaml")


SEED = b"lr: 0.1\nfreeze: [a, b]\nx: 2001-01-01\ny: !!binary aGk=\n<<: {q: 1}\nt: 12:30:45\n"


@settings(max_examples=400)
@given(st.one_of(damaged(SEED), st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_damage_gives_values_or_a_value_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "damaged.yaml"
    file.write_bytes(content)
    try:
        read_yaml(file)
    except ValueError as error:
        assert str(file) in str(error)
