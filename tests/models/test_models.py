"""Architectures: where their gate is, how weights come in, what stays frozen."""

import os
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from filterscope.core.contexts import evaluating, forward_hook
from filterscope.core.gate_points import gate_point
from filterscope.data import Transform
from filterscope.models import (
    CifarResNet,
    create_model,
    freeze,
    list_models,
    load_weights,
    model_info,
)

NAMES = [
    "resnet20", "resnet56", "resnet50_cifar", "alexnet", "vgg11", "vgg11_bn", "resnet18",
    "squeezenet1_1", "densenet121", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0",
    "shufflenet_v2_x0_5", "mnasnet0_5", "regnet_y_400mf", "googlenet", "inception_v3",
    "convnext_tiny", "timm:resnet18", "timm:densenet121", "timm:vgg11",
    "timm:mobilenetv3_small_100", "timm:efficientnet_b0",
]  # fmt: skip


def lively(name: str) -> nn.Module:
    """A network whose norms and biases are not those of the first day."""
    torch.manual_seed(0)
    model = create_model(name, 5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("name", NAMES)
def test_the_gate_point_is_where_the_registry_says(name: str) -> None:
    model = lively(name)
    point = gate_point(model)
    assert point is not None
    side = 32 if "20" in name or "56" in name or "cifar" in name else 96
    seen: list[torch.Tensor] = []
    layer = model.get_submodule(point.layer)
    with evaluating(model), forward_hook(layer, lambda _m, _i, out: seen.append(out.clone())):
        logits = model(torch.randn(2, 3, side, side))
    (features,) = seen
    assert features.shape[:2] == (2, point.num_filters)
    assert features.dim() == 4
    assert logits.shape == (2, 5)
    if point.activation is None:
        assert float(features.min()) < 0
    elif name != "densenet121":  # torchvision rectifies it right after
        assert float(features.min()) >= 0
    rectified = features.relu() if point.activation == "relu" else features
    head = [m for m in model.modules() if isinstance(m, nn.Linear)]
    if head and head[-1].in_features == point.num_filters:
        pooled = head[-1](rectified.mean((2, 3)))
        linear = torch.allclose(pooled, logits, atol=1e-3, rtol=1e-3)
        assert linear == (point.head == "gap-linear")
    else:
        assert point.head == "mlp"


def test_every_torchvision_cnn_has_a_gate_point_in_the_table() -> None:
    names = list_models()
    assert {"resnet20", "resnet50_cifar", "resnet18", "vit_b_16"} <= set(names)
    assert list_models("resnet5*") == ["resnet50", "resnet50_cifar", "resnet56"]
    assert "timm:resnet18" in list_models("timm:resnet1*")


def test_transformers_have_no_gate_point() -> None:
    assert gate_point(create_model("vit_b_16", 3)) is None


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (56, 0.85), (110, 1.7)])
def test_parameter_counts_are_the_published_ones(depth: int, millions: float) -> None:
    count = sum(p.numel() for p in CifarResNet(depth, 10).parameters())
    assert round(count / 1e6, 1 if depth == 110 else 2) == millions
    assert depth != 20 or count == 269_722


def test_bottlenecks_for_cifar_keep_small_images_whole() -> None:
    model = create_model("resnet50_cifar", 10)
    seen: list[torch.Size] = []
    with (
        evaluating(model),
        forward_hook(model.get_submodule("layer1"), lambda _m, _i, out: seen.append(out.shape)),
    ):
        model(torch.zeros(1, 3, 32, 32))
    assert seen == [torch.Size([1, 256, 32, 32])]


def test_info_and_names() -> None:
    info = model_info("resnet20")
    assert (info.image_size, info.source) == (32, "filterscope")
    assert model_info("timm:resnet18").source == "timm"
    assert create_model("resnet20", 7).filterscope_architecture == {
        "name": "resnet20", "num_classes": 7,
    }  # fmt: skip
    for name, near in (("resnet2", "resnet20"), ("timm:resnet1", "timm:resnet18")):
        with pytest.raises(ValueError, match=rf"near: .*{near}"):
            create_model(name, 10)
    with pytest.raises(ValueError, match="`num_classes`"):
        create_model("resnet20", 0)
    with pytest.raises(ValueError, match="6 n"):
        CifarResNet(21)


def test_equal_seeds_give_equal_weights() -> None:
    first, second = lively("timm:resnet18"), lively("timm:resnet18")
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def equal(one: nn.Module, other: nn.Module, prefix: str = "") -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(ours[k], theirs[k]) for k in ours if k.startswith(prefix))


@pytest.mark.parametrize("form", ["safetensors", "plain", "state_dict", "model", "parallel"])
def test_weights_come_in_every_usual_form(tmp_path: Path, form: str) -> None:
    source = lively("resnet20")
    state = source.state_dict()
    file = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pt")
    if form == "safetensors":
        save_file(state, file)
    elif form == "parallel":
        torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, file)
    else:
        torch.save(state if form == "plain" else {form: state}, file)
    target = create_model("resnet20", 5, weights=file)
    assert equal(source, target)


def test_a_head_for_other_classes_is_left_out_and_told(tmp_path: Path) -> None:
    save_file(lively("resnet20").state_dict(), tmp_path / "w.safetensors")
    with pytest.warns(UserWarning, match=r"linear\.weight, linear\.bias.*left out"):
        model = create_model("resnet20", 9, weights=tmp_path / "w.safetensors")
    assert equal(lively("resnet20"), model, "layer")
    assert model.linear.weight.shape == (9, 64)


def test_weights_that_do_not_fit_are_told_in_a_line(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file(lively("resnet20").state_dict(), file)
    with pytest.raises(ValueError, match=r"does not fit CifarResNet: missing layer1\.3.*\.\.\."):
        create_model("resnet32", 5, weights=file)
    with pytest.raises(ValueError, match=r"unexpected"):
        create_model("alexnet", 5, weights=file)
    wide = {k: torch.cat([v, v]) if k == "bn1.weight" else v
            for k, v in lively("resnet20").state_dict().items()}  # fmt: skip
    save_file(wide, file)
    with pytest.raises(ValueError, match=r"of another shape bn1\.weight"):
        create_model("resnet20", 5, weights=file)


class Villain:
    def __reduce__(self) -> tuple:
        return (os.system, ("touch pwned",))


def test_damaged_and_dangerous_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = create_model("resnet20", 5)
    torch.save({"conv1.weight": Villain()}, "villain.pt")
    with pytest.raises(ValueError, match="not readable as weights"):
        load_weights(model, "villain.pt")
    assert not Path("pwned").exists()
    torch.save([1, 2], "list.pt")
    with pytest.raises(ValueError, match="no state dict"):
        load_weights(model, "list.pt")
    torch.save(model.state_dict(), "whole.pt")
    Path("half.pt").write_bytes(Path("whole.pt").read_bytes()[:5000])
    Path("half.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    for name in ("half.pt", "half.safetensors"):
        with pytest.raises(ValueError, match="not readable"):
            load_weights(model, name)
    with pytest.raises(FileNotFoundError, match="do not exist"):
        load_weights(model, "absent.pt")


def test_freezing_names_what_there_is() -> None:
    model = create_model("resnet20", 5)
    freeze(model, ["conv1", "layer1", "linear.bias"])
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert {name.split(".")[0] for name in frozen} == {"conv1", "layer1", "linear"}
    assert "linear.weight" not in frozen
    with pytest.raises(ValueError, match=r"near: .*layer1"):
        freeze(model, ["layer11"])


@pytest.mark.data
def test_the_public_checkpoint_classifies_real_images() -> None:
    data = Path(os.environ["FILTERSCOPE_DATA"])
    model = create_model("resnet20", 10, weights=data / "weights" / "cifar_resnet20-12fca82f.th")
    transform = Transform(32)
    with zipfile.ZipFile(data / "cifar10_jpeg" / "train_lossless_4000.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))[::13]
        classes = sorted({name.split("/")[-2] for name in names})
        images = torch.stack([transform(Image.open(BytesIO(archive.read(n)))) for n in names])
    labels = torch.tensor([classes.index(name.split("/")[-2]) for name in names])
    with evaluating(model):
        accuracy = float((model(images).argmax(1) == labels).float().mean())
    assert len(names) > 200
    assert accuracy > 0.99
