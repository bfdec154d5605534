"""Attacks along the gradient against bare loops, and on networks that resist them."""

import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.attacks.small_networks import build, prepare
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope import attacks
from filterscope.attacks import attack, random_targets


def bare(model, images, labels, targets, seed, epsilon, steps, step_size, random_start=True):
    """The formula: x <- cut(x +- step sign(gradient)), uniform start, by the same seed."""
    x = images
    if random_start:
        draw = torch.rand(images.shape, generator=torch.Generator().manual_seed(seed))
        x = (images + (2 * draw - 1) * epsilon).clamp(0, 1)
    for _ in range(steps):
        x = x.detach().requires_grad_()
        scores = model(prepare(x) * 1)
        if scores.shape[1] == 1:
            scores = torch.cat([torch.zeros_like(scores), scores], 1)
        if targets is None:
            loss = F.cross_entropy(scores, labels, reduction="sum")
        else:
            loss = -F.cross_entropy(scores, targets, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
        x = x.detach() + step_size * gradient.sign()
        x = torch.max(torch.min(x, images + epsilon), images - epsilon).clamp(0, 1)
    return x.detach()


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("single", [False, True])
def test_pgd_and_fgsm_are_the_bare_loop(pictures, targeted, single) -> None:
    model = build(1 if single else 5)
    with torch.no_grad():
        logits = model(prepare(pictures))
    labels = (logits[:, 0] > 0).long() if single else logits.argmax(1)
    targets = random_targets(labels, 2 if single else 5, 2) if targeted else None
    chosen = {"normalize": prepare, "targets": targets, "seed": 9}
    expected = bare(model, pictures, labels, targets, 9, 0.1, 7, 0.02)
    for batch_size in (None, 4):
        found = attack(
            "pgd", model, pictures, labels, epsilon=0.1, step_size=0.02, batch_size=batch_size,
            **chosen,
        )  # fmt: skip
        assert float((found.images - expected).abs().max()) < 1e-6
        assert found.queries.tolist() == [7] * 6
    found = attack("fgsm", model, pictures, labels, epsilon=0.1, **chosen)
    expected = bare(model, pictures, labels, targets, 9, 0.1, 1, 0.1, random_start=False)
    assert float((found.images - expected).abs().max()) < 1e-6
    assert found.queries.tolist() == [1] * 6
    with torch.no_grad():
        logits = model(prepare(found.images))
    answers = (logits[:, 0] > 0).long() if single else logits.argmax(1)
    assert torch.equal(found.success, answers != labels if targets is None else answers == targets)


def test_fgsm_is_the_plain_one(network, pictures, classes) -> None:
    found = attack("fgsm", network, pictures, classes, normalize=prepare, epsilon=0.07)
    expected = attacks.fgsm(network, pictures, classes, 0.07, prepare)
    assert float((found.images - expected).abs().max()) < 1e-6


def test_defaults_are_the_source_s(network, pictures, classes) -> None:
    found = attack("pgd", network, pictures, classes, normalize=prepare)
    expected = bare(network, pictures, classes, None, 0, 8 / 255, 7, 2 / 255)
    assert float((found.images - expected).abs().max()) < 1e-6
    found = attack("fgsm", network, pictures, classes, normalize=prepare)
    assert float((found.images - pictures).abs().max()) == pytest.approx(8 / 255)


@settings(max_examples=12)
@given(
    epsilon=st.floats(0, 1), step=st.floats(0, 0.5), seed=st.integers(0, 99), start=st.booleans()
)
def test_bounds(epsilon, step, seed, start) -> None:
    model = build(5).float()
    images = torch.rand(3, 3, 11, 7).round(decimals=1)
    labels = model(images * 1).argmax(1)
    labels[0] = (labels[0] + 1) % 5
    for name, own in (
        ("fgsm", {"epsilon": epsilon}),
        ("pgd", {"epsilon": epsilon, "step_size": step, "steps": 3, "random_start": start}),
    ):
        found = attack(name, model, images, labels, seed=seed, **own)
        assert float((found.images - images).abs().max()) <= epsilon + 1e-6
        assert 0 <= float(found.images.min()) <= float(found.images.max()) <= 1
        assert torch.equal(found.images[0], images[0])
        assert found.excluded.tolist() == [True, False, False]
        assert int(found.queries[0]) == 0
        assert found.notes[0] == "1 of 3 images are misclassified before and left out"


@pytest.mark.parametrize("targeted", [False, True])
def test_cw_finds_small_changes_and_says_where_it_finds_none(
    network, pictures, classes, targeted
) -> None:
    targets = random_targets(classes, 5, 2) if targeted else None
    chosen = {"normalize": prepare, "targets": targets}
    found = attack(
        "cw", network, pictures, classes, steps=40, binary_search_steps=5, step_size=0.02, **chosen
    )
    assert found.success_rate > 0.5
    with torch.no_grad():
        answers = network(prepare(found.images)).argmax(1)
    assert torch.equal(found.success, answers != classes if targets is None else answers == targets)
    assert 0 <= float(found.images.min()) <= float(found.images.max()) <= 1
    assert bool((found.queries > 5).all())
    # the network errs on black images, which are what foolbox gives where it finds nothing
    failed = attack(
        "cw", network, pictures, classes, steps=1, binary_search_steps=1, step_size=1e-9, **chosen
    )
    assert torch.equal(failed.images, pictures)
    assert failed.success_rate == 0
    assert failed.notes == ("the attack succeeds on none of 6 images",)


def trained(images: Tensor, labels: Tensor) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 3))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return model


@pytest.mark.parametrize(
    ("name", "own", "share"),
    [
        ("fgsm", {"epsilon": 0.15}, 0.7),
        ("pgd", {"epsilon": 0.15, "step_size": 0.05}, 0.7),
        ("cw", {"steps": 40, "binary_search_steps": 5}, 0.7),
        ("single-pixel", {}, 0.7),
        ("one-pixel-de", {"population": 30, "generations": 10}, 0.7),
        # tests pixels away from grey only, so that it finds a way in 15 rounds for few
        ("local-search", {"rounds": 15}, 0.9),
    ],
)
def test_attacks_make_a_trained_network_err(name, own, share) -> None:
    generator = torch.Generator().manual_seed(1)
    images, labels = 0.8 + 0.1 * torch.rand(30, 3, 8, 8, generator=generator), torch.arange(30) % 3
    images[range(30), :, 2 + labels, 5 - labels] = 0.6  # a class is the place of a darker pixel
    model = trained(images, labels)
    clean = int((model(images).argmax(1) == labels).sum())
    assert clean > 27
    found = attack(name, model, images, labels, **own)
    left = int((model(found.images).argmax(1) == labels).sum())
    assert left < share * clean
    assert left == clean - int(found.success.sum())
    assert found.attempted == clean


class Sure(nn.Module):
    """So sure that the loss is zero to rounding, but for black images."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(1e6))

    def forward(self, x):
        score = self.slope * x.flatten(1).sum(1)
        return torch.stack([score + 1e-3, -score], 1)


def test_zero_gradients_are_told() -> None:
    images = torch.rand(4, 3, 2, 2)
    images[1] = 0
    for name in ("fgsm", "pgd"):
        own = {"random_start": False} if name == "pgd" else {}
        found = attack(name, Sure(), images, torch.zeros(4).long(), **own)
        assert found.notes[0].startswith("the gradient is zero at the first step on 3 of 4 images")
        assert torch.equal(found.images[[0, 2, 3]], images[[0, 2, 3]])
        assert (found.zero_gradients, found.broken_gradients) == (3, 0)
    assert found.notes[-1] == "the attack succeeds on none of 4 images"
    assert found.success_rate == 0


class Broken(nn.Module):
    """Infinite slope at a black pixel."""

    def forward(self, x):
        return x.flatten(1).sqrt()[:, :3]


def test_gradients_that_are_no_numbers_are_told_and_taken_as_zero() -> None:
    images = torch.rand(4, 3, 2, 2).clamp(0.1, 0.9)
    images[2, 0, 0, 1] = 0
    labels = Broken()(images).argmax(1)
    own = {"pgd": {"random_start": False}, "cw": {"steps": 3}}
    for name in ("fgsm", "pgd", "cw"):
        found = attack(name, Broken(), images, labels, **own.get(name, {}))
        assert bool(torch.isfinite(found.images).all())
        if name != "cw":  # which begins a little beside the end of the range
            assert "not finite at some step on 1 of 4 images" in found.notes[0]
            assert (found.zero_gradients, found.broken_gradients) == (0, 1)
    same = attack("fgsm", Broken(), images, labels).images[2, 0, 0, 1]
    assert float(same) == 0


def test_nothing_is_left_behind(network, pictures, classes) -> None:
    network.train()
    network.norm.eval()
    network.head.weight.requires_grad_(False)
    kept, state = pictures.clone(), torch.get_rng_state()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for name in ("fgsm", "pgd", "cw"):
        own = {"steps": 3} if name == "cw" else {}
        for normalize in (prepare, lambda x: x[:, :2]):
            if normalize is prepare:
                attack(name, network, pictures, classes, normalize=normalize, **own)
            else:
                with pytest.raises(RuntimeError, match=r"channels|size"):
                    attack(name, network, pictures, classes, normalize=normalize, **own)
    assert network.training
    assert network.drop.training
    assert not network.norm.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert network.conv.weight.requires_grad
    assert not network.head.weight.requires_grad
    assert torch.equal(pictures, kept)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[n]) for n, value in network.state_dict().items())


def test_it_works_where_gradients_are_off_and_on_images_that_have_them(
    network, pictures, classes
) -> None:
    expected = attack("pgd", network, pictures, classes).images
    with torch.no_grad():
        assert torch.equal(attack("pgd", network, pictures, classes).images, expected)
    with torch.inference_mode():
        made_inside = pictures.clone()
        assert torch.equal(attack("pgd", network, made_inside, classes).images, expected)
        assert len(attack("cw", network, made_inside, classes, steps=2).images) == 6
    leaf = pictures.clone().requires_grad_()
    found = attack("pgd", network, leaf, classes)
    assert torch.equal(found.images, expected)
    assert not found.images.requires_grad
    assert leaf.grad is None


def test_networks_without_a_path_to_the_pixels_are_refused(network, pictures, classes) -> None:
    labels = network(torch.zeros_like(pictures)).argmax(1)
    for normalize in (torch.zeros_like, lambda x: torch.zeros_like(x).detach()):
        with pytest.raises(ValueError, match="no gradient connects"):
            attack("pgd", network, pictures, labels, normalize=normalize)


def test_without_foolbox_it_says_what_to_install(network, pictures, classes, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "foolbox", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'filterscope\[attacks\]'"):
        attack("pgd", network, pictures, classes)
    attack("single-pixel", network, pictures, classes, max_pixels=1)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("fgsm", {"epsilon": -0.1}, "`epsilon` must be in"),
        ("fgsm", {"epsilon": float("nan")}, "`epsilon` must be in"),
        ("pgd", {"epsilon": 8}, "`epsilon` must be in"),
        ("pgd", {"steps": 0}, "`steps` must be at least 1"),
        ("pgd", {"step_size": -1}, "`step_size` must be in"),
        ("cw", {"steps": 0}, "`steps` must be at least 1"),
        ("cw", {"binary_search_steps": 0}, "`binary_search_steps` must be"),
        ("cw", {"step_size": 0}, "`step_size` must be"),
        ("cw", {"initial_const": 0}, "`initial_const` must be"),
        ("cw", {"confidence": -1}, "`confidence` must be"),
    ],
)
def test_bad_settings(network, pictures, classes, name, change, message) -> None:
    with pytest.raises(ValueError, match=message):
        attack(name, network, pictures, classes, **change)
