"""The page of interpreted images."""

import io
import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from filterscope.data import Transform
from filterscope.evaluation import InterpretSettings, interpret_images
from filterscope.report import write_interpretations
from filterscope.report.pixel_pictures import AGAINST, FOR, photo_uri, signed_uri, votes_uri
from filterscope.runs import Network


def decoded(uri: str) -> np.ndarray:
    kind, content = uri.split(",", 1)
    assert kind.startswith("data:image/")
    return np.asarray(Image.open(io.BytesIO(b64decode(content))).convert("RGBA")).astype(int)


def rgb(color: str) -> list[int]:
    return [int(color[k : k + 2], 16) for k in (1, 3, 5)]


class Balanced(HTMLParser):
    """Refuses pages whose tags do not close in order."""

    VOID = ("meta", "img", "br", "source", "line", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )
    classes = ("a <b>", "c & d", "e")
    return Network("tiny", model.eval().requires_grad_(False), classes, Transform(10), "seed 0")


def page(network: Network, paths: list[Path], settings: InterpretSettings, out: Path) -> str:
    write_interpretations(network, settings, list(interpret_images(network, paths, settings)), out)
    text = out.read_text()
    parser = Balanced()
    parser.feed(text)
    assert not parser.open
    plain = re.sub(r"data:image/[^\"]*", "", text)
    for word in ("nan", "None", "undefined", "http:", "https:"):
        assert word not in plain, word
    return text


def images(folder: Path, count: int) -> Path:
    folder.mkdir()
    for k in range(count):
        pixels = np.random.default_rng(k).integers(0, 256, (10, 14, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
    return folder


def test_the_page_holds_every_section(network: Network, tmp_path: Path) -> None:
    folder = images(tmp_path / "set", 4)
    (folder / "<i>broken.jpg").write_bytes(b"no image")
    masks = tmp_path / "masks"
    masks.mkdir()
    mask = np.zeros((10, 14), np.uint8)
    mask[2:7, 4:9] = 255
    for k in range(4):
        Image.fromarray(mask).save(masks / f"{k}.png")
    settings = InterpretSettings(
        fgsm="8/255", preprocess="both", pictures=2, masks=str(masks), method="backprojected", top=2
    )
    text = page(network, [folder], settings, tmp_path / "new" / "page.html")
    for section in (
        "All images", "Share of the residual", "What contributes to the best score", "set/0.png",
        "set/1.png", "&lt;i&gt;broken.jpg", "Further images", "How to read this", "FGSM 8/255",
        "another label than before", "lie in the object", "discussion, method backprojected",
        "a &lt;b&gt;", "4 images; 1 more could not be read", "all 3 labels vote",
    ):  # fmt: skip
        assert section in text, section
    assert "<i>broken" not in text
    assert "a <b>" not in text
    # two images in two states: a photo, the votes and two discussions each; two figures, two themes
    assert text.count("data:image/") == 2 * 2 * 4 + 2 * 2
    assert text.count("<rect") == 2 * 2 * (2 + 3)


def test_a_single_image_needs_no_tables_of_a_set(network: Network, tmp_path: Path) -> None:
    folder = images(tmp_path / "set", 1)
    settings = InterpretSettings(votes="top:2")
    text = page(network, [folder / "0.png"], settings, tmp_path / "page.html")
    assert "All images" not in text
    assert "a preview among 2 of 3 labels" in text
    assert len(text) < 40_000


def test_a_page_without_pictures_or_votes(network: Network, tmp_path: Path) -> None:
    folder = images(tmp_path / "set", 2)
    text = page(network, [folder], InterpretSettings(pictures=0), tmp_path / "page.html")
    assert "2 images</summary>" in text
    text = page(network, [folder], InterpretSettings(votes="none"), tmp_path / "page.html")
    assert "<th>votes</th>" not in text
    assert "vote entropy" not in text


def test_a_network_without_constants_has_no_bars(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 2, 10, bias=False), nn.Flatten())
    network = Network("linear", model.requires_grad_(False), ("a", "b"), Transform(10), "seed 0")
    folder = images(tmp_path / "set", 2)
    text = page(network, [folder], InterpretSettings(), tmp_path / "page.html")
    assert "<rect" not in text


def test_a_signed_map_is_symmetric_and_transparent_at_zero() -> None:
    shown = decoded(signed_uri(np.array([[-2.0, 2.0], [0.0, 1.0]])))
    assert shown[0, 0].tolist() == [*rgb(AGAINST), 255]
    assert shown[0, 1].tolist() == [*rgb(FOR), 255]
    assert shown[1, 0, 3] == 0
    assert shown[1, 1, 3] == pytest.approx(128, abs=6)
    assert (decoded(signed_uri(np.zeros((2, 2))))[..., 3] == 0).all()


def test_votes_have_the_colour_of_their_label() -> None:
    winners = np.array([[7, 7], [3, 900]])
    shown = decoded(votes_uri(winners, [7, 3], ["#102030", "#405060"]))
    assert shown[0, :, :3].tolist() == [[0x10, 0x20, 0x30]] * 2
    assert shown[1, 0, :3].tolist() == [0x40, 0x50, 0x60]
    assert shown[1, 1, 3] == 0


def test_small_pictures_lose_nothing_and_large_ones_little() -> None:
    small = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert np.array_equal(decoded(photo_uri(small))[..., :3], small)
    large = np.full((200, 200, 3), (10, 120, 240), np.uint8)
    assert np.abs(decoded(photo_uri(large))[..., :3] - large).max() < 6
