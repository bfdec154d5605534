"""Filter contributions: against weights by hand, autograd, and for each image of a batch."""

import pytest
import torch
import torchvision
from torch import nn

from filterscope.linear import LinearInterpreter


def by_autograd(model, module, image, target):
    """Gradient times value at a module's output, by a hook; in-place layers get a copy."""
    kept = []

    def keep(_module, _inputs, output):
        kept.append(output)
        return output.clone()

    handle = module.register_forward_hook(keep)
    try:
        score = model(image).flatten(1)[0, target]
    finally:
        handle.remove()
    (gradient,) = torch.autograd.grad(score, kept[-1])
    return (gradient * kept[-1])[0].detach(), float(score)


@pytest.fixture
def pooled(randomised):
    """Convolutions, global average pooling, a linear head."""
    trunk = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    return randomised(nn.Sequential(trunk, head)).eval()


def test_below_a_linear_head_it_is_weight_times_mean_activation(pooled, random_image) -> None:
    image = random_image(1, 2, 8, 8)
    found = LinearInterpreter(pooled, image).filter_contributions(1, "0.3")
    activation = pooled[0](image)[0].detach()
    linear = pooled[1][2]
    torch.testing.assert_close(found.values, linear.weight[1].detach() * activation.mean((1, 2)))
    assert (found.target, found.layer) == (1, "0.3")
    assert found.maps.shape == (6, 4, 4)
    torch.testing.assert_close(found.maps.sum((1, 2)), found.values)
    assert found.rest == pytest.approx(float(linear.bias[1]))


@pytest.mark.parametrize("name", ["0.0", "0.1", "0.2", "0", "1.0", "1.1", "1", "1.2"])
def test_any_layer_equals_autograd(name, pooled, random_image) -> None:
    image = random_image(1, 2, 8, 8)
    module = pooled.get_submodule(name)
    found = LinearInterpreter(pooled, image).filter_contributions((2,), module)
    maps, score = by_autograd(pooled, module, image, 2)
    torch.testing.assert_close(found.maps, maps)
    assert float(found.values.sum()) + found.rest == pytest.approx(score)
    assert found.layer == name


@pytest.mark.parametrize("name", ["conv1", "layer1", "layer2.0.conv1", "layer4.1.bn2", "fc"])
def test_a_residual_network_equals_autograd(name, randomised, random_image) -> None:
    model = randomised(torchvision.models.resnet18()).eval()
    image = random_image(1, 3, 64, 64)
    maps, score = by_autograd(model, model.get_submodule(name), image, 7)
    found = LinearInterpreter(model, image).filter_contributions(7, name)
    torch.testing.assert_close(found.maps, maps, rtol=1e-9, atol=1e-12)
    assert float(found.values.sum()) + found.rest == pytest.approx(score)
    assert found.values.dim() == 1 and not found.maps.requires_grad


def test_each_image_of_a_batch_has_its_own(pooled, random_image) -> None:
    images = random_image(3, 2, 8, 8)
    batch = LinearInterpreter(pooled, images)
    for layer in ("0.1", "0.3"):
        several = batch.filter_contributions([2, 0, 1], layer)
        again = batch.filter_contributions(torch.tensor([2, 0, 1]), layer)
        for n, target in enumerate([2, 0, 1]):
            alone = LinearInterpreter(pooled, images[n : n + 1])
            expected = alone.filter_contributions(target, layer)
            torch.testing.assert_close(several[n].maps, expected.maps)
            torch.testing.assert_close(again[n].values, expected.values)
            assert several[n].rest == pytest.approx(expected.rest)
            assert several[n].target == target
    with pytest.raises(ValueError, match="each of 3 images, got 2"):
        batch.filter_contributions([0, 1], "0.1")
    with pytest.raises(ValueError, match="`target`"):
        batch.filter_contributions(0, "0.1")


def test_the_last_call_of_a_shared_module_counts(randomised, random_image) -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu = nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(inplace=True)

        def forward(self, x):
            return self.relu(self.conv(self.relu(self.conv(x)))).flatten(1)

    model, image = randomised(Shared()), random_image(1, 2, 4, 4)
    found = LinearInterpreter(model, image).filter_contributions(3, "relu")
    value = model(image)[0].detach()
    assert float(found.values.sum()) == pytest.approx(float(value[3]))
    assert float(found.values[1]) == 0


class Odd(nn.Module):
    """Modules that return a tuple, that do not run, that lead nowhere, that mix the images."""

    def __init__(self) -> None:
        super().__init__()
        self.several = nn.Module()
        self.several.forward = lambda x: (x, x)
        self.unused_branch = nn.Conv2d(2, 2, 1)
        self.nowhere = nn.Conv2d(2, 2, 1)
        self.flat = nn.Flatten(0)
        self.last = nn.Conv2d(2, 2, 1)

    def forward(self, x):
        self.nowhere(x)
        x = self.several(x)[0]
        return self.last(self.flat(x).view_as(x)).flatten(1)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("lost", "unknown layer of Odd 'lost'; near: last"),
        ("unused_branch", "did not run"),
        ("several", r"no tensor that depends on the image\) 'several'; known: nowhere, flat, last"),
        ("nowhere", "does not depend on what `layer` 'nowhere'"),
        ("flat", r"`layer` 'flat' must return \(1, filters, ...\), got \(32,\)"),
    ],
)
def test_layers_that_cannot_be_read(layer, message, randomised, random_image) -> None:
    interpreter = LinearInterpreter(randomised(Odd()), random_image(1, 2, 4, 4))
    with pytest.raises(ValueError, match=message):
        interpreter.filter_contributions(0, layer)
    with pytest.raises(TypeError, match="`layer` must be a name or a module"):
        interpreter.filter_contributions(0, 3)
    assert interpreter.filter_contributions(0, "last").values.shape == (2,)


def test_filters_over_positions_of_any_number(randomised, random_image) -> None:
    line = nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2))
    volume = nn.Sequential(nn.Conv3d(2, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 2))
    flat = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.ReLU(), nn.Linear(3, 2))
    for model, image, layer in [
        (line, random_image(1, 2, 8), "1"),
        (volume, random_image(1, 2, 3, 3, 3), "1"),
        (flat, random_image(1, 2, 8), "2"),
    ]:
        network = randomised(model)
        found = LinearInterpreter(network, image).filter_contributions(1, layer)
        maps = network[: int(layer) + 1](image)[0].detach()
        weights = network[-1].weight[1].detach().view_as(maps)
        assert found.values.shape == (3,)
        torch.testing.assert_close(found.maps, weights * maps)
        torch.testing.assert_close(found.values, (weights * maps).reshape(3, -1).sum(1))
        assert found.rest == pytest.approx(float(network[-1].bias[1]))
