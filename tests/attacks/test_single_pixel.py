"""The single-pixel attack against a plain loop."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attacks.small_networks import build, prepare

from filterscope.attacks import attack, random_targets


def plain(model, image, wanted, generator, max_pixels):
    """One query after another, as described; `wanted` judges an answer."""
    _, height, width = image.shape
    queries = []
    for place in generator.permutation(height * width)[:max_pixels]:
        for value in (0.0, 1.0):
            picture = image.clone()
            for channel in range(3):
                picture[channel, place // width, place % width] = value
            queries.append(picture)
            if wanted(int(model(prepare(picture)[None])[0].argmax())):
                return picture, queries, True
    return image, queries, False


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_it_is_the_plain_loop_for_each_image(
    network, pictures, classes, batch_size, targeted
) -> None:
    targets = random_targets(classes, 5, 1) if targeted else None
    found = attack(
        "single-pixel", network, pictures, classes, normalize=prepare, targets=targets, seed=4,
        max_pixels=60, batch_size=batch_size,
    )  # fmt: skip
    turned = []
    for i, picture in enumerate(pictures):
        with torch.no_grad():
            expected, queries, success = plain(
                network, picture, lambda answer, i=i: answer == targets[i]
                if targeted else answer != classes[i], np.random.default_rng((4, i)), 60,
            )  # fmt: skip
        assert torch.equal(found.images[i], expected)
        assert (int(found.queries[i]), bool(found.success[i])) == (len(queries), success)
        turned.append(success)
    assert any(turned)
    assert not all(turned)
    assert found.queries.dtype == torch.int64
    assert found.targets is targets or torch.equal(found.targets, targets)


def test_it_asks_what_the_loop_asks_in_that_order(network, pictures, classes) -> None:
    found = attack(
        "single-pixel", network, pictures[:1], classes[:1], normalize=prepare, batch_size=1
    )
    asked = torch.stack(network.asked)
    with torch.no_grad():
        _, queries, _ = plain(
            network, pictures[0], lambda answer: answer != classes[0],
            np.random.default_rng((0, 0)), 1000,
        )  # fmt: skip
    assert len(asked) == 1 + int(found.queries)
    torch.testing.assert_close(asked[1:], prepare(torch.stack(queries)))


def test_the_next_pixels_of_all_images_share_a_forward_pass(network, pictures, classes) -> None:
    sizes = []
    network.register_forward_hook(lambda _module, inputs, _output: sizes.append(len(inputs[0])))
    found = attack("single-pixel", network, pictures, classes, normalize=prepare, batch_size=60)
    assert sizes[:2] == [6, 60]
    assert max(sizes) <= 60
    assert len(sizes) < int(found.queries.sum()) / 20


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), pixels=st.integers(1, 80), classes=st.sampled_from([1, 2, 5]))
def test_one_pixel_at_most_is_black_or_white(seed, pixels, classes) -> None:
    model = build(classes)
    images = torch.rand(3, 3, 11, 7, dtype=torch.float64).round(decimals=1)
    labels = torch.tensor([0, 1, 0])[:3]
    found = attack("single-pixel", model, images, labels % max(classes, 2), seed=seed,
                   max_pixels=pixels)  # fmt: skip
    changed = (found.images != images).any(1)
    assert int(changed.flatten(1).sum(1).max()) <= 1
    values = found.images.permute(0, 2, 3, 1)[changed]
    assert bool(((values == 0).all(1) | (values == 1).all(1)).all())
    assert bool((found.queries <= 2 * min(pixels, 77)).all())
    assert not bool(changed[~found.success].any())
    assert not bool((found.success & found.excluded).any())


@pytest.mark.parametrize("value", [0, -1, 2.5, True, "all"])
def test_bad_numbers_of_pixels(network, pictures, classes, value) -> None:
    with pytest.raises((TypeError, ValueError), match="`max_pixels` must be"):
        attack("single-pixel", network, pictures, classes, max_pixels=value)
