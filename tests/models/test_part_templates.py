"""Networks with part templates by name."""

import pytest
import torch
from torch import nn

from filterscope.core.pretrained import write_tensors
from filterscope.maps import receptive_field
from filterscope.models import PartNetwork, classic, create_part_network, part_layers
from filterscope.parts import part_losses


@pytest.fixture(autouse=True)
def small_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hidden layers of eight units, which play no part here."""
    monkeypatch.setattr(classic, "HIDDEN", 8)


def test_the_paper_s_network_is_masked_at_both_layers_and_learns() -> None:
    torch.manual_seed(0)
    net = create_part_network("alexnet_parts", ["bird"], image_size=128)
    assert isinstance(net.model, PartNetwork)
    assert net.layer_names == part_layers(net.model) == ("features.relu5", "pool6")
    images, labels = torch.randn(4, 3, 128, 128), torch.tensor([1, 0, 1, 0])
    with part_losses(net, labels) as losses:
        logits = net(images)
    assert logits.shape == (4, 1)
    (sum(losses) + logits.sum()).backward()
    assert net.model.conv6.weight.grad is not None
    assert net.model.conv6.weight.grad.isfinite().all()


def test_the_second_mask_may_lie_before_the_pool_and_layers_may_be_named() -> None:
    with torch.device("meta"):
        before = create_part_network(
            "vgg_m_parts", ["bird", "cat"], "uniform_l2", second_mask="before_pool", beta=1.5
        )
    assert before.layer_names == ("features.relu5", "relu6")
    assert [templates.num_filters for templates in before.templates] == [512, 512]
    assert before.model.classifier.fc8.out_features == 2
    with torch.device("meta"):
        named = create_part_network("vgg_m_parts", ["bird"], layers=["relu6"])
    assert named.layer_names == ("relu6",)


def test_other_networks_are_masked_at_their_gate_layer(tmp_path: pytest.TempPathFactory) -> None:
    net = create_part_network("resnet20", ["cat", "dog", "cow"])
    assert net.layer_names == ("layer3",)
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
    write_tensors(f"{tmp_path}/w.safetensors", net.unwrap().state_dict())
    again = create_part_network(
        "resnet20", ["cat", "dog", "cow"], weights=f"{tmp_path}/w.safetensors"
    )
    assert torch.equal(again.model.conv1.weight, net.model.conv1.weight)


def test_networks_without_a_known_layer_and_bad_sizes_are_refused() -> None:
    with torch.device("meta"), pytest.raises(ValueError, match="no layer of vit_b_16 is known"):
        create_part_network("vit_b_16", ["bird"], image_size=224)
    with pytest.raises(ValueError, match="`image_size` must be at least 1, got 0"):
        create_part_network("resnet20", ["bird"], image_size=0)


@pytest.mark.parametrize(
    ("name", "side", "stride", "first", "size"),
    [
        ("alexnet_parts", 227, 16, 17, 195), ("vgg_m_parts", 224, 16, 17, 171),
        ("vgg_s_parts", 224, 12, 20, 137), ("vgg16_parts", 224, 16, 7.5, 228),
    ],
)  # fmt: skip
def test_receptive_fields_of_conv6_are_the_published_ones(
    name: str, side: int, stride: float, first: float, size: float
) -> None:
    model: nn.Module = PartNetwork(name)
    field = receptive_field(model, "conv6", torch.zeros(1, 3, side, side))
    assert field.stride == (stride, stride)
    assert field.size == (size, size)
    assert field.first == (first, first)
