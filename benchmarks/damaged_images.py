"""A data set full of damaged and unusual images: is every file read rightly, or counted and named?

Each file is of a kind whose fate is known: read, with values that are looked at; unreadable; not
taken for an image; or, where chance decides what the damage hits, any of these but unnoticed.

Run: python benchmarks/damaged_images.py --files 1000
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
# Where the stored upper left corner lies in the upright image, by the table of the EXIF standard.
CORNERS = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}
SIDE, SIZES = 64, (64, 128)
GOOD = 20

Check = Callable[[np.ndarray], bool]


@dataclass(frozen=True)
class Sample:
    """A file of the data set.

    Attributes:
        kind: What is special about it.
        ending: Of its name.
        content: Its bytes; None for what is no file.
        fate: "read", "unreadable", "ignored" or "any".
        check: Tells from the pixels (S, S, 3) whether it was read rightly.
    """

    kind: str
    ending: str
    content: bytes | None
    fate: str
    check: Check | None = None


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(generator: random.Random) -> Image.Image:
    values = np.random.default_rng(generator.randrange(2**32)).integers(0, 256, (SIDE, SIDE, 3))
    return Image.fromarray(values.astype(np.uint8))


def plain(colour: tuple[int, int, int], tolerance: int = 3) -> Check:
    """Whether a picture has one colour."""
    return lambda pixels: int(np.abs(pixels.astype(int) - np.array(colour)).max()) <= tolerance


def truncated(generator: random.Random) -> Sample:
    kind = generator.choice(["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
    content = encoded(noise(generator), kind)
    cut = content[: generator.randrange(1, int(len(content) * 0.9))]
    return Sample("truncated", f".{kind.lower()}", cut, "unreadable")


def flipped(generator: random.Random) -> Sample:
    kind = generator.choice(["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
    content = bytearray(encoded(noise(generator), kind))
    for _ in range(generator.randrange(1, 9)):
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    return Sample("flipped bits", f".{kind.lower()}", bytes(content), "any")


def text(generator: random.Random) -> Sample:
    return Sample(
        "text named .jpg", ".jpg", b"<html>404</html>" * generator.randrange(1, 9), "unreadable"
    )


def misnamed(generator: random.Random) -> Sample:
    ending = generator.choice([".jpg", ".gif", ".tiff"])
    content = encoded(Image.new("RGB", (SIDE, SIDE), BLUE), "PNG")
    return Sample("PNG of another name", ending, content, "read", plain(BLUE, 0))


def unnamed(generator: random.Random) -> Sample:
    ending = generator.choice(["", ".heic", ".txt", ".jpg.part"])
    return Sample("JPEG of no image's name", ending, encoded(noise(generator), "JPEG"), "ignored")


def bomb(generator: random.Random) -> Sample:
    side = generator.choice([20_000, 2**31 - 1])
    content = bytearray(encoded(Image.new("1", (8, 8)), "PNG"))
    content[16:24] = side.to_bytes(4, "big") * 2
    content[29:33] = PngImagePlugin._crc32(bytes(content[12:29])).to_bytes(4, "big")
    return Sample("bomb", ".png", bytes(content), "unreadable")


def cmyk(generator: random.Random) -> Sample:
    ink, colour = generator.choice(
        [((0, 255, 255, 0), RED), ((255, 0, 255, 0), GREEN), ((0, 0, 0, 255), (0, 0, 0))]
    )
    kind = generator.choice(["JPEG", "TIFF"])
    content = encoded(Image.new("CMYK", (SIDE, SIDE), ink), kind)
    return Sample("CMYK", f".{kind.lower()}", content, "read", plain(colour))


def deep(generator: random.Random) -> Sample:
    value = generator.randrange(1, 256)
    values = np.full((SIDE, SIDE), value * 257, np.uint16)
    kind = generator.choice(["PNG", "TIFF"])
    content = encoded(Image.fromarray(values), kind)
    return Sample("16 bit", f".{kind.lower()}", content, "read", plain((value,) * 3, 0))


def animated(generator: random.Random) -> Sample:
    frames = [Image.new("RGB", (SIDE, SIDE), colour) for colour in (GREEN, RED, BLUE)]
    kind = generator.choice(["GIF", "WEBP", "PNG"])
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    return Sample("animated", f".{kind.lower()}", content, "read", plain(GREEN))


def empty(_: random.Random) -> Sample:
    return Sample("zero bytes", ".png", b"", "unreadable")


def rotated(generator: random.Random) -> Sample:
    orientation = generator.randrange(1, 9)
    stored = Image.new("RGB", (SIDE, SIDE), WHITE)
    stored.paste(RED, (0, 0, SIDE // 2, SIDE // 2))
    exif = Image.Exif()
    exif[0x0112] = orientation
    column, row = CORNERS[orientation]

    def check(pixels: np.ndarray) -> bool:
        quarter = len(pixels) // 4  # the middles of the four quarters
        middles = pixels[quarter :: 2 * quarter, quarter :: 2 * quarter].astype(int)
        wanted = np.full((2, 2, 3), 255)
        wanted[row, column] = RED
        return int(np.abs(middles[:2, :2] - wanted).max()) < 40

    content = encoded(stored, "JPEG", exif=exif, quality=95)
    return Sample("EXIF rotation", ".jpg", content, "read", check)


def tiny(generator: random.Random) -> Sample:
    colour = tuple(generator.randrange(256) for _ in range(3))
    content = encoded(Image.new("RGB", (1, 1), colour), "PNG")
    return Sample("1 x 1", ".png", content, "read", plain(colour, 0))


def transparent(_: random.Random) -> Sample:
    image = Image.new("P", (SIDE, SIDE))
    image.putpalette([*RED, *BLUE])
    content = encoded(image, "PNG", transparency=0)
    return Sample("transparent palette", ".png", content, "read", plain(WHITE, 0))


def pipe(_: random.Random) -> Sample:
    return Sample("pipe", ".jpg", None, "unreadable")


MAKERS = (
    truncated, flipped, text, misnamed, unnamed, bomb, cmyk, deep, animated, empty, rotated, tiny,
    transparent, pipe,
)  # fmt: skip


def make_samples(count: int, seed: int) -> dict[str, Sample]:
    """Make files of all kinds in turn, and good ones, in two class folders."""
    generator = random.Random(seed)
    samples = [MAKERS[i % len(MAKERS)](generator) for i in range(count)]
    good = [Sample("good", ".png", encoded(noise(generator), "PNG"), "read") for _ in range(GOOD)]
    return {f"{'ab'[i % 2]}/{i:05d}{s.ending}": s for i, s in enumerate([*good, *samples])}


def write(samples: dict[str, Sample], folder: Path, *, packed: bool) -> Path:
    """Write the files into a folder, or into a zip file, which holds no pipes."""
    if packed:
        with zipfile.ZipFile(folder / "photos.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, sample in samples.items():
                archive.writestr(name, sample.content or b"")
        return folder / "photos.zip"
    for name, sample in samples.items():
        file = folder / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if sample.content is None:
            os.mkfifo(file)
        else:
            file.write_bytes(sample.content)
    return folder / "photos"


def try_files(
    samples: dict[str, Sample], path: Path, image_size: int
) -> tuple[Counter[Any], list[str]]:
    """Load a data set, go over it once, and look at what became of each file.

    Returns:
        How many files of each kind met each fate, and what went wrong, in words.
    """
    from filterscope.data import batches, load_dataset

    dataset = load_dataset(f"folder:{path}", image_size=image_size, max_unreadable=1.0)
    fates: dict[str, str] = {}
    wrong: list[str] = []
    for split in (dataset.train, dataset.test):
        for _ in batches(split, 32, transform=dataset.transform, workers=0):
            pass
        for place, name in enumerate(split.names):
            fates[name] = "read"
            check = samples[name].check
            if check is not None and not check(split.raw(place).permute(1, 2, 0).numpy()):
                wrong.append(f"{samples[name].kind} {name} was read wrongly")
    for files, fate in ((dataset.unreadable, "unreadable"), (dataset.ignored, "ignored")):
        fates |= {str(name).removeprefix(f"{path}/"): fate for name, _ in files}
        wrong += [f"{name} has no reason" for name, reason in files if not reason.strip()]
    for name, sample in samples.items():
        fate = fates.get(name, "lost")
        if fate == "lost" or sample.fate not in (fate, "any"):
            wrong.append(f"{sample.kind} {name}: {fate}, expected {sample.fate}")
    counts = Counter((sample.kind, fates.get(name, "lost")) for name, sample in samples.items())
    return counts, wrong


def main() -> None:
    from timing import describe, peak_gb

    parser = argparse.ArgumentParser(description="Load a data set full of damaged images.")
    parser.add_argument("--files", type=int, default=1000, help="damaged and unusual ones")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(describe("filterscope", "torch", "pillow"), f"- seed {arguments.seed}")
    samples = make_samples(arguments.files, arguments.seed)
    problems: list[str] = []
    before = peak_gb()
    for packed in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            path = write(samples, Path(folder), packed=packed)
            for size in SIZES:
                start = time.perf_counter()
                counts, wrong = try_files(samples, path, size)
                problems += wrong
                how = f"{'zip file' if packed else 'folder'}, {size} x {size} pixels"
                print(
                    f"{how}: {len(samples)} files in {time.perf_counter() - start:.1f} s, "
                    f"{sum(n for (_, fate), n in counts.items() if fate == 'lost')} unaccounted "
                    f"for, {len(wrong)} not as expected"
                )
    print(f"peak memory {peak_gb():.2f} GB, {before:.2f} GB before\n")
    print(
        f"{'kind':<26}{'files':>6}{'read':>7}{'unreadable':>12}{'not taken':>11}   (last data set)"
    )
    for kind in dict.fromkeys(sample.kind for sample in samples.values()):
        found = [counts[kind, fate] for fate in ("read", "unreadable", "ignored")]
        print(f"{kind:<26}{sum(found):>6}{found[0]:>7}{found[1]:>12}{found[2]:>11}")
    print("\n".join(problems[:20]))
    raise SystemExit(bool(problems))


if __name__ == "__main__":
    main()
