"""Location instability, against loops written from the definition and the published landmarks."""

import csv
import math
import os
from collections import defaultdict
from pathlib import Path

import pytest
import torch

from filterscope.metrics.functional import (
    Instability,
    instability_of_peaks,
    instability_over_categories,
    location_instability,
    peak_units,
)

NAN = float("nan")
SIZE = (40, 60)


def grid(h: int, w: int, stride: float = 16, first: float = 7.5) -> torch.Tensor:
    rows, columns = first + stride * torch.arange(h), first + stride * torch.arange(w)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y], dim=-1)


CENTRES = grid(4, 5, stride=10, first=4.0)


def samples(n: int = 23, k: int = 6, parts: int = 3, seed: int = 0, few_values: bool = False):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(n, k, 4, 5, generator=generator)
    if few_values:
        maps = torch.randint(0, 3, maps.shape, generator=generator).float()
    landmarks = torch.rand(n, parts, 2, generator=generator) * torch.tensor([SIZE[1], SIZE[0]])
    missing = torch.rand(n, parts, generator=generator) < 0.3
    landmarks[missing] = NAN
    return maps, landmarks


def plain(maps, landmarks, top):
    """Image by image, filter by filter, part by part."""
    n, k = maps.shape[:2]
    table, counts = torch.full((k, landmarks.shape[1]), NAN).double(), []
    for f in range(k):
        peaks = []
        for i in range(n):
            best, where = -math.inf, None
            for row in range(4):
                for column in range(5):
                    if float(maps[i, f, row, column]) > best:
                        best, where = float(maps[i, f, row, column]), (row, column)
            flat = maps[i, f].unique()
            peaks.append((best, CENTRES[where].tolist()) if len(flat) > 1 else None)
        for p in range(landmarks.shape[1]):
            shown = [
                (peaks[i][0], i)
                for i in range(n)
                if peaks[i] is not None and not math.isnan(landmarks[i, p, 0])
            ]
            shown.sort(key=lambda pair: (-pair[0], pair[1]))
            distances = []
            for _, i in shown[:top]:
                dx = peaks[i][1][0] - float(landmarks[i, p, 0])
                dy = peaks[i][1][1] - float(landmarks[i, p, 1])
                distances.append(math.sqrt(dx**2 + dy**2) / math.sqrt(SIZE[0] ** 2 + SIZE[1] ** 2))
            counts.append(len(distances))
            if len(distances) > 1:
                mean = sum(distances) / len(distances)
                squares = sum((d - mean) ** 2 for d in distances)
                table[f, p] = math.sqrt(squares / (len(distances) - 1))
    return table, torch.tensor(counts).reshape(k, -1)


@pytest.mark.parametrize("top", [2, 5, 100])
@pytest.mark.parametrize("few_values", [False, True])
def test_it_is_the_loop_over_filters_images_and_parts(top: int, few_values: bool) -> None:
    maps, landmarks = samples(few_values=few_values)
    maps[4:9, 2] = 1.5  # no peak
    maps[:, 5] = 0  # a dead filter
    result = location_instability(maps, landmarks, CENTRES, SIZE, top=top)
    table, counts = plain(maps, landmarks, top)
    torch.testing.assert_close(result.filter_part, table, equal_nan=True)
    assert torch.equal(result.num_images, counts)
    torch.testing.assert_close(result.filter_instability, table.mean(1), equal_nan=True)
    assert result.dropped == 1
    assert result.filter_instability.isnan().tolist() == [False] * 5 + [True]
    assert result.instability == pytest.approx(float(table[:5].mean()))
    assert (result.num_samples, result.top) == (23, top)
    assert int(result.distinct_peaks[5]) == 0
    assert math.isnan(result.peak_spread[5])


def test_the_order_of_filters_and_images_does_not_matter() -> None:
    maps, landmarks = samples()
    result = location_instability(maps, landmarks, CENTRES, SIZE, top=7)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    other = location_instability(maps[:, order], landmarks, CENTRES, SIZE, top=7)
    assert torch.equal(other.filter_part, result.filter_part[order])
    assert other.instability == pytest.approx(result.instability)
    assert other.chance == result.chance
    flipped = location_instability(maps.flip(0), landmarks.flip(0), CENTRES, SIZE, top=7)
    torch.testing.assert_close(flipped.filter_part, result.filter_part)


def test_a_filter_that_follows_the_part_is_stable_wherever_the_object_is() -> None:
    units = torch.arange(20)[:, None]
    places = CENTRES.reshape(-1, 2)
    landmarks = places[:, None] + torch.tensor([-3.0, 2.0])
    result = instability_of_peaks(units, torch.ones(20, 1), landmarks, CENTRES, SIZE)
    assert result.instability == pytest.approx(0, abs=1e-9)
    assert result.distinct_peaks.tolist() == [20]
    spread = (places.double().var(dim=0).sum().sqrt() / math.hypot(*SIZE)).item()
    assert result.peak_spread.tolist() == pytest.approx([spread])


def test_peaks_are_the_first_of_equals_and_constant_maps_have_none() -> None:
    maps = torch.zeros(2, 3, 2, 3)
    maps[0, 0, 1, 0] = maps[0, 0, 1, 2] = 4.0
    maps[0, 1] = -2.0
    maps[1, 2, 0, 1] = -1.0  # all others are larger
    units, values = peak_units(maps)
    assert units.tolist() == [[3, -1, -1], [-1, -1, 0]]
    assert values.tolist() == [[4.0, -2.0, 0.0], [0.0, 0.0, 0.0]]


def test_chance_levels_are_those_of_constant_and_random_peaks() -> None:
    landmarks = samples()[1]
    number = len(landmarks)
    chance = instability_of_peaks(
        torch.zeros(number, 1).long(), torch.ones(number, 1), landmarks, CENTRES, SIZE
    ).chance
    fixed = instability_of_peaks(
        torch.arange(20).expand(number, 20), torch.ones(number, 20), landmarks, CENTRES, SIZE
    )
    assert chance.fixed_unit == pytest.approx(fixed.instability)
    # a map of four rows has its middle between two units, one of five columns on one
    between = (CENTRES[1, 2] + CENTRES[2, 2]) / 2
    centre = instability_of_peaks(
        torch.zeros(number, 1).long(), torch.ones(number, 1), landmarks, between[None, None], SIZE
    )
    assert chance.centre_unit == pytest.approx(centre.instability)
    generator = torch.Generator().manual_seed(5)
    units = torch.randint(20, (number, 3000), generator=generator)
    random = instability_of_peaks(units, torch.ones(number, 3000), landmarks, CENTRES, SIZE)
    assert chance.random_unit == pytest.approx(random.instability, rel=0.03)
    assert chance.random_spread == pytest.approx(float(random.peak_spread.mean()), rel=0.03)
    assert chance.random_distinct == pytest.approx(
        float(random.distinct_peaks.double().mean()), rel=0.03
    )


def test_categories_are_put_together_in_both_ways() -> None:
    results = [location_instability(*samples(seed=s), CENTRES, SIZE) for s in range(3)]
    values = torch.stack([result.filter_instability for result in results])
    peaks = torch.stack([result.mean_peak for result in results])
    paper = instability_over_categories(results, "paper")
    official = instability_over_categories(results)
    for f in range(6):
        column = values[:, f].tolist()
        assert float(paper.filter_instability[f]) == min(column)
        assert int(paper.category[f]) == column.index(min(column))
        strongest = peaks[:, f].tolist().index(max(peaks[:, f].tolist()))
        assert int(official.category[f]) == strongest
        assert float(official.filter_instability[f]) == column[strongest]
    assert paper.instability == pytest.approx(float(values.amin(0).mean()))
    assert paper.dropped == official.dropped == 0


def test_a_filter_that_is_dead_on_a_category_is_judged_on_another_or_dropped() -> None:
    maps, landmarks = samples()
    dead = maps.clone()
    dead[:, 1] = 9.0  # the largest mean peak, and no place
    results = [location_instability(m, landmarks, CENTRES, SIZE) for m in (maps, dead)]
    assert int(instability_over_categories(results, "paper").category[1]) == 0
    official = instability_over_categories(results)
    assert int(official.category[1]) == -1
    assert official.dropped == 1
    assert math.isnan(official.filter_instability[1])
    nothing = location_instability(torch.zeros(23, 6, 4, 5), landmarks, CENTRES, SIZE)
    assert math.isnan(nothing.instability)
    assert nothing.dropped == 6
    assert instability_over_categories([nothing], "paper").dropped == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maps": torch.rand(23, 6, 4)}, r"`maps` must be \(N, K, h, w\)"),
        ({"maps": torch.full((23, 6, 4, 5), NAN)}, "`maps` holds non-finite"),
        ({"maps": torch.rand(23, 6, 1, 1)}, "more than one unit"),
        ({"maps": torch.rand(23, 6, 5, 4)}, r"`centres` are those of a map \(4, 5\)"),
        ({"landmarks": torch.rand(22, 3, 2)}, "`landmarks` holds 22 images, expected 23"),
        ({"landmarks": torch.rand(23, 3)}, r"`landmarks` must be \(N, parts, 2\)"),
        ({"landmarks": torch.rand(23, 0, 2)}, r"`landmarks` must be \(N, parts, 2\)"),
        ({"landmarks": torch.ones(23, 3, 2).long()}, "floating point"),
        ({"landmarks": torch.full((23, 3, 2), torch.inf)}, "image 0, part 0 lie at .*outside"),
        ({"landmarks": torch.tensor([70.0, 3.0]).expand(23, 1, 2)}, r"\(70, 3\), outside"),
        ({"landmarks": torch.tensor([NAN, 3.0]).expand(23, 1, 2)}, "both x and y"),
        ({"landmarks": torch.full((23, 2, 2), NAN)}, "part 0 in 0 of 23 images"),
        ({"centres": CENTRES[0]}, r"`centres` must be \(h, w, 2\)"),
        ({"centres": CENTRES / 0}, "`centres` holds non-finite"),
        ({"image_size": (0, 10)}, "`image_size`"),
        ({"top": 1}, "`top` must be at least 2"),
    ],
)
def test_bad_input_is_named(change, message) -> None:
    maps, landmarks = samples()
    given = {"maps": maps, "landmarks": landmarks, "centres": CENTRES, "image_size": SIZE}
    with pytest.raises(ValueError, match=message):
        location_instability(**{**given, **change})


def test_bad_categories_are_named() -> None:
    maps, landmarks = samples()
    one = location_instability(maps, landmarks, CENTRES, SIZE)
    two = location_instability(maps[:, :2], landmarks, CENTRES, SIZE)
    with pytest.raises(ValueError, match="numbers of filters \\[\\]"):
        instability_over_categories([])
    with pytest.raises(ValueError, match=r"numbers of filters \[6, 2\]"):
        instability_over_categories([one, two])
    with pytest.raises(ValueError, match="`choice`"):
        instability_over_categories([one], "best")


def pascal_landmarks(path: Path) -> torch.Tensor:
    """Head, neck and torso in the object's box at 224 pixels; NaN for none and for several."""
    objects: dict[tuple[str, str], int] = {}
    places: dict[tuple[int, int], list[list[float]]] = defaultdict(list)
    with path.open() as file:
        for row in csv.DictReader(file):
            number = objects.setdefault((row["voc_image"], row["object_id"]), len(objects))
            left, top, right, bottom = (
                float(row[name]) for name in ("xmin", "ymin", "xmax", "ymax")
            )
            x = (float(row["x"]) - left) / (right - left + 1) * 224
            y = (float(row["y"]) - top) / (bottom - top + 1) * 224
            if int(row["part_id"]) <= 3:
                places[number, int(row["part_id"]) - 1].append([x, y])
    landmarks = torch.full((len(objects), 3, 2), NAN)
    for (number, part), found in places.items():
        if len(found) == 1:
            landmarks[number, part] = torch.tensor(found[0])
    return landmarks.clamp(0, 224)


@pytest.mark.data
def test_chance_levels_on_the_landmarks_of_pascal_part() -> None:
    folder = Path(os.environ["FILTERSCOPE_DATA"]) / "voc_parts"
    expected = {  # number of objects, of the middle, of a random unit
        "bird": (388, 0.069, 0.152), "cat": (559, 0.076, 0.139), "cow": (194, 0.070, 0.146),
        "dog": (681, 0.078, 0.140), "horse": (293, 0.069, 0.152), "sheep": (263, 0.073, 0.145),
    }  # fmt: skip
    results: list[Instability] = []
    for category, (number, centre, random) in expected.items():
        landmarks = pascal_landmarks(folder / f"{category}.csv")
        assert len(landmarks) == number
        units, values = torch.zeros(number, 1).long(), torch.ones(number, 1)
        result = instability_of_peaks(units, values, landmarks, grid(14, 14), (224, 224))
        results.append(result)
        assert result.chance.centre_unit == pytest.approx(centre, abs=0.0015)
        assert result.chance.random_unit == pytest.approx(random, abs=0.0015)

    def mean(name: str) -> float:
        return sum(getattr(result.chance, name) for result in results) / len(results)

    assert mean("centre_unit") == pytest.approx(0.072, abs=0.001)
    assert mean("fixed_unit") == pytest.approx(0.111, abs=0.001)
    assert mean("random_unit") == pytest.approx(0.146, abs=0.001)
    # the synthetic filter of the results themselves is the corner
    assert sum(r.instability for r in results) / 6 == pytest.approx(0.133, abs=0.004)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"units": torch.full((6, 2), 9)}, r"`units` must lie in \[-1, 8\]"),
        ({"units": torch.full((6, 2), -2)}, r"`units` must lie in \[-1, 8\]"),
        ({"units": torch.zeros(6, 2)}, r"`units` must be \(N, K\) integers"),
        ({"values": torch.rand(6, 1)}, r"`values` must be \(6, 2\), got \(6, 1\)"),
        ({"values": torch.full((6, 2), NAN)}, "`values` holds non-finite"),
    ],
)
def test_peaks_that_cannot_be_are_named(changes: dict[str, torch.Tensor], message: str) -> None:
    peaks = {"units": torch.arange(12).reshape(6, 2) % 9, "values": torch.rand(6, 2), **changes}
    centres = torch.rand(3, 3, 2)
    with pytest.raises(ValueError, match=message):
        instability_of_peaks(
            **peaks, landmarks=torch.rand(6, 1, 2), centres=centres, image_size=(3, 3)
        )
