"""Attacks by name: what all of them share."""

import numpy as np
import pytest
import torch
from tests.attacks.small_networks import build, prepare
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from filterscope.attacks import ATTACK_PRESETS, attack, list_attacks, random_targets
from filterscope.attacks.arguments import check_number

FAST = {
    "cw": {"steps": 5, "binary_search_steps": 2},
    "local-search": {"rounds": 4},
    "one-pixel-de": {"population": 6, "generations": 3},
    "single-pixel": {"max_pixels": 20},
}
BLACK_BOX = ["local-search", "one-pixel-de", "single-pixel"]
EVERY = pytest.mark.parametrize("name", list_attacks())


@EVERY
def test_a_seed_repeats_it_and_the_network_stays(network, pictures, classes, name) -> None:
    network.train()
    own = {"normalize": prepare, **FAST.get(name, {})}
    kept, state = pictures.clone(), torch.get_rng_state()
    one, same, other = (
        attack(name, network, pictures, classes, seed=seed, **own) for seed in (1, 1, 2)
    )
    assert torch.equal(one.images, same.images)
    assert torch.equal(one.queries, same.queries)
    if name in ("pgd", *BLACK_BOX):
        assert not (
            torch.equal(one.images, other.images) and torch.equal(one.queries, other.queries)
        )
    assert one.images.dtype == torch.float64
    assert torch.equal(pictures, kept)
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("name", BLACK_BOX)
def test_an_image_s_result_depends_on_no_neighbour(network, pictures, classes, name) -> None:
    own = {"normalize": prepare, **FAST[name]}
    every = attack(name, network, pictures, classes, batch_size=100, **own)
    labels = classes.clone()
    labels[1] = (labels[1] + 1) % 5
    fewer = attack(name, network, pictures[:4], labels[:4], batch_size=3, **own)
    for i in (0, 2, 3):
        assert torch.equal(every.images[i], fewer.images[i])
        assert every.queries[i] == fewer.queries[i]
    assert fewer.excluded.tolist() == [False, True, False, False]


class Casts(TorchDispatchMode):
    """Refuses double precision, which some accelerators lack, but for casts and NumPy's arrays."""

    allowed = (torch.ops.aten._to_copy.default, torch.ops.aten.lift_fresh.default)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        tensors = [x for x in (*args, made) if isinstance(x, Tensor)]
        if func not in self.allowed:
            assert not any(x.dtype == torch.float64 for x in tensors), func
        return made


@EVERY
def test_nothing_is_computed_in_double_precision(pictures, name) -> None:
    model, images = build(5).float(), pictures.float()
    labels = model(images.clone()).argmax(1)
    model.asked.clear()
    with Casts():
        attack(name, model, images, labels, **FAST.get(name, {}))
    assert len(model.asked) > len(images)


@EVERY
def test_images_all_misclassified_are_left_alone(network, pictures, classes, name) -> None:
    found = attack(name, network, pictures, (classes + 1) % 5, normalize=prepare)
    assert torch.equal(found.images, pictures)
    assert found.images is not pictures
    assert found.attempted == 0
    assert found.success_rate != found.success_rate
    assert not bool(found.success.any())
    assert found.queries.tolist() == [0] * 6
    assert found.notes == ("6 of 6 images are misclassified before and left out",)


class Deaf(nn.Module):
    """Says class 2 whatever it sees, with a slope too small to matter."""

    def forward(self, x):
        sums = x.flatten(1).mean(1, keepdim=True)
        return torch.cat([sums, 2 * sums, 100 - sums], 1)


@EVERY
def test_an_attack_that_never_succeeds_says_so(name) -> None:
    images = torch.rand(3, 1, 6, 6)
    found = attack(name, Deaf(), images, torch.tensor([2, 2, 2]), **FAST.get(name, {}))
    assert found.success_rate == 0
    assert found.notes[-1] == "the attack succeeds on none of 3 images"
    assert 0 <= float(found.images.min()) <= float(found.images.max()) <= 1
    if name not in ("fgsm", "pgd"):
        assert torch.equal(found.images, images)
    spent = {"single-pixel": 40, "one-pixel-de": 24, "local-search": 3 + 3 * 36 + 4}
    if name in spent:
        assert found.queries.tolist() == [spent[name]] * 3


@EVERY
@pytest.mark.parametrize("targeted", [False, True])
def test_networks_with_a_single_logit(pictures, name, targeted) -> None:
    model = build(1)
    with torch.no_grad():
        labels = (model(prepare(pictures)).flatten() > 0).long()
    targets = 1 - labels if targeted else None
    own = {"normalize": prepare, **FAST.get(name, {})}
    found = attack(name, model, pictures, labels, targets=targets, **own)
    plain = attack(name, model, pictures, labels, **own)
    with torch.no_grad():
        answers = (model(prepare(found.images)).flatten() > 0).long()
    assert not bool(found.excluded.any())
    assert torch.equal(found.success, answers != labels)
    # with two classes, away from one is to the other
    torch.testing.assert_close(found.images, plain.images)


def test_presets_give_way_to_settings(network, pictures, classes) -> None:
    wide = attack("single-pixel", network, pictures, classes, preset="advertorch")
    named = attack("single-pixel", network, pictures, classes, max_pixels=100)
    assert torch.equal(wide.images, named.images)
    few = attack("single-pixel", network, pictures, classes, preset="advertorch", max_pixels=1)
    assert int(few.queries.max()) <= 2
    assert set(ATTACK_PRESETS) == {"foolbox", "advertorch"}


PIXELS = torch.full((6, 3, 11, 7), 0.5, dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 3, 4, 0])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"name": "pdg"}, ValueError, "unknown attack 'pdg'; near: pgd"),
        ({"preset": "foolbix"}, ValueError, "unknown preset 'foolbix'; near: foolbox"),
        ({"name": "pgd", "preset": "foolbox"}, ValueError, "nothing for 'pgd', only for single"),
        ({"epsilon": 0.1}, TypeError, "single-pixel has no setting `epsilon`; it has max_pixels"),
        ({"images": PIXELS * 4}, ValueError, r"in \[0, 1\], got 2 to 2; .* `normalize`"),
        ({"images": PIXELS * torch.nan}, ValueError, r"in \[0, 1\], got nan"),
        ({"images": PIXELS[:0]}, ValueError, "not empty"),
        ({"images": (PIXELS * 255).byte()}, TypeError, "`images` must be floating point"),
        ({"labels": LABELS[:3]}, ValueError, "`labels` must be one class for each of 6 images"),
        ({"labels": LABELS + 1}, ValueError, r"`labels` must lie in \[0, 4\], got 1 to 5"),
        ({"labels": LABELS.double()}, TypeError, "`labels` must be integers"),
        ({"targets": LABELS}, ValueError, "`targets` must differ from `labels`, but 6 are the"),
        ({"targets": LABELS + 1}, ValueError, r"`targets` must lie in \[0, 4\], got 1 to 5"),
        ({"targets": LABELS[:2]}, ValueError, "`targets` must be one class for each of 6 images"),
        ({"targets": 3}, TypeError, "`targets` must be a tensor, got int"),
        ({"seed": -1}, ValueError, "`seed` must be at least 0"),
        ({"seed": 1.5}, TypeError, "`seed` must be an integer"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be at least 1"),
        ({"model": nn.Conv2d(3, 4, 3).double()}, ValueError, r"`model` must give logits \(6, C\)"),
        ({"normalize": lambda x: x * torch.inf}, ValueError, "not finite for 6 of 6"),
    ],
)
def test_bad_input(network, change, error, message) -> None:
    arguments = {"name": "single-pixel", "model": network, "images": PIXELS, "labels": LABELS}
    with pytest.raises(error, match=message):
        attack(**arguments | change)


def test_targets_are_wrong_classes_each_as_often() -> None:
    labels = torch.arange(4).repeat_interleave(300)
    targets = random_targets(labels, 4, 7)
    assert torch.equal(targets, random_targets(labels, 4, 7))
    assert not torch.equal(targets, random_targets(labels, 4, 8))
    counts = torch.zeros(4, 4).index_put_((labels, targets), torch.ones(1200), accumulate=True)
    assert counts.diagonal().tolist() == [0] * 4
    assert float(counts[~torch.eye(4, dtype=torch.bool)].min()) > 65
    assert random_targets(torch.tensor([0, 1]), 2).tolist() == [1, 0]
    assert random_targets(labels[:0], 4).shape == (0,)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"num_classes": 1}, ValueError, "`num_classes` must be at least 2"),
        ({"num_classes": 4}, ValueError, r"`labels` must lie in \[0, 3\]"),
        ({"labels": torch.zeros(2, 2).long()}, ValueError, "`labels` must be one class for each"),
        ({"labels": [0, 1]}, TypeError, "`labels` must be a tensor, got list"),
        ({"seed": -1}, ValueError, "`seed` must be at least 0"),
    ],
)
def test_bad_targets(change, error, message) -> None:
    with pytest.raises(error, match=message):
        random_targets(**{"labels": LABELS, "num_classes": 5} | change)


def test_numbers_of_numpy_are_numbers() -> None:
    check_number("epsilon", np.float32(0.03), 0, 1)
    check_number("steps", np.int64(7), 1, whole=True)
    for value in (np.True_, np.float64(7), "7"):
        with pytest.raises(TypeError, match="`steps` must be an integer"):
            check_number("steps", value, 1, whole=True)
