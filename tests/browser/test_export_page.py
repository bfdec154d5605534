"""The page of an export, opened as a file."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from filterscope.explorer.export import export_filters
from filterscope.explorer.export_plan import Export
from filterscope.explorer.pictures import drawn_picture
from filterscope.models import create_image_network

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def test_rows_and_columns_follow_the_pointer_without_a_server(
    browser: Browser, tmp_path: Path
) -> None:
    network = create_image_network("bicubic", scale=2)
    done = export_filters(Export(network, drawn_picture(16)), tmp_path / "out")
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{done.page.as_uri()}#output=9,20")
    page.wait_for_selector("body[data-state=ready]")
    expect(page.locator("#rows + output")).to_contain_text("row 9, column 20: ±")
    expect(page.locator("#columns + output")).to_contain_text("row 4, column 10: ±")
    page.locator("#input").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#columns + output")).to_contain_text("row 5, column 10: ±")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    (tmp_path / "out" / "columns" / "0006.png").unlink()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#error")).to_contain_text("columns/0006.png is not there")
    assert not errors
    page.close()
