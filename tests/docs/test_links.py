"""The check of outside addresses, against a server of our own."""

import importlib.util
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest
from tests.docs.blocks import ROOT


@pytest.fixture(scope="module")
def links() -> ModuleType:
    found = importlib.util.spec_from_file_location("links", ROOT / "tools/links.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


class Answers(BaseHTTPRequestHandler):
    """Answers with the number that is asked for."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answers) as bound:
        threading.Thread(target=bound.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{bound.server_port}"
        bound.shutdown()


def test_addresses_are_found_in_words_and_not_in_code(links: ModuleType) -> None:
    text = (
        "[a](https://a.example/x), see https://b.example. Again <https://b.example>\n"
        "```bash\ncurl https://c.example\n```\nand (http://127.0.0.1:8000/) (https://d.example/y)."
    )
    assert links.addresses(text) == [
        "https://a.example/x",
        "https://b.example",
        "https://d.example/y",
    ]


@pytest.mark.parametrize(
    ("code", "told"), [(200, None), (403, None), (429, None), (404, "404"), (500, "500")]
)
def test_an_address_that_is_gone_is_told(
    links: ModuleType, server: str, code: int, told: str | None
) -> None:
    reason = links.fault(f"{server}/{code}")
    assert (reason is None) if told is None else str(reason).startswith(told)


def test_a_server_that_is_not_there_is_told(links: ModuleType) -> None:
    assert "refused" in links.fault("http://127.0.0.1:9/", seconds=5)


def test_the_exit_code_says_whether_all_answer(
    links: ModuleType,
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(links, "_LOCAL", ())
    page = tmp_path / "page.md"
    page.write_text(f"[here]({server}/200)")
    assert links.main([page]) == 0
    page.write_text(f"[here]({server}/200) [gone]({server}/410)")
    assert links.main([page]) == 1
    assert f"{server}/410 (page.md): 410" in capsys.readouterr().out
