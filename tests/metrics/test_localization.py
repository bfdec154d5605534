"""Localisation metrics, against a plain loop written from the definition."""

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from filterscope.metrics.functional import (
    _localization,
    activation_localization,
    activation_thresholds,
    binary_iou,
    gradient_localization,
    localization_chance,
    map_localization,
)
from filterscope.metrics.functional._localization import pixel_counts

NAN = float("nan")


def maps_and_masks(n=9, k=7, side=4, size=(80, 70), seed=0, spread=0.3):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.relu(torch.randn(n, k, side, side, generator=generator) - spread)
    return maps, torch.rand(n, *size, generator=generator) > 0.6


def plain_counts(maps, thresholds, masks):
    wide = F.interpolate(maps, size=masks.shape[1:], mode="bilinear", align_corners=False)
    reached = wide >= thresholds[None, :, None, None]
    return reached.sum((2, 3)), (reached & masks[:, None]).sum((2, 3))


# -- pixel counts


@pytest.mark.parametrize(
    ("source", "size"),
    [
        ((4, 4), (128, 128)),
        ((7, 7), (224, 224)),
        ((5, 3), (131, 77)),
        ((1, 6), (65, 64)),
        ((2, 2), (127, 3)),
        ((1, 1), (70, 70)),
        ((60, 130), (90, 50)),  # smaller in one direction
        ((80, 64), (80, 64)),  # as it is
        ((4, 4), (64, 64)),  # small: PyTorch's other kernel
        ((3, 5), (7, 11)),
        ((14, 14), (9, 9)),
    ],
)
@pytest.mark.parametrize("filters", [1, 3, 5, 17])
def test_pixels_are_those_of_interpolation(source, size, filters) -> None:
    generator = torch.Generator().manual_seed(1)
    masks = torch.rand(3, *size, generator=generator) > 0.5
    smooth = torch.randn(3, filters, *source, generator=generator)
    few_values = torch.randint(-3, 4, smooth.shape, generator=generator) * 0.1
    for maps in (smooth, torch.relu(smooth), few_values, torch.relu(few_values), smooth * 1e-38):
        flat = maps.transpose(0, 1).flatten(1)
        for thresholds in (
            flat.sort(dim=1, descending=True).values[:, flat.shape[1] // 3],
            flat.min(dim=1).values,
            flat.max(dim=1).values,
            torch.zeros(filters),
        ):
            for ours, plain in zip(
                pixel_counts(maps, thresholds, masks),
                plain_counts(maps, thresholds, masks),
                strict=True,
            ):
                assert torch.equal(ours.long(), plain)


def test_pixels_do_not_depend_on_memory_layout_and_threads() -> None:
    maps, masks = maps_and_masks(k=20)
    thresholds = activation_thresholds(maps)
    expected = pixel_counts(maps, thresholds, masks)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    other = pixel_counts(maps.contiguous(memory_format=torch.channels_last), thresholds, masks)
    torch.set_num_threads(threads)
    for ours, theirs in zip(expected, other, strict=True):
        assert torch.equal(ours, theirs)


def test_zero_and_constant_maps_are_all_or_nothing() -> None:
    masks = maps_and_masks()[1]
    zero = torch.zeros(9, 5, 4, 4)
    area, inside = pixel_counts(zero, torch.zeros(5), masks)
    assert area.unique().tolist() == [80 * 70]
    assert torch.equal(inside[:, 0].long(), masks.sum((1, 2)))
    area, inside = pixel_counts(zero, torch.full((5,), 1e-30), masks)
    assert not area.any()
    assert not inside.any()


def test_the_kernel_as_plain_python_counts_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def fused(x: np.float32, y: np.float32, z: np.float32) -> np.float32:
        return np.float32(np.float64(x) * np.float64(y) + np.float64(z))

    kernel = _localization._count
    monkeypatch.setattr(_localization, "_count", getattr(kernel, "py_func", kernel))
    monkeypatch.setattr(_localization, "_fma", fused)
    maps, masks = maps_and_masks(n=1, k=5, size=(68, 62))
    maps[0, 4] = torch.arange(1.0, 17).view(4, 4)
    thresholds = torch.tensor([0.0, 0.3, 0.5, 9.0, -1.0])  # the fourth is never reached
    found = pixel_counts(maps, thresholds, masks)
    for ours, plain in zip(found, plain_counts(maps, thresholds, masks), strict=True):
        assert torch.equal(ours.long(), plain)
    area = found[0][0]
    assert area[0] == area[4] == 68 * 62
    assert area[3] == 0 < area[2] < area[1] < 68 * 62


# -- IoU


def test_iou_of_hand_made_masks() -> None:
    a = torch.zeros(4, 4, dtype=torch.bool)
    b = a.clone()
    assert math.isnan(binary_iou(a, b))
    a[0, :3] = True
    assert binary_iou(a, b) == 0
    b[0, 1:] = True
    assert binary_iou(a, b) == 0.5
    assert binary_iou(a, a) == 1
    assert binary_iou(a, ~a) == 0
    assert binary_iou(a, torch.ones_like(a)) == 3 / 16
    both = binary_iou(torch.stack([a, b])[:, None], torch.stack([a, b, ~a]))
    assert both.shape == (2, 3)
    assert both.dtype == torch.float64
    assert both[0].tolist() == [1, 0.5, 0]


def test_iou_is_sklearns() -> None:
    from sklearn.metrics import jaccard_score

    generator = torch.Generator().manual_seed(2)
    a, b = torch.rand(2, 5, 6, 7, generator=generator) > 0.5
    expected = [jaccard_score(x.flatten(), y.flatten()) for x, y in zip(a, b, strict=True)]
    assert binary_iou(a, b).tolist() == pytest.approx(expected, rel=1e-12)


# -- thresholds


def test_the_threshold_has_its_rank_counted_from_one() -> None:
    # 16 values 1 ... 16: int(.3 * 16) = 4, and the fourth from the top is 13
    maps = torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)
    assert activation_thresholds(maps).tolist() == [13]
    assert activation_thresholds(maps, share=1.0).tolist() == [1]
    assert activation_thresholds(maps, share=1 / 16).tolist() == [16]
    # over two images: int(.3 * 32) = 9
    pair = torch.cat([maps, maps + 16])
    assert activation_thresholds(pair).tolist() == [24]
    assert activation_thresholds(pair, share=0.06).tolist() == [32]


def test_thresholds_of_many_filters_are_sorted_values() -> None:
    maps = maps_and_masks(n=11, k=150)[0]
    values = np.sort(maps.transpose(0, 1).flatten(1).numpy(), axis=1)[:, -int(0.3 * 11 * 16)]
    assert np.array_equal(activation_thresholds(maps).numpy(), values)
    assert torch.equal(activation_thresholds(maps.double()), activation_thresholds(maps))
    half = maps.bfloat16()
    assert torch.equal(activation_thresholds(half), activation_thresholds(half.float()))


# -- ActivMap


def plain_activation(maps, masks, labels, num_classes, share=0.3, success=0.3):
    """The definition, one image and one filter at a time."""
    n, k, h, w = maps.shape
    iou = np.zeros((n, k))
    for j in range(k):
        threshold = maps[:, j].flatten().sort(descending=True).values[int(share * h * w * n) - 1]
        for i in range(n):
            wide = F.interpolate(
                maps[i : i + 1], size=masks.shape[1:], mode="bilinear", align_corners=False
            )[0, j]
            iou[i, j] = float(binary_iou(wide >= threshold, masks[i]))
    mean = np.full((num_classes, k), NAN)
    ap = mean.copy()
    for c in range(num_classes):
        rows = iou[labels.numpy() == c]
        if len(rows):
            mean[c], ap[c] = rows.mean(0), (rows > success).mean(0)
    focus = [max(range(num_classes), key=lambda c: (np.nan_to_num(ap[c, j], nan=-1), -c))
             for j in range(k)]  # fmt: skip
    return mean, ap, np.array(focus)


@pytest.mark.parametrize("seed", range(4))
def test_activation_localisation_is_its_definition(seed: int) -> None:
    maps, masks = maps_and_masks(n=13, k=9, seed=seed, size=(40, 44))
    masks[:, :20] |= torch.rand(13, 20, 44, generator=torch.Generator().manual_seed(seed)) > 0.5
    labels = torch.randint(0, 3, (13,), generator=torch.Generator().manual_seed(seed))
    labels[labels == 1] = 3  # of five classes, two are empty or may be
    result = activation_localization(maps, masks, labels, 5)
    mean, ap, focus = plain_activation(maps, masks, labels, 5)
    np.testing.assert_allclose(result.filter_class_iou, mean, rtol=1e-12)
    np.testing.assert_allclose(result.filter_class_ap, ap, rtol=1e-12)
    assert result.focus_class.tolist() == focus.tolist()
    at_focus = mean[focus, range(9)], ap[focus, range(9)]
    assert result.total_iou == pytest.approx(at_focus[0].mean(), rel=1e-12)
    assert result.total_ap == pytest.approx(at_focus[1].mean(), rel=1e-12)
    for c in range(5):
        mine = focus == c
        assert int(result.filters_of_class[c]) == mine.sum()
        for row, values in ((result.class_iou, at_focus[0]), (result.class_ap, at_focus[1])):
            expected = values[mine].mean() if mine.any() else NAN
            assert float(row[c]) == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert result.num_samples.tolist() == [int((labels == c).sum()) for c in range(5)]
    assert (result.empty_masks, result.full_masks, result.undefined) == (0, 0, 0)
    assert result.success == 0.3


def test_success_is_strict_and_ties_go_to_the_first_class() -> None:
    # the mask of the filter is the left 3 of 10 columns' worth: IoU exactly .3 with all ones
    maps = torch.zeros(2, 1, 1, 10)
    maps[..., :3] = 1
    masks = torch.ones(2, 1, 10, dtype=torch.bool)
    labels = torch.tensor([2, 1])
    result = activation_localization(maps, masks, labels, 3, share=0.3)
    assert result.filter_class_iou[1:, 0].tolist() == [0.3, 0.3]
    assert result.filter_class_ap[1:, 0].tolist() == [0, 0]
    assert result.focus_class.tolist() == [1]
    assert result.filters_of_class.tolist() == [0, 1, 0]
    assert result.class_ap[1] == 0
    assert bool(result.class_iou[[0, 2]].isnan().all())
    assert result.full_masks == 2
    below = activation_localization(maps, masks, labels, 3, share=0.3, success=0.2999)
    assert below.total_ap == 1


def test_a_filter_that_never_fires_is_degenerate_and_scores_the_objects_area() -> None:
    maps, masks = maps_and_masks(k=4)
    maps[:, 2] = 0
    maps[:, 3] = 0
    maps[0, 3, 0, 0] = 1  # fires, on far less than the share
    result = activation_localization(maps, masks, torch.zeros(9, dtype=torch.long), 1)
    assert result.degenerate == 2
    area = masks.double().mean().item()
    assert result.filter_class_iou[0, 2:].tolist() == pytest.approx([area, area], rel=1e-12)


def test_empty_masks_give_zero_or_nothing_and_are_counted() -> None:
    maps = torch.zeros(3, 4, 2, 2)
    maps[0, :, 0] = 1
    maps[2, 1:, 0] = 1
    masks = torch.zeros(3, 8, 8, dtype=torch.bool)
    masks[0, :4] = True
    result = activation_localization(maps, masks, torch.tensor([0, 0, 1]), 3, share=0.1)
    assert result.empty_masks == 2
    assert result.undefined == 5  # image 1, all four filters; image 2, filter 0
    # a pixel on the border is as far from its neighbour as the map goes: two rows of eight
    assert result.filter_class_iou[0].tolist() == [0.5] * 4
    assert result.filter_class_ap[0].tolist() == [1, 1, 1, 1]
    assert bool(result.filter_class_iou[1, 0].isnan())
    assert result.filter_class_iou[1, 1:].tolist() == [0, 0, 0]
    assert result.focus_class.tolist() == [0] * 4
    assert result.num_samples.tolist() == [2, 1, 0]


def test_without_any_object_and_any_prediction_no_class_is_in_focus() -> None:
    maps = torch.zeros(2, 1, 2, 2)
    maps[0, 0, 0] = 1
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    result = gradient_localization(torch.zeros(2, 3, 8, 8), masks, torch.tensor([0, 1]), 2, "paper")
    assert result.focus_class.tolist() == [-1, -1, -1]
    assert math.isnan(result.total_iou)
    assert math.isnan(result.total_ap)
    assert result.undefined == 6
    assert result.degenerate == 3
    assert bool(result.class_iou.isnan().all())


# -- one map an image


def test_map_localisation_is_its_definition() -> None:
    generator = torch.Generator().manual_seed(3)
    maps = torch.randn(20, 15, 12, generator=generator)
    masks = torch.zeros(20, 15, 12, dtype=torch.bool)
    masks[:, 3:10, 2:9] = True
    maps[:12, 3:10, 2:9] += 1.5
    labels = torch.randint(0, 3, (20,), generator=generator)
    result = map_localization(maps, masks, labels, 4)
    iou = []
    for one, mask in zip(maps, masks, strict=True):
        threshold = one.flatten().sort().values[-int(0.3 * 180)]
        iou.append(float(binary_iou(one >= threshold, mask)))
    iou = np.array(iou)
    assert 0 < (iou > 0.3).mean() < 1
    for c in range(4):
        mine = labels.numpy() == c
        expected = (iou[mine].mean(), (iou[mine] > 0.3).mean()) if mine.any() else (NAN, NAN)
        got = float(result.class_iou[c]), float(result.class_ap[c])
        assert got == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert result.total_iou == pytest.approx(iou.mean(), rel=1e-12)
    assert result.total_ap == pytest.approx((iou > 0.3).mean(), rel=1e-12)
    assert int(result.num_samples.sum()) == 20
    with pytest.raises(FrozenInstanceError):
        result.total_iou = 1.0


def test_map_thresholds_are_counted_from_one_and_success_is_strict() -> None:
    maps = torch.arange(100.0).reshape(1, 10, 10)
    masks = maps >= 70  # 30 pixels
    assert map_localization(maps, masks, torch.tensor([0]), 1).total_iou == 1
    whole = torch.ones_like(masks)
    result = map_localization(maps, whole, torch.tensor([0]), 1)
    assert (result.total_iou, result.total_ap) == (0.3, 0)
    assert map_localization(maps, whole, torch.tensor([0]), 1, success=0.29).total_ap == 1


# -- GradMap


def plain_gradient(maps, masks):
    return np.array(
        [[float(binary_iou(one > 1, mask)) for one in several]
         for several, mask in zip(maps, masks, strict=True)]
    )  # fmt: skip


def blurred(n=14, filters=6):
    generator = torch.Generator().manual_seed(4)
    maps = 2.2 * torch.rand(n, filters, 9, 11, generator=generator)
    return maps, torch.rand(n, 9, 11, generator=generator) > 0.7, torch.arange(n) % 3


def test_the_official_aggregation_averages_over_the_filters_of_an_image_first() -> None:
    maps, masks, labels = blurred()
    images = plain_gradient(maps, masks).mean(axis=1)
    success = float(np.median(images))
    result = gradient_localization(maps, masks, labels, 4, success=success)
    assert result.total_iou == pytest.approx(images.mean(), rel=1e-12)
    assert result.total_ap == pytest.approx((images >= success).mean())
    for c in range(3):
        assert float(result.class_iou[c]) == pytest.approx(images[labels == c].mean(), rel=1e-12)
        assert float(result.class_ap[c]) == pytest.approx((images[labels == c] >= success).mean())
    assert math.isnan(result.class_iou[3])
    assert math.isnan(result.class_ap[3])


def test_the_papers_aggregation_judges_filters_on_their_focus_class() -> None:
    maps, masks, labels = blurred()
    iou = plain_gradient(maps, masks)
    result = gradient_localization(maps, masks, labels, 3, "paper", success=0.25)
    ap = np.stack([(iou[labels == c] >= 0.25).mean(0) for c in range(3)])
    mean = np.stack([iou[labels == c].mean(0) for c in range(3)])
    assert result.focus_class.tolist() == ap.argmax(0).tolist()
    assert result.total_iou == pytest.approx(mean[ap.argmax(0), range(6)].mean(), rel=1e-12)
    assert result.total_ap == pytest.approx(ap.max(0).mean(), rel=1e-12)
    np.testing.assert_allclose(result.filter_class_iou, mean, rtol=1e-12)
    assert result.degenerate == 0


def test_gradient_success_is_not_strict_but_its_threshold_is() -> None:
    maps = torch.zeros(1, 1, 1, 10)
    maps[..., :2] = 1.5
    maps[..., 2:5] = 1.0  # not above 1
    masks = torch.ones(1, 1, 10, dtype=torch.bool)
    for aggregation in ("paper", "official"):
        result = gradient_localization(maps, masks, torch.tensor([0]), 1, aggregation)
        assert (result.total_iou, result.total_ap) == (0.2, 1)
        binary = gradient_localization(maps > 1, masks, torch.tensor([0]), 1, aggregation)
        assert (binary.total_iou, binary.total_ap) == (0.2, 1)


def test_an_image_without_gradient_counts_as_zero() -> None:
    maps, masks, labels = blurred()
    maps[0] = 0
    maps[:, 5] = 0
    images = plain_gradient(maps, masks)
    assert images[0].tolist() == [0] * 6
    result = gradient_localization(maps, masks, labels, 3)
    assert result.total_iou == pytest.approx(images.mean(), rel=1e-12)
    assert gradient_localization(maps, masks, labels, 3, "paper").degenerate == 1


def test_an_image_without_object_counts_where_a_filter_marks_something() -> None:
    maps, masks, labels = blurred()
    masks[:2] = False
    maps[0] = 0
    maps[1, :3] = 0
    result = gradient_localization(maps, masks, labels, 3)
    assert (result.empty_masks, result.undefined) == (2, 1)
    images = plain_gradient(maps[2:], masks[2:]).mean(axis=1)
    assert result.total_iou == pytest.approx(images.sum() / 13, rel=1e-12)


# -- chance


def test_chance_is_the_objects_area_and_a_centred_box() -> None:
    masks = torch.zeros(3, 8, 16, dtype=torch.bool)
    masks[0, 2:6, 4:12] = True  # the box itself: a quarter of the area
    masks[1, :, :8] = True  # half
    labels = torch.tensor([0, 0, 1])
    chance = localization_chance(masks, labels, 3)
    assert chance.mean_area == 0.25
    assert chance.box_size == (4, 8)
    assert chance.full.class_iou.tolist()[:2] == [0.375, 0.0]
    assert math.isnan(chance.full.class_iou[2])
    assert chance.full.total_iou == 0.25
    assert chance.full.total_ap == pytest.approx(1 / 3)
    overlap = 16 / (32 + 64 - 16)
    assert chance.box.class_iou[0] == pytest.approx((1 + overlap) / 2)
    assert chance.full.empty_masks == 1
    strict = localization_chance(masks, labels, 3, success=0.5)
    loose = localization_chance(masks, labels, 3, success=0.5, strict=False)
    assert (strict.full.total_ap, loose.full.total_ap) == (0, pytest.approx(1 / 3))


def test_chance_is_what_degenerate_filters_score() -> None:
    masks = maps_and_masks()[1]
    labels = torch.arange(9) % 2
    dead = activation_localization(torch.zeros(9, 5, 4, 4), masks, labels, 2)
    chance = localization_chance(masks, labels, 2).full
    assert dead.degenerate == 5
    torch.testing.assert_close(dead.filter_class_iou[:, 0], chance.class_iou)


# -- bad input


@pytest.mark.parametrize("kind", ["activation", "map", "paper", "official"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"maps": torch.ones(4)}, r"`maps` must be \(N"),
        ({"nan": True}, "`maps` holds non-finite"),
        ({"integers": True}, "`maps` must be floating point"),
        ({"masks": torch.ones(2, 6, 6)}, r"`masks` must be \(N, H, W\) bool"),
        ({"masks": torch.ones(2, 1, 6, 6, dtype=torch.bool)}, "`masks`"),
        ({"masks": torch.ones(2, 0, 6, dtype=torch.bool)}, "`masks`"),
        ({"masks": torch.ones(3, 6, 6, dtype=torch.bool)}, "`maps` holds 2 images, `masks` 3"),
        ({"labels": torch.tensor([0])}, "`labels`"),
        ({"labels": torch.tensor([0, 3])}, r"`labels` must lie in \[0, 2\]"),
        ({"labels": torch.tensor([-1, 0])}, "`labels`"),
        ({"labels": torch.tensor([0.0, 1.0])}, "`labels` must be integers"),
    ],
)
def test_bad_input_is_named(kind: str, changes: dict, message: str) -> None:
    changes = dict(changes)
    maps = torch.rand(2, 6, 6) if kind == "map" else torch.rand(2, 3, 6, 6)
    if changes.pop("nan", False):
        maps[1, 0] = NAN
    if changes.pop("integers", False):
        maps = maps.long()
    given = {
        "maps": maps,
        "masks": torch.ones(2, 6, 6, dtype=torch.bool),
        "labels": torch.tensor([0, 1]),
        "num_classes": 3,
        **changes,
    }
    call = {
        "activation": activation_localization,
        "map": map_localization,
        "paper": lambda **g: gradient_localization(aggregation="paper", **g),
        "official": gradient_localization,
    }[kind]
    with pytest.raises(ValueError, match=message):
        call(**given)


def test_masks_of_another_size_are_refused_where_maps_are_not_interpolated() -> None:
    masks, labels = torch.ones(2, 6, 7, dtype=torch.bool), torch.tensor([0, 1])
    with pytest.raises(ValueError, match=r"`masks` must be \(6, 6\), as the maps"):
        map_localization(torch.rand(2, 6, 6), masks, labels, 2)
    with pytest.raises(ValueError, match=r"`masks` must be \(6, 6\), as the maps"):
        gradient_localization(torch.rand(2, 3, 6, 6), masks, labels, 2)


def test_other_bad_input_is_named() -> None:
    maps, masks = torch.rand(2, 1, 2, 2), torch.ones(2, 4, 4, dtype=torch.bool)
    labels = torch.tensor([0, 1])
    for share in (0, -0.1, 1.1, NAN):
        with pytest.raises(ValueError, match=r"`share` must lie in \(0, 1\]"):
            activation_localization(maps, masks, labels, 2, share=share)
    with pytest.raises(ValueError, match="less than one value"):
        activation_thresholds(maps, share=0.1)
    with pytest.raises(ValueError, match="less than one value"):
        map_localization(torch.rand(2, 1, 3), masks[:, :1, :3], labels, 2)
    with pytest.raises(ValueError, match="`aggregation`"):
        gradient_localization(torch.rand(2, 3, 4, 4), masks, labels, 2, "mean")
    with pytest.raises(ValueError, match="`a` must be"):
        binary_iou(torch.ones(2, 2), masks[0])
    with pytest.raises(ValueError, match="one size"):
        binary_iou(masks[0, :2], masks[0])
    with pytest.raises(ValueError, match="`masks` must be"):
        localization_chance(masks[:0], labels[:0], 2)
    with pytest.raises(ValueError, match="bool"):
        localization_chance(masks.long(), labels, 2)
