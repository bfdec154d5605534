"""Networks that write, convert, switch gradients off, or bring their own derivatives."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from filterscope.linear import LinearInterpreter, UnsupportedOperation


@torch.jit.script
def scripted(x: torch.Tensor):
    return torch.relu(x) * 2


class Reversal(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.view_as(x)

    @staticmethod
    def backward(context, gradient):
        return -gradient


class Net(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.fc = nn.Linear(100, 3)
        self.register_buffer("position", torch.zeros(1, 4, 5, 5))

    def forward(self, x):
        h = self.function(self, self.conv(x))
        return self.fc(h.flatten(1))


def attention(net, h):
    h = h.flatten(2)
    scores = h @ h.transpose(1, 2)
    scores.mul_(0.1)
    scores.masked_fill_(torch.ones(4, 4).tril() == 0, -1e9)
    return scores.softmax(-1) @ h


def converted(net, h):
    return F.relu(h + net.position.to(h)) + h.to(h.relu())


def accumulated(net, h):
    out = torch.zeros_like(net.position)
    out[:, :2] += h[:, :2]
    return out


def asks(net, h):
    return F.relu(h) if h.requires_grad else F.relu(h) * 1


def reversed_gradient(net, h):
    return F.relu(Reversal.apply(h))


def checkpointed(net, h):
    return checkpoint(F.silu, h, use_reentrant=False)


def padded(net, h):
    return F.max_pool2d(F.pad(h, (1, 1, 1, 1), value=float("-inf")), 3, 1)


@pytest.fixture
def image(random_image):
    return random_image(1, 2, 5, 5)


@pytest.mark.parametrize(
    "function",
    [attention, converted, accumulated, asks, reversed_gradient, checkpointed, padded],
)
def test_it_is_recorded_rightly(function, randomised, image, check_affine) -> None:
    model = randomised(Net(function))
    with torch.no_grad():
        expected = model(image)
    interpreter = LinearInterpreter(model, image, freeze_gates=function is attention)
    check_affine(interpreter, expected)
    assert not interpreter.apply(torch.zeros_like(image)).any()


def through_a_view(net, h):
    out = torch.zeros_like(net.position)
    out[:, :2].copy_(F.relu(h[:, :2]))
    return out + h


def through_chunks(net, h):
    out = torch.zeros_like(net.position)
    out.chunk(2, 1)[0].add_(F.relu(h[:, :2]))
    return out + h


def through_data(net, h):
    net.position.data.copy_(F.relu(h))
    return net.position + h


@torch.no_grad()
def unseen(net, h):
    return scripted(h) + h


def mapped(net, h):
    return torch.func.vmap(torch.relu)(h) + h


def told_again(net, h):
    return h + torch.zeros_like(h).new_tensor(h)


def rounded(net, h):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return h * 2


def scaled_by_itself(net, h):
    return F.instance_norm(h, weight=h.mean((0, 2, 3)))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (through_a_view, "another view"),
        (through_chunks, "another view"),
        (through_data, "another view"),
        (unseen, "not see"),
        (mapped, "not seen"),
        (told_again, "must be constant"),
        (rounded, "autocast"),
        (scaled_by_itself, "must be constant"),
    ],
)
def test_it_is_refused(function, reason, randomised, image) -> None:
    with pytest.raises(UnsupportedOperation, match=reason):
        LinearInterpreter(randomised(Net(function)), image)


def test_a_buffer_that_is_written_stays_a_buffer(randomised, image) -> None:
    def fills(net, h):
        net.position.copy_(F.relu(h))
        return net.position + h

    model = randomised(Net(fills))
    for _ in range(2):
        LinearInterpreter(model, image)
        assert model.position.grad_fn is None
        copy.deepcopy(model)


def test_logits_are_asked_for_where_the_output_is_a_softmax() -> None:
    with pytest.raises(ValueError, match="take the logits"):
        LinearInterpreter(nn.Sequential(nn.Linear(3, 2), nn.Softmax(1)), torch.ones(1, 3),
                          freeze_gates=True)  # fmt: skip
