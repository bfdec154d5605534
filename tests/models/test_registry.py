import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import timm
import torch
from torch import Tensor, nn

from filterscope.core.gate_points import GatePoint, gate_point
from filterscope.models import CifarResNet, create_model, list_models, model_info
from filterscope.models.cifar_resnet import bottleneck_resnet_for_cifar

CLASSES = 7

# What each architecture's gate point should be: layer, K, activation, head.
EXPECTED = {
    "resnet20": GatePoint("layer3", 64, "relu", "gap-linear"),
    "resnet56": GatePoint("layer3", 64, "relu", "gap-linear"),
    "resnet50_cifar": GatePoint("layer4", 2048, "relu", "gap-linear"),
    "alexnet": GatePoint("features.11", 256, "relu", "mlp"),
    "vgg11": GatePoint("features.19", 512, "relu", "mlp"),
    "vgg11_bn": GatePoint("features.27", 512, "relu", "mlp"),
    "resnet18": GatePoint("layer4", 512, "relu", "gap-linear"),
    "squeezenet1_1": GatePoint("features", 512, "relu", "mlp"),
    "densenet121": GatePoint("features", 1024, "relu", "gap-linear"),
    "mobilenet_v2": GatePoint("features", 1280, "relu", "gap-linear"),
    "mobilenet_v3_small": GatePoint("features", 576, None, "mlp"),
    "efficientnet_b0": GatePoint("features", 1280, None, "gap-linear"),
    "shufflenet_v2_x0_5": GatePoint("conv5", 1024, "relu", "gap-linear"),
    "mnasnet0_5": GatePoint("layers", 1280, "relu", "gap-linear"),
    "regnet_y_400mf": GatePoint("trunk_output", 440, "relu", "gap-linear"),
    "googlenet": GatePoint("inception5b", 1024, "relu", "gap-linear"),
    "inception_v3": GatePoint("Mixed_7c", 2048, "relu", "gap-linear"),
    "convnext_tiny": GatePoint("features", 768, None, "mlp"),
    "timm:resnet18": GatePoint("layer4", 512, "relu", "gap-linear"),
    "timm:densenet121": GatePoint("features", 1024, "relu", "gap-linear"),
    "timm:vgg11": GatePoint("features", 512, "relu", "mlp"),
    "timm:mobilenetv3_small_100": GatePoint("blocks", 576, None, "mlp"),
}
# Their map is signed, but the network rectifies it before it does anything else with it.
RECTIFIED_AFTER_THE_LAYER = {"densenet121"}


@dataclass
class Case:
    name: str
    model: nn.Module
    point: GatePoint
    images: Tensor
    feature_map: Tensor
    logits: Tensor

    @property
    def activated(self) -> Tensor:
        return self.feature_map.relu() if self.point.activation == "relu" else self.feature_map


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Maps this small are computed faster by one thread than by several on busy cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=EXPECTED)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    name: str = request.param
    torch.manual_seed(0)
    model = create_model(name, CLASSES).eval()
    randomise_batch_norms(model)
    point = gate_point(model)
    assert point is not None
    side = {"inception_v3": 96, "resnet50_cifar": 32}.get(name, 64)
    images = torch.randn(2, 3, side, side)
    maps: list[Tensor] = []
    # a copy, because a later in-place operation may rewrite the map
    handle = model.get_submodule(point.layer).register_forward_hook(
        lambda _module, _inputs, output: maps.append(output.clone())
    )
    with torch.no_grad():
        logits = model(images)
    handle.remove()
    assert len(maps) == 1
    yield Case(name, model, point, images, maps[0], logits)


def randomise_batch_norms(model: nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2, generator=generator)
            part.running_var.uniform_(0.5, 1.5, generator=generator)
            nn.init.uniform_(part.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(part.bias, 0, 0.2, generator=generator)


def logits_with_rectified_map(case: Case) -> Tensor:
    layer = case.model.get_submodule(case.point.layer)
    handle = layer.register_forward_hook(lambda _module, _inputs, output: output.relu())
    with torch.no_grad():
        logits: Tensor = case.model(case.images)
    handle.remove()
    return logits


def last_layer_on_pooled(case: Case) -> Tensor | None:
    """Give the logits a head of global average pooling and one linear layer would give."""
    last = [m for m in case.model.modules() if isinstance(m, (nn.Linear, nn.Conv2d))][-1]
    weight = last.weight.flatten(1)
    pooled = case.activated.mean((2, 3))
    if weight.shape[1] != pooled.shape[1]:
        return None
    return nn.functional.linear(pooled, weight, last.bias).detach()


def relative_difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def test_gate_point_is_the_known_one(case: Case) -> None:
    assert case.point == EXPECTED[case.name]


def test_gate_layer_gives_a_map_with_num_filters_channels(case: Case) -> None:
    assert case.feature_map.dim() == 4
    assert case.feature_map.shape[:2] == (2, case.point.num_filters)


def test_logits_are_finite_and_have_one_column_a_class(case: Case) -> None:
    assert case.logits.shape == (2, CLASSES)
    assert case.logits.isfinite().all()


def test_head_is_gap_linear_exactly_where_the_registry_says_so(case: Case) -> None:
    expected = last_layer_on_pooled(case)
    if case.point.head == "gap-linear":
        assert expected is not None
        assert relative_difference(expected, case.logits) < 1e-4
    else:
        assert expected is None or relative_difference(expected, case.logits) > 1e-2


def test_rectifying_the_map_changes_the_logits_only_where_no_relu_is_recorded(case: Case) -> None:
    difference = relative_difference(logits_with_rectified_map(case), case.logits)
    if case.point.activation == "relu":
        assert difference == 0
    else:
        assert difference > 1e-3


def test_map_is_signed_only_where_it_is_unrectified_or_rectified_later(case: Case) -> None:
    signed = case.point.activation is None or case.name in RECTIFIED_AFTER_THE_LAYER
    assert bool((case.feature_map < 0).any()) is signed
    assert bool((case.feature_map > 0).any())


def test_architecture_is_recorded_on_the_model(case: Case) -> None:
    assert case.model.filterscope_architecture == {"name": case.name, "num_classes": CLASSES}


def test_training_forward_gives_logits_and_nothing_auxiliary(case: Case) -> None:
    # copies, because the norms update their statistics in place
    buffers = {name: buffer.clone() for name, buffer in case.model.named_buffers()}
    case.model.train()
    with torch.no_grad():
        output = torch.func.functional_call(case.model, buffers, (case.images,))
    case.model.eval()
    assert isinstance(output, Tensor)
    assert output.shape == (2, CLASSES)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in list_models()
        # RegNet computes with tensors while it is built, so that meta tensors do not do
        if not name.startswith(("regnet", "vit", "swin", "maxvit"))
    ],
)
def test_every_torchvision_cnn_has_a_gate_point_and_ends_in_its_classes(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name, CLASSES)
    point = gate_point(model)
    assert point is not None
    assert point.layer in dict(model.named_modules())
    last = [m for m in model.modules() if isinstance(m, (nn.Linear, nn.Conv2d))][-1]
    assert last.weight.shape[0] == CLASSES


def test_vision_transformer_has_no_gate_point() -> None:
    with torch.device("meta"):  # its weights play no part
        model = create_model("vit_b_16", 2)
    assert gate_point(model) is None


# He et al., table 6: 0.27, 0.46, 0.66, 0.85 and 1.7 million.
@pytest.mark.parametrize(
    ("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7)]
)
def test_parameter_counts_are_those_of_the_paper(depth: int, millions: float) -> None:
    count = sum(p.numel() for p in CifarResNet(depth).parameters())
    digits = 1 if depth == 110 else 2
    assert round(count / 1e6, digits) == millions


def test_resnet20_has_269722_parameters() -> None:
    assert sum(p.numel() for p in create_model("resnet20", 10).parameters()) == 269_722


@pytest.mark.parametrize("depth", [-4, 0, 2, 18, 21, 54])
def test_depth_that_is_not_6n_plus_2_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match=rf"6 n \+ 2 .*got {depth}$"):
        CifarResNet(depth)


def test_depth_8_is_the_shallowest_network() -> None:
    model = CifarResNet(8, num_classes=3)
    assert [len(stage) for stage in (model.layer1, model.layer2, model.layer3)] == [1, 1, 1]


def test_zero_padded_shortcut_takes_every_second_pixel_in_the_middle_channels() -> None:
    block = CifarResNet(8).layer2[0].eval()
    nn.init.zeros_(block.bn2.weight)  # silences the convolutions, so that the shortcut is seen
    x = torch.rand(1, 16, 6, 6)
    with torch.no_grad():
        out = block(x)
    assert out.shape == (1, 32, 3, 3)
    torch.testing.assert_close(out[:, 8:24], x[:, :, ::2, ::2])
    assert (out[:, :8] == 0).all()
    assert (out[:, 24:] == 0).all()


def test_bottleneck_resnet_for_cifar_keeps_small_images_whole_through_the_stem() -> None:
    model = bottleneck_resnet_for_cifar([1, 1, 1, 1], 2).eval()
    entered: list[torch.Size] = []
    handle = model.layer1.register_forward_pre_hook(
        lambda _module, inputs: entered.append(inputs[0].shape)
    )
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 2)
    handle.remove()
    assert entered == [(1, 64, 32, 32)]
    assert model.fc.in_features == 2048


@pytest.mark.parametrize(
    ("name", "blocks"), [("resnet50_cifar", [3, 4, 6, 3]), ("resnet101_cifar", [3, 4, 23, 3])]
)
def test_bottleneck_resnets_for_cifar_have_the_blocks_of_the_paper(
    name: str, blocks: list[int]
) -> None:
    with torch.device("meta"):
        model = create_model(name, 2)
    assert [len(model.get_submodule(f"layer{i}")) for i in (1, 2, 3, 4)] == blocks
    assert gate_point(model) == EXPECTED["resnet50_cifar"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("resnet*_cifar", ["resnet101_cifar", "resnet50_cifar"]),
        ("resnet20", ["resnet20"]),
        ("vgg1[13]", ["vgg11", "vgg13"]),
        ("squeezenet1_?", ["squeezenet1_0", "squeezenet1_1"]),
        ("nothing*", []),
        ("timm:vgg1[13]", ["timm:vgg11", "timm:vgg13"]),
        ("timm:nothing*", []),
    ],
)
def test_list_models_follows_the_pattern(pattern: str, names: list[str]) -> None:
    assert list_models(pattern) == names


def test_list_models_is_sorted_holds_every_own_name_once_and_no_detector() -> None:
    names = list_models()
    assert names == sorted(set(names))
    assert set(EXPECTED) - set(names) == {name for name in EXPECTED if name.startswith("timm:")}
    assert not [name for name in names if name.startswith(("timm:", "fasterrcnn", "quantized"))]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet21", "resnet20"),
        ("ResNet18", "resnet18"),
        ("vgg-11", "vgg11"),
        ("timm:resnet81", "timm:resnet18"),
        ("fasterrcnn_resnet50_fpn", "resnet50"),
    ],
)
def test_unknown_model_names_the_near_ones_in_one_line(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"unknown model '{name}'; near: .*{near}") as caught:
        create_model(name, 10)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["zzzzzz", ""])
def test_unknown_model_without_near_names_says_where_the_list_is(name: str) -> None:
    with pytest.raises(ValueError, match="filterscope list models"):
        create_model(name, 10)


@pytest.mark.parametrize("num_classes", [0, -1])
@pytest.mark.parametrize("name", ["resnet20", "resnet18", "timm:resnet18"])
def test_fewer_than_one_class_is_refused(name: str, num_classes: int) -> None:
    with pytest.raises(ValueError, match=rf"num_classes.*at least 1, got {num_classes}$"):
        create_model(name, num_classes)


@pytest.mark.parametrize("name", ["resnet20", "resnet18", "timm:resnet10t"])
def test_new_model_is_in_train_mode_throughout(name: str) -> None:
    assert all(part.training for part in create_model(name, 2).modules())


@pytest.mark.parametrize("name", ["resnet20", "squeezenet1_1", "timm:resnet10t"])
def test_two_creations_from_one_seed_are_equal_and_leave_equal_random_state(name: str) -> None:
    states, draws = [], []
    for _ in range(2):
        torch.manual_seed(5)
        states.append(create_model(name, 3).state_dict())
        draws.append(torch.rand(4))
    assert torch.equal(draws[0], draws[1])
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_finding_the_gate_of_a_timm_model_draws_nothing_from_the_global_generator() -> None:
    torch.manual_seed(5)
    plain = timm.create_model("mobilenetv3_small_050", pretrained=False, num_classes=3)
    expected = torch.rand(4)
    torch.manual_seed(5)
    model = create_model("timm:mobilenetv3_small_050", 3)
    assert torch.equal(torch.rand(4), expected)
    ours, theirs = model.state_dict(), plain.state_dict()
    # the running statistics too: the forward pass that looks for the gate must not move them
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_finding_the_gate_of_a_timm_model_leaves_no_hook() -> None:
    model = create_model("timm:resnet10t", 3)
    hooks = [(m._forward_hooks, m._forward_pre_hooks) for m in model.modules()]
    assert not any(forward or before for forward, before in hooks)


def test_timm_model_without_a_pooled_map_has_no_gate_point() -> None:
    model = create_model("timm:vit_tiny_patch16_224", 2)
    assert gate_point(model) is None


def test_names_in_freeze_are_not_trained() -> None:
    model = create_model("resnet20", 10, freeze=["conv1", "layer1"])
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {
        name for name, _ in model.named_parameters() if name.startswith(("conv1.", "layer1."))
    }


def test_creation_without_weights_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create_model("resnet20", 10)
        create_model("squeezenet1_1", 10)


@pytest.mark.parametrize(
    ("name", "side", "source"),
    [
        ("resnet20", 32, "filterscope"),
        ("shufflenet_v2_x0_5", 224, "torchvision"),
        ("inception_v3", 299, "torchvision"),
        ("timm:mobilenetv3_small_100", 224, "timm"),
    ],
)
def test_model_info_names_gate_image_size_and_source(name: str, side: int, source: str) -> None:
    info = model_info(name)
    assert (info.name, info.image_size, info.source) == (name, side, source)
    assert info.gate_point == EXPECTED[name]


def test_model_info_of_an_unknown_name_names_the_near_ones() -> None:
    with pytest.raises(ValueError, match=r"near: .*resnet20"):
        model_info("resnet21")
