"""The explorer in a browser, as somebody uses it."""

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

Open = Callable[..., Page]

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

COUNT = (
    "performance.getEntriesByType('resource').filter((one) => one.name.includes('/api/')).length"
)
TOKEN = "a-token-that-is-long-enough"


def canvas(page: Page, pane: str) -> Any:
    return page.locator(f"[data-pane={pane}] canvas")


def ready(page: Page, probe: str) -> None:
    page.wait_for_selector(f"body[data-state=ready][data-probe='{probe}']")


def hover(page: Page, pane: str, x: float, y: float) -> None:
    """Move the pointer to a place of a pane, from 0 to 1."""
    box = canvas(page, pane).bounding_box()
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])


def pixels(page: Page, pane: str) -> np.ndarray:
    """What a canvas shows, (H, W, 4)."""
    script = "(pane) => document.querySelector(`[data-pane=${pane}] canvas`).toDataURL()"
    content = base64.b64decode(page.evaluate(script, pane).partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))


def value(page: Page, pane: str) -> str:
    return str(page.locator(f"[data-pane={pane}] .value").inner_text())


def test_the_page_shows_pictures_and_filters(open_page: Open) -> None:
    page = open_page()
    ready(page, "input 16 16")
    for pane in ("input", "output", "row", "column"):
        shown = pixels(page, pane)
        assert shown[..., :3].std() > 2
        assert shown[..., 3].min() == 255
    assert page.title() == "filterscope explorer"
    assert "random weights" in page.locator("#subject").inner_text()
    assert page.locator("#hint").inner_text() == "a line of help"
    least, zero, most = page.locator("[data-pane=row] .scale b").all_inner_texts()
    assert (least[0], zero, most[0], least[1:]) == ("−", "0", "+", most[1:])


def test_both_filters_follow_the_pointer(open_page: Open) -> None:
    page = open_page()
    before = pixels(page, "row"), pixels(page, "column")
    hover(page, "input", 0.25, 0.75)
    ready(page, "input 24 8")
    assert value(page, "input").startswith("row 24, column 8\nRGB ")
    assert value(page, "column").startswith("row 73, column 25\n")
    after = pixels(page, "row"), pixels(page, "column")
    assert (before[0] != after[0]).any()
    assert (before[1] != after[1]).any()
    hover(page, "output", 0.51, 0.01)
    ready(page, "output 0 48")
    assert value(page, "row").startswith("row 0, column 16\n")


def test_values_scale_and_zoom_need_no_request(open_page: Open) -> None:
    page = open_page()
    count = page.evaluate(COUNT)
    hover(page, "row", 0.5, 0.5)
    here = value(page, "row")
    assert re.fullmatch(r"row \d+, column \d+\n[+−][\d.e−+]+", here)
    hover(page, "row", 0.1, 0.1)
    assert value(page, "row") != here
    before = pixels(page, "input"), pixels(page, "row")
    hover(page, "row", 0.5, 0.5)
    page.mouse.wheel(0, -800)
    expect(page.locator("#level")).not_to_have_text("×1")
    assert (pixels(page, "input") != before[0]).any()
    zoomed = pixels(page, "input")
    page.mouse.down()
    hover(page, "row", 0.8, 0.7)
    page.mouse.up()
    assert (pixels(page, "input") != zoomed).any()
    page.locator("#tone").select_option("root")
    page.get_by_role("button", name="Whole").click()
    expect(page.locator("#level")).to_have_text("×1")
    assert (pixels(page, "row") != before[1]).any()
    assert page.evaluate(COUNT) == count


def test_a_click_holds_the_pixel(open_page: Open) -> None:
    page = open_page()
    hover(page, "input", 0.3, 0.3)
    page.mouse.down()
    page.mouse.up()
    ready(page, "input 9 9")
    expect(page.locator("#held")).to_be_visible()
    count = page.evaluate(COUNT)
    hover(page, "input", 0.7, 0.7)
    page.wait_for_timeout(200)
    assert page.evaluate(COUNT) == count
    page.get_by_role("button", name="Release").click()
    hover(page, "input", 0.71, 0.71)
    ready(page, "input 22 22")


def test_everything_works_by_keys(open_page: Open) -> None:
    page = open_page()
    canvas(page, "input").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    ready(page, "input 17 17")
    page.keyboard.press("Shift+ArrowUp")
    ready(page, "input 9 17")
    expect(page.locator("#status")).to_contain_text("Output row 28, column 52 reads")
    for _ in range(5):
        page.keyboard.press("Shift+ArrowLeft")
    ready(page, "input 9 0")
    page.keyboard.press("+")
    expect(page.locator("#level")).to_have_text("×1.5")
    page.keyboard.press("-")
    expect(page.locator("#level")).to_have_text("×1")
    page.keyboard.press("Enter")
    expect(page.locator("#held")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#held")).to_be_hidden()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('figure').dataset.pane") == "output"
    page.keyboard.press("ArrowRight")
    ready(page, "output 28 2")


def test_the_tab_order_reaches_every_control(open_page: Open) -> None:
    page = open_page("#network=bicubic")
    order = []
    for _ in range(22):
        page.keyboard.press("Tab")
        order.append(page.evaluate(
            "document.activeElement.id || document.activeElement.closest('figure')?.dataset.pane"
            " || document.activeElement.className"))  # fmt: skip
    expected = [
        "skip", "network", "image", "upload", "link", "save", "colour", "show", "tone", "lens",
        "part", "out", "in", "whole", "input", "output", "row", "column",
    ]  # fmt: skip
    assert [name for name in order if name in expected][: len(expected)] == expected


def test_switching_network_and_picture(open_page: Open) -> None:
    page = open_page()
    page.locator("#network").select_option("bicubic")
    expect(page.locator("#subject")).to_contain_text("bicubic")
    page.wait_for_selector("body[data-state=ready]")
    expect(page.locator("#colour")).to_be_visible()
    before = pixels(page, "input").shape
    page.locator("#image").select_option(label="wide")
    page.wait_for_selector("body[data-state=ready][data-probe='input 16 24']")
    assert pixels(page, "input").shape != before
    page.locator("#colour").select_option("block")
    page.wait_for_selector("body[data-state=ready]")
    expect(page.locator("#show")).to_have_value("rgb")
    page.locator("#part").select_option("residual")
    assert pixels(page, "output")[..., :3].std() < 60


def test_a_classifier(open_page: Open) -> None:
    page = open_page("#network=resnet20")
    expect(page.locator("[data-list=votes] li").first).to_be_visible()
    expect(page.locator("[data-list=parts] li").first).to_contain_text("the image")
    expect(page.locator("[data-list=effects] li")).to_have_count(10)
    for pane in ("row", "discussion", "votes"):
        assert pixels(page, pane)[..., :3].std() > 2
    row = pixels(page, "row")
    pressed = page.locator("button[aria-pressed=true]")
    fifth = page.locator("[data-list=scores] button").nth(4)
    fifth.click()
    expect(pressed).to_have_attribute("data-label", fifth.get_attribute("data-label") or "")
    page.wait_for_selector("body[data-state=ready]")
    assert (pixels(page, "row") != row).any()
    effects = page.locator("[data-list=effects]").inner_text()
    hover(page, "input", 0.4, 0.6)
    ready(page, "input 19 12")
    assert page.locator("[data-list=effects]").inner_text() != effects
    assert page.locator("[data-section=filters]").is_hidden()
    page.get_by_label("Another label").select_option("7")
    expect(page.locator("[data-says=parts]")).to_contain_text("class 7")
    page.locator("#network").select_option("espcn")
    page.wait_for_selector("[data-pane=column]")
    assert page.locator("#side").inner_text() == ""


def test_an_upload_is_shown_and_not_in_the_link(open_page: Open) -> None:
    page = open_page()
    file = io.BytesIO()
    Image.new("RGB", (30, 20), (200, 30, 30)).save(file, "PNG")
    upload = {"name": "red <b>.png", "mimeType": "image/png", "buffer": file.getvalue()}
    page.locator("#file").set_input_files(upload)
    ready(page, "input 10 15")
    assert page.locator("#image option:checked").inner_text() == "red <b>.png"
    expect(page.locator("#notice")).to_contain_text("not part of a link")
    assert tuple(pixels(page, "input")[5, 5, :3]) == (200, 30, 30)
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#notice")).to_contain_text("uploaded picture is not in it")
    link = page.evaluate("navigator.clipboard.readText()")
    assert "network=espcn" in link
    assert "image=" not in link


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"no image at all", "not readable as an image"), (b"x" * 100_001, "larger than the")],
)
def test_a_refused_upload_says_why(open_page: Open, content: bytes, words: str) -> None:
    page = open_page()
    upload = {"name": "a.png", "mimeType": "image/png", "buffer": content}
    page.locator("#file").set_input_files(upload)
    error = page.get_by_role("alert")
    expect(error).to_contain_text(words)
    error.get_by_role("button").click()
    expect(error).to_be_hidden()
    hover(page, "input", 0.2, 0.2)
    ready(page, "input 6 6")


def test_a_link_reproduces_the_view(open_page: Open) -> None:
    page = open_page("#network=bicubic")
    page.locator("#image").select_option(label="wide")
    page.wait_for_selector("body[data-state=ready][data-probe='input 16 24']")
    hover(page, "output", 0.3, 0.4)
    page.wait_for_selector("body[data-state=ready][data-probe^=output]")
    page.mouse.wheel(0, -600)
    page.locator("#tone").select_option("root")
    page.locator("#colour").select_option("green")
    page.wait_for_selector("body[data-state=ready]")
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#notice")).to_contain_text("Link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    canvas(page, "input").focus()
    page.keyboard.press("Enter")  # the link holds its pixel
    again = open_page(link.partition("/#")[2] and "#" + link.partition("/#")[2])
    assert again.locator("body").get_attribute("data-probe") == page.locator("body").get_attribute(
        "data-probe"
    )
    for name in ("#network", "#image", "#colour", "#show", "#tone", "#lens"):
        assert again.locator(name).input_value() == page.locator(name).input_value()
    for pane in ("input", "row", "column"):
        difference = np.abs(pixels(page, pane).astype(int) - pixels(again, pane))
        assert difference.mean() < 0.5  # the window's place is rounded in the link


@pytest.mark.parametrize(
    "fragment",
    ["#network=none", "#image=gone", "#row=99999&column=-1&side=output", "#zoom=NaN&x=1e999&y=a",
     "#%E0%A4%A&row=1.5", "#network=resnet20&label=99999", "#lens=7&show=<b>&tone=[]",
     "#network=resnet20&label=-1", "#side=constructor&row=1&column=1"],
)  # fmt: skip
def test_a_broken_link_shows_something(open_page: Open, fragment: str) -> None:
    page = open_page(fragment)
    if "resnet20" in fragment:
        expect(page.locator("[data-list=parts] li").first).to_contain_text("the image")
    expect(page.get_by_role("alert")).to_be_hidden()
    assert pixels(page, "input")[..., :3].std() > 2


def test_the_view_is_saved_as_a_picture(open_page: Open, tmp_path: Path) -> None:
    page = open_page("#network=espcn&row=5&column=6")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save PNG").click()
    assert waiting.value.suggested_filename == "espcn-input-5-6.png"
    waiting.value.save_as(tmp_path / "saved.png")
    with Image.open(tmp_path / "saved.png") as image:
        assert image.format == "PNG"
        assert image.size[0] > 900
        assert np.asarray(image.convert("L")).std() > 10


def test_the_saved_picture_says_which_label_a_vote_is_for(open_page: Open, tmp_path: Path) -> None:
    page = open_page("#network=resnet20&row=5&column=6")
    expect(page.locator("[data-list=votes] li").first).to_be_visible()
    expect(page.locator("[data-says=parts]")).to_contain_text("% of |F x₀| + |r|")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save PNG").click()
    waiting.value.save_as(tmp_path / "saved.png")
    with Image.open(tmp_path / "saved.png") as image:
        under = np.asarray(image.convert("RGB"))[-68:, image.width // 2 :].reshape(-1, 3)
    first = page.locator("[data-list=votes] .swatch").first
    colour = first.evaluate("element => getComputedStyle(element).backgroundColor")
    assert (under == [int(part) for part in re.findall(r"\d+", colour)]).all(1).sum() == 100


def test_an_error_is_shown_and_the_page_goes_on(open_page: Open) -> None:
    page = open_page()
    page.locator("#network").select_option("raises")
    error = page.get_by_role("alert")
    expect(error).to_contain_text("raises could not be read here: the network <b>broke</b>")
    page.locator("#network").select_option("bicubic")
    page.wait_for_selector("body[data-state=ready]")
    expect(error).to_be_hidden()


def test_nothing_stays_of_a_network_when_another_cannot_be_opened(open_page: Open) -> None:
    page = open_page("#network=resnet20")
    expect(page.locator("[data-list=votes] li").first).to_be_visible()
    page.locator("#network").select_option("raises")
    expect(page.get_by_role("alert")).to_contain_text("the network <b>broke</b>")
    expect(page.locator("figure, section")).to_have_count(0)
    page.get_by_role("button", name="Zoom in").click()
    page.locator("#tone").select_option("root")
    page.get_by_role("button", name="Save PNG").click()
    expect(page.locator("#notice")).to_contain_text("no picture yet")
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#notice")).to_contain_text("no view yet")
    page.locator("#network").select_option("espcn")
    page.wait_for_selector("body[data-state=ready]")
    expect(page.locator("figure")).to_have_count(4)
    hover(page, "input", 0.1, 0.1)
    ready(page, "input 3 3")


def test_a_pointer_that_moves_while_another_network_opens_asks_nothing(open_page: Open) -> None:
    page = open_page()
    page.evaluate(
        """() => { const canvas = document.querySelector("[data-pane=output] canvas");
        const box = canvas.getBoundingClientRect(), network = document.getElementById("network");
        network.value = "bicubic"; network.dispatchEvent(new Event("change"));
        canvas.dispatchEvent(new PointerEvent("pointermove", { pointerType: "mouse",
          clientX: box.right - 2, clientY: box.bottom - 2 })); }"""
    )
    ready(page, "input 16 16")
    asked = page.evaluate(
        "performance.getEntriesByType('resource').map((one) => one.name).filter("
        "(name) => name.includes('/api/probe') && name.includes('network=bicubic'))"
    )
    assert len(asked) == 1
    expect(page.get_by_role("alert")).to_be_hidden()


def test_what_an_error_said_goes_when_the_next_answer_comes(open_page: Open) -> None:
    page = open_page()
    page.route("**/api/probe?*", lambda route: route.abort(), times=1)
    hover(page, "input", 0.1, 0.1)
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    hover(page, "input", 0.9, 0.9)
    ready(page, "input 28 28")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_filters_of_the_picture_before_are_not_shown(open_page: Open) -> None:
    page = open_page("#network=resnet20")
    expect(page.locator("[data-list=votes] li").first).to_be_visible()
    assert pixels(page, "votes")[..., 3].min() == 255
    page.route("**/api/votes?*", lambda route: None)  # never answered
    page.locator("#image").select_option(label="wide")
    expect(page.locator("[data-says=votes]")).to_have_text("being computed")
    page.wait_for_selector("body[data-state=ready]")
    assert pixels(page, "votes")[..., 3].max() == 0
    assert value(page, "votes") == ""


def test_nothing_fails_before_the_server_answers(open_page: Open) -> None:
    page = open_page(ready=False)
    page.route("**/api/state?*", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("is it still running?")
    for name in ("Zoom in", "Zoom out", "Whole", "Save PNG", "Copy link"):
        page.get_by_role("button", name=name).click()
    upload = {"name": "a.png", "mimeType": "image/png", "buffer": b"x"}
    page.locator("#file").set_input_files(upload)
    expect(page.get_by_role("alert")).to_contain_text("does not answer yet")
    page.unroute("**/api/state?*")
    page.evaluate("location.hash = 'network=bicubic'")
    page.wait_for_selector("body[data-state=ready]")
    assert page.locator("#network").input_value() == "bicubic"


@pytest.mark.parametrize("size", [(20, 400), (400, 20)])
def test_long_pictures_are_seen_whole(
    open_page: Open, size: tuple[int, int], tmp_path: Path
) -> None:
    page = open_page()
    file = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(file, "PNG")
    upload = {"name": "long.png", "mimeType": "image/png", "buffer": file.getvalue()}
    page.locator("#file").set_input_files(upload)
    middle = [max(1, round(side * 128 / 400)) // 2 for side in reversed(size)]
    ready(page, f"input {middle[0]} {middle[1]}")
    box = canvas(page, "input").bounding_box()
    assert box["height"] <= 0.81 * 860
    hover(page, "input", 0.5, 0.27)
    ready(page, f"input {int(0.27 * 2 * middle[0])} {middle[1]}")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save PNG").click()
    waiting.value.save_as(tmp_path / "saved.png")
    with Image.open(tmp_path / "saved.png") as image:
        assert max(image.size) < 2400


def test_a_server_that_is_gone_is_told(open_page: Open, explorer: Any) -> None:
    with explorer() as (address, end):
        page = open_page(at=address)
        end()
        hover(page, "input", 0.1, 0.1)
        expect(page.get_by_role("alert")).to_contain_text("is it still running?")


def test_the_token_is_asked_for_and_kept_out_of_links(open_page: Open, explorer: Any) -> None:
    with explorer(TOKEN) as (address, _):
        page = open_page(at=address, ready=False)
        form = page.get_by_label("This explorer asks for its token")
        form.fill("wrong")
        page.get_by_role("button", name="Go on").click()
        expect(form).to_be_visible()
        form.fill(TOKEN)
        page.get_by_role("button", name="Go on").click()
        page.wait_for_selector("body[data-state=ready]")
        expect(form).to_be_hidden()
        direct = open_page(f"#token={TOKEN}&network=bicubic", at=address)
        assert direct.locator("#network").input_value() == "bicubic"
        assert TOKEN not in direct.evaluate("location.href")


def test_a_phone(open_page: Open) -> None:
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    told = page.locator("#help").inner_text()
    assert "Tap" in told
    assert not [word for word in ("Click", "Wheel", "Keys") if word in told], "a phone has none"
    box = canvas(page, "input").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.25)
    page.wait_for_selector("body[data-state=ready]:not([data-probe='input 16 16'])")
    side, row, column = page.locator("body").get_attribute("data-probe").split()
    assert (side, 7 <= int(row) <= 9, 23 <= int(column) <= 25) == ("input", True, True)
    assert min(canvas(page, pane).bounding_box()["width"] for pane in ("input", "row")) > 140
    page.locator("#network").select_option("resnet20")
    expect(page.locator("[data-list=votes] li").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


CONTRASTS = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = (colour) => { const [r, g, b] = colour.slice(0, 3).map((v) => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (node) => { for (; node; node = node.parentElement) {
    const colour = parse(getComputedStyle(node).backgroundColor);
    if (colour.length && (colour[3] ?? 1) > 0) return colour; } return [255, 255, 255]; };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || !node.checkVisibility() || node.closest("option, script, style")) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(ground(node))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), node.textContent.slice(0, 40)]);
  }
  return found; }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("network", ["espcn", "resnet20"])
def test_text_is_legible_and_controls_have_names(
    open_page: Open, scheme: str, network: str
) -> None:
    page = open_page(f"#network={network}&row=3&column=3", color_scheme=scheme)
    if network == "resnet20":
        expect(page.locator("[data-list=votes] li").first).to_be_visible()
    found = page.evaluate(CONTRASTS)
    assert len(found) > 15
    assert min(found)[0] >= 4.5, min(found)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, canvas")].filter((one) =>
        !(one.ariaLabel || one.labels?.length || one.textContent.trim())).map((one) => one.id)"""
    )
    assert nameless == []


def test_colours_follow_the_scheme(open_page: Open) -> None:
    page = open_page(color_scheme="light")
    light = pixels(page, "row")[..., :3].mean()
    page.emulate_media(color_scheme="dark")
    for _ in range(100):
        if pixels(page, "row")[..., :3].mean() < light - 100:
            return
        page.wait_for_timeout(100)
    pytest.fail("the filters are drawn on light ground still")


def test_moving_on_asks_for_the_last_place_alone(open_page: Open) -> None:
    page = open_page("#network=bicubic")
    count = page.evaluate(COUNT)
    page.evaluate(
        """() => { const canvas = document.querySelector("[data-pane=input] canvas");
        const box = canvas.getBoundingClientRect();
        for (let k = 0; k < 30; k++) canvas.dispatchEvent(new PointerEvent("pointermove", {
          pointerType: "mouse", clientX: box.left + k * 5, clientY: box.top + 9 })); }"""
    )
    page.wait_for_selector("body[data-state=ready]")
    last = page.evaluate("new URLSearchParams(performance.getEntriesByType('resource').filter("
                         "(one) => one.name.includes('/api/probe')).at(-1).name.split('?')[1])"
                         ".get('column')")  # fmt: skip
    assert page.locator("body").get_attribute("data-probe").split()[2] == last
    assert page.evaluate(COUNT) - count <= 3  # the first, the last, and one for slow machines
