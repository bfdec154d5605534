"""Singular triplets of small networks against the decomposition of the materialised matrix."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from tests.linear.networks import Residual
from torch import nn

from filterscope.linear import LinearInterpreter, map_energy


def shuffling():
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1), nn.ReLU(),
        nn.Conv2d(4, 9, 3, padding=1), nn.PixelShuffle(3))  # fmt: skip


def styling():
    return nn.Sequential(
        nn.ReflectionPad2d(1), nn.Conv2d(3, 6, 3), nn.InstanceNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 8, 3, 2, 1), nn.InstanceNorm2d(8), nn.ReLU(),
        nn.ConvTranspose2d(8, 6, 3, 2, 1, 1), nn.ReLU(),
        nn.Conv2d(6, 3, 3, padding=1), nn.Tanh())  # fmt: skip


def classifying():
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(180, 7))


NETWORKS = {"shuffling": (shuffling, 1), "residual": (Residual, 3), "styling": (styling, 3),
            "classifying": (classifying, 3)}  # fmt: skip


@pytest.fixture
def interpreter_of(randomised, random_image):
    def make(name, dtype=torch.float64):
        build, channels = NETWORKS[name]
        return LinearInterpreter(randomised(build()), random_image(1, channels, 8, 8), dtype=dtype)

    return make


def dense(interpreter, window=None, output_window=None):
    operator = interpreter.as_linear_operator()
    made = operator.matmat(np.eye(operator.shape[1], dtype=operator.dtype)).astype(np.float64)
    for shape, given, axis in (
        (interpreter.images.shape[1:], window, 1), (interpreter.output.shape[1:], output_window, 0)
    ):  # fmt: skip
        if given is not None:
            top, left, height, width = given
            mask = np.zeros(shape)
            mask[:, top : top + height, left : left + width] = 1
            made = made * (mask.reshape(1, -1) if axis else mask.reshape(-1, 1))
    return made


def check(triplets, expected, allowed=1e-4) -> None:
    """Values one by one; vectors by the subspace of each cluster of values, and as a whole."""
    left, values, right = np.linalg.svd(expected, full_matrices=False)
    k = len(triplets.values)
    found = triplets.values.numpy()
    assert np.abs(found - values[:k]).max() < allowed * values[0]
    edges = [0, *(j for j in range(1, k) if values[j - 1] - values[j] > 0.02 * values[0]), k]
    for first, last in pairwise(edges):
        if last == k and values[k - 1] - values[k : k + 1].sum() < 0.02 * values[0]:
            continue  # the cluster goes on beyond k
        for ours, theirs in ((triplets.left, left.T), (triplets.right, right)):
            part = ours[first:last].double().flatten(1).numpy() @ theirs[first:last].T
            cosines = np.linalg.svd(part, compute_uv=False)
            assert cosines.min() > 1 - 1e-4
    assert triplets.is_converged and triplets.residuals.shape == (k, 2)
    flat_left, flat_right = (
        one.double().flatten(1).numpy() for one in (triplets.left, triplets.right)
    )
    gaps = (
        flat_right @ expected.T - found[:, None] * flat_left,
        flat_left @ expected - found[:, None] * flat_right,
    )
    for column, gap in enumerate(gaps):
        norms = np.linalg.norm(gap, axis=1) / found[0]
        assert np.allclose(norms, triplets.residuals[:, column], atol=2e-6)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", ["lanczos", "block"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_triplets_equal_the_dense_decomposition(name, method, dtype, interpreter_of) -> None:
    interpreter = interpreter_of(name, dtype)
    triplets = interpreter.svd(5, method=method)
    check(triplets, dense(interpreter))
    assert triplets.left.shape == (5, *interpreter.output.shape[1:])
    assert triplets.right.shape == (5, *interpreter.images.shape[1:])
    assert triplets.left.dtype == dtype and triplets.values.dtype == torch.float64
    extreme = triplets.left.flatten(1).abs().argmax(1, keepdim=True)
    assert bool((triplets.left.flatten(1).gather(1, extreme) > 0).all())


@pytest.mark.parametrize("name", ["shuffling", "residual", "styling"])
@pytest.mark.parametrize(
    "places",
    [
        {"window": (2, 1, 3, 5)},
        {"output_window": (3, 0, 5, 4)},
        {"window": (0, 4, 8, 4), "output_window": (0, 0, 2, 8)},
    ],
)
def test_windows(name, places, interpreter_of) -> None:
    interpreter = interpreter_of(name)
    triplets = interpreter.svd(4, **places)
    expected = dense(interpreter, **places)
    check(triplets, expected)
    whole = triplets.constant + triplets.linear
    assert torch.allclose(whole, interpreter.output[0], atol=1e-12)
    flat = torch.from_numpy(expected) @ triplets.image.flatten()
    assert torch.allclose(triplets.linear.flatten(), flat, atol=1e-10)


def test_repeated_values_of_channels_that_are_treated_alike(randomised, random_image) -> None:
    model = randomised(nn.Conv2d(3, 3, 5, padding=2, groups=3))
    with torch.no_grad():
        model.weight.copy_(model.weight[:1].expand(3, 1, 5, 5))
    interpreter = LinearInterpreter(model, random_image(1, 3, 8, 8))
    expected = np.linalg.svd(dense(interpreter), compute_uv=False)
    assert expected[0] - expected[3] > 0.01 * expected[0]
    for method in ("lanczos", "block"):
        values = interpreter.svd(7, method=method).values.numpy()
        assert np.abs(values - expected[:7]).max() < 1e-4 * expected[0]


def test_coefficients_and_reconstruction(interpreter_of) -> None:
    interpreter = interpreter_of("shuffling")
    triplets = interpreter.svd(64, tolerance=1e-9)
    image, output = interpreter.images[0], interpreter.output[0]
    loop = [float((vector * image).sum()) for vector in triplets.right]
    assert np.allclose(triplets.coefficients(), loop)
    assert torch.equal(triplets.coefficients(interpreter.images), triplets.coefficients())
    assert torch.allclose(triplets.constant, interpreter.residual[0], atol=1e-10)
    assert torch.allclose(triplets.reconstruct(0), triplets.constant)
    assert torch.allclose(triplets.reconstruct(), output, atol=1e-8)
    by_hand = triplets.constant.clone()
    for j in range(3):
        by_hand += triplets.values[j] * loop[j] * triplets.left[j]
    assert torch.allclose(triplets.reconstruct(3), by_hand)
    part = triplets.reconstruct(3) - triplets.constant
    share = part.square().sum() / triplets.linear.square().sum()
    assert float(triplets.image_energy[2]) == pytest.approx(float(share))
    assert float(triplets.image_energy[-1]) == pytest.approx(1)
    total = map_energy(interpreter)
    assert total.value == pytest.approx(float(np.square(dense(interpreter)).sum()))
    assert total.error == 0
    assert float(triplets.map_energy(total.value)[-1]) == pytest.approx(1)


def test_the_energy_of_a_larger_map_is_estimated_with_its_error(interpreter_of) -> None:
    interpreter = interpreter_of("residual")
    exact = float(np.square(dense(interpreter)).sum())
    estimate = map_energy(interpreter, probes=48, seed=3)
    assert 0 < estimate.error < 0.1 * exact
    assert abs(estimate.value - exact) < 4 * estimate.error
    window = (1, 2, 3, 3)
    exact = float(np.square(dense(interpreter, window)).sum())
    assert map_energy(interpreter, window=window).value == pytest.approx(exact)


@pytest.mark.parametrize(
    ("k", "options", "error", "words"),
    [
        (0, {}, ValueError, "`k` must be in"),
        (65, {}, ValueError, r"`k` must be in \[1, 64\]"),
        (10, {"window": (0, 0, 3, 3)}, ValueError, r"\[1, 9\]"),
        (2.0, {}, TypeError, "`k` must be an integer"),
        (True, {}, TypeError, "`k` must be an integer"),
        (1, {"method": "power"}, ValueError, "`method` must be one of lanczos, block"),
        (1, {"tolerance": 0.0}, ValueError, "`tolerance`"),
        (1, {"tolerance": float("nan")}, ValueError, "`tolerance`"),
        (5, {"max_products": 8}, ValueError, "room for 5 triplets, got 8, .* there are 4"),
        (1, {"window": (0, 0, 9, 2)}, ValueError, "`window`.*within 8 x 8"),
        (1, {"window": (0, -1, 2, 2)}, ValueError, "`window`"),
        (1, {"window": (0, 0, 0, 2)}, ValueError, "`window`"),
        (1, {"window": (0, 0, 2)}, ValueError, "`window`"),
        (1, {"window": 3}, ValueError, "`window`"),
        (1, {"output_window": (20, 0, 5, 2)}, ValueError, "`output_window`.*24 x 24"),
    ],
)
def test_wrong_arguments(k, options, error, words, interpreter_of) -> None:
    with pytest.raises(error, match=words):
        interpreter_of("shuffling").svd(k, **options)


def test_a_window_wants_a_picture(interpreter_of) -> None:
    with pytest.raises(ValueError, match=r"`output_window` wants a picture"):
        interpreter_of("classifying").svd(1, output_window=(0, 0, 1, 1))


def test_several_images_are_refused(randomised, random_image) -> None:
    with pytest.raises(ValueError, match="there are 2 images"):
        LinearInterpreter(randomised(shuffling()), random_image(2, 1, 8, 8)).svd(1)


class FirstChannel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 4, 3, padding=1)

    def forward(self, x):
        return self.layer(x[:, :1])


def test_more_triplets_than_the_rank(randomised, random_image) -> None:
    interpreter = LinearInterpreter(randomised(FirstChannel()), random_image(1, 3, 3, 3))
    assert interpreter.svd(9).is_converged
    for method in ("lanczos", "block"):
        with pytest.raises(ValueError, match="at most the rank of F, which is 9, got 10"):
            interpreter.svd(10, method=method)
    closed = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU())
    nn.init.constant_(closed[0].bias, -100.0)
    with pytest.raises(ValueError, match="which is 0, got 1"):
        LinearInterpreter(closed, torch.rand(1, 1, 3, 3)).svd(1)


def test_a_vector_on_one_side_only(random_image) -> None:
    interpreter = LinearInterpreter(nn.Sequential(nn.Flatten(), nn.Linear(16, 1)).double(),
                                    random_image(1, 1, 4, 4))  # fmt: skip
    triplets = interpreter.svd(1)
    row = interpreter.row(0)
    assert float(triplets.values[0]) == pytest.approx(float(row.norm()))
    assert torch.allclose(triplets.right[0], row / row.norm())


def test_what_did_not_converge_is_told(interpreter_of) -> None:
    with pytest.warns(UserWarning, match=r"after 12 products the largest residual is"):
        triplets = interpreter_of("residual").svd(5, max_products=12)
    assert not triplets.is_converged and sum(triplets.products) == 12
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interpreter_of("residual").svd(5)


def test_wrong_parts_of_a_result(interpreter_of) -> None:
    triplets = interpreter_of("shuffling").svd(2)
    for j in (-1, 3, 1.0, True):
        with pytest.raises(ValueError, match="`j` must be in"):
            triplets.reconstruct(j)
    with pytest.raises(ValueError, match="`x0` must be"):
        triplets.coefficients(torch.zeros(1, 8))
    for total in (0.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="`total`"):
            triplets.map_energy(total)
    with pytest.raises(ValueError, match="`probes`"):
        map_energy(interpreter_of("shuffling"), probes=1)


def test_a_zero_image_has_no_energy_to_share() -> None:
    interpreter = LinearInterpreter(nn.Conv2d(1, 2, 3), torch.zeros(1, 1, 5, 5))
    assert interpreter.svd(2).image_energy.isnan().all()


def test_ctrl_c_leaves_the_interpreter_as_it_was(interpreter_of, monkeypatch) -> None:
    interpreter = interpreter_of("residual")
    before = interpreter.svd(3)
    adjoint, calls = interpreter.adjoint, []

    def interrupted(u):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return adjoint(u)

    state = torch.get_rng_state()
    monkeypatch.setattr(interpreter, "adjoint", interrupted)
    with pytest.raises(KeyboardInterrupt):
        interpreter.svd(3)
    monkeypatch.undo()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(interpreter.svd(3).left, before.left)


def test_options_reach_the_iteration(interpreter_of) -> None:
    interpreter = interpreter_of("residual")
    loose, tight = interpreter.svd(4, tolerance=0.03), interpreter.svd(4, tolerance=1e-10)
    assert (loose.tolerance, tight.tolerance) == (0.03, 1e-10)
    assert sum(loose.products) < sum(tight.products)
    assert float(tight.residuals.max()) < 1e-10 < float(loose.residuals.max())
    one, same, other = (interpreter.svd(2, seed=seed).right for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    block = interpreter.svd(2, method="block")
    assert block.products[0] % 4 == 0 and block.products[0] == block.products[1]


def test_an_image_with_its_batch_axis_is_taken_as_well(interpreter_of, random_image) -> None:
    triplets = interpreter_of("residual").svd(3)
    other = random_image(1, 3, 8, 8, seed=4)
    expected = torch.stack([(vector * other[0]).sum() for vector in triplets.right])
    for given in (other, other[0], other.float().double()):
        assert torch.allclose(triplets.coefficients(given), expected, atol=1e-6)
    with pytest.raises(ValueError, match="`x0` must be"):
        triplets.coefficients(other.repeat(2, 1, 1, 1))
