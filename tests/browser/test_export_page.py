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


def test_taps_move_on(browser: Browser, tmp_path: Path) -> None:
    network = create_image_network("bicubic", scale=2)
    done = export_filters(Export(network, drawn_picture(16)[:, :, :4], "columns"), tmp_path / "out")
    page = browser.new_page(viewport={"width": 390, "height": 600}, has_touch=True, is_mobile=True)
    page.set_default_timeout(60_000)
    page.goto(done.page.as_uri())
    page.wait_for_selector("body[data-state=ready]")
    box = page.locator("#input").bounding_box()
    assert box is not None
    assert abs(box["height"] / box["width"] - 4) < 0.1  # four times as high as wide, and seen whole
    assert box["height"] <= 0.81 * 600
    for row in (4, 9):
        page.touchscreen.tap(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * row / 16 + 5)
        expect(page.locator("#input + output")).to_have_text(f"row {row}, column 2")
    expect(page.locator("#rows + output")).to_have_text("not exported")
    page.close()


def test_a_page_without_its_manifest_says_so(browser: Browser, tmp_path: Path) -> None:
    network = create_image_network("bicubic", scale=2)
    done = export_filters(Export(network, drawn_picture(4)), tmp_path / "out")
    (tmp_path / "out" / "manifest.js").write_text("globalThis.filterscopeExport = {")
    page = browser.new_page()
    page.goto(done.page.as_uri())
    expect(page.locator("#error")).to_contain_text("run the export again")
    page.close()
