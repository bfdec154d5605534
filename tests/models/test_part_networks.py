"""The networks of interpretable CNNs: shapes, receptive fields, weights of their backbones."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import vgg16

from filterscope.models import (
    PartNetwork,
    classic,
    create_model,
    list_models,
    load_weights,
    part_layers,
)
from filterscope.models.part_networks import PART_SIZES

# input, filters, side of conv5 and conv6, pooled side
LAYOUT = {
    "alexnet_parts": (227, 256, 13, 6),
    "vgg_m_parts": (224, 512, 13, 6),
    "vgg_s_parts": (224, 512, 17, 6),
    "vgg16_parts": (224, 512, 14, 7),
}
# stride, centre of the first unit counted from 1, size of the receptive field of conv6
FIELDS = {
    "alexnet_parts": (16, 18.0, 195),
    "vgg_m_parts": (16, 18.0, 171),
    "vgg_s_parts": (12, 21.0, 137),
    "vgg16_parts": (16, 8.5, 228),
}


@pytest.fixture
def small_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hidden layers of eight units, for tests in which they play no part."""
    monkeypatch.setattr(classic, "HIDDEN", 8)


def on_meta(name: str, num_classes: int = 1) -> PartNetwork:
    with torch.device("meta"):
        return PartNetwork(name, num_classes)


def test_all_four_are_listed() -> None:
    assert list_models("*_parts") == sorted(LAYOUT)
    sizes = {name: row[0] for name, row in LAYOUT.items()}
    assert sizes == PART_SIZES


@pytest.mark.parametrize("name", LAYOUT)
def test_maps_have_the_published_sides(name: str) -> None:
    size, filters, side, pooled = LAYOUT[name]
    model = on_meta(name, 6).eval()
    seen: dict[str, tuple[int, ...]] = {}
    for layer in (*part_layers(model), *part_layers(model, "before_pool")):
        model.get_submodule(layer).register_forward_hook(
            lambda _m, _i, out, layer=layer: seen.update({layer: tuple(out.shape)})
        )
    logits = model(torch.empty(2, 3, size, size, device="meta"))
    first, second = part_layers(model)
    assert seen[first] == seen["relu6"] == (2, filters, side, side)
    assert seen[second] == (2, filters, pooled, pooled)
    assert logits.shape == (2, 6)
    assert model.classifier.fc6.in_features == filters * pooled**2
    assert (model.conv6.kernel_size, model.conv6.padding) == ((3, 3), (1, 1))


@pytest.mark.parametrize("name", LAYOUT)
def test_receptive_field_of_the_new_convolution_is_the_published_one(name: str) -> None:
    model = on_meta(name)
    jump, centre, size = 1, 1.0, 1  # the first pixel is number 1
    for layer in (*model.features, model.conv6):
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            kernel, stride, padding = (
                v[0] if isinstance(v, tuple) else v
                for v in (layer.kernel_size, layer.stride, layer.padding)
            )
            centre += ((kernel - 1) / 2 - padding) * jump
            size += (kernel - 1) * jump
            jump *= stride
    assert (jump, centre, size) == FIELDS[name]


@pytest.mark.parametrize("name", LAYOUT)
def test_masked_layers_give_rectified_maps_just_above_the_convolutions(name: str) -> None:
    model = on_meta(name)
    first, second = part_layers(model)
    assert isinstance(model.get_submodule(first), nn.ReLU)
    assert isinstance(list(model.features)[-2], nn.Conv2d)
    assert isinstance(model.get_submodule(second), nn.MaxPool2d)


def test_a_single_category_has_one_logit_and_new_layers_start_small() -> None:
    torch.manual_seed(0)
    model = create_model("alexnet_parts", 1)
    assert isinstance(model, PartNetwork)
    assert model(torch.randn(2, 3, 96, 96)).shape == (2, 1)
    for layer in (model.conv6, model.classifier.fc7, model.classifier.fc8):
        assert float(layer.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
        assert float(layer.bias.detach().abs().max()) == 0
    assert model.classifier.dropout6.p == 0.8


def test_weights_of_the_backbone_fill_what_lies_below_the_new_convolution(
    tmp_path: Path, small_head: None
) -> None:
    torch.manual_seed(0)
    with torch.device("meta"):
        backbone = vgg16(num_classes=1000)
    state = {
        # the head is cut to one number, so that the file stays small: it is not read
        name: torch.zeros(1) if name.startswith("classifier") else torch.randn(tensor.shape)
        for name, tensor in backbone.state_dict().items()
    }
    file = tmp_path / "vgg16.pt"
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, file)
    model = PartNetwork("vgg16_parts", 1)
    before = model.conv6.weight.clone()
    left = load_weights(model, file)
    assert set(left) == {n for n in model.state_dict() if n.startswith(("conv6", "classifier"))}
    assert torch.equal(model.features.get_submodule("28").weight, state["features.28.weight"])
    assert torch.equal(model.conv6.weight, before)


def test_own_weights_load_whole_and_foreign_ones_are_refused(
    tmp_path: Path, small_head: None
) -> None:
    torch.manual_seed(0)
    model, other = PartNetwork("alexnet_parts"), PartNetwork("alexnet_parts")
    torch.save(other.state_dict(), tmp_path / "own.pt")
    assert load_weights(model, tmp_path / "own.pt") == ()
    assert torch.equal(model.conv6.weight, other.conv6.weight)
    torch.save({"features.conv1.weight": torch.zeros(96, 3, 11, 11)}, tmp_path / "part.pt")
    with pytest.raises(ValueError, match=r"does not fit PartNetwork: missing features"):
        load_weights(model, tmp_path / "part.pt")


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`name` must be one of .* got 'resnet18'"):
        PartNetwork("resnet18")
    with pytest.raises(TypeError, match=r"`model` must be one of .* got ReLU"):
        part_layers(nn.ReLU())
    with pytest.raises(ValueError, match=r"`second_mask` must be .* got 'middle'"):
        part_layers(on_meta("vgg_m_parts"), "middle")
