"""Look whether the addresses in README and documentation still answer.

    python tools/links.py

Links between pages and their anchors are checked by `make docs`. This asks other people's servers,
so it is run by hand and by no test. Ends with 1 where an address does not answer.
"""

import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECONDS = 20
_FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_ADDRESS = re.compile(r"https?://[^\s<>\"'`]+")
_LOCAL = ("http://127.0.0.1", "http://localhost", "http://studio")


def addresses(text: str) -> list[str]:
    """The addresses in a page, those in code aside, each once, in order."""
    found = _ADDRESS.findall(_FENCED.sub("", text))
    trimmed = [address.rstrip(".,;:)]*") for address in found]
    return list(dict.fromkeys(a for a in trimmed if not a.startswith(_LOCAL)))


def fault(address: str, seconds: float = SECONDS) -> str | None:
    """Why an address does not answer; None where it does.

    Servers that refuse programs, or ask them to wait, are there.
    """
    agent = {"User-Agent": "Mozilla/5.0 (a link check)"}
    request = urllib.request.Request(address, headers=agent)
    try:
        with urllib.request.urlopen(request, timeout=seconds):
            return None
    except urllib.error.HTTPError as error:
        there = (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
        return None if error.code in there else f"{error.code} {error.reason}"
    except (OSError, ValueError) as error:
        return str(error)


def main(pages: Iterable[Path]) -> int:
    """Check the addresses of all pages; print those that do not answer."""
    places: dict[str, list[str]] = {}
    for page in pages:
        for address in addresses(page.read_text()):
            places.setdefault(address, []).append(page.name)
    with ThreadPoolExecutor(8) as pool:
        faults = dict(zip(places, pool.map(fault, places), strict=True))
    broken = {address: reason for address, reason in faults.items() if reason}
    for address, reason in broken.items():
        print(f"{address} ({', '.join(places[address])}): {reason}")
    print(f"{len(places)} addresses, {len(broken)} do not answer")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main([*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]))
