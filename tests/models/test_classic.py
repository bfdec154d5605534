"""AlexNet, VGG-M and VGG-S: layers, normalisation, input range."""

import pytest
import torch
from torch import Tensor, nn

from filterscope.core.gate_points import GatePoint
from filterscope.models import ClassicNet, classic, create_model, list_models, model_info
from filterscope.models.classic import PixelRange

SIZES = {"alexnet_caffe": 227, "vgg_m": 224, "vgg_s": 224}
# (filters, side) after each convolution and pool, and the parameters of the released networks
SHAPES = {
    "alexnet_caffe": [
        (96, 55), (96, 27), (256, 27), (256, 13), (384, 13), (384, 13), (256, 13), (256, 6)
    ],
    "vgg_m": [(96, 109), (96, 54), (256, 26), (256, 13), *[(512, 13)] * 3, (512, 6)],
    "vgg_s": [(96, 109), (96, 37), (256, 33), (256, 17), *[(512, 17)] * 3, (512, 6)],
}  # fmt: skip
PARAMETERS = {"alexnet_caffe": 60_965_224, "vgg_m": 102_908_520, "vgg_s": 102_908_520}


def map_shapes(model: nn.Module, side: int) -> list[tuple[int, int]]:
    shapes: list[tuple[int, int]] = []
    kinds = (nn.Conv2d, nn.MaxPool2d)
    handles = [
        layer.register_forward_hook(
            lambda _module, _inputs, out: shapes.append((out.shape[1], out.shape[2]))
        )
        for layer in model.modules()
        if isinstance(layer, kinds)
    ]
    with torch.no_grad(), torch.device("meta"):
        model.to("meta").eval()(torch.empty(1, 3, side, side))
    for handle in handles:
        handle.remove()
    return shapes


@pytest.mark.parametrize("name", SIZES)
def test_maps_and_parameters_are_those_of_the_released_networks(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name, 1000)
    assert map_shapes(model, SIZES[name]) == SHAPES[name]
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize(("name", "filters"), [("alexnet_caffe", 256), ("vgg_m", 512)])
def test_the_registry_knows_layer_and_size(
    name: str, filters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nn.init, "normal_", lambda tensor, std: tensor)  # 100 million numbers
    info = model_info(name)
    assert info.gate_point == GatePoint("features.relu5", filters, "relu", "mlp")
    assert (info.image_size, info.source) == (SIZES[name], "filterscope")
    assert name in list_models()


@pytest.mark.parametrize("name", SIZES)
def test_normalisation_is_the_closed_formula(name: str) -> None:
    with torch.device("meta"):
        norm = ClassicNet(name, 2).features.norm1
    kappa, alpha = (1.0, 2e-5) if name == "alexnet_caffe" else (2.0, 1e-4)
    torch.manual_seed(0)
    x = torch.randn(2, 9, 3, 4, dtype=torch.float64) * 60
    expected = torch.empty_like(x)
    for channel in range(9):
        window = x[:, max(0, channel - 2) : channel + 3]
        energy = (window**2).sum(1)
        expected[:, channel] = x[:, channel] / (kappa + alpha * energy) ** 0.75
    torch.testing.assert_close(norm(x), expected, rtol=1e-12, atol=0)


def test_normalised_layers_are_the_ones_of_the_released_networks() -> None:
    with torch.device("meta"):
        norms = {
            name: [n for n, layer in ClassicNet(name, 2).features.named_children()
                   if isinstance(layer, nn.LocalResponseNorm)]
            for name in SIZES
        }  # fmt: skip
    assert norms == {
        "alexnet_caffe": ["norm1", "norm2"], "vgg_m": ["norm1", "norm2"], "vgg_s": ["norm1"]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "pool", "side", "padding"),
    [
        ("vgg_m", "pool1", 109, 0), ("vgg_m", "pool2", 26, 1), ("vgg_m", "pool5", 13, 0),
        ("vgg_s", "pool1", 109, 2), ("vgg_s", "pool2", 33, 1), ("vgg_s", "pool5", 17, 1),
    ],
)  # fmt: skip
def test_pools_equal_the_released_padding_of_bottom_and_right(
    name: str, pool: str, side: int, padding: int
) -> None:
    with torch.device("meta"):
        layer = ClassicNet(name, 2).features.get_submodule(pool)
    assert isinstance(layer, nn.MaxPool2d)
    x = torch.randn(1, 2, side, side)
    padded = nn.functional.pad(x, (0, padding, 0, padding), value=-torch.inf)
    expected = nn.functional.max_pool2d(padded, layer.kernel_size, layer.stride)
    assert torch.equal(layer(x), expected)


def test_images_reach_the_first_convolution_in_0_to_255_without_their_mean() -> None:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = torch.rand(2, 3, 4, 4) * 255
    normalised = (pixels / 255 - mean.reshape(1, 3, 1, 1)) / std.reshape(1, 3, 1, 1)
    layer = PixelRange()
    imagenet = 255 * mean.reshape(1, 3, 1, 1)
    torch.testing.assert_close(layer(normalised), pixels - imagenet, rtol=0, atol=1e-4)
    layer.shift.copy_(PixelRange.shift_for([100.0, 110.0, 120.0]))
    expected = pixels - torch.tensor([100.0, 110.0, 120.0]).reshape(1, 3, 1, 1)
    torch.testing.assert_close(layer(normalised), expected, rtol=0, atol=1e-4)
    assert list(layer.parameters()) == []


@pytest.mark.parametrize("name", SIZES)
def test_other_sizes_are_taken_and_gradients_arrive(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classic, "HIDDEN", 8)  # the hidden layers play no part
    torch.manual_seed(0)
    model = create_model(name, 3)
    logits: Tensor = model(torch.randn(2, 3, 96, 96))
    logits.sum().backward()
    assert logits.shape == (2, 3)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`name` must be one of alexnet_caffe, .* got 'vgg_f'"):
        ClassicNet("vgg_f")
    with torch.device("meta"), pytest.raises(ValueError, match=r"`dropout` .* got 1"):
        ClassicNet("vgg_m", 2, dropout=1)
