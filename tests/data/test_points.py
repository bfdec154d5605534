"""Points move with the pixels that they lie on."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from filterscope.data import Augmentation, Transform
from filterscope.data.points import mirror_points


def dotted(size: tuple[int, int], centre: tuple[int, int], radius: int = 6) -> Image.Image:
    """A black image with a white square about a corner of four pixels."""
    image = Image.new("RGB", size)
    x, y = centre
    image.paste("white", (x - radius, y - radius, x + radius, y + radius))
    return image


def centre_of_light(pixels: Tensor) -> tuple[float, float]:
    light = pixels[0].double()
    rows, columns = (light.sum(dim) for dim in (1, 0))
    places = torch.arange(len(light)) + 0.5
    return (
        float((columns * places).sum() / light.sum()),
        float((rows * places).sum() / light.sum()),
    )


TRANSFORMS = [
    Transform(64, stretch=True),
    Transform(64),
    Transform(48, resize=64),
    Transform(63, resize=70),
    Transform(200),
]


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("size", [(100, 80), (80, 120), (64, 64)])
def test_points_follow_a_dot_through_scaling_and_cut(
    transform: Transform, size: tuple[int, int]
) -> None:
    centre = (size[0] // 2 - 7, size[1] // 2 + 4)
    pixels = transform.pixels(dotted(size, centre))
    x, y = transform.points(torch.tensor(centre, dtype=torch.float64), size).tolist()
    assert centre_of_light(pixels) == pytest.approx((x, y), abs=0.15)


def test_a_dot_in_a_very_long_image_is_followed() -> None:
    size, centre = (900, 30), (460, 12)
    transform = Transform(60)
    pixels = transform.pixels(dotted(size, centre, radius=3))
    moved = transform.points(torch.tensor(centre, dtype=torch.float64), size)
    assert centre_of_light(pixels) == pytest.approx(tuple(moved.tolist()), abs=0.15)


def test_what_is_cut_away_is_missing_and_missing_stays_missing() -> None:
    points = torch.tensor([[2.0, 10.0], [50.0, 10.0], [torch.nan, torch.nan]])
    moved = Transform(20).points(points, (100, 20))
    assert moved.isnan().all(1).tolist() == [True, False, True]
    assert moved[1].tolist() == [10, 10]
    stretched = Transform(20, stretch=True).points(points, (100, 20))
    torch.testing.assert_close(stretched[:2], torch.tensor([[0.4, 10.0], [10.0, 10.0]]))


def test_a_stretched_image_keeps_all_of_it_and_its_mask_too() -> None:
    image = Image.new("RGB", (40, 10), "black")
    image.paste("white", (20, 0, 40, 10))
    transform = Transform(16, stretch=True)
    pixels = transform.pixels(image)
    assert pixels.shape == (3, 16, 16)
    assert int(pixels[:, :, :7].max()) == 0
    assert int(pixels[:, :, 9:].min()) == 255
    mask = transform.mask(image.convert("L"))
    assert mask.tolist() == [[False] * 8 + [True] * 8] * 16


def test_a_transform_without_the_entry_is_an_older_one() -> None:
    values = Transform(32, resize=40).to_dict()
    del values["stretch"]
    assert Transform.from_dict(values) == Transform(32, resize=40)
    stretched = Transform(32, stretch=True)
    assert Transform.from_dict(stretched.to_dict()) == stretched
    with pytest.raises(ValueError, match="`resize` must be None with `stretch`"):
        Transform(32, resize=40, stretch=True)
    with pytest.raises(ValueError, match="`stretch` must be True or False, got 'yes'"):
        Transform.from_dict({**values, "stretch": "yes"})


@pytest.mark.parametrize("augmentation", [Augmentation(5), Augmentation(5, flip=False)])
def test_points_follow_a_dot_through_shift_and_mirror(augmentation: Augmentation) -> None:
    numbers = torch.rand(40, Augmentation.NUMBERS, generator=torch.Generator().manual_seed(0))
    centre, size = (20, 15), 40
    pixels = torch.from_numpy(np.array(dotted((size, size), centre))).permute(2, 0, 1)
    changed = augmentation.shift(pixels[None].repeat(40, 1, 1, 1), numbers)
    points = torch.tensor([[centre, (torch.nan, torch.nan)]]).repeat(40, 1, 1)
    moved = augmentation.shift_points(points, numbers, size)
    assert moved[:, 1].isnan().all()
    for image, point in zip(changed, moved[:, 0].tolist(), strict=True):
        assert centre_of_light(image) == pytest.approx(tuple(point), abs=1e-9)
    mirrored = int((moved[:, 0, 0] != moved[0, 0, 0]).sum())
    assert mirrored > 5


def test_a_point_that_is_shifted_out_is_missing() -> None:
    numbers = torch.tensor([[0.0, 0.0, 0.9, 0.0, 0.0]])  # the window moves up and left
    moved = Augmentation(4).shift_points(torch.tensor([[[15.0, 3.0], [3.0, 3.0]]]), numbers, 16)
    assert moved[0].isnan().all(1).tolist() == [True, False]
    assert moved[0, 1].tolist() == [7, 7]


def test_points_follow_a_dot_through_a_random_cut() -> None:
    augmentation = Augmentation(scale=0.3)
    drawn = torch.rand(30, Augmentation.NUMBERS, generator=torch.Generator().manual_seed(1))
    size, centre = (120, 90), (66, 40)
    seen = 0
    for numbers in drawn:
        image = augmentation.cut(dotted(size, centre, radius=3), 64, numbers)
        points = torch.tensor([centre], dtype=torch.float64)
        x, y = augmentation.cut_points(points, size, 64, numbers)[0].tolist()
        if np.isnan(x) or min(x, y, 64 - x, 64 - y) < 6:
            continue
        seen += 1
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        assert centre_of_light(pixels) == pytest.approx((x, y), abs=0.3)
    assert seen > 8
    with pytest.raises(ValueError, match="`scale` is None"):
        Augmentation(scale=None).cut_points(torch.zeros(1, 2), size, 64, drawn[0])


def test_mirroring_twice_changes_nothing() -> None:
    points = torch.rand(3, 4, 2) * 32
    torch.testing.assert_close(mirror_points(mirror_points(points, 32), 32), points)
