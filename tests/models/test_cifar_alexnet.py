"""AlexNet for small images, and fixed gates on both AlexNets."""

from pathlib import Path

import pytest
import torch
from torch import nn

from filterscope.core.gate_points import GatePoint, gate_point
from filterscope.gates import ClassGate, GatedClassifier, fixed_gate
from filterscope.models import CifarAlexNet, create_model, model_info
from filterscope.runs import load_run
from filterscope.training.run import train
from filterscope.training.settings import TrainSettings


def test_its_place_in_the_registry() -> None:
    info = model_info("alexnet_cifar")
    assert info.gate_point == GatePoint("features.16", 256, "relu", "mlp")
    assert (info.image_size, info.source) == (32, "filterscope")
    assert isinstance(create_model("alexnet_cifar", 10), CifarAlexNet)


def test_the_gated_map_is_that_of_the_last_convolution_rectified() -> None:
    torch.manual_seed(0)
    model = create_model("alexnet_cifar", 10).eval()
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [64, 192, 384, 256, 256]
    maps: list[torch.Tensor] = []
    layer = model.get_submodule("features.16")
    handle = layer.register_forward_hook(lambda _m, _i, out: maps.append(out))
    with torch.no_grad():
        model(torch.randn(2, 3, 32, 32))
    handle.remove()
    assert maps[0].shape == (2, 256, 8, 8)
    assert float(maps[0].min()) == 0


@pytest.mark.parametrize("side", [8, 28, 32, 64])
def test_it_takes_other_sizes(side: int) -> None:
    assert CifarAlexNet(7)(torch.zeros(2, 3, side, side)).shape == (2, 7)


@pytest.mark.parametrize(
    ("name", "side"), [("alexnet_cifar", 32), ("alexnet", 64), ("alexnet", 224)]
)
def test_a_fixed_gate_of_25_and_6_closes_the_other_classes_filters(name: str, side: int) -> None:
    torch.manual_seed(0)
    model = create_model(name, 10).eval()
    point = gate_point(model)
    assert point is not None
    matrix = fixed_gate(10, exclusive=25, shared=6)
    assert matrix.shape == (10, 256)
    assert float(matrix.mean()) == (10 * 25 + 10 * 6) / 2560
    net = GatedClassifier(model, point.layer, gate=ClassGate.fixed(matrix)).eval()
    images, labels = torch.randn(2, 3, side, side), torch.tensor([3, 9])
    maps: list[torch.Tensor] = []
    index = int(point.layer.split(".")[1])
    pool = model.get_submodule(f"features.{index + 1}")
    handle = pool.register_forward_pre_hook(lambda _m, inputs: maps.append(inputs[0]))
    net(images, labels)
    net(images)
    handle.remove()
    gated, plain = maps
    assert torch.equal(gated, plain * matrix[labels][:, :, None, None])
    assert gated[0, 75:100].abs().sum() > 0
    assert gated[0, :75].abs().sum() == gated[0, 100:250].abs().sum() == 0
    assert gated[0, 250:].abs().sum() > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "side", "limit"), [("alexnet_cifar", 32, 60), ("alexnet", 64, 20)]
)
def test_both_train_with_a_fixed_gate(tmp_path: Path, name: str, side: int, limit: int) -> None:
    settings = TrainSettings(
        model=name,
        method="gated",
        fixed_gate=(25, 6),
        image_size=side,
        limit=limit,
        limit_test=10,
        batch_size=10,
        epochs=2,
        warmup=0,
        scheme="joint",
        lr=0.01,
    )
    run = load_run(train(settings, tmp_path / "run"))
    assert run.history[-1]["density"] == pytest.approx(310 / 2560)
    assert all(0 < row["train_loss"] < 6 for row in run.history)
    assert run.layer == ("features.16" if name == "alexnet_cifar" else "features.11")
