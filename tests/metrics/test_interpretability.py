"""Part interpretability, against loops written from the definition."""

import math

import pytest
import torch

from filterscope.metrics.functional import part_interpretability

SIZE = (30, 42)
CENTRES = torch.stack(
    torch.meshgrid(2 + 9.5 * torch.arange(4.0), 3 + 9.0 * torch.arange(5.0), indexing="ij")[::-1],
    dim=-1,
)


def samples(n: int = 14, k: int = 7, parts: int = 3, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.relu(torch.randn(n, k, 4, 5, generator=generator))
    masks = torch.zeros(n, parts, *SIZE, dtype=torch.bool)
    for image in range(n):
        for part in range(parts):
            top, left = (int(v) for v in 20 * torch.rand(2, generator=generator))
            masks[image, part, top : top + 12, left : left + 14] = True
    masks[torch.rand(n, parts, generator=generator) < 0.3] = False
    return maps, masks


def disc(point, radius):
    x, y = point
    return {
        (r, c)
        for r in range(SIZE[0])
        for c in range(SIZE[1])
        if (c - x) ** 2 + (r - y) ** 2 <= radius**2
    }


def pixels(mask):
    return {tuple(place) for place in mask.nonzero().tolist()}


def plain(maps, masks, radius, share, success):
    n, k, h, w = maps.shape
    fields = [disc(point, radius) for point in CENTRES.reshape(-1, 2).tolist()]
    table, thresholds = torch.zeros(k, masks.shape[1], dtype=torch.float64), []
    shown = masks.flatten(2).any(2)
    for f in range(k):
        values = sorted(maps[:, f].flatten().tolist(), reverse=True)
        threshold = values[int(share * len(values))]  # so many are above it
        thresholds.append(threshold)
        for p in range(masks.shape[1]):
            hits = 0
            for i in range(n):
                covered: set = set()
                for unit in range(h * w):
                    if float(maps[i, f].flatten()[unit]) > threshold:
                        covered |= fields[unit]
                part = pixels(masks[i, p])
                if part and len(covered & part) / len(covered | part) > success:
                    hits += 1
            table[f, p] = hits / int(shown[:, p].sum()) if shown[:, p].any() else math.nan
    return table, thresholds


@pytest.mark.parametrize(
    ("share", "success", "radius"), [(0.005, 0.2, 6.5), (0.05, 0.3, 6.0), (0.3, 0.05, 4.25)]
)
def test_it_is_the_loop_over_filters_parts_and_images(share, success, radius) -> None:
    maps, masks = samples()
    maps[:, 3] = 0  # a dead filter
    result = part_interpretability(maps, masks, CENTRES, radius, share, success)
    table, thresholds = plain(maps, masks, radius, share, success)
    torch.testing.assert_close(result.filter_part, table)
    assert result.thresholds.tolist() == pytest.approx(thresholds)
    torch.testing.assert_close(result.filter_interpretability, table.amax(1))
    assert result.best_part.tolist() == table.argmax(1).tolist()
    assert result.interpretability == pytest.approx(float(table.amax(1).mean()))
    assert result.silent == 1
    assert result.filter_interpretability[3] == 0
    assert result.num_images.tolist() == masks.flatten(2).any(2).sum(0).tolist()
    assert (result.num_samples, result.radius) == (14, radius)
    assert (result.share, result.success) == (share, success)


def test_a_part_that_no_image_shows_is_left_out() -> None:
    maps, masks = samples()
    masks[:, 1] = False
    result = part_interpretability(maps, masks, CENTRES, 6, share=0.05)
    assert result.filter_part[:, 1].isnan().all()
    assert not result.filter_part[:, [0, 2]].isnan().any()
    assert set(result.best_part.tolist()) <= {0, 2}
    assert not math.isnan(result.chance.random_unit)


def test_chance_levels_are_those_of_constant_and_random_units() -> None:
    _, masks = samples(n=40)
    units = torch.arange(20)
    maps = torch.zeros(40, 20, 20)
    maps[:, units, units] = 1.0
    # 1 of 20 activations of each filter is 1, all others 0: each has its one unit valid
    fixed = part_interpretability(maps.view(40, 20, 4, 5), masks, CENTRES, 6.5, share=0.05)
    assert fixed.chance.fixed_unit == pytest.approx(fixed.interpretability)
    generator = torch.Generator().manual_seed(3)
    drawn = torch.randint(20, (40, 1500), generator=generator)
    random = torch.zeros(40, 1500, 20).scatter_(2, drawn[..., None], 1.0)
    result = part_interpretability(random.view(40, -1, 4, 5), masks, CENTRES, 6.5, share=0.05)
    assert result.chance.random_unit == pytest.approx(result.interpretability, rel=0.05)
    # a map of four rows has its middle between two units, one of five columns on one
    field = disc(((CENTRES[1, 2] + CENTRES[2, 2]) / 2).tolist(), 6.5)
    shares = []
    for part in range(3):
        shown = [pixels(mask) for mask in masks[:, part] if mask.any()]
        shares.append(sum(len(field & p) / len(field | p) > 0.2 for p in shown) / len(shown))
    assert fixed.chance.centre_unit == pytest.approx(max(shares))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maps": torch.rand(14, 7, 4)}, r"`maps` must be \(N, K, h, w\)"),
        ({"maps": torch.rand(14, 7, 4, 5) / 0}, "`maps` holds non-finite"),
        ({"maps": torch.rand(14, 7, 5, 4)}, "`centres` are those of a map"),
        ({"maps": torch.rand(13, 7, 4, 5)}, "`maps` holds 13 images, `masks` 14"),
        ({"masks": torch.rand(14, 3, 9, 9)}, "`masks` must be .* bool"),
        ({"masks": torch.ones(14, 9, 9) > 0}, "`masks` must be .* bool"),
        ({"masks": torch.zeros(14, 3, 9, 9) > 0}, "no image shows any part"),
        ({"radius": 0}, "`radius`"),
        ({"radius": math.inf}, "`radius`"),
        ({"share": 1e-4}, "less than one value"),
        ({"share": 1.0}, "`share` must leave"),
        ({"share": 0.0}, "`share`"),
    ],
)
def test_bad_input_is_named(change, message) -> None:
    maps, masks = samples()
    given = {"maps": maps, "masks": masks, "centres": CENTRES, "radius": 5.0}
    with pytest.raises(ValueError, match=message):
        part_interpretability(**{**given, **change})
