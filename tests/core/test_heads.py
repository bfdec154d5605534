"""The layer that gives the logits, and when it alone turns features into them."""

import pytest
import torch
from torch import nn

from filterscope.core.contexts import captured_features, evaluating
from filterscope.core.gate_points import GatePoint, gate_point
from filterscope.core.heads import head_name, linear_head
from filterscope.models import create_model

LINEAR = {
    "resnet20": "linear", "resnet50_cifar": "fc", "resnet18": "fc", "densenet121": "classifier",
    "googlenet": "fc", "shufflenet_v2_x0_5": "fc", "mobilenet_v2": "classifier.1",
    "efficientnet_b0": "classifier.1", "regnet_y_400mf": "fc", "mnasnet0_5": "classifier.1",
}  # fmt: skip
OTHER = {
    "alexnet_cifar": "classifier.6", "alexnet": "classifier.6", "vgg11_bn": "classifier.6",
    "mobilenet_v3_small": "classifier.3", "convnext_tiny": "classifier.2",
    "squeezenet1_1": "classifier.1",
}  # fmt: skip


@pytest.mark.parametrize(("name", "head"), [*LINEAR.items(), *OTHER.items()])
def test_the_head_is_the_layer_that_gives_the_logits(name: str, head: str) -> None:
    model = create_model(name, 7)
    assert head_name(model) == head
    assert len(model.get_submodule(head).weight) == 7


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_head_gives_the_logits_from_pooled_features(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, 7)
    point, head = gate_point(model), linear_head(model)
    assert head is model.get_submodule(LINEAR[name])
    activation = torch.relu if point.activation == "relu" else None
    layer = model.get_submodule(point.layer)
    with evaluating(model), captured_features(layer, activation) as seen:
        logits = model(torch.randn(2, 3, 64, 64))
        expected = seen[0] @ head.weight.T + head.bias
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", OTHER)
def test_other_heads_are_none(name: str) -> None:
    assert linear_head(create_model(name, 7)) is None


def test_the_head_reads_one_layer_alone() -> None:
    model = create_model("resnet20", 7)
    assert linear_head(model, model.layer3) is model.linear
    for layer in (model.layer2, model.layer3[1], model.layer3[2], model.conv1):
        assert linear_head(model, layer) is None


def test_an_unknown_architecture_has_a_last_layer_but_no_known_head() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    assert head_name(model) == "3"
    assert linear_head(model) is None
    model.filterscope_gate_point = GatePoint("0", 4, None, "gap-linear")
    assert linear_head(model) is model[3]
    model.filterscope_gate_point = GatePoint("0", 5, None, "gap-linear")
    assert linear_head(model) is None, "the head must read as many features as there are filters"


def test_a_network_without_layers_has_no_head() -> None:
    assert head_name(nn.Sequential(nn.ReLU())) is None
    assert linear_head(nn.Sequential(nn.Conv2d(3, 4, 1))) is None
