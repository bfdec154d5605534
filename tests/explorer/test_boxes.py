"""The format in which pictures travel."""

import json
import struct

import numpy as np
import pytest
import torch

from filterscope.explorer.boxes import pack_boxes, unpack_boxes


def test_a_box_is_laid_out_as_documented() -> None:
    picture = torch.zeros(2, 5, 6)
    picture[0, 1, 2], picture[1, 3, 4] = 2.0, -4.0
    picture[0, 0, 0] = 4e-4  # a ten-thousandth of the largest: left out
    content = pack_boxes({"answer": "ä"}, {"row": picture})
    assert content[:4] == b"FSB1"
    (length,) = struct.unpack("<I", content[4:8])
    assert (8 + length) % 4 == 0
    header = json.loads(content[8 : 8 + length])
    assert header["answer"] == "ä"
    assert header["boxes"]["row"] == {
        "shape": [2, 5, 6], "top": 1, "left": 2, "height": 3, "width": 3, "scale": 4.0,
        "type": "float32", "offset": 0,
    }  # fmt: skip
    numbers = struct.unpack("<18f", content[8 + length :])
    assert numbers == (2.0, *[0.0] * 16, -4.0)


def test_pictures_come_back_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(3, 4, 7, generator=generator)
    colours = torch.randint(0, 256, (3, 5, 3), generator=generator, dtype=torch.uint8)
    nothing = torch.zeros(1, 3, 3)
    pictures = {"colours": colours, "noise": noise, "nothing": nothing}
    header, found = unpack_boxes(pack_boxes({}, pictures))
    np.testing.assert_array_equal(found["colours"], colours.numpy())
    np.testing.assert_array_equal(found["noise"], noise.numpy())
    assert not found["nothing"].any()
    assert header["boxes"]["nothing"]["scale"] == 0
    assert header["boxes"]["noise"]["offset"] % 4 == 0


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (torch.zeros(3, 3), "must be"),
        (torch.zeros(1, 0, 3), "must be"),
        (torch.full((1, 2, 2), float("nan")), "not finite"),
    ],
)
def test_what_is_no_picture_is_refused(picture: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pack_boxes({}, {"one": picture})


def test_other_content_is_refused() -> None:
    with pytest.raises(ValueError, match="FSB1"):
        unpack_boxes(b"PNG")
