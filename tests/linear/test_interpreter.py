"""The interpreter: rows, columns, batches, outputs, and what it refuses."""

import copy
import gc

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import filterscope as fs
from filterscope.linear import LinearInterpreter, UnsupportedOperation


@torch.jit.script
def scripted_square(x):
    return x * x


class Small(nn.Module):
    """Residual, shared in-place ReLU, functional pool, dense concatenation, a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(4)
        self.drop = nn.Dropout()
        self.head = nn.Linear(8, 5)
        self.register_buffer("mean", torch.tensor([0.3, -0.2]).view(1, 2, 1, 1))

    def forward(self, x):
        x = x - self.mean
        x = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(x))
        y += x
        y = self.relu(y)
        y = F.max_pool2d(torch.cat([x, y], 1), 3, 2, ceil_mode=True)
        return self.head(self.drop(torch.flatten(F.relu(y).mean((2, 3)), 1)))


@pytest.fixture
def model(randomised):
    return randomised(Small())


@pytest.fixture
def image(random_image):
    return random_image(1, 2, 6, 5)


def test_it_is_public() -> None:
    assert fs.LinearInterpreter is LinearInterpreter
    assert fs.linear.LinearInterpreter is LinearInterpreter


def test_rows_are_columns_and_the_jacobian(model, image, check_affine, relative) -> None:
    interpreter = LinearInterpreter(model, image)
    model.eval()
    check_affine(interpreter, model(image).detach())
    rows = torch.stack([interpreter.row(k) for k in range(5)]).flatten(1)
    columns = torch.stack([interpreter.column(k) for k in range(60)], 1)
    assert relative(rows, columns) < 1e-13
    jacobian = torch.autograd.functional.jacobian(model, image).reshape(5, 60)
    assert relative(rows, jacobian) < 1e-13
    assert torch.equal(interpreter.row((3,)), interpreter.row(3))
    assert torch.equal(interpreter.column((1, 2, 3)), interpreter.column(30 + 10 + 3))
    assert interpreter.row(3).shape == (2, 6, 5)


def test_probes_may_have_any_leading_axes(model, image, random_image, relative) -> None:
    interpreter = LinearInterpreter(model, image)
    v, u = random_image(3, 7, 2, 6, 5), random_image(3, 7, 5)
    images, rows = interpreter.apply(v), interpreter.adjoint(u)
    assert (images.shape, rows.shape) == ((3, 7, 5), (3, 7, 2, 6, 5))
    for i, j in [(0, 0), (2, 5)]:
        assert relative(images[i, j], interpreter.apply(v[i, j])) < 1e-12
        assert relative(rows[i, j], interpreter.adjoint(u[i, j])) < 1e-12
        assert torch.equal(interpreter.apply(v[i, j][None]), interpreter.apply(v[i, j])[None])
    combined = interpreter.apply(2 * v[0, 0] - 3 * v[1, 1])
    assert relative(combined, 2 * images[0, 0] - 3 * images[1, 1]) < 1e-12
    assert not images.requires_grad
    assert interpreter.apply(v.float()).dtype == torch.float64


def test_a_batch_has_a_map_for_each_image(model, random_image, check_affine, relative) -> None:
    images = random_image(3, 2, 6, 5)
    batch = LinearInterpreter(model, images)
    check_affine(batch, model.eval()(images).detach())
    v, u = random_image(2, 3, 2, 6, 5), random_image(2, 3, 5)
    several = batch.contributions([4, 0, 2])
    for n in range(3):
        single = LinearInterpreter(model, images[n : n + 1])
        assert relative(batch.apply(v)[:, n], single.apply(v[:, n])) < 1e-12
        assert relative(batch.adjoint(u)[:, n], single.adjoint(u[:, n])) < 1e-12
        assert relative(batch.residual[n], single.residual[0]) < 1e-12
        alone = single.contributions([4, 0, 2][n])
        assert alone.target == several[n].target
        assert alone.input == pytest.approx(several[n].input, rel=1e-11)
        assert [name for name, _ in alone.layers] == [name for name, _ in several[n].layers]
        for (_, one), (_, other) in zip(alone.maps, several[n].maps, strict=True):
            assert relative(one[0] if one.dim() > other.dim() else one, other) < 1e-11
    for wants_one in (lambda: batch.row(0), lambda: batch.column(0), batch.as_linear_operator):
        with pytest.raises(ValueError, match="one image; there are 3"):
            wants_one()
    with pytest.raises(ValueError, match="`target`"):
        batch.contributions(0)
    with pytest.raises(ValueError, match="each of 3 images, got 2"):
        batch.contributions([0, 1])
    with pytest.raises(ValueError, match=r"`v` must be \(..., 3, 2, 6, 5\)"):
        batch.apply(v[0, 0])


def test_scipy_finds_the_singular_values(model, image) -> None:
    from scipy.sparse.linalg import svds

    interpreter = LinearInterpreter(model, image)
    operator = interpreter.as_linear_operator()
    dense = np.stack([interpreter.row(k).flatten().numpy() for k in range(5)])
    np.testing.assert_allclose(operator @ np.eye(60), dense, atol=1e-13)
    np.testing.assert_allclose(operator.T @ np.eye(5), dense.T, atol=1e-13)
    np.testing.assert_allclose(operator @ np.eye(60)[:, ::-1], dense[:, ::-1], atol=1e-13)
    np.testing.assert_allclose(operator @ np.arange(60.0)[::-1], dense @ np.arange(60.0)[::-1])
    found = np.sort(svds(operator, k=2, return_singular_vectors=False))
    expected = np.sort(np.linalg.svd(dense, compute_uv=False))[-2:]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_the_map_stays_the_same_on_a_piece(model, image, relative) -> None:
    one, other = LinearInterpreter(model, image), LinearInterpreter(model, image + 1e-9)
    assert relative(one.row(1), other.row(1)) < 1e-12
    assert relative(one.residual, other.residual) < 1e-8


def test_the_model_is_left_as_it_was(model, image) -> None:
    model.train()
    model.bn1.eval()
    model.conv1.weight.requires_grad_(False)
    state = copy.deepcopy(model.state_dict())
    flags = [m.training for m in model.modules()]
    before = image.clone()
    interpreter = LinearInterpreter(model, image)
    interpreter.apply(image), interpreter.row(0), interpreter.contributions(0)
    assert [m.training for m in model.modules()] == flags
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert [p.requires_grad for p in model.parameters()].count(False) == 1
    assert torch.equal(image, before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert not interpreter.output.requires_grad and not interpreter.residual.requires_grad


def test_the_model_is_left_as_it_was_after_an_error(model, image) -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x):
            return self.inner(x).softmax(1)

    broken = Broken().train()
    with pytest.raises(UnsupportedOperation, match="softmax"):
        LinearInterpreter(broken, image)
    assert all(m.training for m in broken.modules())
    assert all(p.requires_grad and p.grad is None for p in broken.parameters())


def test_many_interpreters_leave_no_memory_behind(model, image) -> None:
    def tensors() -> int:
        gc.collect()
        return sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())

    def interpreters() -> int:
        return sum(isinstance(one, LinearInterpreter) for one in gc.get_objects())

    LinearInterpreter(model, image).contributions(0)
    before = tensors()
    others = interpreters()  # of other tests of this process
    gc.disable()
    try:
        for _ in range(100):
            LinearInterpreter(model, image).contributions(0)
        # nothing waits for the garbage collector, either
        assert interpreters() == others
    finally:
        gc.enable()
    assert tensors() <= before + 5


def reachable_tensors(things) -> list[torch.Tensor]:
    """The tensors that functions hold on to, through closures and containers."""
    kinds = (type(lambda: 0), type((lambda: things).__closure__[0]), list, tuple, dict)
    found, waiting, seen = [], list(things), set()
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, torch.Tensor):
            found.append(thing)
        elif isinstance(thing, kinds):
            closure = getattr(thing, "__closure__", None)
            waiting.extend(closure or () if callable(thing) else gc.get_referents(thing))
    return found


def test_the_program_keeps_masks_and_weights_but_no_activations(model, random_image) -> None:
    interpreter = LinearInterpreter(model, random_image(1, 2, 32, 32))
    steps = interpreter._program.steps
    kept = reachable_tensors([step.linear for step in steps] + [step.offset for step in steps])
    weights = {tensor.data_ptr() for tensor in model.state_dict().values()}
    others = [t for t in kept if t.is_floating_point() and t.data_ptr() not in weights]
    assert len(kept) > 12
    assert max(tensor.numel() for tensor in others) <= 8


def test_changed_weights_are_noticed(model, image) -> None:
    interpreter = LinearInterpreter(model, image)
    with torch.no_grad():
        model.conv1.weight.mul_(2)
    for use in (
        lambda: interpreter.apply(image),
        lambda: interpreter.row(0),
        lambda: interpreter.contributions(0),
    ):
        with pytest.raises(RuntimeError, match=r"conv1\.weight was changed"):
            use()


def test_preprocessing_moves_its_constant_to_the_residual(model, image, relative) -> None:
    mean, std = torch.tensor([0.4, 0.5]).double(), torch.tensor([0.2, 0.3]).double()

    def normalise(x):
        return (x - mean.view(1, 2, 1, 1)) / std.view(1, 2, 1, 1)

    whole = LinearInterpreter(model, image, include_preprocess=normalise)
    part = LinearInterpreter(model, normalise(image))
    assert relative(whole.output, part.output) < 1e-13
    assert relative(whole.row(2) * std.view(2, 1, 1), part.row(2)) < 1e-12
    shift = part.apply(-(mean / std).view(1, 2, 1, 1).expand_as(image))
    assert relative(whole.residual, part.residual + shift) < 1e-11


def test_an_output_is_chosen_by_key_position_or_function(model, image) -> None:
    class Several(nn.Module):
        def __init__(self, kind) -> None:
            super().__init__()
            self.inner, self.kind = model, kind

        def forward(self, x):
            y = self.inner(x)
            return {"logits": y, "double": 2 * y} if self.kind == "dict" else (y, 2 * y)

    plain = LinearInterpreter(model, image)
    for kind, output in [("dict", "double"), ("tuple", 1), ("tuple", -1)]:
        twice = LinearInterpreter(Several(kind), image, output=output)
        torch.testing.assert_close(twice.row(1), 2 * plain.row(1))
    some = LinearInterpreter(Several("dict"), image, output=lambda y: y["logits"][:, 3:] * 4)
    torch.testing.assert_close(some.row(1), 4 * plain.row(4))
    with pytest.raises(TypeError, match=r"mapping with 'logits', 'double'"):
        LinearInterpreter(Several("dict"), image)
    with pytest.raises(TypeError, match="tuple of 2"):
        LinearInterpreter(Several("tuple"), image)
    with pytest.raises(ValueError, match="near: logits"):
        LinearInterpreter(Several("dict"), image, output="logit")
    for wrong in (5, "logits"):
        with pytest.raises(ValueError, match="tuple of 2"):
            LinearInterpreter(Several("tuple"), image, output=wrong)
    with pytest.raises(ValueError, match=r"one row for each of the images, got \(5,\)"):
        LinearInterpreter(model, image, output=lambda y: y[0])


def test_an_output_is_an_attribute_of_what_is_returned(model, image) -> None:
    class Answer:
        def __init__(self, logits) -> None:
            self.logits = logits

    class Answering(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, x):
            return Answer(3 * self.inner(x))

    found = LinearInterpreter(Answering(), image, output="logits")
    torch.testing.assert_close(found.row(1), 3 * LinearInterpreter(model, image).row(1))
    with pytest.raises(ValueError, match=r"`output` 'logit' is not in .* Answer"):
        LinearInterpreter(Answering(), image, output="logit")
    with pytest.raises(TypeError, match=r"\(Answer\), None gives Answer"):
        LinearInterpreter(Answering(), image)


def test_a_module_under_two_names_goes_by_the_first(random_image) -> None:
    shared = nn.Linear(4, 4).double()
    model = nn.Sequential(nn.Flatten(), nn.Sequential(shared, nn.Tanh()), nn.Sequential(shared))
    image = random_image(1, 1, 2, 2)
    rows = LinearInterpreter(model, image, smooth="tangent")
    jacobian = torch.autograd.functional.jacobian(model, image).view(4, 4)
    torch.testing.assert_close(torch.stack([rows.row(n).flatten() for n in range(4)]), jacobian)
    with torch.no_grad():
        shared.weight[0, 0] = torch.inf
    with pytest.raises(ValueError, match=r"not finite in 1\.0\.weight"):
        LinearInterpreter(model, image)


def test_precision_is_that_of_the_network_or_as_asked(randomised, image, relative) -> None:
    model = randomised(Small()).float()
    single = LinearInterpreter(model, image.float())
    double = LinearInterpreter(model, image, dtype=torch.float64)
    assert single.output.dtype == torch.float32 and double.row(0).dtype == torch.float64
    assert relative(single.row(0).double(), double.row(0)) < 1e-5
    assert next(model.parameters()).dtype == torch.float32
    half = copy.deepcopy(model).half()
    with pytest.raises(ValueError, match=r"float16.*dtype=torch\.float32"):
        LinearInterpreter(half, image.half())
    assert LinearInterpreter(half, image.half(), dtype=torch.float32).output.shape == (1, 5)
    with pytest.raises(ValueError, match="one precision"):
        LinearInterpreter(model, image)
    with pytest.raises(ValueError, match="`dtype`"):
        LinearInterpreter(model, image, dtype=torch.float16)


def test_modes_around_it_do_not_matter_or_are_refused(model, image) -> None:
    expected = LinearInterpreter(model, image)
    with torch.inference_mode():
        interpreter = LinearInterpreter(model, image + 0)
        row = interpreter.row(0)
        assert interpreter.contributions(0).total == expected.contributions(0).total
    assert torch.equal(row, expected.row(0))
    with torch.no_grad():
        assert torch.equal(LinearInterpreter(model, image).row(0), expected.row(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for use in (lambda: LinearInterpreter(model, image), lambda: expected.row(0)):
            with pytest.raises(RuntimeError, match="autocast is on"):
                use()


def test_the_first_operation_may_write_into_its_input(image, check_affine) -> None:
    kept = image.clone()
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(60, 3)).double()
    check_affine(LinearInterpreter(model, image), model(image.clone()).detach())
    assert torch.equal(image, kept)


def test_memory_formats_do_not_matter(model, image, relative) -> None:
    one = LinearInterpreter(model, image)
    other = LinearInterpreter(model, image.to(memory_format=torch.channels_last))
    assert relative(one.row(1), other.row(1)) < 1e-12


def test_compiled_networks_are_unwrapped(model, image) -> None:
    compiled = torch.compile(model)
    row = LinearInterpreter(compiled, image).row(0)
    torch.testing.assert_close(row, LinearInterpreter(model, image).row(0))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_hides_its_operations_is_refused(model, image) -> None:
    traced = torch.jit.trace(model.eval(), image)
    with pytest.raises(TypeError, match="scripted or traced"):
        LinearInterpreter(traced, image)
    with pytest.raises(TypeError, match="scripted or traced"):
        LinearInterpreter(nn.Sequential(traced, nn.ReLU()), image)

    class Hidden(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return torch.from_numpy(np.maximum(x.detach().numpy(), 0))

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    class Custom(nn.Module):
        def forward(self, x):
            return model(x) + Hidden.apply(x).mean()

    with pytest.raises(UnsupportedOperation, match="`numpy`"):
        LinearInterpreter(Custom(), image)

    class PartlyScripted(nn.Module):
        def forward(self, x):
            return scripted_square(model(x)) + 1

    with pytest.raises(UnsupportedOperation, match=r"`add`.*does not see"):
        LinearInterpreter(PartlyScripted(), image)


def test_randomness_is_refused(image) -> None:
    class Noisy(nn.Module):
        def forward(self, x):
            return (x + torch.randn(x.shape)).flatten(1)

    class Counting(nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return x.flatten(1) * self.calls

    for model in (Noisy(), Counting()):
        with pytest.raises(ValueError, match="differ by"):
            LinearInterpreter(model, image)


def test_a_change_through_a_view_is_refused(image) -> None:
    class Views(nn.Module):
        def forward(self, x):
            y = x * 2
            y[:, 0].relu_()
            return y.flatten(1)

    with pytest.raises(UnsupportedOperation, match=r"`flatten`.*through a view"):
        LinearInterpreter(Views(), image)


def test_an_output_that_ignores_the_image_is_refused(image) -> None:
    class Constant(nn.Module):
        def forward(self, x):
            return torch.ones(1, 3, dtype=x.dtype)

    class Choice(nn.Module):
        def forward(self, x):
            return (x > 0).double().flatten(1)

    for model in (Constant(), Choice()):
        with pytest.raises(ValueError, match="does not depend on the image"):
            LinearInterpreter(model, image)


def test_not_a_number_is_refused(model, image) -> None:
    bad = image.clone()
    bad[0, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="`images` have values that are not finite"):
        LinearInterpreter(model, bad)
    with torch.no_grad():
        model.conv2.weight[0, 0, 0, 0] = torch.inf
    with pytest.raises(ValueError, match=r"not finite in conv2\.weight"):
        LinearInterpreter(model, image)
    with pytest.raises(ValueError, match="output has values that are not finite"):
        LinearInterpreter(nn.Sequential(nn.Flatten(), Exploding()), image)


def test_images_on_another_device_are_refused(image) -> None:
    model = nn.Flatten()
    model.register_buffer("seen", torch.zeros((), dtype=torch.long, device="meta"))
    with pytest.raises(ValueError, match="`images` are on cpu, the model is on meta"):
        LinearInterpreter(model, image)


class Exploding(nn.Module):
    def forward(self, x):
        return x * 1e200 * 1e200


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": lambda x: x}, TypeError, "`model`"),
        ({"images": [1.0]}, TypeError, "`images`"),
        ({"images": torch.ones(1, 2, 6, 5, dtype=torch.long)}, ValueError, "`images`.*int64"),
        ({"images": torch.ones(3, dtype=torch.float64)}, ValueError, r"`images`.*\(N, ...\)"),
        ({"images": torch.ones(0, 2, 6, 5, dtype=torch.float64)}, ValueError, "`images`.*empty"),
        ({"images": torch.ones(1, 3, 6, 5, dtype=torch.float64)}, RuntimeError, "size"),
        ({"smooth": "secant"}, ValueError, "`smooth` must be one of gain, chord, tangent"),
        ({"norm_freeze": "mean"}, ValueError, "`norm_freeze`"),
    ],
)
def test_bad_arguments(model, image, change, error, message) -> None:
    arguments = {"model": model, "images": image, **change}
    with pytest.raises(error, match=message):
        LinearInterpreter(**arguments)
    assert model.training


def test_bad_probes_and_indices(model, image) -> None:
    interpreter = LinearInterpreter(model, image)
    for index in (60, -1, (2, 0, 0), (0, 0), (0, 0, 0, 0)):
        with pytest.raises(ValueError, match="`index` must be in"):
            interpreter.column(index)
    for index in (1.0, "a", True, (0, 1.0, 0)):
        with pytest.raises(TypeError, match="`index`"):
            interpreter.column(index)
    with pytest.raises(ValueError, match="`target` must be in"):
        interpreter.contributions(5)
    with pytest.raises(ValueError, match=r"`v` must be \(..., 2, 6, 5\)"):
        interpreter.apply(torch.ones(2, 5, 6))
    with pytest.raises(ValueError, match="`u` must be"):
        interpreter.adjoint(torch.ones(()))
    with pytest.raises(ValueError, match="no probe"):
        interpreter.apply(torch.ones(0, 2, 6, 5))
    with pytest.raises(TypeError, match="`v`"):
        interpreter.apply(np.ones((2, 6, 5)))
    with pytest.raises(TypeError, match=r"`u`.*int64"):
        interpreter.adjoint(torch.ones(5, dtype=torch.long))
