"""Image files of every kind, decoded to RGB and cut to size."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from filterscope.data import Transform
from filterscope.data.decode import UnreadableImageError, fit, open_rgb, to_pixels

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, len(mode)))
    return Image.fromarray(values.astype(np.uint8).squeeze(), mode=None)


def values_of(image: Image.Image) -> np.ndarray:
    return np.asarray(image)


def test_an_rgb_png_comes_out_unchanged() -> None:
    image = noise(7, 5)
    assert (values_of(open_rgb(encoded(image, "PNG"))) == values_of(image)).all()


def test_greyscale_is_repeated_on_three_channels() -> None:
    grey = noise(6, 4, "L")
    opened = open_rgb(encoded(grey, "PNG"))
    assert opened.mode == "RGB"
    for channel in range(3):
        assert (values_of(opened)[:, :, channel] == values_of(grey)).all()


def test_one_bit_images_become_black_and_white() -> None:
    bits = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1")
    assert values_of(open_rgb(encoded(bits, "PNG")))[:, :, 0].tolist() == [[0, 255], [255, 0]]


def test_transparent_pixels_become_white_and_opaque_ones_keep_their_colour() -> None:
    image = Image.new("RGBA", (2, 1), (*RED, 255))
    image.putpixel((1, 0), (*BLUE, 0))
    assert values_of(open_rgb(encoded(image, "PNG")))[0].tolist() == [list(RED), list(WHITE)]


@pytest.mark.parametrize("alpha", [1, 64, 128, 200, 254])
def test_half_transparent_colours_are_mixed_with_white(alpha: int) -> None:
    colour = (10, 100, 250)
    got = open_rgb(encoded(Image.new("RGBA", (1, 1), (*colour, alpha)), "PNG")).getpixel((0, 0))
    wanted = [(c * alpha + 255 * (255 - alpha)) / 255 for c in colour]
    assert np.abs(np.subtract(got, wanted)).max() <= 1


def test_grey_with_alpha_is_laid_on_white() -> None:
    image = Image.new("LA", (3, 1), (40, 255))
    image.putpixel((1, 0), (40, 0))
    image.putpixel((2, 0), (0, 128))
    got = values_of(open_rgb(encoded(image, "PNG")))[0]
    assert got[0].tolist() == [40] * 3
    assert got[1].tolist() == [255] * 3
    assert got[2].tolist() == [127] * 3


def palette_image() -> Image.Image:
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *GREEN, *BLUE])
    for x in range(3):
        image.putpixel((x, 0), x)
    return image


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette_images_have_their_palette_colours(kind: str) -> None:
    opened = open_rgb(encoded(palette_image(), kind))
    assert values_of(opened)[0].tolist() == [list(RED), list(GREEN), list(BLUE)]


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_the_transparent_palette_entry_becomes_white(kind: str) -> None:
    opened = open_rgb(encoded(palette_image(), kind, transparency=1))
    assert values_of(opened)[0].tolist() == [list(RED), list(WHITE), list(BLUE)]


def test_a_palette_with_an_alpha_for_each_entry_is_laid_on_white() -> None:
    opened = open_rgb(encoded(palette_image(), "PNG", transparency=bytes([255, 0, 255])))
    assert values_of(opened)[0].tolist() == [list(RED), list(WHITE), list(BLUE)]


@pytest.mark.parametrize(("mode", "key", "colour"), [("RGB", RED, RED), ("L", 90, (90,) * 3)])
def test_the_colour_that_a_png_declares_transparent_becomes_white(
    mode: str, key: Any, colour: tuple[int, int, int]
) -> None:
    image = Image.new(mode, (2, 1), key)
    image.putpixel((1, 0), BLUE if mode == "RGB" else 20)
    got = values_of(open_rgb(encoded(image, "PNG", transparency=key)))[0].tolist()
    assert got == [list(WHITE), list(BLUE) if mode == "RGB" else [20] * 3]
    without = values_of(open_rgb(encoded(image, "PNG")))[0].tolist()
    assert without[0] == list(colour)


@pytest.mark.parametrize(
    ("ink", "colour"),
    [
        ((0, 0, 0, 0), WHITE),
        ((0, 255, 255, 0), RED),
        ((255, 0, 255, 0), GREEN),
        ((255, 255, 0, 0), BLUE),
        ((0, 0, 0, 255), (0, 0, 0)),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_inks_become_their_colours(
    kind: str, ink: tuple[int, ...], colour: tuple[int, ...]
) -> None:
    opened = open_rgb(encoded(Image.new("CMYK", (8, 8), ink), kind))
    assert opened.mode == "RGB"
    assert np.abs(values_of(opened).astype(int) - np.array(colour)).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_16_bit_ramp_becomes_an_8_bit_ramp(kind: str) -> None:
    ramp = np.arange(256, dtype=np.uint16)[None].repeat(2, 0) * 257
    opened = open_rgb(encoded(Image.fromarray(ramp), kind))
    for channel in range(3):
        assert values_of(opened)[0, :, channel].tolist() == list(range(256))


def test_16_bit_values_between_two_steps_are_rounded() -> None:
    values = np.array([[0, 128, 129, 65535 - 129, 65535 - 128, 65535]], np.uint16)
    opened = open_rgb(encoded(Image.fromarray(values), "PNG"))
    assert values_of(opened)[0, :, 0].tolist() == [0, 0, 1, 254, 255, 255]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_small_values_in_a_16_bit_file_are_kept(kind: str) -> None:
    values = np.arange(256, dtype=np.uint16)[None]
    opened = open_rgb(encoded(Image.fromarray(values), kind))
    assert values_of(opened)[0, :, 2].tolist() == list(range(256))


def test_an_integer_image_with_small_values_keeps_them() -> None:
    image = Image.fromarray(np.array([[0, 7, 255]], np.int32))
    assert image.mode == "I"
    assert values_of(open_rgb(image))[0, :, 1].tolist() == [0, 7, 255]


# Where the upper left corner of the stored image has to lie, as (x, y) of the upright image with
# one pixel blocks, by the table of the EXIF standard (0th row, 0th column).
ORIENTATIONS = {
    1: ("left", "top"),
    2: ("right", "top"),
    3: ("right", "bottom"),
    4: ("left", "bottom"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_rotation_in_exif_is_applied(orientation: int) -> None:
    stored = Image.new("RGB", (48, 32), WHITE)
    stored.paste(RED, (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = open_rgb(encoded(stored, "JPEG", exif=exif, quality=95))
    assert opened.size == ((48, 32) if orientation < 5 else (32, 48))
    side, end = ORIENTATIONS[orientation]
    x = 8 if side == "left" else opened.width - 8
    y = 8 if end == "top" else opened.height - 8
    assert np.abs(np.subtract(opened.getpixel((x, y)), RED)).max() < 30
    opposite = opened.getpixel((opened.width - 1 - x, opened.height - 1 - y))
    assert np.abs(np.subtract(opposite, WHITE)).max() < 30


def test_orientation_6_turns_a_photo_clockwise() -> None:
    stored = noise(4, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    opened = open_rgb(encoded(stored, "PNG", exif=exif))
    assert (values_of(opened) == np.rot90(values_of(stored), -1)).all()


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (GREEN, RED, BLUE)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    with Image.open(io.BytesIO(content)) as animation:
        assert animation.n_frames == 3
    assert open_rgb(content).getpixel((2, 2)) == GREEN


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF", "PPM", "TIFF"])
def test_bytes_path_string_and_pillow_image_give_the_same(tmp_path: Path, kind: str) -> None:
    content = encoded(noise(20, 15), kind)
    file = tmp_path / f"image.{kind.lower()}"
    file.write_bytes(content)
    transform = Transform(image_size=8)
    from_bytes = transform(content)
    assert torch.equal(transform(file), from_bytes)
    assert torch.equal(transform(str(file)), from_bytes)
    with Image.open(file) as image:
        assert torch.equal(transform(image), from_bytes)
    assert torch.equal(transform(to_pixels(open_rgb(content))), from_bytes)


def test_a_pillow_image_is_not_changed_by_opening_it() -> None:
    image = Image.new("RGBA", (2, 2), (*RED, 0))
    open_rgb(image)
    assert image.mode == "RGBA"
    assert image.getpixel((0, 0)) == (*RED, 0)


def broken_contents() -> dict[str, bytes]:
    photo = noise(64, 64)
    jpeg, png, gif = (encoded(photo, kind) for kind in ("JPEG", "PNG", "GIF"))
    return {
        "half.jpg": jpeg[: len(jpeg) // 2],
        "half.png": png[: len(png) // 2],
        "half.gif": gif[: len(gif) // 2],
        "head_only.jpg": jpeg[:20],
        "text.jpg": b"this is no image\n",
        "empty.jpg": b"",
        "zeros.png": bytes(1000),
    }


@pytest.mark.parametrize("name", broken_contents())
def test_a_broken_file_is_refused_by_name_in_a_line(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(broken_contents()[name])
    for read in (open_rgb, Transform(8)):
        for source in (file, str(file)):
            with pytest.raises(ValueError, match="not readable as an image") as caught:
                read(source)
            assert str(file) in str(caught.value)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", broken_contents())
def test_broken_bytes_are_refused(name: str) -> None:
    with pytest.raises(UnreadableImageError, match="the image is not readable as an image"):
        open_rgb(broken_contents()[name])


def test_a_truncated_image_opened_by_pillow_is_refused() -> None:
    image = Image.open(io.BytesIO(broken_contents()["half.jpg"]))
    with pytest.raises(UnreadableImageError, match="truncated"):
        open_rgb(image)


def test_an_image_too_large_to_be_safe_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UnreadableImageError, match="decompression bomb"):
        open_rgb(encoded(noise(30, 30), "PNG"))


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    for read in (open_rgb, Transform(8)):
        with pytest.raises(FileNotFoundError, match=r"absent\.jpg"):
            read(tmp_path / "absent.jpg")


def test_fit_cuts_the_centre_without_scaling_when_the_shorter_side_fits() -> None:
    wide, high = noise(30, 10), noise(10, 30)
    assert (values_of(fit(wide, 10, 10)) == values_of(wide)[:, 10:20]).all()
    assert (values_of(fit(high, 10, 10)) == values_of(high)[10:20]).all()
    assert (values_of(fit(high, 10, 6)) == values_of(high)[12:18, 2:8]).all()


@pytest.mark.parametrize(("width", "height"), [(90, 30), (30, 90)])
def test_a_long_image_keeps_its_middle_third_after_scaling(width: int, height: int) -> None:
    image = Image.new("RGB", (width, height), BLUE)
    middle = (30, 0, 60, 30) if width > height else (0, 30, 30, 60)
    image.paste(RED, middle)
    pixels = Transform(image_size=10).pixels(image)
    inner = pixels[:, 1:-1, 1:-1]
    assert inner.shape == (3, 8, 8)
    assert (inner == torch.tensor(RED, dtype=torch.uint8)[:, None, None]).all()


def test_the_shorter_side_is_scaled_to_resize_before_the_cut() -> None:
    image = noise(60, 40)
    scaled = image.resize((30, 20), Image.Resampling.BILINEAR)
    wanted = values_of(scaled)[2:18, 7:23]
    assert (Transform(16, resize=20).pixels(image).permute(1, 2, 0).numpy() == wanted).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (3, 5), (33, 32), (101, 67)])
@pytest.mark.parametrize(("side", "resize"), [(1, None), (16, None), (17, 20), (32, 33)])
def test_any_image_comes_out_square(size: tuple[int, int], side: int, resize: int | None) -> None:
    pixels = Transform(side, resize=resize).pixels(Image.new("RGB", size, (9, 8, 7)))
    assert pixels.shape == (3, side, side)
    assert pixels.dtype == torch.uint8
    # a cut that left the image would bring in black
    assert pixels.amin((1, 2)).tolist() == pixels.amax((1, 2)).tolist() == [9, 8, 7]


def test_a_single_pixel_fills_the_input() -> None:
    image = Transform(5, mean=(0, 0, 0), std=(1, 1, 1))(Image.new("RGB", (1, 1), (255, 0, 51)))
    assert torch.equal(image, torch.tensor([1, 0, 0.2])[:, None, None].expand(3, 5, 5))


def test_normalize_subtracts_the_mean_and_divides_by_the_deviation_of_each_channel() -> None:
    transform = Transform(4, mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    pixels = torch.randint(0, 256, (3, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    got = transform.normalize(pixels.to(torch.uint8))
    assert got.dtype == torch.float32
    for channel in range(3):
        wanted = (pixels[:, channel] / 255 - transform.mean[channel]) / transform.std[channel]
        torch.testing.assert_close(got[:, channel], wanted, rtol=1e-5, atol=1e-6)


def test_denormalize_is_the_inverse_of_normalize_for_every_value() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(1, 3, 16, 16)
    transform = Transform(16)
    back = transform.denormalize(transform.normalize(pixels))
    assert torch.equal((back * 255).round().to(torch.uint8), pixels)


def test_denormalize_stays_within_zero_and_one() -> None:
    wild = torch.tensor([-100.0, 0.0, 100.0]).reshape(1, 1, 1, 3).expand(1, 3, 1, 3)
    got = Transform(3).denormalize(wild)
    assert got[..., 0].tolist() == [[[0.0]] * 3]
    assert got[..., 2].tolist() == [[[1.0]] * 3]
    torch.testing.assert_close(got[0, :, 0, 1], torch.tensor(Transform(3).mean))


@pytest.mark.parametrize(
    "transform",
    [
        Transform(32),
        Transform(224, resize=256),
        Transform(16, mean=(0.306,) * 3, std=(0.319,) * 3),
        Transform(1, resize=1, mean=(0, 0, 0), std=(1, 1, 1)),
    ],
)
def test_a_transform_survives_json(transform: Transform) -> None:
    assert Transform.from_dict(json.loads(json.dumps(transform.to_dict()))) == transform


@pytest.mark.parametrize("missing", ["image_size", "resize", "mean", "std"])
def test_a_description_with_a_missing_entry_is_refused(missing: str) -> None:
    values = Transform(32).to_dict()
    del values[missing]
    with pytest.raises(ValueError, match="not the description of a transform"):
        Transform.from_dict(values)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("image_size", None),
        ("image_size", 0),
        ("image_size", "large"),
        ("resize", 31),
        ("resize", "256"),
        ("mean", 0.5),
        ("std", None),
    ],
)
def test_a_description_with_a_bad_value_is_refused(entry: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        Transform.from_dict({**Transform(32).to_dict(), entry: value})


@pytest.mark.parametrize("values", [{}, {"a": 1}])
def test_a_foreign_dict_is_no_transform(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not the description of a transform"):
        Transform.from_dict(values)


def test_sizes_that_make_no_sense_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="`image_size` must be at least 1, got 0"):
        Transform(0)
    with pytest.raises(ValueError, match=r"`resize` \(31\) must not be below `image_size` \(32\)"):
        Transform(32, resize=31)


@pytest.mark.parametrize(
    "pixels",
    [
        torch.zeros(3, 4, 4),
        torch.zeros(1, 4, 4, dtype=torch.uint8),
        torch.zeros(1, 3, 4, 4, dtype=torch.uint8),
        torch.zeros(4, 4, 3, dtype=torch.uint8),
    ],
)
def test_a_tensor_of_another_form_is_refused(pixels: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="must be uint8"):
        Transform(4)(pixels)
