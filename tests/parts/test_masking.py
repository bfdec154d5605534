"""The mask, the units it is centred on, and the buffers that training moves."""

import copy
import math
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from filterscope.parts import (
    PartTemplateConv2d,
    PartTemplates,
    part_losses,
    part_templates,
    peak_units,
)
from filterscope.parts.strength import normalized_strengths


def random_maps(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).relu()


def centroid_by_loops(field):
    mass = down = right = 0.0
    for i, row in enumerate(field.tolist()):
        for j, value in enumerate(row):
            mass, down, right = mass + value, down + value * i, right + value * j
    if mass == 0:
        return 0
    return math.floor(down / mass + 0.5) * len(field) + math.floor(right / mass + 0.5)


@pytest.mark.parametrize("mu", ["argmax", "centroid"])
@pytest.mark.parametrize("shape", ["l1", "uniform_l2"])
def test_the_mask_is_the_template_of_each_maps_own_unit(mu, shape):
    maps = random_maps(3, 4, 6, 6)
    maps[1, 2] = 0
    bank = part_templates(6, shape)
    masked = PartTemplates(4, shape=shape, mu=mu)(maps)
    for i in range(3):
        for d in range(4):
            field = maps[i, d]
            unit = int(field.argmax()) if mu == "argmax" else centroid_by_loops(field)
            assert peak_units(maps, mu)[i, d] == unit
            torch.testing.assert_close(masked[i, d], (field * bank[unit]).clamp_min(0))
    assert not masked[1, 2].any()


def test_a_centroid_half_way_goes_down_and_right_and_nan_gives_a_valid_unit():
    maps = torch.zeros(1, 2, 4, 4)
    maps[0, 0, 0, 0] = maps[0, 0, 1, 3] = 2.0  # centre of mass (0.5, 1.5)
    maps[0, 1] = math.nan
    units = peak_units(maps, "centroid")
    assert units[0, 0] == 1 * 4 + 2
    assert 0 <= units[0, 1] < 16
    assert PartTemplates(2, mu="centroid")(maps)[0, 1].isnan().all()


def test_masked_maps_are_smaller_and_keep_their_maximum():
    maps = random_maps(4, 8, 7, 7)
    for shape in ("l1", "l2", "uniform_l1", "uniform_l2"):
        masked = PartTemplates(8, shape=shape)(maps)
        assert (masked <= maps).all()
        assert (masked >= 0).all()
        assert torch.equal(masked.amax((2, 3)), maps.amax((2, 3)))


def test_the_mask_is_a_constant_for_gradients():
    maps = random_maps(2, 3, 5, 5).requires_grad_()
    upstream = random_maps(2, 3, 5, 5, seed=1)
    masks = part_templates(5).clamp_min(0)[maps.flatten(2).argmax(2)]
    (PartTemplates(3)(maps) * upstream).sum().backward()
    torch.testing.assert_close(maps.grad, masks * upstream)


@pytest.mark.parametrize("options", [{}, {"learn_beta": True}, {"mu": "centroid"}])
def test_train_and_eval_mask_alike_and_need_no_labels(options):
    layer = PartTemplateConv2d(3, 8, 3, padding=1, **options)
    x = torch.randn(2, 3, 9, 9)
    trained = layer.train()(x)
    assert torch.equal(trained, layer.eval()(x))
    before = copy.deepcopy(layer.state_dict())
    layer.train()(x)
    assert all(torch.equal(layer.state_dict()[key], before[key]) for key in before)


def test_the_layer_is_convolution_relu_mask_with_the_keys_of_a_convolution():
    plain = nn.Conv2d(3, 8, 3, padding=1)
    layer = PartTemplateConv2d(3, 8, 3, padding=1)
    layer.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 9, 9)
    torch.testing.assert_close(layer(x), PartTemplates(8)(F.relu(plain(x))))
    several = PartTemplateConv2d(3, 8, 3, num_categories=3, learn_beta=True)
    assert set(several.state_dict()) == {
        "weight", "bias", "templates.beta", "templates.class_strengths", "templates.batches",
    }  # fmt: skip


def test_maps_that_are_not_rectified_are_read_by_their_positive_part():
    signed = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(2))
    signed[0, 0] = -1.0
    for mu in ("argmax", "centroid"):
        part = PartTemplates(3, mu=mu)
        torch.testing.assert_close(F.relu(part(signed)), part(F.relu(signed)))
        with part_losses(part, torch.tensor([1, 0])) as one:
            part(signed)
        with part_losses(part, torch.tensor([1, 0])) as other:
            part(F.relu(signed))
        assert one == other


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_types_are_kept(dtype):
    maps = random_maps(2, 3, 6, 6).to(dtype)
    part = PartTemplates(3, mu="centroid", learn_beta=True)
    with part_losses(part, torch.tensor([1, 0]), "official") as losses:
        masked = part(maps)
    assert masked.dtype == dtype
    assert losses[0].dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert part.beta.dtype == torch.float32


def test_channels_last_maps_give_the_same():
    maps = random_maps(2, 8, 6, 6)
    last = maps.contiguous(memory_format=torch.channels_last)
    for mu in ("argmax", "centroid"):
        torch.testing.assert_close(PartTemplates(8, mu=mu)(last), PartTemplates(8, mu=mu)(maps))


def test_a_bank_made_in_inference_mode_serves_training():
    part = PartTemplates(3, shape="l2", beta=1.7)
    with torch.inference_mode():
        part(random_maps(1, 3, 6, 6))
    maps = random_maps(1, 3, 6, 6).requires_grad_()
    part(maps).sum().backward()
    assert maps.grad is not None


def test_the_layer_warns_once_of_templates_that_mask_nothing():
    part = PartTemplates(2, shape="uniform_l2", space="index", gamma=2.01)
    with pytest.warns(UserWarning, match="identity"):
        part(random_maps(1, 2, 6, 6))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        part(random_maps(1, 2, 6, 6))


def beta_target_by_loops(maps, positives, beta, temperature=0.5):
    """3 / (spread around the unit, weighted by strength), in [1.5, 3]; None without a positive."""
    batch, filters, n, _ = maps.shape
    distance = (torch.linspace(-1, 1, n)[:, None] - torch.linspace(-1, 1, n)).abs()
    units = maps.flatten(2).argmax(2)
    chosen = torch.stack([
        torch.stack([
            (1 - beta[d] * (distance[u // n][:, None] + distance[u % n])).clamp_min(-1).flatten()
            for d, u in enumerate(row.tolist())
        ])
        for row in units
    ])  # fmt: skip
    strength, _ = normalized_strengths(maps.flatten(2), chosen, positives, temperature)
    targets = []
    for d in range(filters):
        total = weight = 0.0
        for i in range(batch):
            mass = float(maps[i, d].sum())
            if not positives[i, d] or mass == 0:
                continue
            row, column = divmod(int(units[i, d]), n)
            squares = sum(
                float(maps[i, d, a, b]) * ((a - row) ** 2 + (b - column) ** 2)
                for a in range(n)
                for b in range(n)
            )
            w = max(float(strength[i, d]), 0.0)
            total, weight = total + w * math.sqrt(squares / mass), weight + w
        targets.append(min(max(3 * weight / total, 1.5), 3.0) if weight else None)
    return targets


@pytest.mark.parametrize("kind", ["exact", "official"])
def test_a_learned_beta_moves_towards_the_spread_of_the_positives(kind):
    n, labels = 6, torch.tensor([1, 0, 1, 1])
    line = torch.arange(n).float()
    squares = (line[:, None] - 2).square() + (line - 3).square()
    widths = torch.tensor([0.3, 0.9, 1.3])[:, None, None]
    maps = torch.exp(-squares / (2 * widths**2)) * torch.tensor([1.0, 1.4, 1.8, 1.2]).view(
        4, 1, 1, 1
    )
    maps[0, 1] = 0
    maps = torch.cat([maps, torch.zeros(4, 1, n, n)], dim=1)  # a dead filter
    part = PartTemplates(4, learn_beta=True)
    with torch.no_grad():
        part.beta.copy_(torch.tensor([2.0, 2.2, 1.9, 2.7]))
    before = part.beta.clone()
    positives = (labels == 1)[:, None].expand(-1, 4)
    targets = beta_target_by_loops(maps, positives, before)
    with part_losses(part, labels, kind, beta_rate=0.25):
        part(maps)
    for d, target in enumerate(targets):
        expected = before[d] if target is None else before[d] + 0.25 * (target - before[d])
        assert part.beta[d].item() == pytest.approx(expected.item(), rel=1e-5), d
    assert targets[0] == 3.0
    assert targets[3] is None
    assert 1.5 < targets[2] < 3.0
    still = part.beta.clone()
    with part_losses(part, torch.zeros(4, dtype=torch.bool), kind):
        part(maps)
    assert torch.equal(part.beta, still), "no positives"
    part.eval()
    with part_losses(part, labels, kind):
        part(maps)
    assert torch.equal(part.beta, still), "eval mode"


@pytest.mark.parametrize("statistic", ["peak", "sum"])
def test_categories_of_filters_follow_the_moving_average(statistic):
    part = PartTemplates(5, num_categories=3, class_statistic=statistic)
    assert part.target_categories().tolist() == [-1] * 5
    expected = None
    for step in range(4):
        maps = random_maps(6, 5, 4, 4, seed=step) * torch.tensor([0.01, 1, 1, 3, 0]).view(5, 1, 1)
        labels = torch.tensor([0, 0, 1, -1, 2, 1]) if step else torch.tensor([0, 0, 1, -1, 1, 1])
        with part_losses(part, labels, "official"):
            part(maps)
        new = torch.zeros(3, 5)
        for c in range(3):
            for d in range(5):
                chosen = [
                    m[d].max() if statistic == "peak" else m[d].sum() for m in maps[labels == c]
                ]
                mean = float(sum(chosen) / len(chosen)) if chosen else 0.0
                if expected is None:
                    new[c, d] = max(mean, 0.1)
                else:
                    old = float(expected[c, d])
                    new[c, d] = 0.9 * old + 0.1 * mean if mean > 0 else old
        expected = new
        torch.testing.assert_close(part.class_strengths, expected)
    assert part.batches == 4
    assert part.target_categories().tolist() == expected.argmax(0).tolist()
    still = copy.deepcopy(part.state_dict())
    part.eval()
    with part_losses(part, labels, "official"):
        part(maps)
    assert all(torch.equal(part.state_dict()[key], still[key]) for key in still), "train mode alone"


def test_several_categories_weigh_and_divide_the_images():
    shares = (0.2, 0.5, 0.3)
    part = PartTemplates(4, num_categories=3, class_shares=shares).double().eval()
    with torch.no_grad():
        part.class_strengths.copy_(torch.eye(3, 4) + 0.1)
        part.class_strengths[1, 3] = 2.0
        part.batches.fill_(1)
    assert part.target_categories().tolist() == [0, 1, 2, 1]
    maps = random_maps(6, 4, 5, 5).double()
    labels = torch.tensor([0, 1, 2, -1, 1, 0])
    member = torch.zeros(6, 3, dtype=torch.bool)
    for i, label in enumerate(labels.tolist()):
        if label >= 0:
            member[i, label] = True
    given = []
    for answer in (labels, member):
        with part_losses(part, answer, "official") as losses:
            part(maps)
        given.append(losses[0])
    single = 0.0
    for d, c in enumerate([0, 1, 2, 1]):
        # the same filter alone, with the category's images as positives; its crossed score needs
        # the templates of all filters, so only the negatives' part and the signs are compared
        chosen = part_templates(5, dtype=torch.float64).flatten(1)[maps.flatten(2).argmax(2)]
        rho = normalized_strengths(
            maps.flatten(2), chosen, (labels == c)[:, None].expand(-1, 4), 0.5
        )
        pulled = (rho[0][:, d] * (maps.flatten(2) * chosen).sum(2)[:, d]).sum()
        pushed = (rho[1][:, d] * maps.flatten(2).sum(2)[:, d]).sum()
        single += (-0.5 / shares[c] * pulled + 0.5 / (1 - shares[c]) * pushed) / 6
    torch.testing.assert_close(given[0], single, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(given[1], given[0])


def test_before_the_first_batch_every_image_is_positive():
    part = PartTemplates(4, num_categories=2).eval()
    maps, labels = random_maps(6, 4, 5, 5), torch.tensor([0, 1, 1, -1, 0, 0])
    with part_losses(part, labels, "official") as several:
        part(maps)
    single = PartTemplates(4).eval()
    with part_losses(single, torch.ones(6, dtype=torch.bool), "official") as one:
        single(maps)
    torch.testing.assert_close(several, one)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: PartTemplates(0), ValueError, "`num_filters`"),
        (lambda: PartTemplates(3, 0), ValueError, "`num_categories`"),
        (lambda: PartTemplates(3, class_shares=[0.5]), ValueError, "`class_shares`"),
        (lambda: PartTemplates(3, 2, class_shares=[0.5, 0.6, 0.1]), ValueError, "`class_shares`"),
        (lambda: PartTemplates(3, 2, class_shares=[0.0, 1.0]), ValueError, "`class_shares`"),
        (lambda: PartTemplates(3, 2, class_statistic="mean"), ValueError, "`class_statistic`"),
        (lambda: PartTemplates(3, mu="median"), ValueError, "`mu`"),
        (lambda: PartTemplates(3, shape="round"), ValueError, "`shape`"),
        (lambda: PartTemplates(3, shape="uniform_l1", learn_beta=True), ValueError, "learn_beta"),
        (lambda: PartTemplates(3, space="index", learn_beta=True), ValueError, "learn_beta"),
        (lambda: PartTemplates(3)(torch.ones(2, 4, 5, 5)), ValueError, "`maps`"),
        (lambda: PartTemplates(3)(torch.ones(3, 5, 5)), ValueError, "`maps`"),
        (lambda: PartTemplates(3)(torch.ones(2, 3, 5, 6)), ValueError, "square"),
        (lambda: PartTemplates(3)(torch.ones(2, 3, 1, 1)), ValueError, "2 x 2"),
        (lambda: PartTemplateConv2d(3, 4, 3)(torch.ones(1, 3, 6, 9)), ValueError, "square"),
        (lambda: peak_units(torch.ones(3, 4, 4)), ValueError, "`maps`"),
        (lambda: peak_units(torch.ones(3, 4, 4, 4), "mean"), ValueError, "`mu`"),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_maps_of_integers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`maps` must be floating point, got torch\.int64"):
        PartTemplates(3)(torch.ones(1, 3, 4, 4, dtype=torch.int64))
