"""Odd images become upright 8-bit RGB; broken ones become one clear error."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from filterscope.data import Augmentation, Transform
from filterscope.data.decode import fit, open_rgb


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixel(image: Image.Image, x: int = 0, y: int = 0) -> tuple[int, ...]:
    return image.getpixel((x, y))


def test_greyscale_is_repeated() -> None:
    image = open_rgb(encoded(Image.new("L", (3, 2), 77)))
    assert (image.mode, image.size, pixel(image)) == ("RGB", (3, 2), (77, 77, 77))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    color = (10, 20, 30, 0) if mode == "RGBA" else (10, 0)
    assert pixel(open_rgb(encoded(Image.new(mode, (2, 2), color)))) == (255, 255, 255)
    opaque = (10, 20, 30, 255) if mode == "RGBA" else (10, 255)
    shown = pixel(open_rgb(encoded(Image.new(mode, (2, 2), opaque))))
    assert shown == ((10, 20, 30) if mode == "RGBA" else (10, 10, 10))


def test_palettes_are_resolved_with_their_transparent_entry() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.putpixel((1, 0), 1)
    plain = open_rgb(encoded(image))
    assert (pixel(plain), pixel(plain, 1)) == ((200, 0, 0), (0, 0, 200))
    holed = open_rgb(encoded(image, transparency=1))
    assert (pixel(holed), pixel(holed, 1)) == ((200, 0, 0), (255, 255, 255))


def test_cmyk_and_animations_are_converted() -> None:
    red = open_rgb(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    assert pixel(red)[0] > 200
    assert max(pixel(red)[1:]) < 60
    frames = [Image.new("RGB", (4, 4), color) for color in ("lime", "blue")]
    gif = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixel(open_rgb(gif)) == (0, 255, 0)


def test_sixteen_bit_greyscale_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None]
    image = open_rgb(encoded(Image.fromarray(ramp)))
    assert np.abs(np.asarray(image)[0, :, 0].astype(int) - np.arange(256)).max() <= 1


def test_the_cameras_rotation_is_applied() -> None:
    image = Image.new("RGB", (30, 10), "black")
    image.paste("white", (0, 0, 10, 10))  # the left end
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to show
    upright = open_rgb(encoded(image, "JPEG", exif=exif, quality=95))
    assert upright.size == (10, 30)
    assert pixel(upright, 5, 2)[0] > 200
    assert pixel(upright, 5, 27)[0] < 50


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff\xe0 half"])
def test_unreadable_content_is_a_clear_error(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "broken.jpg"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.jpg is not readable as an image"):
        open_rgb(file)
    with pytest.raises(ValueError, match="not readable"):
        Transform(8)(content)
    with pytest.raises(FileNotFoundError):
        open_rgb(tmp_path / "absent.png")


def test_a_truncated_photograph_is_an_error_not_half_grey() -> None:
    whole = encoded(Image.effect_noise((64, 64), 90).convert("RGB"), "JPEG")
    with pytest.raises(ValueError, match="truncated"):
        open_rgb(whole[: len(whole) // 2])


@pytest.mark.parametrize("size", [(50, 30), (30, 50), (9, 8), (1, 1), (200, 3)])
def test_any_shape_fits_by_its_centre(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, "black")
    image.paste("red", (size[0] // 4, size[1] // 4, size[0] - size[0] // 4, size[1] - size[1] // 4))
    fitted = fit(image, 20, 16)
    assert fitted.size == (16, 16)
    assert pixel(fitted, 8, 8)[0] > 100 or min(size) < 4
    assert Transform(16, resize=20)(image).shape == (3, 16, 16)


def test_normalisation_is_undone_and_described() -> None:
    transform = Transform(8, resize=10, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    pixels = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    images = transform.normalize(pixels)
    torch.testing.assert_close(images[0, 1], (pixels[0, 1] / 255 - 0.2) / 0.6)
    torch.testing.assert_close(transform.denormalize(images), pixels / 255)
    again = Transform.from_dict(json.loads(json.dumps(transform.to_dict())))
    assert again == transform
    with pytest.raises(ValueError, match="not the description"):
        Transform.from_dict({"image_size": 3})
    with pytest.raises(ValueError, match="`resize`"):
        Transform(8, resize=7)
    with pytest.raises(ValueError, match="uint8"):
        transform(torch.rand(3, 8, 8))


def test_files_bytes_and_images_give_the_same(tmp_path: Path) -> None:
    image = Image.effect_noise((20, 30), 60)
    image.save(tmp_path / "a.png")
    transform = Transform(12)
    one, other = transform(tmp_path / "a.png"), transform((tmp_path / "a.png").read_bytes())
    assert torch.equal(one, other)
    assert torch.equal(one, transform(image))


def test_shifts_equal_a_plain_loop() -> None:
    augmentation = Augmentation(padding=3)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (40, 3, 8, 8), dtype=torch.uint8, generator=generator)
    numbers = torch.rand(40, Augmentation.NUMBERS, generator=generator)
    shifted = augmentation.shift(pixels, numbers)
    for i in range(40):
        padded = np.zeros((3, 14, 14), np.uint8)
        padded[:, 3:11, 3:11] = pixels[i].numpy()
        top, left = (int(u * 7) for u in numbers[i, :2])
        window = padded[:, top : top + 8, left : left + 8]
        expected = window[:, :, ::-1] if numbers[i, 2] < 0.5 else window
        assert (shifted[i].numpy() == expected).all()


def test_random_cuts_keep_their_share_of_the_area() -> None:
    image = Image.new("RGB", (100, 60), "green")
    for _ in range(20):
        cut = Augmentation().cut(image, 16, torch.rand(Augmentation.NUMBERS))
        assert cut.size == (16, 16)
        assert pixel(cut, 8, 8) == pixel(image)
    tiny = Augmentation().cut(Image.new("RGB", (1, 5)), 16, torch.zeros(Augmentation.NUMBERS))
    assert tiny.size == (16, 16)
