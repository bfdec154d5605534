"""A browser, and explorers for it to open."""

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright
from torch import Tensor, nn

from filterscope.explorer import Limits, Session, create_app
from filterscope.explorer.pictures import drawn_picture
from filterscope.explorer.security import Access
from filterscope.explorer.subjects import Subject, classifier_subject, image_subject
from filterscope.models.image_networks import create_image_network
from filterscope.runs import load_network

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
PATIENCE = 60_000

Open = Callable[..., Page]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of pages where there is no browser."""
    if CHROMIUM:
        return
    unseen = [item for item in items if item.get_closest_marker("browser")]
    if unseen:
        config.hook.pytest_deselected(items=unseen)
        items[:] = [item for item in items if item not in unseen]


class Raises(nn.Module):
    """A network that fails."""

    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("the network <b>broke</b>")


def subjects() -> list[Subject]:
    """Small networks of each kind."""
    limits = Limits()
    espcn = image_subject(create_image_network("espcn", random_weights=True, scale=3), limits)
    bicubic = image_subject(create_image_network("bicubic", scale=2), limits)
    labels = classifier_subject(load_network(model="resnet20", random_weights=True))
    return [espcn, bicubic, labels, replace(bicubic, id="raises", name="raises", model=Raises())]


@contextmanager
def served(token: str | None = None) -> Iterator[tuple[str, Callable[[], None]]]:
    """An explorer in a thread: its address, and what ends it."""
    pictures = {"drawn": drawn_picture(32), "wide": drawn_picture(48)[:, 8:40]}
    session = Session(subjects(), pictures, Limits(upload_bytes=100_000), hint="a line of help")
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
        app = create_app(session, Access(port=port, token=token))
        config = uvicorn.Config(app, log_level="critical", ws="none", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()

        def end() -> None:
            server.should_exit = True
            thread.join(20)

        yield f"http://127.0.0.1:{port}/", end
        end()


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    torch.manual_seed(0)
    with served() as (found, _):
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Open]:
    """Opens the explorer; afterwards nothing may have failed or asked another site."""
    contexts, failures = [], list[str]()

    def opened(
        fragment: str = "", *, at: str = address, ready: bool = True, **options: Any
    ) -> Page:
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 860}, "accept_downloads": True, **options}
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on(
            "request",
            lambda request: (
                request.url.startswith((at, "blob:", "data:"))
                or failures.append(f"asked {request.url}")
            ),
        )
        page.goto(at + fragment)
        if ready:
            page.wait_for_selector("body[data-state=ready]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not failures


@pytest.fixture
def explorer() -> Callable[..., Any]:
    """Serves an explorer of its own: `with explorer(token) as (address, end)`."""
    return served
