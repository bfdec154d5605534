"""The three filter losses against loops written from the method's formulas."""

import math

import pytest
import torch

from filterscope.parts import part_templates
from filterscope.parts.filter_loss import (
    exact_loss,
    official_loss,
    paper_loss,
    with_gradient,
    with_negative,
)
from filterscope.parts.strength import normalized_strengths

B, K, SIDE = 5, 3, 4
UNITS = SIDE * SIDE


def random_maps(batch=B, filters=K, scale=3.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(batch, filters, UNITS, generator=generator, dtype=torch.float64)
    return maps.relu() * scale


def bank(**options):
    return part_templates(SIDE, dtype=torch.float64, **options).flatten(1)


def likelihood(tau=0.5):
    # larger than the paper's 0.5 / n squared, so that errors are not hidden by tiny numbers
    return with_negative(bank(), tau)


def exact_by_loops(maps, templates):
    total = 0.0
    count = len(templates)
    for k in range(maps.shape[1]):
        scores = [[float((x[k] * t).sum()) for t in templates] for x in maps]
        p_given = [[0.0] * count for _ in maps]
        for t in range(count):
            z = sum(math.exp(row[t]) for row in scores)
            for i, row in enumerate(scores):
                p_given[i][t] = math.exp(row[t]) / z
        p = [sum(row) / count for row in p_given]
        for t in range(count):
            for i in range(len(maps)):
                total -= p_given[i][t] * math.log(p_given[i][t] / p[i]) / count
    return total


def test_the_exact_loss_is_the_sum_over_templates_and_images():
    maps, templates = random_maps(), likelihood()
    assert exact_loss(maps, templates)[0].item() == pytest.approx(exact_by_loops(maps, templates))
    own = templates.expand(K, -1, -1)
    torch.testing.assert_close(exact_loss(maps, own), exact_loss(maps, templates))


def test_the_exact_gradient_equals_finite_differences():
    maps, templates = random_maps(seed=1), likelihood()
    gradient = exact_loss(maps, templates)[1]
    step = 1e-5
    numeric = torch.zeros_like(maps)
    for index in torch.cartesian_prod(*map(torch.arange, maps.shape)).tolist():
        ends = []
        for sign in (1, -1):
            moved = maps.clone()
            moved[tuple(index)] += sign * step
            ends.append(exact_loss(moved, templates)[0].item())
        numeric[tuple(index)] = (ends[0] - ends[1]) / (2 * step)
    assert gradient.abs().max() > 1e-3
    torch.testing.assert_close(gradient, numeric, rtol=1e-6, atol=1e-8)


def test_the_exact_gradient_reaches_the_maps():
    maps = random_maps(seed=2).requires_grad_()
    loss = with_gradient(maps, exact_loss(maps, likelihood()))
    (3 * loss).backward()
    torch.testing.assert_close(maps.grad, 3 * exact_loss(maps.detach(), likelihood())[1])


def paper_gradient_by_loops(maps, templates, units, positives):
    gradient = torch.zeros_like(maps)
    count = len(templates)
    for k in range(maps.shape[1]):
        scores = torch.stack([templates @ x[k] for x in maps])  # (B, T)
        p_given = scores.exp() / scores.exp().sum(0)
        p = p_given.mean(1)
        z = scores.exp().sum(0)
        for i in range(len(maps)):
            t = int(units[i, k]) if positives[i, k] else count - 1
            braces = scores[i, t] - torch.log(z[t] * p[i])
            gradient[i, k] = -(1 / count / z[t]) * scores[i, t].exp() * braces * templates[t]
    return gradient


def test_the_papers_gradient_keeps_the_matched_template_alone():
    maps, templates = random_maps(seed=3), likelihood()
    units, positives = (
        maps.argmax(2),
        torch.rand(B, K, generator=torch.Generator().manual_seed(1)) < 0.5,
    )
    value, gradient = paper_loss(maps, templates, units, positives)
    assert value.item() == pytest.approx(exact_by_loops(maps, templates))
    torch.testing.assert_close(gradient, paper_gradient_by_loops(maps, templates, units, positives))
    own = templates.expand(K, -1, -1)
    torch.testing.assert_close(paper_loss(maps, own, units, positives)[1], gradient)


def official_gradient_by_loops(maps, chosen, positives, weights, a):
    """The surrogate as its authors' text and code have it, one image and filter at a time."""
    batch, filters, _ = maps.shape
    gradient = torch.zeros_like(maps)
    for d in range(filters):
        s_pos = [float((maps[i, d] * chosen[i, d]).mean()) for i in range(batch)]
        flipped = [chosen[batch - 1 - i, filters - 1 - d] for i in range(batch)]
        crossed = [float((maps[i, d] * flipped[i]).mean()) for i in range(batch)]
        s_neg = [-float(maps[i, d].mean()) for i in range(batch)]
        l_pos = a * math.log(sum(math.exp(c / a) for c in crossed) / batch)
        l_neg = a * math.log(sum(math.exp(s / a) for s in s_neg) / batch)
        for wanted, s, log_mean in ((True, s_pos, l_pos), (False, s_neg, l_neg)):
            members = [i for i in range(batch) if bool(positives[i, d]) == wanted]
            strength = {i: math.exp(s[i] / a) * (s[i] - log_mean + a) for i in members}
            mean = sum(strength.values()) / max(len(members), 1)
            for i in members:
                rho = strength[i] / mean
                if wanted:
                    gradient[i, d] = -chosen[i, d] * rho * weights[0][d] / batch
                else:
                    gradient[i, d] = rho * weights[1][d] / batch
    return gradient


@pytest.mark.parametrize("scale", [0.5, 4.0])
def test_the_official_surrogate_equals_its_loops(scale):
    maps = random_maps(batch=6, scale=scale, seed=4)
    chosen = bank()[maps.argmax(2)]
    positives = torch.tensor([[1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 0], [1, 0, 1], [0, 1, 0]])
    positives = positives.bool()
    weights = (torch.tensor([1.0, 2.0, 0.7]).double(), torch.tensor([1.0, 0.6, 3.0]).double())
    value, gradient = official_loss(maps, chosen, positives, weights, 0.5)
    expected = official_gradient_by_loops(maps, chosen, positives, weights, 0.5)
    torch.testing.assert_close(gradient, expected)
    assert value.item() == pytest.approx(float((maps * expected).sum()))


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_strengths_have_mean_one_for_each_filter_and_sign(scale):
    maps = random_maps(batch=8, filters=4, scale=scale, seed=5)
    positives = torch.rand(8, 4, generator=torch.Generator().manual_seed(0)) < 0.5
    positives[:2] = torch.tensor([[True], [False]])
    for_positive, for_negative = normalized_strengths(
        maps, bank()[maps.argmax(2)], positives, temperature=0.5
    )
    for strength, member in ((for_positive, positives), (for_negative, ~positives)):
        assert not strength[~member].any()
        means = strength.sum(0) / member.sum(0)
        torch.testing.assert_close(means, torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize("positives", [True, False])
@pytest.mark.parametrize("batch", [0, 1, 4])
def test_one_sign_few_images_and_dead_filters_stay_finite(positives, batch):
    maps = random_maps(batch=batch, seed=6)
    maps[:, 1] = 0
    member = torch.full((batch, K), positives)
    units, chosen = maps.argmax(2), bank()[maps.argmax(2)]
    ones = (torch.ones(K).double(),) * 2
    answers = {
        "exact": exact_loss(maps, likelihood()),
        "paper": paper_loss(maps, likelihood(), units, member),
        "official": official_loss(maps, chosen, member, ones, 0.5),
    }
    for kind, (value, gradient) in answers.items():
        assert torch.isfinite(value), kind
        assert torch.isfinite(gradient).all(), kind
        assert not gradient[:, 1].any(), f"{kind}: a dead filter has zeros"
    if batch == 1:
        for kind in ("exact", "paper"):
            value, gradient = answers[kind]
            assert value == 0, kind
            assert not gradient.any(), kind


def test_large_maps_do_not_overflow():
    maps = random_maps(scale=1e4, seed=7).float()
    templates = likelihood().float()
    for value, gradient in (
        exact_loss(maps, templates),
        paper_loss(maps, templates, maps.argmax(2), torch.ones(B, K).bool()),
        official_loss(
            maps, bank().float()[maps.argmax(2)], torch.ones(B, K).bool(), (torch.ones(K),) * 2, 0.5
        ),
    ):
        assert torch.isfinite(value)
        assert torch.isfinite(gradient).all()


def test_descending_the_exact_loss_raises_the_information():
    maps, templates = random_maps(seed=8), likelihood()
    first, gradient = exact_loss(maps, templates)
    assert exact_loss(maps - 0.5 * gradient, templates)[0] < first < 0
