import io
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from filterscope.core.pretrained import write_tensors
from filterscope.models import CifarResNet, create_model, freeze, load_weights

State = dict[str, Tensor]


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.file,)


def network(seed: int = 0, num_classes: int = 10) -> CifarResNet:
    torch.manual_seed(seed)
    model = CifarResNet(8, num_classes)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.num_batches_tracked.fill_(7)
    return model


def copy_of_state(model: nn.Module) -> State:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same(one: State, other: State) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def save_safetensors(state: State, folder: Path) -> Path:
    write_tensors(folder / "w.safetensors", state)
    return folder / "w.safetensors"


def save_plain(state: State, folder: Path) -> Path:
    torch.save(state, folder / "w.pt")
    return folder / "w.pt"


def save_old_zipless(state: State, folder: Path) -> Path:
    torch.save(state, folder / "w.th", _use_new_zipfile_serialization=False)
    return folder / "w.th"


def save_under_state_dict(state: State, folder: Path) -> Path:
    torch.save({"state_dict": state, "epoch": 3, "best": 0.9}, folder / "w.pth")
    return folder / "w.pth"


def save_under_model(state: State, folder: Path) -> Path:
    torch.save({"model": state, "args": {"lr": 0.1}}, folder / "w.pth")
    return folder / "w.pth"


def save_of_data_parallel(state: State, folder: Path) -> Path:
    return save_plain({f"module.{name}": tensor for name, tensor in state.items()}, folder)


def save_of_data_parallel_under_state_dict(state: State, folder: Path) -> Path:
    return save_under_state_dict({f"module.{n}": tensor for n, tensor in state.items()}, folder)


def save_without_counters(state: State, folder: Path) -> Path:
    counters = "num_batches_tracked"  # files older than torch 0.4.1 have none
    return save_plain({n: t for n, t in state.items() if not n.endswith(counters)}, folder)


SAVERS = [
    save_safetensors,
    save_plain,
    save_old_zipless,
    save_under_state_dict,
    save_under_model,
    save_of_data_parallel,
    save_of_data_parallel_under_state_dict,
]


@pytest.mark.parametrize("save", SAVERS)
def test_every_usual_file_of_weights_is_loaded_whole(
    save: Callable[[State, Path], Path], tmp_path: Path
) -> None:
    source, target = network(0), network(1)
    assert load_weights(target, save(source.state_dict(), tmp_path)) == ()
    assert_same(target.state_dict(), source.state_dict())


def test_name_of_the_file_may_be_a_string(tmp_path: Path) -> None:
    source, target = network(0), network(1)
    assert load_weights(target, str(save_plain(source.state_dict(), tmp_path))) == ()
    assert_same(target.state_dict(), source.state_dict())


def test_missing_batch_counters_are_no_reason_to_refuse(tmp_path: Path) -> None:
    source, target = network(0), network(1)
    assert load_weights(target, save_without_counters(source.state_dict(), tmp_path)) == ()
    assert_same(target.state_dict(), source.state_dict())


def test_half_precision_weights_are_loaded_in_the_precision_of_the_network(tmp_path: Path) -> None:
    source, target = network(0), network(1)
    halved = {n: t.half() if t.is_floating_point() else t for n, t in source.state_dict().items()}
    load_weights(target, save_plain(halved, tmp_path))
    assert target.conv1.weight.dtype == torch.float32
    torch.testing.assert_close(target.conv1.weight, source.conv1.weight, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("save", [save_safetensors, save_of_data_parallel_under_state_dict])
def test_head_of_another_size_is_left_out_and_keeps_its_random_start(
    save: Callable[[State, Path], Path], tmp_path: Path
) -> None:
    source, target = network(0, num_classes=10), network(1, num_classes=4)
    head = target.linear.weight.detach().clone(), target.linear.bias.detach().clone()
    left_out = load_weights(target, save(source.state_dict(), tmp_path))
    assert left_out == ("linear.weight", "linear.bias")
    assert torch.equal(target.linear.weight, head[0])
    assert torch.equal(target.linear.bias, head[1])
    expected = {n: t for n, t in source.state_dict().items() if not n.startswith("linear.")}
    got = {n: t for n, t in target.state_dict().items() if not n.startswith("linear.")}
    assert_same(got, expected)


def test_create_model_warns_once_of_a_head_that_is_left_out(tmp_path: Path) -> None:
    file = save_safetensors(create_model("resnet20", 10).state_dict(), tmp_path)
    with pytest.warns(UserWarning, match="another number of classes") as caught:
        model = create_model("resnet20", 3, weights=file)
    (message,) = [str(warning.message) for warning in caught]
    assert str(file) in message
    assert "linear.weight, linear.bias" in message
    assert caught[0].filename == __file__
    assert model.linear.out_features == 3


def test_create_model_warns_of_nothing_where_the_head_fits(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    source = create_model("resnet20", 3)
    file = save_plain(source.state_dict(), tmp_path)
    model = create_model("resnet20", 3, weights=file, freeze=["conv1"])
    assert [str(warning.message) for warning in recwarn] == []
    assert_same(model.state_dict(), source.state_dict())
    assert not model.conv1.weight.requires_grad


def test_convolution_that_is_the_head_of_squeezenet_is_left_out(tmp_path: Path) -> None:
    file = save_plain(create_model("squeezenet1_1", 5).state_dict(), tmp_path)
    target = create_model("squeezenet1_1", 3)
    assert load_weights(target, file) == ("classifier.1.weight", "classifier.1.bias")


def test_auxiliary_heads_in_the_file_are_passed_over(tmp_path: Path) -> None:
    source, target = network(0), network(1)
    auxiliary = {f"{name}.fc.weight": torch.zeros(10, 2) for name in ("aux1", "aux2", "AuxLogits")}
    assert load_weights(target, save_plain({**source.state_dict(), **auxiliary}, tmp_path)) == ()
    assert_same(target.state_dict(), source.state_dict())


def without(state: State, *names: str) -> State:
    return {name: tensor for name, tensor in state.items() if name not in names}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: without(s, "bn1.bias"), "missing bn1.bias"),
        (lambda s: without(s, "linear.bias"), "missing linear.bias"),
        (lambda s: s | {"extra.weight": torch.zeros(1)}, "unexpected extra.weight"),
        (
            lambda s: s | {"conv1.weight": torch.zeros(16, 3, 5, 5)},
            "of another shape conv1.weight",
        ),
        # the inputs of the head differ, not only its classes
        (lambda s: s | {"linear.weight": torch.zeros(10, 32)}, "of another shape linear.weight"),
        (
            lambda s: without(s, "bn1.bias") | {"a.b": torch.zeros(1), "bn1.weight": torch.ones(1)},
            "missing bn1.bias; unexpected a.b; of another shape bn1.weight",
        ),
        (
            lambda s: without(s, "bn1.bias", "bn1.weight", "conv1.weight", "linear.bias"),
            "missing bn1.bias, bn1.weight, conv1.weight ...",
        ),
        (lambda s: {}, "missing bn1.bias, bn1.running_mean, bn1.running_var ..."),
        # only a prefix that every name has is taken off
        (
            lambda s: without(s, "bn1.bias") | {"module.bn1.bias": s["bn1.bias"]},
            "missing bn1.bias; unexpected module.bn1.bias",
        ),
    ],
)
@pytest.mark.parametrize("save", [save_safetensors, save_plain])
def test_weights_that_do_not_fit_are_refused_in_one_line_and_nothing_is_changed(
    save: Callable[[State, Path], Path],
    change: Callable[[State], State],
    reason: str,
    tmp_path: Path,
) -> None:
    file = save(change(copy_of_state(network(0))), tmp_path)
    target = network(1)
    before = copy_of_state(target)
    with pytest.raises(ValueError) as caught:
        load_weights(target, file)
    assert str(caught.value) == f"{file} does not fit CifarResNet: {reason}"
    assert_same(target.state_dict(), before)


def test_weights_of_a_deeper_network_are_refused(tmp_path: Path) -> None:
    file = save_plain(create_model("resnet32", 10).state_dict(), tmp_path)
    with pytest.raises(ValueError, match=r"unexpected layer1\.3\.bn1\.bias, .* \.\.\.$"):
        create_model("resnet20", 10, weights=file)


@pytest.mark.parametrize("nested", [False, True])
def test_pickle_with_code_is_refused_and_not_executed(nested: bool, tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    state = {**network().state_dict(), "payload": Payload(trace)}
    torch.save({"state_dict": state} if nested else state, tmp_path / "w.pt")
    target = network(1)
    before = copy_of_state(target)
    with pytest.raises(ValueError, match="not readable as weights") as caught:
        load_weights(target, tmp_path / "w.pt")
    assert "\n" not in str(caught.value)
    assert not trace.exists()
    assert_same(target.state_dict(), before)
    # the payload is live: an unguarded load does execute it
    torch.load(tmp_path / "w.pt", weights_only=False)
    assert trace.exists()


def test_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "w.pt")
    with pytest.raises(ValueError, match="not readable as weights"):
        load_weights(network(), tmp_path / "w.pt")


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 100, 3000, -1])
@pytest.mark.parametrize("save", [save_safetensors, save_plain, save_old_zipless])
def test_truncated_file_is_refused_by_name_in_one_line(
    save: Callable[[State, Path], Path], keep: int, tmp_path: Path
) -> None:
    file = save(network(0).state_dict(), tmp_path)
    file.write_bytes(file.read_bytes()[:keep])
    target = network(1)
    before = copy_of_state(target)
    with pytest.raises(ValueError, match=re.escape(f"{file} is not readable as ")) as caught:
        load_weights(target, file)
    assert "\n" not in str(caught.value)
    assert_same(target.state_dict(), before)


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors", "w.txt"])
def test_file_of_something_else_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("these are no weights\nat all\n")
    with pytest.raises(ValueError, match="not readable as") as caught:
        load_weights(network(), tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        [torch.zeros(2)],
        torch.zeros(2),
        {"conv1.weight": 1.0},
        {"state_dict": [torch.zeros(2)]},
        {"state_dict": {"conv1.weight": [1.0]}},
        3,
        None,
    ],
)
def test_file_without_a_state_dict_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w\.pt holds no state dict"):
        load_weights(network(), tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["absent.pt", "absent.safetensors", "no/such/folder.pt", "."])
def test_missing_file_or_folder_is_named(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    with pytest.raises(FileNotFoundError, match=re.escape(f"weights {file} do not exist")):
        load_weights(network(), file)


def test_freeze_stops_exactly_the_parameters_under_the_names() -> None:
    model = network()
    freeze(model, ["conv1", "layer1", "layer2.0.bn1", "linear.bias"])
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    expected = {name for name, _ in model.named_parameters() if name.startswith("layer1.")}
    assert frozen == expected | {
        "conv1.weight",
        "layer2.0.bn1.weight",
        "layer2.0.bn1.bias",
        "linear.bias",
    }


def test_freeze_takes_a_name_whole_not_as_the_beginning_of_another() -> None:
    model = nn.ModuleDict({"a": nn.Linear(1, 1), "ab": nn.Linear(1, 1)})
    freeze(model, ["a"])
    assert not model["a"].weight.requires_grad
    assert model["ab"].weight.requires_grad


def test_freeze_of_nothing_changes_nothing() -> None:
    model = network()
    freeze(model, [])
    assert all(p.requires_grad for p in model.parameters())


def test_frozen_parameters_get_no_gradient_and_the_others_do() -> None:
    model = network()
    freeze(model, ["conv1", "bn1", "layer1"])
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    assert model.conv1.weight.grad is None
    assert model.layer1[0].conv1.weight.grad is None
    assert model.layer2[0].conv1.weight.grad is not None


@pytest.mark.parametrize(
    ("prefix", "near"),
    [("layer4", "layer3"), ("conv", "conv1"), ("liner", "linear"), ("layer1.0.cov1", "conv1")],
)
def test_freeze_of_an_unknown_name_names_the_near_ones(prefix: str, near: str) -> None:
    with pytest.raises(
        ValueError, match=f"^unknown layer to freeze '{re.escape(prefix)}'; near: .*{near}"
    ):
        freeze(network(), [prefix])


@pytest.mark.parametrize("prefix", ["", ".", "layer1.", "layer"])
def test_freeze_of_half_a_name_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="unknown layer to freeze"):
        freeze(network(), [prefix])


def test_create_model_names_the_near_layers_of_an_unknown_one_to_freeze() -> None:
    with pytest.raises(ValueError, match=r"near: .*layer3"):
        create_model("resnet20", 10, freeze=["layer4"])


@pytest.mark.data
def test_public_resnet20_checkpoint_classifies_200_lossless_training_images() -> None:
    data = Path(os.environ["FILTERSCOPE_DATA"])
    weights = data / "weights" / "cifar_resnet20-12fca82f.th"
    model = create_model("resnet20", 10, weights=weights).eval()
    with zipfile.ZipFile(data / "cifar10_jpeg" / "train_lossless_4000.zip") as archive:
        files = sorted(name for name in archive.namelist() if name.endswith(".png"))
        classes = sorted({Path(name).parent.name for name in files})
        assert len(classes) == 10
        chosen = files[:: len(files) // 200][:200]
        pixels = np.stack(
            [
                np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))
                for name in chosen
            ]
        )
    labels = torch.tensor([classes.index(Path(name).parent.name) for name in chosen])
    assert len(labels) == 200
    assert labels.unique().numel() == 10
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    images = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / deviation
    with torch.no_grad():
        accuracy = float((model(images).argmax(1) == labels).float().mean())
    assert accuracy > 0.99


@pytest.mark.parametrize("save", [save_safetensors, save_plain])
def test_weights_of_mnasnet_are_loaded(save: Callable[[State, Path], Path], tmp_path: Path) -> None:
    source = create_model("mnasnet0_5", 2)
    target = create_model("mnasnet0_5", 2)
    assert load_weights(target, save(source.state_dict(), tmp_path)) == ()
    assert_same(target.state_dict(), source.state_dict())


def test_tensors_without_names_are_no_state_dict(tmp_path: Path) -> None:
    torch.save({0: torch.zeros(2), 1: torch.ones(2)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w\.pt"):
        load_weights(network(), tmp_path / "w.pt")


def test_sparse_weights_are_refused_in_one_line_and_nothing_is_changed(tmp_path: Path) -> None:
    state = network(0).state_dict()
    file = save_plain(state | {"linear.weight": state["linear.weight"].to_sparse()}, tmp_path)
    target = network(1)
    before = copy_of_state(target)
    with pytest.raises(ValueError, match=r"linear\.weight") as caught:
        load_weights(target, file)
    assert "\n" not in str(caught.value)
    assert_same(target.state_dict(), before)
