"""Who may ask: host, origin, token; no path of a client's reaches a file."""

import pytest
from fastapi.testclient import TestClient

from filterscope.explorer import Session, create_app
from filterscope.explorer.security import Access

TOKEN = "a-token-that-is-long-enough"
CLIENT = {"X-Filterscope-Client": "a-client-of-tests"}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost:8765", 200),
        ("LocalHost:8765", 200),
        ("[::1]:8765", 200),
        ("127.0.0.1:80", 421),
        ("127.0.0.1", 421),
        ("evil.example:8765", 421),
        ("127.0.0.1.evil.example:8765", 421),
        ("localhost:8765@evil.example", 421),
        ("10.0.0.7:8765", 421),
        ("", 421),
        ("localhost:87650000000000000000", 421),
    ],
)
def test_only_its_own_names_are_answered(client: TestClient, host: str, status: int) -> None:
    for path in ("/", "/api/state", "/static/main.js"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == status
        if status == 421:
            assert answer.json()["error"]["kind"] == "host"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://127.0.0.1:8765"}, 200),
        ({"Origin": "http://localhost:8765"}, 403),  # another site than the one that is asked
        ({"Origin": "https://127.0.0.1:8765"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
    ],
)
def test_other_sites_are_refused(client: TestClient, headers: dict[str, str], status: int) -> None:
    assert client.get("/api/state", headers=headers).status_code == status
    assert client.post("/api/images", headers=headers, content=b"x").status_code in (422, 403)
    assert (client.post("/api/images", headers=headers, content=b"x").status_code == 403) == (
        status == 403
    )


def test_a_link_elsewhere_may_lead_to_the_page_alone(client: TestClient) -> None:
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/", headers=visit).status_code == 200
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_a_request_without_the_client_header_computes_nothing(client: TestClient) -> None:
    for headers in ({"X-Filterscope-Client": "short"}, {"X-Filterscope-Client": "a b" * 9}):
        assert client.get("/api/state", headers=headers).status_code == 422
    bare = TestClient(client.app, base_url="http://127.0.0.1:8765")
    assert bare.get("/api/state").status_code == 422
    assert bare.post("/api/images", content=b"x").status_code == 422


def test_no_other_site_is_let_in(client: TestClient) -> None:
    asked = {
        "Origin": "http://evil.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "x-filterscope-client",
    }
    answer = client.options("/api/state", headers=asked)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]
    page = client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static//etc/passwd",
        "/static/index.html/../../app.py", "/../../etc/passwd", "/static/", "/static/none.js",
        "/static/%00", "/static/..\\\\app.py", "/docs", "/redoc", "/openapi.json",
    ],
)  # fmt: skip
def test_no_path_reaches_a_file(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (404, 405)
    assert "message" in answer.json()["error"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "POST"])
def test_other_methods_are_told_in_json(client: TestClient, method: str) -> None:
    answer = client.request(method, "/api/state")
    assert answer.status_code == 405
    assert answer.json()["error"]["kind"] == "request"


def test_a_token_is_asked_for(session: Session) -> None:
    access = Access("0.0.0.0", 9000, TOKEN)
    app = create_app(session, access)
    with TestClient(app, base_url="http://192.168.1.5:9000", headers=CLIENT) as client:
        assert client.get("/").status_code == 200  # the page alone, which asks for it
        for wrong in (
            {},
            {"Authorization": "Bearer no"},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": f"Bearer {TOKEN}x"},
            {"Authorization": "Bearer ä"},
        ):
            headers = {name: value.encode() for name, value in wrong.items()}
            answer = client.get("/api/state", headers=headers)
            assert (answer.status_code, answer.json()["error"]["kind"]) == (401, "token")
        assert client.get(f"/api/state?token={TOKEN}").status_code == 401
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert client.get("/api/state", headers=right).status_code == 200
        named = {**right, "Host": "evil.example:9000"}
        assert client.get("/api/state", headers=named).status_code == 421


@pytest.mark.parametrize(
    ("host", "token", "words"),
    [
        ("0.0.0.0", None, "`token` is needed on host 0.0.0.0"),
        ("192.168.1.5", "", "`token` is needed"),
        ("example.org", None, "`token` is needed"),
        ("127.0.0.1", "short", "at least 16"),
        ("0.0.0.0", "ä" * 20, "ASCII"),
    ],
)
def test_an_open_door_is_refused(host: str, token: str | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Access(host, 8765, token)


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("Studio.Local", "studio.local:8765"),
        ("studio.local", "STUDIO.local:8765"),
        ("2001:DB8:0::1", "[2001:db8::1]:8765"),
        ("192.168.1.5", "192.168.1.5:8765"),
    ],
)
def test_a_host_goes_by_its_name_however_it_is_written(host: str, asked: str) -> None:
    access = Access(host, 8765, TOKEN)
    assert access.allows_host(asked)
    assert not access.allows_host("other.local:8765")
    assert not access.allows_host("192.168.1.6:8765")


@pytest.mark.parametrize("port", [-1, 65536, 70000])
def test_ports_that_are_none_are_refused(port: int) -> None:
    with pytest.raises(ValueError, match="`port`"):
        Access("127.0.0.1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.9"])
def test_this_machine_needs_no_token(host: str) -> None:
    access = Access(host, 8765)
    assert access.is_loopback
    assert access.allows_host(f"[{host}]:8765" if ":" in host else f"{host}:8765")
