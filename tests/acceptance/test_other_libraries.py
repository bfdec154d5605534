"""Networks of ours in the hands of others: torch.compile and captum."""

import copy
import shutil
from typing import Any

import pytest
import torch
from captum.attr import IntegratedGradients, LayerGradCam
from torch import Tensor, nn
from torch.nn import functional as F

import filterscope as fs
from filterscope.models import CifarResNet

FIRST, SECOND = torch.tensor([0, 1, 2, 3]), torch.tensor([3, 3, 0, 1])


def images(side: int = 12, seed: int = 0) -> Tensor:
    return torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(seed))


def residual() -> nn.Module:
    torch.manual_seed(0)
    model = CifarResNet(8, 4)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith(("running_var", "bias", "running_mean")):
                tensor.uniform_(0.2, 1.0)
    return model.eval()


class Convolutions(nn.Module):
    """Part templates at the end of a convolution, in a network of one's own."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.parts = fs.PartTemplateConv2d(3, 8, 3, padding=1, **options)
        self.conv = nn.Conv2d(8, 6, 3)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.conv(self.parts(x))).mean((2, 3)))


def templates() -> nn.Module:
    return fs.add_part_templates(
        residual(), ["layer2", "layer3"], ["bird"], example_input=images()
    ).eval()


def gated(model: nn.Module, layer: str) -> fs.GatedClassifier:
    net = fs.GatedClassifier(model, layer, 4, example_input=images())
    with torch.no_grad():
        net.gate.matrix.copy_(
            torch.rand(net.gate.matrix.shape, generator=torch.Generator().manual_seed(3))
        )
    return net.eval()


KINDS = {
    "gated": lambda: gated(residual(), "layer3"),
    "templates": templates,
    "convolution": lambda: Convolutions(mu="centroid", learn_beta=True).eval(),
    "gated templates": lambda: gated(templates(), "model.layer3"),
    "gated convolution": lambda: gated(Convolutions().eval(), "conv"),
}


def compiled_equals_eager(net: nn.Module, backend: str) -> None:
    """Both paths in turns, with other labels, images and gates than those of the first call."""
    torch._dynamo.reset()
    reference = copy.deepcopy(net)
    compiled = torch.compile(net, backend=backend)
    turns = [None, FIRST, None, SECOND] if isinstance(net, fs.GatedClassifier) else [None, None]
    for turn, labels in enumerate(turns):
        arguments = (images(seed=turn),) if labels is None else (images(seed=turn), labels)
        found, expected = compiled(*arguments), reference(*arguments)
        assert expected.std() > 1e-3
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        if labels is not None:
            standard = reference(arguments[0])
            assert not torch.allclose(expected, standard, rtol=0.01)
    if isinstance(net, fs.GatedClassifier):
        with torch.no_grad():  # a gate that moved after compilation
            for each in (net, reference):
                each.gate.matrix.mul_(0.5)
        torch.testing.assert_close(
            compiled(images(), FIRST), reference(images(), FIRST), rtol=1e-4, atol=1e-4
        )


BACKENDS = [(kind, backend) for kind in KINDS for backend in ("eager", "aot_eager")]
if shutil.which("g++"):  # what inductor writes wants a C++ compiler
    BACKENDS.append(("gated convolution", "inductor"))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "backend"), BACKENDS)
def test_compiled_networks_give_what_they_give(kind: str, backend: str) -> None:
    compiled_equals_eager(KINDS[kind](), backend)


# captum


def completeness(net: nn.Module, *labels: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of integrated gradients, and the differences of logits that they add up to."""
    inputs, baseline = images(), torch.zeros_like(images())
    target = torch.tensor([1, 2, 3, 0])
    attributions = IntegratedGradients(net).attribute(
        inputs, baseline, target, additional_forward_args=labels or None, n_steps=400
    )
    with torch.no_grad():
        change = net(inputs, *labels) - net(baseline, *labels)
    return attributions.flatten(1).sum(1), change.gather(1, target[:, None])[:, 0]


def test_integrated_gradients_add_up_on_both_paths() -> None:
    net = KINDS["gated"]()
    standard, gate = completeness(net), completeness(net, FIRST)
    for found, expected in (standard, gate):
        torch.testing.assert_close(found, expected.to(found), rtol=0.05, atol=0.05)
    assert not torch.allclose(standard[0], gate[0], rtol=0.1)


def grad_cam(maps: Tensor, logits: Tensor, target: Tensor) -> Tensor:
    """Rectified sum of the maps, weighted by their mean gradients."""
    (gradients,) = torch.autograd.grad(logits.gather(1, target[:, None]).sum(), maps)
    return (maps * gradients.mean((2, 3), keepdim=True)).sum(1, keepdim=True).relu()


@pytest.mark.parametrize("path", [(), (FIRST,)])
def test_grad_cam_at_the_gated_layer(path: tuple[Tensor, ...]) -> None:
    net, target = KINDS["gated"](), torch.tensor([1, 2, 3, 0])
    found = LayerGradCam(net, net.layer).attribute(
        images(), target, additional_forward_args=path or None, relu_attributions=True
    )
    model = net.unwrap()  # the same by hand, without hooks
    x = F.relu(model.bn1(model.conv1(images())))
    maps = model.layer3(model.layer2(model.layer1(x)))
    maps = maps * net.gate.matrix[path[0]][:, :, None, None] if path else maps
    expected = grad_cam(maps, model.linear(maps.mean((2, 3))), target)
    assert (expected > 0).any()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_grad_cam_at_part_templates_sees_the_masked_maps() -> None:
    net, target = Convolutions().eval(), torch.tensor([1, 2, 3, 0])
    found = LayerGradCam(net, net.parts).attribute(images(), target, relu_attributions=True)
    maps = net.parts(images())
    logits = net.head(F.relu(net.conv(maps)).mean((2, 3)))
    expected = grad_cam(maps, logits, target)
    assert float(expected.max()) > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        unmasked = F.relu(F.conv2d(images(), net.parts.weight, net.parts.bias, padding=1))
    assert (maps == 0).sum() > (unmasked == 0).sum()


def test_integrated_gradients_read_the_mask_as_a_constant() -> None:
    """The mask jumps with its peak, so the sum rule does not hold; gradients are the network's."""
    net, inputs = KINDS["templates"](), images()
    target = torch.tensor([1, 2, 3, 0])
    found = IntegratedGradients(net).attribute(
        inputs, target=target, n_steps=4, method="riemann_right"
    )
    expected = torch.zeros_like(inputs)
    for share in (0.25, 0.5, 0.75, 1.0):
        leaf = (share * inputs).requires_grad_()
        (gradients,) = torch.autograd.grad(net(leaf).gather(1, target[:, None]).sum(), leaf)
        expected += inputs * gradients / 4
    torch.testing.assert_close(found, expected.to(found), rtol=1e-3, atol=1e-5)
    sums, change = completeness(net)
    assert (sums - change).abs().max() > 0.1 * change.abs().max()
