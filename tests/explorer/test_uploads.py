"""Uploads: what is taken, what is refused, what is kept."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image

from filterscope.explorer import Limits, Session
from filterscope.explorer.errors import ExplorerError
from filterscope.explorer.pictures import drawn_picture, read_pictures
from filterscope.explorer.uploads import decode_upload


def png(width: int, height: int, **options: Any) -> bytes:
    """A PNG file of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), (10, 200, 30)).save(file, "PNG", **options)
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A small PNG file whose header promises a huge picture."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100_000)
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_an_upload_can_be_looked_at(client: TestClient) -> None:
    answer = client.post("/api/images", params={"name": "green.png"}, content=png(20, 12))
    assert answer.status_code == 201
    picture = answer.json()
    assert picture["id"].startswith("upload-")
    assert {**picture, "id": ""} == {
        "id": "", "name": "green.png", "width": 20, "height": 12, "uploaded": True,
    }  # fmt: skip
    assert picture in client.get("/api/state").json()["images"]
    values = {"network": "bicubic", "image": picture["id"], "row": 1, "column": 2}
    assert client.get("/api/probe", params=values).status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"", 422, "empty"),
        (b"GIF89a nonsense", 422, "not readable"),
        (png(20, 20)[:60], 422, "not readable"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, "PNG, JPEG"),
        (bomb(600, 600), 413, "600 x 600 pixels"),
        (bomb(60_000, 60_000), 413, "pixels"),
        (b"\0" * 200_001, 413, "larger than"),
    ],
)
def test_what_is_refused_says_why(
    client: TestClient, content: bytes, status: int, words: str
) -> None:
    answer = client.post("/api/images", content=content)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]
    assert len(client.get("/api/state").json()["images"]) == 2


def test_a_body_without_a_length_is_bounded_too(client: TestClient) -> None:
    def endless() -> Any:
        for _ in range(1000):
            yield b"x" * 10_000

    assert client.post("/api/images", content=endless()).status_code == 413


def test_other_kinds_of_files_are_not_decoded() -> None:
    for kind in ("TIFF", "PPM", "ICO"):
        file = io.BytesIO()
        Image.new("RGB", (16, 16)).save(file, kind)
        with pytest.raises(ExplorerError, match="expected one of PNG"):
            decode_upload(file.getvalue(), Limits())


def test_large_pictures_are_shrunk_and_only_pixels_are_kept() -> None:
    limits = Limits(kept_side=50)
    pixels = decode_upload(png(100, 60), limits)
    assert pixels.shape == (3, 30, 50)
    assert pixels.dtype == torch.uint8
    marked = decode_upload(png(8, 8, icc_profile=b"secret"), limits)
    assert set(marked.unique().tolist()) == {10, 200, 30}


def test_the_oldest_upload_goes_first(session: Session) -> None:
    kept = [session.upload(png(side, 5), "").id for side in (5, 6, 7)]
    with pytest.raises(ExplorerError, match="upload it again"):
        session.pictures.get(kept[0])
    assert session.pictures.get(kept[2]).pixels.shape == (3, 5, 7)
    assert len(list(session.pictures)) == 4  # two were given


def test_names_are_cut_to_printable_characters(session: Session) -> None:
    picture = session.upload(png(4, 4), "a\n\x00<b>" + "x" * 100)
    assert picture.name == ("a<b>" + "x" * 100)[:60]


def test_ids_stand_for_pixels(session: Session) -> None:
    again = Session(list(session.subjects.values()), {"other name": drawn_picture(16)})
    assert next(iter(again.pictures)).id == next(iter(session.pictures)).id
    again.close()


def test_files_are_read_with_the_same_bounds(tmp_path: Any) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one.png").write_bytes(png(9, 6))
    paths = [tmp_path / "a" / "one.png", tmp_path / "b" / "one.png"]
    found = read_pictures(paths, Limits())
    assert list(found) == ["one.png", "one.png (2)"]
    assert found["one.png"].shape == (3, 6, 9)
    with pytest.raises(ValueError, match=r"one\.png: the picture has 9 x 6"):
        read_pictures(paths, Limits(upload_pixels=10))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_pictures([tmp_path], Limits())


def test_the_drawn_picture_is_always_the_same() -> None:
    first, second = drawn_picture(), drawn_picture()
    np.testing.assert_array_equal(first, second)
    assert first.float().std() > 40


@pytest.mark.parametrize("value", [0, -1, True, 1.5])
def test_bounds_are_positive_integers(value: Any) -> None:
    with pytest.raises(ValueError, match="`waiting` must be a positive integer"):
        Limits(waiting=value)
