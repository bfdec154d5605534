"""The page of explained images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from filterscope import load_run
from filterscope.evaluation import explain_images
from filterscope.report import write_explanations
from filterscope.report.overlay import overlay
from filterscope.runs import Run
from filterscope.training import TrainSettings, train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = TrainSettings(
        method="gated", epochs=1, warmup=0, scheme="joint", limit=40, limit_test=20, batch_size=20
    )
    return load_run(train(settings, tmp_path_factory.mktemp("runs") / "gated"))


def test_the_page_has_every_image_its_filters_and_its_errors(run: Run, tmp_path: Path) -> None:
    Image.effect_noise((30, 40), 80).save(tmp_path / "good.png")
    (tmp_path / "<b>broken.jpg").write_bytes(b"no image")
    explanations = explain_images(run, [tmp_path], top_filters=3)
    page = tmp_path / "pages" / "page.html"
    write_explanations(run, explanations, page)
    text = page.read_text()
    assert "&lt;b&gt;broken.jpg" in text
    assert "<b>broken" not in text
    assert "not readable" in text
    assert text.count("data:image/png") == 2 + 3  # the image, its CAM, three filters
    good = next(e for e in explanations if e.error is None)
    for part in good.filters:
        assert f"filter {part.index}" in text
    for item in good.without:
        assert item.removed in text.replace("&#39;", "'")
    assert "http" not in text.replace("http-equiv", "")


def test_an_overlay_is_dark_where_the_map_is_small_and_bright_where_it_is_large() -> None:
    image = np.full((2, 2, 3), 128, np.uint8)
    shown = overlay(image, np.array([[0.0, 1.0], [0.5, 2.0]]))
    brightness = shown.astype(float).mean(2)
    assert brightness[0, 0] < brightness[1, 0] < brightness[0, 1] < brightness[1, 1]
    flat = overlay(image, np.zeros((2, 2)))
    assert (flat == flat[0, 0]).all()
    signed = overlay(image, np.array([[-1.0, 1.0]]).repeat(2, 0), signed=True)
    assert signed[0, 0].sum() < signed[0, 1].sum()
