"""Who may talk to the explorer: checks of host, origin and token before anything else."""

from __future__ import annotations

import hmac
import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SHORTEST_TOKEN = 16

HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


@dataclass(frozen=True)
class Access:
    """Where the explorer listens, and who may ask.

    Args:
        host: Address that it is bound to. On a loopback one, only requests by a loopback name are
            answered, so that no other name can be made to point here.
        port: Its port.
        token: What requests have to know; needed on any other host.

    Raises:
        ValueError: Another host without a token, a token that is too short, or no such port.

    Examples:
        >>> Access("0.0.0.0", 8765)
        Traceback (most recent call last):
        ValueError: `token` is needed on host 0.0.0.0, where others can reach it: ...
    """

    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"`port` must be from 0 to 65535, got {self.port}")
        if not self.is_loopback and not self.token:
            raise ValueError(
                f"`token` is needed on host {self.host}, where others can reach it: at least "
                f"{SHORTEST_TOKEN} characters, or `auto` for a random one"
            )
        if self.token is not None and len(self.token) < SHORTEST_TOKEN:
            raise ValueError(f"`token` must have at least {SHORTEST_TOKEN} characters")
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise ValueError("`token` must be printable ASCII characters")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return _is_loopback(self.host)

    def allows_host(self, value: str) -> bool:
        """Whether a request may call the server by this name (a Host header)."""
        name, port = _split(value)
        if port != self.port:
            return False
        if self.is_loopback:
            return name in LOOPBACK or name == _named(self.host)
        own = {_named(self.host), socket.gethostname().lower(), *LOOPBACK}
        return name in own or (self.host in ("0.0.0.0", "::") and _is_address(name))

    def allows_token(self, value: str) -> bool:
        """Whether an Authorization header holds the token, where one is asked for."""
        if self.token is None:
            return True
        kind, _, given = value.partition(" ")
        right = hmac.compare_digest(given.strip().encode(), self.token.encode())
        return right and kind.lower() == "bearer"


class Guard:
    """Answers requests that may not come in, and passes on the others.

    Refused are: names that are not the server's own (DNS rebinding), requests that another site's
    page makes (its Origin, or what the browser says of it), and requests for anything but the
    page itself without the token. Requests that change something, or compute, need a header of
    their own besides, which no other site's page can send.

    Args:
        inner: The application.
        access: Who may ask.
    """

    def __init__(self, inner: Application, access: Access) -> None:
        self._inner, self._access = inner, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        refused = self._refusal(scope)
        if refused is not None:
            await _answer(send, *refused)
            return

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        await self._inner(scope, receive, secured)

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        """Status, kind and message of an answer that ends the request; None to pass it on."""
        headers = _headers(scope)
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not self._access.allows_host(hosts[0]):
            return 421, "host", "this server does not go by that name and port"
        origins = headers.get("origin", [])
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            return 403, "origin", "requests from other sites are refused"
        is_api = scope["path"].startswith("/api")
        sites = headers.get("sec-fetch-site", [])
        came = sites[0] if sites else "none"
        # a link elsewhere may lead to the page, but nothing of it may be used there
        is_visit = not is_api and headers.get("sec-fetch-mode") == ["navigate"]
        if came not in ("same-origin", "none") and not is_visit:
            return 403, "origin", "requests from other sites are refused"
        given = headers.get("authorization", [""])
        if is_api and not (len(given) == 1 and self._access.allows_token(given[0])):
            return 401, "token", "this explorer asks for its token"
        return None


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


async def _answer(send: Send, status: int, kind: str, message: str) -> None:
    body = json.dumps({"error": {"kind": kind, "message": message}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *([(b"www-authenticate", b"Bearer")] if status == 401 else []),
        *HEADERS,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _split(value: str) -> tuple[str, int]:
    """Name and port of a Host header; port -1 where it is none.

    Examples:
        >>> _split("LOCALHOST:80"), _split("[::1]:8000"), _split("a:b")
        (('localhost', 80), ('::1', 8000), ('a', -1))
    """
    name, colon, port = value.strip().lower().rpartition(":")
    if not colon or port.endswith("]"):
        name, port = value.strip().lower(), "80"
    number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else -1
    return _named(name.removeprefix("[").removesuffix("]")), number


def _named(host: str) -> str:
    """A name or address as it is compared: in small letters, addresses in their short form.

    Examples:
        >>> _named("Studio.local"), _named("2001:DB8:0:0::1")
        ('studio.local', '2001:db8::1')
    """
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
