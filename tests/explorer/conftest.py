"""An explorer of small networks, with a client in the same process."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from torch import Tensor, nn

from filterscope.explorer import Limits, Session, create_app
from filterscope.explorer.boxes import unpack_boxes
from filterscope.explorer.pictures import drawn_picture
from filterscope.explorer.security import Access
from filterscope.explorer.subjects import Subject, classifier_subject, image_subject
from filterscope.models.image_networks import create_image_network
from filterscope.runs import load_network

CLIENT = {"X-Filterscope-Client": "a-client-of-tests"}
HERE = "http://127.0.0.1:8765"


class Raises(nn.Module):
    """A network that fails."""

    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("the network broke")


class Slow(nn.Module):
    """A network that takes minutes, in many short operations."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 1, 1, 1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(30_000):
            time.sleep(0.005)
            x = nn.functional.conv2d(x, self.weight, groups=3)
        return x


@pytest.fixture(scope="session")
def subjects() -> list[Subject]:
    limits = Limits(network_side=16)
    espcn = image_subject(create_image_network("espcn", random_weights=True, scale=3), limits)
    bicubic = image_subject(create_image_network("bicubic", scale=2), limits)
    classifier = classifier_subject(load_network(model="resnet20", random_weights=True))
    return [
        espcn,
        bicubic,
        classifier,
        replace(bicubic, id="raises", name="raises", model=Raises()),
        replace(bicubic, id="slow", name="slow", model=Slow()),
    ]


@pytest.fixture
def session(subjects: list[Subject]) -> Iterator[Session]:
    limits = Limits(upload_bytes=200_000, upload_pixels=250_000, kept_side=96, kept_pictures=2)
    made = Session(subjects, {"drawn": drawn_picture(16), "wide": drawn_picture(24)[:, :8]}, limits)
    yield made
    made.close()


@pytest.fixture
def client(session: Session) -> Iterator[TestClient]:
    with TestClient(create_app(session, Access()), base_url=HERE, headers=CLIENT) as made:
        yield made


@pytest.fixture
def ask(client: TestClient, session: Session) -> Callable[..., Any]:
    """Asks for boxes; gives the header and the pictures, or the error and its status."""
    image = next(iter(session.pictures)).id

    def asked(path: str, **values: Any) -> Any:
        answer = client.get(f"/api/{path}", params={"image": image, **values})
        if answer.status_code != 200:
            return answer.status_code, answer.json()["error"]
        return unpack_boxes(answer.content)

    return asked
