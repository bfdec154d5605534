"""The Hugging Face Hub, as a server of this machine that speaks what its client asks for."""

import hashlib
import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants

import filterscope as fs
from filterscope.models import create_model
from filterscope.runs.hub import FILES, local_folder

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Repositories by name, each a folder; notes what was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.folders: dict[str, Path] = {}
        self.asked: list[str] = []


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None:
        """Stay silent."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        words = urlsplit(self.path).path.strip("/").split("/")
        self.server.asked.append("/".join(words))
        if words[:2] == ["api", "models"]:
            self._api("/".join(words[2:4]), words[4:])
        else:  # owner/name/resolve/COMMIT/file
            self._file(self.server.folders["/".join(words[:2])] / words[-1])

    def _api(self, name: str, rest: list[str]) -> None:
        folder = self.server.folders.get(name)
        if folder is None:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif rest[0] == "tree":
            files = [
                {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": _tag(path)}
                for path in sorted(folder.iterdir())
            ]
            self._send(200, json.dumps(files).encode())
        elif rest[-1] == "other":
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        else:
            described = {"id": name, "modelId": name, "sha": COMMIT, "siblings": []}
            self._send(200, json.dumps(described).encode())

    def _file(self, path: Path) -> None:
        self._send(200, path.read_bytes(), {"ETag": f'"{_tag(path)}"', "X-Repo-Commit": COMMIT})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _tag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    files = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    # older versions know no such transfer
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
    yield server
    server.shutdown()
    server.server_close()


def publish(hub: Hub, folder: Path, name: str = "me/net") -> fs.GatedClassifier:
    net = fs.GatedClassifier(create_model("resnet20", 4), "layer3", 4, 64).eval()
    with torch.no_grad():
        net.gate.matrix.uniform_()
    fs.save_pretrained(net, folder, classes=["a", "b", "c", "d"])
    hub.folders[name] = folder
    return net


def test_networks_are_fetched_by_name_without_code_or_pickles(hub: Hub, tmp_path: Path) -> None:
    net = publish(hub, tmp_path / "published")
    for foreign in ("last.ckpt", "model.py", "pytorch_model.bin", "README.md"):
        (tmp_path / "published" / foreign).write_text("never fetched")
    saved = fs.load_pretrained("hub:me/net")
    images, labels = torch.randn(2, 3, 32, 32), torch.tensor([0, 3])
    assert torch.equal(saved.model(images, labels), net(images, labels))
    assert saved.classes == ("a", "b", "c", "d")
    names = {path.name for path in saved.path.iterdir()}
    assert names == {"config.json", "model.safetensors", "gate.safetensors"}
    asked = len(hub.asked)
    again = fs.load_pretrained("hub:me/net", revision=COMMIT)
    assert again.path == saved.path
    assert len(hub.asked) == asked  # a commit stays what it is: nothing is asked for twice


def test_what_the_hub_does_not_give_is_told(hub: Hub, tmp_path: Path) -> None:
    publish(hub, tmp_path / "published")
    with pytest.raises(ConnectionError, match="hub:me/other could not be fetched: Repository"):
        fs.from_pretrained("hub:me/other")
    with pytest.raises(ConnectionError, match="hub:me/net could not be fetched: Revision"):
        fs.from_pretrained("hub:me/net", revision="other")
    hub.shutdown()
    hub.server_close()
    with pytest.raises(ConnectionError, match="hub:me/net could not be fetched"):
        fs.load_run("hub:me/net")


def test_only_names_with_the_prefix_are_fetched(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(hub, tmp_path / "published")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="on the Hub it would be hub:me/net"):
        fs.from_pretrained("me/net")
    with pytest.raises(FileNotFoundError, match=r"a/b/c does not exist$"):
        fs.from_pretrained("a/b/c")
    for name in ("hub:net", "hub:me/net/more", "hub:../..//x", "hub:"):
        with pytest.raises(ValueError, match="must be owner/name"):
            fs.from_pretrained(name)
    with pytest.raises(ValueError, match="`revision` is for names on the Hub"):
        local_folder(tmp_path, "main")
    assert hub.asked == []


class Api:
    """What `push_to_hub` calls, kept instead of sent."""

    has_page = False
    calls: list[tuple[Any, ...]] = []

    def create_repo(self, name: str, *, private: bool, exist_ok: bool) -> None:
        self.calls.append(("create", name, private, exist_ok))

    def file_exists(self, name: str, file: str) -> bool:
        return self.has_page

    def create_commit(self, name: str, operations: list[Any], *, commit_message: str) -> Any:
        if name == "me/refused":
            raise OSError("403 Forbidden")
        sizes = {each.path_in_repo: each.upload_info.size for each in operations}
        self.calls.append(("commit", name, sizes, commit_message))
        return SimpleNamespace(commit_url=f"https://hub/{name}/commit/1")


@pytest.mark.parametrize("has_page", [False, True])
def test_networks_are_published_in_one_commit(
    has_page: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(Api, "has_page", has_page)
    monkeypatch.setattr(Api, "calls", [])
    net = fs.GatedClassifier(create_model("resnet20", 4), "layer3", 4, 64)
    address = fs.push_to_hub(net, "me/net", classes=["a", "b", "c", "d"], message="First")
    assert address == "https://hub/me/net/commit/1"
    folder = fs.save_pretrained(net, tmp_path, classes=["a", "b", "c", "d"])
    expected = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert expected.keys() <= set(FILES)
    (made, name, private, exist_ok), (_, committed, sizes, message) = Api.calls
    assert (made, name, private, exist_ok, message) == ("create", "me/net", True, True, "First")
    page = sizes.pop("README.md", None)
    assert (page is None) == has_page
    assert (committed, sizes) == ("me/net", expected)
    with pytest.raises(ConnectionError, match="me/refused could not be published: OSError 403"):
        fs.push_to_hub(net, "me/refused")
    with pytest.raises(ValueError, match="must be owner/name"):
        fs.push_to_hub(net, "refused")


def test_without_the_client_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install filterscope\[hub\]"):
        fs.from_pretrained("hub:me/net")
