"""From pointer rest to both filters on the page, in a browser: ESPCN x3 on a 64x64 picture.

The explorer runs as a process of its own, as a user starts it; headless Chromium moves the pointer
to places that lie apart, and waits at each until both filters are drawn. The page itself takes the
time, from the event of the pointer to the end of its drawing (what the screen then takes is not in
it). Random weights cost what trained ones do.
Run: python benchmarks/explorer.py [--positions 200] [--weights FILE]
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
from importlib.metadata import version

from playwright.sync_api import Page, sync_playwright

MEDIAN, LAST = 150, 400
SIDE = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--positions", type=int, default=200)
    parser.add_argument("--weights", help="of ESPCN; random ones by default")
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM", "chromium"))
    arguments = parser.parse_args()
    browser = shutil.which(arguments.chromium)
    if browser is None:
        parser.error("no Chromium here: apt-get install chromium, or set CHROMIUM")
    weights = ["--weights", arguments.weights] if arguments.weights else ["--random-weights"]
    scale = [] if arguments.weights else ["--scale=3"]
    code = "import sys; from filterscope.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["explore", "--model", "espcn", *weights, *scale, "--port=0"]
    before = os.getloadavg()[0]
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[-1]
            times = measured(address, browser, arguments.positions)
        finally:
            server.terminate()
    report(times, before)


def measured(address: str, browser: str, count: int) -> list[float]:
    """Milliseconds at each position."""
    chosen = random.Random(0)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1280, "height": 860})
        page.set_default_timeout(120_000)
        page.goto(address)
        page.wait_for_selector("body[data-state=ready]")
        places = [(chosen.randrange(SIDE), chosen.randrange(SIDE)) for _ in range(count + 10)]
        for row, column in places:
            rest(page, row, column)
        # the first ones warm caches up
        entries = "performance.getEntriesByName('filterscope-probe').map((one) => one.duration)"
        found: list[float] = page.evaluate(entries)[-count:]
        chromium.close()
    return found


def rest(page: Page, row: int, column: int) -> None:
    """Move the pointer to a pixel of the input and wait for both filters."""
    box = page.locator("[data-pane=input] canvas").bounding_box()
    assert box is not None
    x = box["x"] + (column + 0.5) / SIDE * box["width"]
    y = box["y"] + (row + 0.5) / SIDE * box["height"]
    page.mouse.move(x, y)
    page.wait_for_selector(f"body[data-state=ready][data-probe='input {row} {column}']")


def report(times: list[float], before: float) -> None:
    """Print the figures with what they depend on."""
    median, last = statistics.median(times), statistics.quantiles(times, n=100)[98]
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "fastapi", "uvicorn"))
    cores = len(os.sched_getaffinity(0))
    print(f"{packages}; {cores} cores; load {before:.1f} before, {os.getloadavg()[0]:.1f} after")
    print(f"ESPCN x3, {SIDE} x {SIDE}, pointer rest to both filters, n = {len(times)}:")
    print(
        f"  median {median:.0f} ms (limit {MEDIAN}), 99th percentile {last:.0f} ms (limit {LAST})"
    )
    print(f"  from {min(times):.0f} to {max(times):.0f} ms")


if __name__ == "__main__":
    main()
