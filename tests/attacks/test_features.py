"""Features after every convolution, against a loop over layers that are run one by one."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope.attacks import convolution_features
from filterscope.models import create_model


class Network(nn.Module):
    """Batch norm, an in-place rectifier, a layer called twice, another that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.again, self.idle = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 9, 1)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        x = F.relu(self.norm(self.first(x.mul_(2))), inplace=True)
        x = F.relu(self.again(x), inplace=True)
        return self.head(self.again(x).relu_().mean((2, 3)))


@pytest.fixture
def model() -> Network:
    torch.manual_seed(0)
    model = Network()
    model.norm.running_mean.normal_()
    model.norm.running_var.uniform_(0.5, 2)
    return model


@pytest.fixture
def images() -> Tensor:
    return torch.rand(7, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def by_hand(model: Network, image: Tensor) -> Tensor:
    first = model.first(2 * image[None])
    second = model.again(model.norm(first).relu())
    third = model.again(second.relu())
    return torch.cat([each.mean((2, 3))[0] for each in (first, second, third)])


def test_every_call_is_pooled_in_one_forward(model: Network, images: Tensor) -> None:
    kept = images.clone()
    features, layers = convolution_features(model, images, batch_size=3)
    model.eval()
    for image, row in zip(images, features, strict=True):
        torch.testing.assert_close(row, by_hand(model, image).detach())
    assert [(layer.name, layer.start, layer.stop) for layer in layers] == [
        ("first", 0, 4), ("again", 4, 8), ("again (2)", 8, 12)
    ]  # fmt: skip
    assert torch.equal(features[:, layers[1].columns], features[:, 4:8])
    assert torch.equal(images, kept)


def test_the_batch_size_changes_nothing_and_one_forward_serves_each_batch(
    model: Network, images: Tensor
) -> None:
    calls: list[int] = []
    model.head.register_forward_hook(lambda _m, _i, output: calls.append(len(output)))
    expected, _ = convolution_features(model, images, 100)
    assert calls == [7]
    torch.testing.assert_close(convolution_features(model, images, 1)[0], expected)
    assert calls[1:] == [1] * 7


def test_normalisation_and_rectifier(model: Network, images: Tensor) -> None:
    plain, _ = convolution_features(model, (images - 0.5) / 0.25)
    prepared, _ = convolution_features(model, images, normalize=lambda x: (x - 0.5) / 0.25)
    torch.testing.assert_close(prepared, plain)
    rectified, _ = convolution_features(model, images, activation=torch.relu)
    assert float(rectified.min()) >= 0
    with torch.no_grad():
        expected = model.first(2 * images).relu().mean((2, 3))
    torch.testing.assert_close(rectified[:, :4], expected)


def test_resnet20_has_688_numbers_after_19_convolutions() -> None:
    features, layers = convolution_features(create_model("resnet20", 10), torch.rand(2, 3, 32, 32))
    assert features.shape == (2, 688)
    assert [layer.stop - layer.start for layer in layers] == [16] * 7 + [32] * 6 + [64] * 6
    assert layers[0].name == "conv1"
    assert layers[-1].name == "layer3.2.conv2"


def test_nothing_is_left_behind(model: Network, images: Tensor) -> None:
    model.train()
    model.norm.eval()
    for broken in (False, True):
        if broken:
            with pytest.raises(RuntimeError):
                convolution_features(model, images[:, :2])
        else:
            features, _ = convolution_features(model, images)
            assert not features.requires_grad
        assert model.training
        assert not model.norm.training
        assert not any(module._forward_hooks for module in model.modules())
    assert torch.is_grad_enabled()


class Moody(nn.Module):
    """Calls its second convolution for large batches only."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.b(self.a(x)) if len(x) > 2 else self.a(x)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": [1.0]}, TypeError, "`images` must be a floating-point tensor, got list"),
        ({"images": torch.ones(2, 3, 6, 6).byte()}, TypeError, "got torch.uint8"),
        ({"images": torch.ones(0, 3, 6, 6)}, ValueError, "`images` .* not empty"),
        ({"images": torch.ones(3)}, ValueError, "`images` must be"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be at least 1, got 0"),
        ({"images": torch.full((3, 3, 6, 6), torch.nan)}, ValueError, "of 3 of 3 images are not"),
        ({"model": nn.Flatten()}, ValueError, "calls no convolution"),
        ({"model": Moody(), "batch_size": 4}, ValueError, "calls other convolutions"),
    ],
)
def test_bad_input(model, images, change, error, message) -> None:
    arguments = {"model": model, "images": images[:6], "batch_size": 128} | change
    with pytest.raises(error, match=message):
        convolution_features(**arguments)
