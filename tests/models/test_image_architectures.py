"""Layouts of published weights, and the parts that have a definition elsewhere."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from filterscope.models import (
    CycleGanGenerator,
    Edsr,
    FastStyleGenerator,
    PixelShuffleNet,
    create_image_network,
)


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def convolution(name: str, outputs: int, inputs: int, kernel: int) -> dict[str, tuple[int, ...]]:
    weight = (outputs, inputs, kernel, kernel)
    return {f"{name}.weight": weight, f"{name}.bias": (outputs,)}


def edsr_layout(blocks: int, filters: int, scale: int) -> dict[str, tuple[int, ...]]:
    """What the authors' files hold."""
    layers = {
        **convolution("sub_mean", 3, 3, 1),
        **convolution("add_mean", 3, 3, 1),
        **convolution("head.0", filters, 3, 3),
        **convolution(f"body.{blocks}", filters, filters, 3),
        **convolution("tail.1", 3, filters, 3),
    }
    for block in range(blocks):
        for layer in (0, 2):
            layers |= convolution(f"body.{block}.body.{layer}", filters, filters, 3)
    for place, factor in {2: [(0, 2)], 3: [(0, 3)], 4: [(0, 2), (2, 2)]}[scale]:
        layers |= convolution(f"tail.0.{place}", factor**2 * filters, filters, 3)
    return layers


def cyclegan_layout(second: int = 5) -> dict[str, tuple[int, ...]]:
    """What the authors' files hold; `second` is the place of a block's second convolution."""
    layers = {
        **convolution("model.1", 64, 3, 7),
        **convolution("model.4", 128, 64, 3),
        **convolution("model.7", 256, 128, 3),
        **convolution("model.26", 3, 64, 7),
        "model.19.weight": (256, 128, 3, 3), "model.19.bias": (128,),
        "model.22.weight": (128, 64, 3, 3), "model.22.bias": (64,),
    }  # fmt: skip
    for block in range(10, 19):
        for layer in (1, second):
            layers |= convolution(f"model.{block}.conv_block.{layer}", 256, 256, 3)
    return layers


def random_state(layout: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: 0.05 * torch.randn(s, generator=generator) for name, s in layout.items()}


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_edsr_has_the_keys_of_the_authors(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # its weights would take long to draw
    monkeypatch.setattr(nn.Conv2d, "reset_parameters", lambda layer: None)
    baseline = edsr_layout(16, 64, scale)
    assert shapes(Edsr(scale)) == baseline
    assert len(baseline) == (78 if scale == 4 else 76)
    full = edsr_layout(32, 256, scale)
    assert len(full) == (142 if scale == 4 else 140)
    assert shapes(Edsr.full(scale)) == full


def test_pixel_shuffle_has_the_keys_of_the_example() -> None:
    for scale in (2, 3, 4):
        assert shapes(PixelShuffleNet(scale)) == {
            **convolution("conv1", 64, 1, 5),
            **convolution("conv2", 64, 64, 3),
            **convolution("conv3", 32, 64, 3),
            **convolution("conv4", scale**2, 32, 3),
        }


def test_cyclegan_has_the_keys_of_the_authors() -> None:
    layout = cyclegan_layout()
    assert len(layout) == 48
    assert shapes(CycleGanGenerator()) == layout
    assert shapes(CycleGanGenerator(dropout=True)) == cyclegan_layout(second=6)


@pytest.mark.parametrize(("extra", "second"), [((), 5), (("num_batches_tracked",), 6)])
def test_cyclegan_files_with_statistics_of_instance_norms_load(extra, second, tmp_path: Path):
    state = random_state(cyclegan_layout(second))
    norms = {"model.2": 64, "model.5": 128, "model.8": 256, "model.20": 128, "model.23": 64}
    norms |= {f"model.{b}.conv_block.{n}": 256 for b in range(10, 19) for n in (2, second + 1)}
    statistics = {}
    for name, filters in norms.items():
        statistics[f"{name}.running_mean"] = torch.full((filters,), 7.0)
        statistics[f"{name}.running_var"] = torch.full((filters,), 3.0)
        statistics |= {f"{name}.{word}": torch.tensor(1) for word in extra}
    torch.save(state, tmp_path / "new.pth")
    torch.save(state | statistics, tmp_path / "old.pth")
    new, old = (
        create_image_network("cyclegan", weights=tmp_path / f"{age}.pth") for age in ("new", "old")
    )
    picture = torch.rand(1, 3, 16, 12) * 2 - 1
    assert torch.equal(new.model(picture), old.model(picture))
    assert len(old.model.state_dict()) == 48


def test_cyclegan_files_with_batch_norm_are_refused(tmp_path: Path) -> None:
    state = random_state(cyclegan_layout()) | {"model.2.weight": torch.ones(64)}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"unexpected model\.2\.weight"):
        create_image_network("cyclegan", weights=tmp_path / "w.pth")


def edsr_by_hand(state: dict[str, torch.Tensor], x, blocks: int, residual_scale: float):
    """The authors' forward pass, x4, from the tensors alone."""

    def conv(name: str, value):
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return F.conv2d(value, weight, bias, padding=weight.shape[-1] // 2)

    x = conv("head.0", conv("sub_mean", x))
    y = x
    for block in range(blocks):
        inner = conv(f"body.{block}.body.2", F.relu(conv(f"body.{block}.body.0", y)))
        y = y + residual_scale * inner
    y = x + conv(f"body.{blocks}", y)
    y = F.pixel_shuffle(conv("tail.0.0", y), 2)
    y = F.pixel_shuffle(conv("tail.0.2", y), 2)
    return conv("add_mean", conv("tail.1", y))


@pytest.mark.parametrize("residual_scale", [1.0, 0.1])
def test_edsr_runs_as_the_authors_wrote_it(residual_scale: float) -> None:
    torch.manual_seed(0)
    model = Edsr(4, blocks=3, filters=4, residual_scale=residual_scale).double()
    x = 255 * torch.rand(2, 3, 5, 6, dtype=torch.float64)
    expected = edsr_by_hand(model.state_dict(), x, 3, residual_scale)
    torch.testing.assert_close(model(x), expected, rtol=1e-12, atol=1e-9)


def test_edsr_takes_the_mean_of_its_training_set_away_and_adds_it_again() -> None:
    model = Edsr(2, blocks=1, filters=4)
    mean = 255 * torch.tensor([0.4488, 0.4371, 0.4040]).reshape(1, 3, 1, 1)
    x = 255 * torch.rand(1, 3, 4, 4)
    torch.testing.assert_close(model.sub_mean(x), x - mean)
    torch.testing.assert_close(model.add_mean(x), x + mean)


@pytest.mark.parametrize("scale", [1, 5, 8])
def test_edsr_refuses_other_scales(scale: int) -> None:
    with pytest.raises(ValueError, match="`scale` must be 2, 3 or 4"):
        Edsr(scale)


@pytest.mark.parametrize(
    "tensors",
    [{}, {"conv4.weight": torch.zeros(10, 32, 3, 3)}, {"conv4.weight": torch.tensor(1.0)},
     {"conv4.weight": torch.zeros(0, 32, 3, 3)}],
)  # fmt: skip
def test_pixel_shuffle_refuses_what_paints_no_square(tensors) -> None:
    with pytest.raises(ValueError, match=r"conv4\.weight of shape \(scale\^2, 32, 3, 3\)"):
        PixelShuffleNet.for_weights(tensors)


def same_convolution(x, weight, stride: int):
    """TensorFlow's "SAME": output i reads from i * stride - before on, as its manual says."""
    outputs, kernel = len(weight), weight.shape[2]
    height, width = x.shape[2:]
    high, wide = -(-height // stride), -(-width // stride)
    top = max((high - 1) * stride + kernel - height, 0) // 2
    left = max((wide - 1) * stride + kernel - width, 0) // 2
    y = torch.zeros(len(x), outputs, high, wide, dtype=x.dtype)
    for i in range(high):
        for j in range(wide):
            for a in range(kernel):
                for b in range(kernel):
                    row, column = i * stride - top + a, j * stride - left + b
                    if 0 <= row < height and 0 <= column < width:
                        y[:, :, i, j] += x[:, :, row, column] @ weight[:, :, a, b].T
    return y


def normed(y, layer: nn.Module):
    mean = y.mean((2, 3), keepdim=True)
    variance = (y - mean).square().mean((2, 3), keepdim=True)
    shape = (1, -1, 1, 1)
    scale = layer.norm.weight.reshape(shape)
    return (y - mean) / (variance + 1e-3).sqrt() * scale + layer.norm.bias.reshape(shape)


def style_generator() -> FastStyleGenerator:
    torch.manual_seed(0)
    model = FastStyleGenerator(filters=2).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0, 0.5)
    return model


@pytest.mark.parametrize("layer", ["conv1", "conv2", "conv_out"])
@pytest.mark.parametrize("size", [(8, 8), (7, 8), (5, 9)])
@torch.no_grad()
def test_fast_style_pads_as_tensorflow_does(layer: str, size) -> None:
    module = style_generator().get_submodule(layer)
    x = torch.randn(2, module.in_channels, *size, dtype=torch.float64)
    expected = normed(same_convolution(x, module.weight, module.stride[0]), module)
    torch.testing.assert_close(module(x), expected, rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_fast_style_doubles_by_the_transpose_of_its_halving() -> None:
    module = style_generator().up1
    x = torch.randn(1, module.in_channels, 3, 4, dtype=torch.float64)
    y = torch.randn(1, module.out_channels, 6, 8, dtype=torch.float64)
    module.norm = nn.Identity()
    halved = same_convolution(y, module.weight, 2)  # weight: (inputs, outputs, 3, 3)
    torch.testing.assert_close((module(x) * y).sum(), (x * halved).sum())


@torch.no_grad()
def test_fast_style_output_is_centred_and_bounded() -> None:
    output = style_generator()(255 * torch.rand(1, 3, 16, 12, dtype=torch.float64))
    assert output.shape == (1, 3, 16, 12)
    assert float((output - 127.5).abs().max()) <= 150


@pytest.mark.parametrize("size", [(8, 12), (16, 16), (10, 13)])
@torch.no_grad()
def test_generators_round_other_sides_up(size) -> None:
    expected = tuple(-(-side // 4) * 4 for side in size)
    for model in (style_generator().float(), CycleGanGenerator(1, 2)):
        assert model(torch.rand(1, 3, *size)).shape[2:] == expected
