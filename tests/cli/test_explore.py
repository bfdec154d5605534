"""filterscope explore: what it serves and what it refuses."""

import secrets
import socket
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from filterscope.cli import explore, main
from filterscope.explorer import Session


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Session, tuple[Any, ...]]]:
    """What would be served."""
    found: list[tuple[Session, tuple[Any, ...]]] = []

    def serve(session: Session, *place: Any, **_: Any) -> None:
        session.close()
        found.append((session, place))

    monkeypatch.setattr("filterscope.explorer.server.serve", serve)
    monkeypatch.delenv("FILTERSCOPE_TRACEBACK", raising=False)
    monkeypatch.delenv("FILTERSCOPE_TOKEN", raising=False)
    return found


def test_without_a_network_there_is_bicubic_upscaling_and_a_hint(
    served: list[tuple[Session, tuple[Any, ...]]],
) -> None:
    assert main(["explore"]) == 0
    ((session, place),) = served
    assert list(session.subjects) == ["bicubic"]
    assert [picture.name for picture in session.pictures] == ["drawn scene"]
    assert "--weights FILE" in session.hint
    assert place == ("127.0.0.1", 8765, None)


def test_several_networks_and_pictures(
    served: list[tuple[Session, tuple[Any, ...]]], tmp_path: Path
) -> None:
    for name, colour in (("a, b.png", "red"), ("c: [d].png", "green")):
        Image.new("RGB", (300, 200), colour).save(tmp_path / name)
    images = [str(file) for file in sorted(tmp_path.iterdir())]
    models = ["espcn", "bicubic", "fast_style", "resnet20", "espcn"]
    words = ["--random-weights", "--scale", "3", "--image", *images, "--side=64", "--port=0"]
    assert main(["explore", "--model", *models, *words]) == 0
    session = served[0][0]
    assert list(session.subjects) == ["espcn", "bicubic", "fast_style", "resnet20", "espcn-2"]
    assert [picture.name for picture in session.pictures] == ["a, b.png", "c: [d].png"]
    assert session.hint == ""
    first = next(iter(session.pictures))
    assert session.subjects["espcn"].pixels(first.pixels).shape == (3, 43, 64)


def test_a_token_is_made_or_taken(
    served: list[tuple[Session, tuple[Any, ...]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_urlsafe", lambda count: "made up" * 5)
    assert main(["explore", "--host=0.0.0.0", "--token=auto"]) == 0
    monkeypatch.setenv("FILTERSCOPE_TOKEN", "from the environment")
    assert main(["explore", "--host=0.0.0.0"]) == 0
    assert [place[2] for _, place in served] == ["made up" * 5, "from the environment"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--host=0.0.0.0"], "`token` is needed on host 0.0.0.0"),
        (["--token=short"], "at least 16"),
        (["--model", "espcn"], "espcn needs either `weights`"),
        (["--model", "espcn", "bicubic", "--weights", "a", "b"], "one file for each --model"),
        (["--model", "espcn", "--weights", "gone.pt"], "gone.pt"),
        (["--model", "nonsense", "--random-weights"], "nonsense"),
        (["--image", "gone.png"], "gone.png does not exist"),
        (["--run", "gone"], "gone"),
        (["--model", "espc"], "near: espcn"),
        (["--side=0"], "`side` must be at least 1, got 0"),
        (["--cache-mb=0"], "`cache_mb` must be at least 1, got 0"),
        (["--hots=a"], "--host"),
    ],
)
def test_bad_input_ends_in_one_line(
    served: list[tuple[Session, tuple[Any, ...]]],
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    told: str,
) -> None:
    try:
        code = main(["explore", *words])
    except SystemExit as error:
        code = int(error.code or 0)
    shown = capsys.readouterr().err.strip()
    assert code == 2
    assert told in shown
    assert len(shown.splitlines()) == 1
    assert not served


def test_a_taken_port_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["explore", f"--port={taken.getsockname()[1]}"]) == 2
    assert "filterscope explore: error:" in capsys.readouterr().err


def test_without_its_extra_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explore, "find_spec", lambda name: None)
    assert main(["explore"]) == 2
    assert "pip install 'filterscope[explorer]'" in capsys.readouterr().err
