"""One-pixel evolution against a plain loop."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attacks.small_networks import build, prepare

from filterscope.attacks import attack, random_targets
from filterscope.attacks.differential_evolution import child_genes


def plain(model, image, label, target, generator, population, generations, weight):
    """One query after another, as described."""
    channels, height, width = image.shape
    ends = [np.nextafter(height, 0), np.nextafter(width, 0)] + [1.0] * channels

    def cut(genes):
        return [min(max(gene, 0.0), end) for gene, end in zip(genes, ends, strict=True)]

    def judge(genes):
        picture = image.clone()
        for channel in range(channels):
            picture[channel, int(genes[0]), int(genes[1])] = genes[2 + channel]
        queries.append(picture)
        scores = model(prepare(picture)[None])[0].softmax(0).tolist()
        answer = scores.index(max(scores))
        if target is None:
            return scores[label], answer != label, picture
        return -scores[target], answer == target, picture

    queries = []
    places = generator.random((population, 2))
    colours = generator.normal(128 / 255, 127 / 255, (population, channels))
    genes = [
        cut([place[0] * height, place[1] * width, *colour])
        for place, colour in zip(places, colours, strict=True)
    ]
    parents = None
    for _ in range(generations + 1):
        judged = [judge(candidate) for candidate in genes]
        turned = [(loss, k) for k, (loss, yes, _) in enumerate(judged) if yes]
        if turned:
            return judged[min(turned)[1]][2], len(queries), True
        losses = [loss for loss, _, _ in judged]
        if parents is None:
            parents = list(zip(losses, genes, strict=True))
        else:
            pairs = zip(parents, zip(losses, genes, strict=True), strict=True)
            parents = [child if child[0] <= parent[0] else parent for parent, child in pairs]
        draws = [generator.integers(population - k, size=population) for k in range(3)]
        genes = []
        for a, b, c in zip(*draws, strict=True):
            rest = list(range(population))
            ancestors = [parents[rest.pop(k)][1] for k in (a, b, c)]
            genes.append(cut([x + weight * (y - z) for x, y, z in zip(*ancestors, strict=True)]))
    return image, len(queries), False


@pytest.mark.parametrize("targeted", [False, True])
def test_it_is_the_plain_loop_for_each_image(network, pictures, classes, targeted) -> None:
    targets = random_targets(classes, 5, 1) if targeted else None
    found = attack(
        "one-pixel-de", network, pictures, classes, normalize=prepare, targets=targets, seed=3,
        population=8, generations=6, batch_size=30,
    )  # fmt: skip
    assert len(network.asked) == len(pictures) + int(found.queries.sum())
    outcomes = set()
    for i, picture in enumerate(pictures):
        with torch.no_grad():
            expected, queries, success = plain(
                network, picture, int(classes[i]), int(targets[i]) if targeted else None,
                np.random.default_rng((3, i)), 8, 6, 0.5,
            )  # fmt: skip
        assert (int(found.queries[i]), bool(found.success[i])) == (queries, success)
        torch.testing.assert_close(found.images[i], expected)
        outcomes.add(success)
    assert outcomes == {False, True}


def test_ancestors_differ_and_all_come() -> None:
    generator, seen = np.random.default_rng(0), set()
    genes = np.zeros((4, 5))
    genes[:, 2] = [0.0, 0.01, 0.1, 0.4]  # every sum of three tells which they are
    for _ in range(60):
        seen |= {round(x, 6) for x in child_genes(generator, genes + 0.4, 1.0, (3, 9, 9))[:, 2]}
    values = genes[:, 2]
    allowed = {
        round(min(1.0, max(0.0, 0.4 + values[a] + values[b] - values[c])), 6)
        for a in range(4) for b in range(4) for c in range(4) if len({a, b, c}) == 3
    }  # fmt: skip
    assert seen == allowed


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), weight=st.floats(0, 2), classes=st.sampled_from([1, 5]))
def test_one_pixel_at_most_changes_and_stays_inside(seed, weight, classes) -> None:
    model = build(classes)
    images = torch.rand(3, 3, 11, 7, dtype=torch.float64).round(decimals=1)
    found = attack(
        "one-pixel-de", model, images, torch.tensor([0, 1, 0]), seed=seed, population=5,
        generations=3, weight=weight,
    )  # fmt: skip
    assert 0 <= float(found.images.min()) <= float(found.images.max()) <= 1
    changed = (found.images != images).any(1).flatten(1).sum(1)
    assert int(changed.max()) <= 1
    assert not bool(changed[~found.success].any())
    assert set(found.queries.tolist()) <= {0, 5, 10, 15, 20}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"population": 2}, "`population` must be at least 3"),
        ({"generations": -1}, "`generations` must be at least 0"),
        ({"weight": 3}, "`weight` must be in"),
    ],
)
def test_bad_settings(network, pictures, classes, change, message) -> None:
    with pytest.raises(ValueError, match=message):
        attack("one-pixel-de", network, pictures, classes, **change)
