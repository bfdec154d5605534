"""What the explorer answers is what the interpreter says."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from filterscope.explorer import Session
from filterscope.explorer.boxes import MEDIA_TYPE
from filterscope.explorer.subjects import Subject
from filterscope.linear import LinearInterpreter, pixel_discussion, pixel_votes

Ask = Callable[..., Any]


def interpreter_of(session: Session, network: str) -> tuple[Subject, LinearInterpreter]:
    subject = session.subjects[network]
    pixels = subject.pixels(next(iter(session.pictures)).pixels)
    return subject, LinearInterpreter(subject.model, subject.prepare(pixels))


def test_state_names_networks_pictures_and_limits(client: TestClient) -> None:
    state = client.get("/api/state").json()
    assert [one["id"] for one in state["networks"]] == [
        "espcn", "bicubic", "resnet20", "raises", "slow",
    ]  # fmt: skip
    assert [one["kind"] for one in state["networks"][:3]] == ["pictures", "pictures", "labels"]
    assert len(state["networks"][2]["classes"]) == 10
    assert [one["name"] for one in state["images"]] == ["drawn", "wide"]
    assert state["limits"]["upload_bytes"] == 200_000


def test_the_pictures_of_a_network(ask: Ask, session: Session) -> None:
    subject, interpreter = interpreter_of(session, "espcn")
    header, pictures = ask("open", network="espcn")
    drawn = next(iter(session.pictures)).pixels
    assert subject.finish is not None
    np.testing.assert_array_equal(pictures["input"], drawn.numpy())
    np.testing.assert_array_equal(pictures["output"], subject.finish(interpreter.output, drawn))
    parts = pictures["linear"] + pictures["residual"]
    np.testing.assert_allclose(parts, interpreter.output[0], atol=1e-3)
    share = float(interpreter.residual.norm() / interpreter.output.norm())
    assert header["residual_share"] == pytest.approx(share, rel=1e-4)
    assert (header["kind"], header["channels"], header["outputs"]) == ("pictures", 1, 1)


@pytest.mark.parametrize(
    ("side", "place", "source", "target"),
    [("input", (3, 5), (3, 5), (10, 16)), ("output", (47, 0), (15, 0), (47, 0))],
)
def test_row_and_column_of_a_pixel(
    ask: Ask, session: Session, side: str, place: Any, source: Any, target: Any
) -> None:
    _, interpreter = interpreter_of(session, "espcn")
    header, pictures = ask("probe", network="espcn", side=side, row=place[0], column=place[1])
    assert (tuple(header["input"]), tuple(header["output"])) == (source, target)
    row, column = interpreter.row((0, *target)), interpreter.column((0, *source))
    near = {"atol": 1.01e-4 * float(row.abs().max())}
    np.testing.assert_allclose(pictures["row"], row, **near)
    np.testing.assert_allclose(pictures["column"], column, atol=1.01e-4 * float(column.abs().max()))
    assert header["boxes"]["column"]["scale"] == pytest.approx(float(column.abs().max()))


def test_probes_in_colour(ask: Ask, session: Session) -> None:
    _, interpreter = interpreter_of(session, "bicubic")
    values = {"network": "bicubic", "row": 4, "column": 6}
    white = ask("probe", **values)[1]["column"]
    total = sum(interpreter.column((c, 4, 6)) for c in range(3))
    np.testing.assert_allclose(white, total, atol=1e-4)
    for channel, colour in enumerate(("red", "green", "blue")):
        one = ask("probe", colour=colour, **values)[1]
        np.testing.assert_allclose(one["column"], interpreter.column((channel, 4, 6)), atol=1e-4)
        np.testing.assert_allclose(one["row"], interpreter.row((channel, 9, 13)), atol=1e-4)
    block = ask("probe", colour="block", **values)[1]["column"]
    np.testing.assert_allclose(block, white, atol=1e-4)  # bicubic mixes no colours
    assert ask("probe", colour="red", network="espcn", row=1, column=1)[0] == 422


def test_the_scores_of_a_classifier(ask: Ask, session: Session) -> None:
    _, interpreter = interpreter_of(session, "resnet20")
    header, pictures = ask("open", network="resnet20")
    assert pictures["input"].shape == (3, 32, 32)
    scores = [one["score"] for one in header["scores"]]
    assert scores == sorted(scores, reverse=True)
    best = header["scores"][0]
    assert best["label"] == int(interpreter.output.argmax())
    assert best["name"] == f"class {best['label']}"
    assert sum(one["probability"] for one in header["scores"]) == pytest.approx(1)


def test_what_a_pixel_paints_on_the_labels(ask: Ask, session: Session) -> None:
    _, interpreter = interpreter_of(session, "resnet20")
    header, pictures = ask("probe", network="resnet20", row=7, column=9)
    total = sum(interpreter.column((c, 7, 9)) for c in range(3))
    assert isinstance(total, torch.Tensor)
    np.testing.assert_allclose(pictures["column"][:, 0, 0], total, rtol=1e-3, atol=1e-5)
    sizes = [abs(one["effect"]) for one in header["effects"]]
    assert sizes == sorted(sizes, reverse=True)


def test_a_label(ask: Ask, session: Session) -> None:
    _, interpreter = interpreter_of(session, "resnet20")
    header, pictures = ask("label", network="resnet20", label=3)
    score = float(interpreter.output[0, 3])
    assert header["score"] == pytest.approx(score, rel=1e-4)
    parts = header["image_part"] + sum(one["value"] for one in header["layers"])
    assert parts == pytest.approx(score, rel=1e-3, abs=1e-4)
    assert 0 <= header["residual_share"] <= 1
    assert header["filters"] is None
    discussion = pixel_discussion(interpreter, 3)
    assert float(pictures["discussion"].sum()) == pytest.approx(score, rel=1e-2, abs=1e-3)
    near = 1.01e-4 * float(discussion.abs().max())
    np.testing.assert_allclose(pictures["discussion"][0], discussion, atol=near)
    np.testing.assert_allclose(pictures["row"], interpreter.row(3), atol=1e-3)


def test_the_votes(ask: Ask, session: Session) -> None:
    _, interpreter = interpreter_of(session, "resnet20")
    header, pictures = ask("votes", network="resnet20")
    votes = pixel_votes(interpreter)
    assert (pictures["winners"][0] == votes.winners.numpy()).mean() > 0.99  # ties by rounding
    assert sum(one["share"] for one in header["counts"]) == pytest.approx(1)
    assert (header["voters"], header["is_preview"]) == (10, False)


@pytest.mark.parametrize(
    ("path", "values", "status", "words"),
    [
        ("open", {"network": "none"}, 404, "there are espcn"),
        ("open", {"network": "espcn", "image": "gone"}, 404, "upload it again"),
        ("open", {"network": "../etc"}, 422, "network"),
        ("open", {}, 422, "network"),
        ("probe", {"network": "espcn", "row": 16, "column": 0}, 422, "16 rows and 16 columns"),
        ("probe", {"network": "espcn", "row": -1, "column": 0}, 422, "`row`"),
        ("probe", {"network": "espcn", "row": "x", "column": 0}, 422, "`row`"),
        ("probe", {"network": "espcn", "row": 1e99, "column": 0}, 422, "`row`"),
        ("probe", {"network": "espcn", "row": 1, "column": 0, "side": "back"}, 422, "`side`"),
        ("probe", {"network": "resnet20", "row": 1, "column": 0, "side": "output"}, 422, "input"),
        ("probe", {"network": "resnet20", "row": 32, "column": 0}, 422, "32 rows"),
        ("label", {"network": "resnet20", "label": 10}, 422, "from 0 to 9"),
        ("label", {"network": "espcn", "label": 1}, 422, "espcn gives pictures"),
        ("votes", {"network": "bicubic"}, 422, "bicubic gives pictures"),
        ("open", {"network": "raises"}, 422, "raises could not be read here: the network broke"),
        ("nothing", {}, 404, "Not Found"),
    ],
)
def test_what_is_refused_says_why(
    ask: Ask, path: str, values: dict[str, Any], status: int, words: str
) -> None:
    found, error = ask(path, **values)
    assert found == status
    assert words in error["message"]
    assert ask("open", network="bicubic")[0]["kind"] == "pictures"  # it goes on


def test_answers_are_boxes_and_the_page_is_complete(client: TestClient) -> None:
    image = client.get("/api/state").json()["images"][0]["id"]
    answer = client.get("/api/open", params={"network": "bicubic", "image": image})
    assert answer.headers["content-type"] == MEDIA_TYPE
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    for name in ("main.js", "page.css", "icon.svg"):
        assert name in page.text
        assert client.get(f"/static/{name}").status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text
