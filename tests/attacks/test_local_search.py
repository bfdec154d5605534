"""Local search against a plain loop."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attacks.small_networks import build, prepare

from filterscope.attacks import ATTACK_PRESETS, attack, random_targets

SMALL = {"probe": 10.0, "factor": 1.5, "half_side": 2, "pixels_per_round": 3, "rounds": 12}


def sign(value: float) -> float:
    return 0.0 if value == 0 else 1.0 if value > 0 else -1.0


def wrapped(value: float) -> float:
    return value + 1 if value < -0.5 else value - 1 if value > 0.5 else value


def plain(
    model, image, label, target, generator, *, probe, factor, half_side, pixels_per_round, rounds,
    rank=1, start_share=0.1, max_candidates=128,
):  # fmt: skip
    """One query after another, as described."""
    channels, height, width = image.shape
    picture, queries = image - 0.5, []

    def ask(shifted):
        queries.append(shifted + 0.5)
        return model(prepare(shifted + 0.5)[None])[0].softmax(0).tolist()

    count = min(max_candidates, int(start_share * height * width))
    places = [divmod(int(p), width) for p in generator.permutation(height * width)[:count]]
    for _ in range(rounds):
        tested = []
        for row, column in places:
            candidate = picture.clone()
            for channel in range(channels):
                candidate[channel, row, column] = probe * sign(picture[channel, row, column])
            scores = ask(candidate)
            tested.append(scores[label] if target is None else -scores[target])
        order = sorted(range(len(places)), key=lambda k: tested[k])
        chosen = [places[k] for k in order[:pixels_per_round]]
        for row, column in chosen:
            for channel in range(channels):
                value = float(picture[channel, row, column])
                picture[channel, row, column] = wrapped(factor * value)
        scores = ask(picture)
        ranking = sorted(range(len(scores)), key=lambda k: -scores[k])
        if (ranking[0] == target) if target is not None else (label not in ranking[:rank]):
            return picture + 0.5, queries, True
        near = {
            (r, c) for row, column in chosen
            for r in range(row - half_side, row + half_side + 1)
            for c in range(column - half_side, column + half_side + 1)
            if 0 <= r < height and 0 <= c < width
        }  # fmt: skip
        near = sorted(near)
        order = generator.permutation(len(near))[:max_candidates]
        places = [near[k] for k in order]
    return image, queries, False


@pytest.mark.parametrize(
    ("change", "targeted"),
    [
        ({}, False),
        ({}, True),
        ({"rank": 2}, False),
        ({"max_candidates": 5, "start_share": 0.5}, False),
        ({"probe": 0.3, "factor": 2.0, "half_side": 0}, False),
    ],
)
def test_it_is_the_plain_loop_for_each_image(network, pictures, classes, change, targeted) -> None:
    chosen = SMALL | change
    targets = random_targets(classes, 5, 1) if targeted else None
    found = attack(
        "local-search", network, pictures, classes, normalize=prepare, targets=targets, seed=2,
        batch_size=50, **chosen,
    )  # fmt: skip
    total = len(network.asked)
    for i, picture in enumerate(pictures):
        with torch.no_grad():
            expected, queries, success = plain(
                network, picture, int(classes[i]), int(targets[i]) if targeted else None,
                np.random.default_rng((2, i)), **chosen,
            )  # fmt: skip
        assert (int(found.queries[i]), bool(found.success[i])) == (len(queries), success)
        torch.testing.assert_close(found.images[i], expected)
    assert total == len(pictures) + int(found.queries.sum())


@pytest.mark.parametrize("preset", ["foolbox", "advertorch"])
def test_presets_ask_what_the_loop_asks(network, pictures, classes, preset) -> None:
    chosen = dict(ATTACK_PRESETS[preset]["local-search"]) | {"rounds": 4}
    for i in (1, 5):
        network.asked.clear()
        found = attack(
            "local-search", network, pictures[i : i + 1], classes[i : i + 1], normalize=prepare,
            preset=preset, rounds=4,
        )  # fmt: skip
        asked = torch.stack(network.asked)[1:]
        with torch.no_grad():
            _, queries, _ = plain(
                network, pictures[i], int(classes[i]), None, np.random.default_rng((0, 0)), **chosen
            )
        torch.testing.assert_close(asked, prepare(torch.stack(queries)))
        assert len(queries) == int(found.queries)
        # on purpose: a tested pixel is as far from grey as `probe`
        assert float(torch.stack(queries).max()) == pytest.approx(chosen["probe"] + 0.5)


def test_presets_are_the_libraries() -> None:
    foolbox, advertorch = (ATTACK_PRESETS[p]["local-search"] for p in ("foolbox", "advertorch"))
    assert foolbox == {
        "factor": 1.5, "probe": 10, "half_side": 5, "pixels_per_round": 5, "rounds": 150,
        "rank": 1, "start_share": 0.1, "max_candidates": 128,
    }  # fmt: skip
    assert advertorch == {**foolbox, "probe": 1, "rounds": 10}
    assert ATTACK_PRESETS["foolbox"]["single-pixel"] == {"max_pixels": 1000}
    assert ATTACK_PRESETS["advertorch"]["single-pixel"] == {"max_pixels": 100}


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10**6),
    factor=st.floats(0, 2),
    probe=st.sampled_from([0, 0.5, 10]),
    share=st.sampled_from([0.0, 0.1, 1.0]),
    classes=st.sampled_from([1, 5]),
)
def test_results_stay_inside_and_failures_unchanged(seed, factor, probe, share, classes) -> None:
    model = build(classes)
    images = torch.rand(3, 3, 11, 7).round(decimals=1)
    model.float()
    found = attack(
        "local-search", model, images, torch.tensor([0, 1, 0]), seed=seed, factor=factor,
        probe=probe, start_share=share, rounds=3,
    )  # fmt: skip
    assert 0 <= float(found.images.min()) <= float(found.images.max()) <= 1
    changed = (found.images != images).any(1).flatten(1).sum(1)
    assert int(changed.max()) <= 3 * 5
    assert not bool(changed[~found.success].any())
    answers = (model(found.images).flatten() > 0) if classes == 1 else model(found.images).argmax(1)
    assert bool((answers != torch.tensor([0, 1, 0]))[found.success].all())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"factor": 2.1}, r"`factor` must be in \[0, 2\], got 2.1"),
        ({"factor": float("nan")}, "`factor` must be in"),
        ({"probe": -1}, "`probe` must be at least 0"),
        ({"half_side": -1}, "`half_side` must be at least 0"),
        ({"pixels_per_round": 0}, "`pixels_per_round` must be at least 1"),
        ({"rounds": 0}, "`rounds` must be at least 1"),
        ({"rank": 5}, "`rank` must be 1 with targets and below the number of classes, got 5"),
        ({"rank": 2, "targets": True}, "`rank` must be 1 with targets"),
        ({"start_share": 1.1}, "`start_share` must be in"),
        ({"max_candidates": 0}, "`max_candidates` must be at least 1"),
    ],
)
def test_bad_settings(network, pictures, classes, change, message) -> None:
    if "targets" in change:
        change = change | {"targets": random_targets(classes, 5)}
    with pytest.raises(ValueError, match=message):
        attack("local-search", network, pictures, classes, normalize=prepare, **change)
