"""Many clients at once, clients that leave, and a network that raises, on a real socket."""

import concurrent.futures
import io
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from PIL import Image

from filterscope.explorer import Session, create_app
from filterscope.explorer.security import Access


@pytest.fixture
def address(session: Session) -> Iterator[str]:
    """A server in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
        app = create_app(session, Access(port=port))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def headers(client: int) -> dict[str, str]:
    return {"X-Filterscope-Client": f"client-number-{client:04d}"}


def test_fifty_clients_at_once(address: str, session: Session) -> None:
    image = next(iter(session.pictures)).id

    def visit(number: int) -> list[int]:
        with httpx.Client(
            base_url=address, headers=headers(number), timeout=60, verify=False, trust_env=False
        ) as client:
            found = [client.get("/").status_code, client.get("/api/state").status_code]
            network = "raises" if number % 10 == 9 else ("espcn", "bicubic")[number % 2]
            for step in range(2):
                values = {"network": network, "image": image, "row": step, "column": number % 8}
                found.append(client.get("/api/probe", params=values).status_code)
            found.append(client.get("/api/probe", params={"network": "\x00"}).status_code
                         if number % 7 == 0 else 422)  # fmt: skip
            return found

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(visit, range(50)))
    for number, found in enumerate(answers):
        expected = 422 if number % 10 == 9 else 200
        assert found == [200, 200, *[expected] * 2, 422]


def test_a_client_that_moves_gets_its_latest_position_alone(
    address: str, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, arrived, submit = next(iter(session.pictures)).id, [0], session.submit

    def counted(*words: Any) -> Any:
        arrived[0] += 1
        return submit(*words)

    monkeypatch.setattr(session, "submit", counted)

    def probe(network: str, column: int) -> int:
        values = {"network": network, "image": image, "row": 0, "column": column}
        answer = httpx.get(f"{address}/api/probe", params=values, headers=headers(1), timeout=120)
        return answer.status_code

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        moves = []
        for column in range(10):
            # each slow one would take minutes
            network = "bicubic" if column == 9 else "slow"
            moves.append(pool.submit(probe, network, column))
            wait_until(lambda column=column: arrived[0] > column)
        assert [move.result() for move in moves] == [*[409] * 9, 200]
    assert session.worker.num_waiting == 0


def test_a_client_that_leaves_stops_its_computation(address: str, session: Session) -> None:
    values = {"network": "slow", "image": next(iter(session.pictures)).id}
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{address}/api/open", params=values, headers=headers(2), timeout=2)
    wait_until(lambda: session.worker._running is None)


@pytest.fixture
def slow_upload(address: str) -> Iterator[Callable[[], socket.socket]]:
    """Begins an upload that does not go on."""
    port, opened = int(address.rpartition(":")[2]), list[socket.socket]()

    def begin() -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port), timeout=30)
        opened.append(connection)
        told = "".join(f"{name}: {value}\r\n" for name, value in headers(len(opened)).items())
        connection.sendall(
            f"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{told}"
            "Content-Length: 100000\r\n\r\nhalf".encode()
        )
        return connection

    yield begin
    for connection in opened:
        connection.close()


def test_slow_uploads_hold_nobody_up(
    address: str, slow_upload: Callable[[], socket.socket]
) -> None:
    for _ in range(20):
        slow_upload()
    file = io.BytesIO()
    Image.new("RGB", (9, 9)).save(file, "PNG")
    answer = httpx.post(
        f"{address}/api/images", content=file.getvalue(), headers=headers(99), timeout=20
    )
    assert answer.status_code == 201


def test_uploads_under_way_are_bounded(
    address: str, slow_upload: Callable[[], socket.socket]
) -> None:
    answers = [slow_upload() for _ in range(33)]
    received, _, _ = select.select(answers, [], [], 30)  # one is refused, the others wait
    assert len(received) == 1
    assert b"429" in received[0].recv(200)
    for connection in answers:
        connection.close()

    def upload() -> int:
        return httpx.post(f"{address}/api/images", content=b"x", headers=headers(99)).status_code

    wait_until(lambda: upload() == 422)  # read, and no image: those that left have made room


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for up to a minute."""
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\0\xff\xfe nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /api/state HTTP/1.1\r\n\r\n",
        b"GET /api/state HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /api/images HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/images HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\nabc",
        b"GET /api/open?network=%ff%fe&image=%00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    ],
)
def test_malformed_requests_are_survived(address: str, request_bytes: bytes) -> None:
    port = int(address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(200)
    assert not answer or answer.split()[1].startswith(b"4")
    assert httpx.get(f"{address}/").status_code == 200
