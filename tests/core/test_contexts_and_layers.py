import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import filterscope
from filterscope.core.contexts import captured_features, evaluating, forward_hook, pool_features
from filterscope.core.layers import find_layer
from filterscope.core.lazy import lazy_members
from filterscope.core.names import unknown_name


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Sequential(nn.Dropout(0.5), nn.Conv2d(4, 2, 1)),
    )


def flags(model: nn.Module) -> list[bool]:
    return [part.training for part in model.modules()]


def hooks(model: nn.Module) -> int:
    return sum(len(part._forward_hooks) for part in model.modules())


def mix_nothing(model: nn.Sequential) -> None:
    model.train()


def mix_all_off(model: nn.Sequential) -> None:
    model.eval()


def mix_norm_off(model: nn.Sequential) -> None:
    model[1].eval()


def mix_child_on_below_parent_off(model: nn.Sequential) -> None:
    model.eval()
    model[3][0].train()


def mix_parent_on_children_off(model: nn.Sequential) -> None:
    model.eval()
    model.training = True


MIXES = [
    mix_nothing,
    mix_all_off,
    mix_norm_off,
    mix_child_on_below_parent_off,
    mix_parent_on_children_off,
]


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_evaluating_gives_every_submodule_its_own_flag_back(
    mix: Callable[[nn.Sequential], None], error: type[BaseException] | None
) -> None:
    model = network()
    mix(model)
    before = flags(model)
    try:
        with evaluating(model) as same:
            assert same is model
            assert flags(model) == [False] * len(before)
            if error is not None:
                raise error
    except (RuntimeError, KeyboardInterrupt) as caught:
        assert type(caught) is error
    else:
        assert error is None
    assert flags(model) == before


def test_evaluating_gives_a_submodule_of_two_parents_its_own_flag_back() -> None:
    shared = nn.Dropout()
    model = nn.Sequential(nn.Sequential(shared), nn.Sequential(shared))
    shared.eval()  # while both parents stay in train mode
    with evaluating(model):
        pass
    assert not shared.training
    assert model[1].training


def test_evaluating_gives_the_flags_back_where_the_body_switched_the_model() -> None:
    model = network()
    mix_norm_off(model)
    before = flags(model)
    with evaluating(model):
        model.train()
    assert flags(model) == before


def test_evaluating_inside_evaluating_stays_in_eval_mode() -> None:
    model = network()
    with evaluating(model):
        with evaluating(model):
            pass
        assert not any(flags(model))
    assert all(flags(model))


@pytest.mark.parametrize("outside", [True, False])
@pytest.mark.parametrize("inside", [True, False])
def test_evaluating_records_gradients_only_where_asked_and_puts_the_switch_back(
    inside: bool, outside: bool
) -> None:
    model = nn.Linear(2, 1)
    with torch.set_grad_enabled(outside):
        with evaluating(model, grad=inside):
            assert model(torch.zeros(1, 2)).requires_grad is inside
        assert torch.is_grad_enabled() is outside
        with pytest.raises(RuntimeError, match="inside"), evaluating(model, grad=inside):
            raise RuntimeError("inside")
        assert torch.is_grad_enabled() is outside


def test_evaluating_records_no_gradients_by_default() -> None:
    with evaluating(network()):
        assert not torch.is_grad_enabled()


def test_evaluating_leaves_running_statistics_alone() -> None:
    model = network()
    before = model[1].running_mean.clone()
    with evaluating(model):
        model(torch.randn(4, 3, 8, 8))
    assert torch.equal(model[1].running_mean, before)
    model(torch.randn(4, 3, 8, 8))
    assert not torch.equal(model[1].running_mean, before)


def do_nothing(_module: nn.Module, _inputs: Any, _output: Any) -> None:
    pass


@pytest.mark.parametrize(
    "context", [lambda layer: forward_hook(layer, do_nothing), captured_features]
)
@pytest.mark.parametrize("fails", [False, True])
def test_hooks_are_gone_afterwards_also_on_error_and_earlier_hooks_stay(
    fails: bool, context: Callable[[nn.Module], AbstractContextManager[Any]]
) -> None:
    model = network()
    model[0].register_forward_hook(do_nothing)
    assert hooks(model) == 1
    if fails:
        with pytest.raises(RuntimeError, match="inside"), context(model[0]):
            assert hooks(model) == 2
            raise RuntimeError("inside")
    else:
        with context(model[0]):
            assert hooks(model) == 2
    assert hooks(model) == 1


def test_hooks_are_gone_after_an_error_of_the_network_itself() -> None:
    model = network()
    with pytest.raises(RuntimeError), captured_features(model[0]):
        model(torch.zeros(1, 5, 8, 8))  # 5 channels for a convolution of 3
    assert hooks(model) == 0


def test_forward_hook_that_returns_a_value_replaces_the_output() -> None:
    model = network().eval()
    x = torch.randn(1, 3, 8, 8)
    plain = model[0](x)
    with forward_hook(model[0], lambda _module, _inputs, output: output * 2):
        torch.testing.assert_close(model[0](x), 2 * plain)
    torch.testing.assert_close(model[0](x), plain)


def test_captured_features_pools_before_a_later_in_place_relu() -> None:
    model = network().eval()
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        signed = model[1](model[0](x))
        assert bool((signed < 0).any())
        with captured_features(model[1], activation=None) as seen:
            model(x)
    (features,) = seen
    torch.testing.assert_close(features, signed.mean((2, 3)))


def test_captured_features_rectifies_by_default_and_does_not_touch_the_network() -> None:
    model = network().eval()
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        logits = model(x)
        expected = model[1](model[0](x)).relu().mean((2, 3))
        with captured_features(model[1]) as seen:
            assert torch.equal(model(x), logits)
    torch.testing.assert_close(seen[0], expected)


def test_captured_features_grows_by_one_tensor_a_pass_and_stops_afterwards() -> None:
    model = network().eval()
    with captured_features(model[0]) as seen:
        for size in (1, 3, 2):
            model(torch.randn(size, 3, 8, 8))
    model(torch.randn(5, 3, 8, 8))
    assert [features.shape for features in seen] == [(1, 4), (3, 4), (2, 4)]


def test_captured_features_carries_gradients_where_they_are_recorded() -> None:
    layer = nn.Conv2d(3, 4, 3)
    with captured_features(layer) as seen:
        layer(torch.randn(1, 3, 8, 8))
    seen[0].sum().backward()
    assert layer.weight.grad is not None
    assert bool((layer.weight.grad != 0).any())


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 7), (2, 5, 3, 4), (2, 5, 2, 3, 4), (1, 5, 1, 1)])
@pytest.mark.parametrize("activation", [None, torch.relu, torch.sigmoid])
def test_pooled_features_are_the_mean_of_the_activated_positions(
    shape: tuple[int, ...], activation: Callable[[Tensor], Tensor] | None
) -> None:
    torch.manual_seed(0)
    output = torch.randn(shape)
    before = output.clone()
    activated = output if activation is None else activation(output)
    expected = activated.reshape(shape[0], shape[1], -1).double().mean(2).float()
    pooled = pool_features(output, activation)
    assert pooled.shape == shape[:2]
    torch.testing.assert_close(pooled, expected)
    assert torch.equal(output, before)


def test_pooling_an_empty_batch_gives_no_rows() -> None:
    assert pool_features(torch.zeros(0, 5, 2, 2)).shape == (0, 5)


@pytest.mark.parametrize("name", ["0", "3", "3.0", "3.1"])
def test_layer_is_found_by_name_and_by_module_alike(name: str) -> None:
    model = network()
    module = model.get_submodule(name)
    assert find_layer(model, name) == (name, module)
    assert find_layer(model, module) == (name, module)


def test_module_is_told_from_an_equal_one_by_identity() -> None:
    model = nn.Sequential(nn.ReLU(), nn.ReLU())
    assert find_layer(model, model[1]) == ("1", model[1])


def test_layer_under_two_names_is_found_by_its_first() -> None:
    shared = nn.ReLU()
    model = nn.ModuleDict({"a": shared, "b": shared})
    assert find_layer(model, shared) == ("a", shared)


@pytest.mark.parametrize(
    ("name", "near"), [("layr1", "layer1"), ("layer1.con", "layer1.conv"), ("Head", "head")]
)
def test_unknown_layer_names_the_near_ones(name: str, near: str) -> None:
    model = nn.ModuleDict(
        {"layer1": nn.ModuleDict({"conv": nn.Conv2d(1, 1, 1)}), "head": nn.Linear(1, 1)}
    )
    with pytest.raises(ValueError, match=f"^unknown layer of ModuleDict '{name}'; near: .*{near}"):
        find_layer(model, name)


@pytest.mark.parametrize("name", ["", "4", "3.", ".3", "3.2", "weight"])
def test_names_that_are_no_layer_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unknown layer of Sequential"):
        find_layer(network(), name)


def test_foreign_module_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(Conv2d\) is not a submodule of the model"):
        find_layer(network(), nn.Conv2d(3, 4, 3))


def test_model_is_no_layer_of_itself() -> None:
    model = network()
    with pytest.raises(ValueError, match="not a submodule"):
        find_layer(model, model)


@pytest.mark.parametrize("layer", [None, 0, ["0"], nn.ReLU])
def test_layer_of_another_type_is_a_type_error(layer: Any) -> None:
    with pytest.raises(TypeError, match="must be a name or a module, got"):
        find_layer(network(), layer)


@pytest.mark.parametrize(
    ("name", "known", "hint", "message"),
    [
        ("resnet81", ["resnet18", "vgg16"], "", "unknown model 'resnet81'; near: resnet18"),
        ("zzz", ["a", "b"], "", "unknown model 'zzz'; known: a, b"),
        ("zzz", [], "", "unknown model 'zzz'"),
        ("zzz", [f"a{i}" for i in range(13)], "", "unknown model 'zzz'"),
        ("zzz", ["a"], "list models", "unknown model 'zzz'; known: a (all: list models)"),
        ("vgg", ["vgg1"], "list models", "unknown model 'vgg'; near: vgg1 (all: list models)"),
        ("it's", [], "", 'unknown model "it\'s"'),
        ("a\nb", [], "", r"unknown model 'a\nb'"),
    ],
)
def test_unknown_name_says_what_was_near(
    name: str, known: list[str], hint: str, message: str
) -> None:
    error = unknown_name("model", name, known, hint)
    assert type(error) is ValueError
    assert str(error) == message


def test_unknown_name_lists_up_to_four_nearest_first_and_takes_an_iterator() -> None:
    known = iter(["layer9x", "layer1", "layer2", "layer3", "layer4", "layer5"])
    message = str(unknown_name("layer", "layer1x", known))
    near = message.partition("near: ")[2].split(", ")
    assert len(near) == 4
    assert near[0] == "layer1"


@pytest.mark.parametrize(
    "package",
    ["filterscope", "filterscope.core", "filterscope.models", "filterscope.gates"],
)
def test_importing_a_package_imports_neither_torch_nor_numpy(package: str) -> None:
    code = f"import sys, {package}; print(*sorted({{'torch', 'numpy'}} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == ""


def test_members_of_the_package_are_listed_before_they_are_imported() -> None:
    code = (
        "import sys, filterscope\n"
        "assert set(filterscope.__all__) <= set(dir(filterscope))\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_unknown_member_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'filterscope' has no attribute 'ClasGate'"):
        _ = filterscope.ClasGate


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    made, inner = ModuleType("lazy_package"), ModuleType("lazy_package.inner")
    inner.value = 3
    made.__getattr__, made.__dir__ = lazy_members(
        "lazy_package",
        {"value": "lazy_package.inner", "inner": "lazy_package.inner", "lost": "lazy_package.gone"},
    )
    monkeypatch.setitem(sys.modules, "lazy_package", made)
    monkeypatch.setitem(sys.modules, "lazy_package.inner", inner)
    yield made


def test_lazy_member_is_the_value_in_its_module_or_the_submodule_itself(
    package: ModuleType,
) -> None:
    assert package.value == 3
    assert package.inner is sys.modules["lazy_package.inner"]


def test_lazy_package_lists_its_members_sorted(package: ModuleType) -> None:
    names = dir(package)
    assert names == sorted(names)
    assert {"value", "inner", "lost", "__name__"} <= set(names)


def test_lazy_member_whose_module_is_missing_is_an_import_error(package: ModuleType) -> None:
    with pytest.raises(ModuleNotFoundError, match="lazy_package"):
        _ = package.lost
    assert not hasattr(package, "other")


def test_a_shared_module_is_found_by_each_of_its_names() -> None:
    model = nn.Module()
    model.first = nn.ReLU()
    model.second = model.first
    for name in ("first", "second"):
        assert find_layer(model, name) == (name, model.first)
    assert find_layer(model, model.second) == ("first", model.first)


def test_pooling_refuses_what_is_no_map() -> None:
    for output, came in ((torch.rand(3), r"\(3,\)"), ((torch.rand(2, 3),), "tuple")):
        with pytest.raises(ValueError, match=f"it gives {came}"):
            pool_features(output)


def test_instance_norms_get_gradients_that_lie_row_by_row() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.InstanceNorm2d(8, affine=True, track_running_stats=True),
        nn.GELU(),
        nn.Conv2d(8, 2, 3),
    )
    image = torch.rand(1, 3, 8, 7)
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        source = image.clone().requires_grad_()
        with evaluating(model.to(memory_format=layout), grad=True):
            found += torch.autograd.grad(model(source)[:, 1].square().sum(), source)
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-6)
    assert hooks(model) == 0
