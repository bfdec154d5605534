"""Running the explorer: a bound socket, one server, an address to open."""

from __future__ import annotations

import socket
import webbrowser
from collections.abc import Callable

import uvicorn

from filterscope.explorer.app import create_app
from filterscope.explorer.security import Access
from filterscope.explorer.session import Session


def serve(
    session: Session,
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str | None = None,
    *,
    tell: Callable[[str], None] = print,
    open_browser: bool = False,
) -> None:
    """Serve an explorer until Ctrl-C.

    Args:
        session: What is explored.
        host: Address to bind to.
        port: Its port; 0 for any that is free.
        token: What requests have to know; needed on a host that others can reach.
        tell: Is given the address to open.
        open_browser: Open it here.

    Raises:
        OSError: The address is not to be had.
        ValueError: Another host without a token.
    """
    Access(host, port, token)  # told before anything is bound
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as bound:
        access = Access(host, bound.getsockname()[1], token)
        shown = f"http://{_shown(host)}:{access.port}/{'' if token is None else f'#token={token}'}"
        tell(shown)
        if open_browser:
            webbrowser.open(shown)
        config = uvicorn.Config(
            create_app(session, access),
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=2,
        )
        uvicorn.Server(config).run(sockets=[bound])


def _shown(host: str) -> str:
    """A name that a browser here takes for an address that is bound."""
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    return f"[{name}]" if ":" in name else name
