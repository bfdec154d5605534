"""The context of filter losses: what it gives, what it leaves, and where it must refuse."""

import copy
import io

import pytest
import torch
from torch import distributed as dist
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from filterscope.parts import (
    PartTemplateConv2d,
    PartTemplates,
    add_part_templates,
    part_losses,
    part_templates,
)
from filterscope.parts.filter_loss import exact_loss, official_loss, paper_loss, with_negative

KINDS = ("exact", "paper", "official")


class Small(nn.Module):
    """Two convolutions with in-place ReLUs, a pool between them, and a linear head."""

    def __init__(self, num_classes=3):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.relu1 = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(8, 6, 3, padding=1)
        self.relu2 = nn.ReLU(inplace=True)
        self.fc = nn.Linear(6, num_classes)

    def forward(self, x):
        x = self.pool(self.relu1(self.conv1(x)))
        return self.fc(self.relu2(self.conv2(x)).mean((2, 3)))


def make(categories=("bird",), **options):
    torch.manual_seed(0)
    example = torch.zeros(1, 3, 12, 12)
    return add_part_templates(
        Small(), ["relu1", "relu2"], categories, example_input=example, **options
    )


def batch(n=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, 12, 12, generator=generator)
    return x, torch.randint(0, 2, (n,), generator=generator)


def assert_nothing_parked(net):
    assert all(m._request is None for m in net.modules() if isinstance(m, PartTemplates))


@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_those_of_the_unmasked_rectified_map(kind):
    x, labels = batch()
    layer = PartTemplateConv2d(3, 8, 3, padding=1)
    with part_losses(layer, labels, kind) as losses:
        masked = layer(x)
    maps = F.relu(F.conv2d(x, layer.weight, layer.bias, padding=1))
    flat, bank = maps.flatten(2), part_templates(12).flatten(1)
    units, positives = flat.argmax(2), (labels == 1)[:, None].expand(-1, 8)
    value, gradient = {
        "exact": lambda: exact_loss(flat, with_negative(bank, 0.5 / 144)),
        "paper": lambda: paper_loss(flat, with_negative(bank, 0.5 / 144), units, positives),
        "official": lambda: official_loss(flat, bank[units], positives, (torch.ones(8),) * 2, 0.5),
    }[kind]()
    assert len(losses) == 1
    torch.testing.assert_close(losses[0], value)
    got = torch.autograd.grad(losses[0], layer.weight)[0]
    expected = torch.autograd.grad(maps, layer.weight, gradient.view_as(maps))[0]
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(masked, layer(x))


def test_one_loss_a_layer_in_the_order_of_running_and_nothing_left():
    x, labels = batch()
    net = make()
    plain = net(x)
    with part_losses(net, labels) as losses:
        logits = net(x)
        assert len(losses) == 2
    torch.testing.assert_close(logits, plain)
    assert_nothing_parked(net)
    assert len(losses) == 2
    with part_losses(net, labels) as again:
        net(x)
    assert again is not losses
    torch.testing.assert_close(again, losses)


def test_labels_may_be_booleans_signs_or_memberships():
    x, labels = batch()
    net, given = make(), []
    for answer in (labels, labels * 2 - 1, labels == 1, (labels == 1)[:, None], labels.int()):
        with part_losses(net, answer, "official") as losses:
            net(x)
        given.append(losses)
    for losses in given[1:]:
        torch.testing.assert_close(losses, given[0])


@pytest.mark.parametrize("kind", KINDS)
def test_dead_filters_and_single_images_give_finite_zeros(kind):
    layer = PartTemplateConv2d(3, 4, 3, learn_beta=True, num_categories=2)
    with torch.no_grad():
        layer.bias[1] = -1e3
    for n, labels in ((5, [0, 1, 1, -1, 0]), (5, [-1] * 5), (5, [0] * 5), (1, [0]), (0, [])):
        layer.zero_grad()
        with part_losses(layer, torch.tensor(labels, dtype=torch.long), kind) as losses:
            masked = layer(batch(n)[0])
        (losses[0] + masked.sum()).backward()
        assert torch.isfinite(losses[0])
        assert torch.isfinite(masked).all()
        assert torch.isfinite(layer.weight.grad).all()
        assert not layer.weight.grad[1].any()
        assert all(torch.isfinite(buffer).all() for buffer in layer.buffers())
        if n == 1 and kind != "official":
            assert losses[0] == 0


def test_nothing_is_left_after_an_exception():
    x, labels = batch()
    net = make()
    with pytest.raises(ValueError, match="saw 6"), part_losses(net, labels[:2]):
        net(x)
    assert_nothing_parked(net)
    with pytest.raises(KeyError), part_losses(net, labels):
        raise KeyError
    assert_nothing_parked(net)
    with part_losses(net, labels) as losses:
        net(x)
    assert len(losses) == 2


def test_losses_are_of_one_forward_pass():
    x, labels = batch()
    net = make()
    with pytest.raises(RuntimeError, match="more than once"), part_losses(net, labels):
        net(x)
        net(x)
    with pytest.raises(RuntimeError, match="2 of 2 layers"), part_losses(net, labels):
        pass
    with (
        pytest.raises(RuntimeError, match="another"),
        part_losses(net, labels),
        part_losses(net, labels),
    ):
        pass
    assert_nothing_parked(net)


def test_a_look_in_another_mode_is_not_the_steps_pass():
    x, labels = batch()
    net = make().train()
    with part_losses(net, labels) as losses:
        net.eval()
        net(x[:1])
        net.train()
        net(x)
    assert len(losses) == 2


def compiled_equals_eager(categories, **options):
    torch._dynamo.reset()
    net = make(categories, **options)
    other = copy.deepcopy(net)
    compiled = torch.compile(net, backend="aot_eager")
    for step, kind in enumerate((None, "official", None, "exact", "official")):
        x, labels = batch(seed=step)
        outputs = []
        for module, plain in ((compiled, net), (other, other)):
            plain.zero_grad()
            if kind is None:
                logits, losses = module(x), []
            else:
                with part_losses(module, labels, kind) as losses:
                    logits = module(x)
                assert len(losses) == 2
            (logits.sum() + sum(losses)).backward()
            outputs.append([logits, *losses, *(p.grad.clone() for p in plain.parameters())])
        torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(net.state_dict(), other.state_dict())
    assert_nothing_parked(net)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("categories", "options"),
    [(("bird",), {}), (("bird", "cat", "cow"), {"learn_beta": True, "mu": "centroid"})],
)
def test_compiled_networks_give_losses_when_asked_and_only_then(categories, options):
    compiled_equals_eager(categories, **options)


def test_data_parallel_is_refused():
    with pytest.raises(RuntimeError, match="DistributedDataParallel"):
        PartTemplateConv2d(3, 4, 3).templates._replicate_for_data_parallel()


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("asked", [True, False])
def test_checkpointing_over_templates_is_refused(reentrant, asked):
    x, labels = batch()
    layer = PartTemplateConv2d(3, 4, 3)
    losses = []
    if asked:
        with part_losses(layer, labels) as losses:
            output = checkpoint(layer, x.requires_grad_(), use_reentrant=reentrant)
    else:
        output = checkpoint(layer, x.requires_grad_(), use_reentrant=reentrant)
    with pytest.raises(RuntimeError, match="checkpointing"):
        (output.sum() + sum(losses)).backward()


def test_training_resumes_from_the_state_dict():
    def steps(net, count, first=0):
        for step in range(first, first + count):
            x, _ = batch(seed=step)
            labels = torch.randint(-1, 3, (6,), generator=torch.Generator().manual_seed(step))
            with part_losses(net, labels, "official") as losses:
                net(x)
        return losses

    options = {"learn_beta": True, "mu": "centroid"}
    whole, half = (make(("a", "b", "c"), **options) for _ in range(2))
    expected = steps(whole, 4)
    steps(half, 2)
    file = io.BytesIO()
    torch.save(half.state_dict(), file)
    file.seek(0)
    again = make(("a", "b", "c"), **options)
    again.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(steps(again, 2, first=2), expected, rtol=0, atol=0)
    torch.testing.assert_close(again.state_dict(), whole.state_dict(), rtol=0, atol=0)


def rank_process(rank, port, out):
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.save(three_steps(slice(rank, None, 2)), f"{out}-{rank}")
    dist.destroy_process_group()


def three_steps(images):
    part = PartTemplates(5, num_categories=3)
    for step in range(3):
        generator = torch.Generator().manual_seed(step)
        maps = torch.randn(8, 5, 4, 4, generator=generator).relu()
        labels = torch.randint(-1, 3, (8,), generator=generator)
        with part_losses(part, labels[images], "official"):
            part(maps[images])
    return part.state_dict()


@pytest.mark.slow
def test_two_processes_share_their_statistics(on_two):
    expected = three_steps(slice(None))
    for state in on_two(rank_process):
        torch.testing.assert_close(state, expected)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((nn.Linear(2, 2), torch.tensor([1])), ValueError, "no layer"),
        ((PartTemplates(2), [1, 0]), TypeError, "`labels`"),
        ((PartTemplates(2), torch.tensor([1.0])), TypeError, "`labels`"),
        ((PartTemplates(2), torch.tensor([2])), ValueError, "`labels`"),
        ((PartTemplates(2, 3), torch.tensor([3])), ValueError, "`labels`"),
        ((PartTemplates(2, 3), torch.tensor([True])), ValueError, "`labels`"),
        ((PartTemplates(2, 3), torch.ones(2, 2).bool()), ValueError, "`labels`"),
        ((PartTemplates(2), torch.tensor([1]), "kl"), ValueError, "`kind`"),
        (
            (nn.Sequential(PartTemplates(2), PartTemplates(2, 2)), torch.tensor([1])),
            ValueError,
            "categories",
        ),
    ],
)
def test_bad_input_is_named(arguments, error, words):
    with pytest.raises(error, match=words), part_losses(*arguments):
        pass


@pytest.mark.parametrize(
    "option", [{"tau": 0.0}, {"temperature": float("inf")}, {"beta_rate": 0}, {"beta_rate": 1.5}]
)
def test_numbers_out_of_range_are_named(option):
    with (
        pytest.raises(ValueError, match=f"`{next(iter(option))}`"),
        part_losses(PartTemplates(2), torch.tensor([1]), **option),
    ):
        pass
