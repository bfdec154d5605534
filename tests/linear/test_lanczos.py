"""The iteration against dense decompositions: flat, steep and repeated values, restarts."""

import numpy as np
import pytest
import torch

from filterscope.linear import lanczos
from filterscope.linear.lanczos import _effort, _Space, largest_triplets


def matrix(values, sizes, seed=1):
    generator = torch.Generator().manual_seed(seed)
    left, right = (
        torch.linalg.qr(torch.randn(size, len(values), generator=generator, dtype=torch.float64))[0]
        for size in sizes
    )
    return (left * values) @ right.T


def decomposed(given, k=6, **options):
    def forward(v):
        return v @ given.T

    return largest_triplets(forward, lambda u: u @ given, tuple(given.shape), k, given, **options)


SPECTRA = {
    "flat": torch.linspace(1, 0.6, 90, dtype=torch.float64),
    "steep": 0.8 ** torch.arange(90, dtype=torch.float64),
    "pairs": torch.linspace(1, 0.3, 45, dtype=torch.float64).repeat_interleave(2),
    "triples": torch.linspace(1, 0.3, 30, dtype=torch.float64).repeat_interleave(3),
    "one value": torch.ones(90, dtype=torch.float64),
    "rank 4": torch.tensor([5.0, 3.0, 3.0, 1e-3], dtype=torch.float64),
}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("block", [1, 4])
@pytest.mark.parametrize("sizes", [(120, 90), (90, 130)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_triplets_equal_those_of_the_matrix(name, block, sizes, dtype) -> None:
    values = SPECTRA[name]
    k = min(6, len(values))
    given = matrix(values, sizes).to(dtype)
    found = decomposed(given, k, block=block)
    assert found.is_converged
    allowed = 1e-4 * float(values[0])
    assert float((found.values - values[:k]).abs().max()) < allowed
    forward = found.right @ given.T - found.values.to(dtype)[:, None] * found.left
    backward = found.left @ given - found.values.to(dtype)[:, None] * found.right
    assert max(float(forward.norm(dim=1).max()), float(backward.norm(dim=1).max())) < allowed
    for vectors in (found.left, found.right):
        assert float((vectors @ vectors.T - torch.eye(k)).abs().max()) < 1e-5


@pytest.mark.parametrize("block", [1, 3])
@pytest.mark.parametrize("name", ["steep", "triples"])
def test_restarts_lose_nothing(name, block) -> None:
    given = matrix(SPECTRA[name], (120, 90))
    whole, tight = decomposed(given, 3, block=block), decomposed(given, 3, block=block, budget=0)
    assert tight.is_converged
    torch.testing.assert_close(tight.values, whole.values, atol=1e-6, rtol=0)
    torch.testing.assert_close(tight.values, SPECTRA[name][:3], atol=1e-6, rtol=0)


def test_a_restart_leaves_room_for_the_next_blocks() -> None:
    given = matrix(SPECTRA["rank 4"], (120, 90))  # after two blocks every residual is zero
    found = decomposed(given, 2, block=16, budget=0)
    assert found.is_converged
    torch.testing.assert_close(found.values, SPECTRA["rank 4"][:2], atol=1e-9, rtol=0)


def test_a_tight_tolerance_gives_all_digits() -> None:
    given = matrix(SPECTRA["flat"], (120, 90))
    found = decomposed(given, 4, tolerance=1e-11)
    torch.testing.assert_close(found.values, SPECTRA["flat"][:4], atol=1e-13, rtol=0)


def test_all_values_of_a_small_matrix() -> None:
    given = matrix(torch.tensor([3.0, 2.0, 2.0, 1.0], dtype=torch.float64), (7, 4))
    for block in (1, 3, 8):
        found = decomposed(given, 4, block=block)
        torch.testing.assert_close(found.values, torch.tensor([3.0, 2, 2, 1]).double())


def test_a_map_of_zeros_has_values_of_zero() -> None:
    assert not decomposed(torch.zeros(5, 8), 2).values.any()
    large = decomposed(torch.zeros(120, 90), 2)
    assert large.is_converged
    assert not large.values.any()
    assert sum(large.products) < 30, "residuals of zero are small beside a value of zero"


def test_it_ends_when_products_run_out_and_counts_them() -> None:
    calls = {"forward": 0, "adjoint": 0}
    given = matrix(SPECTRA["flat"], (120, 90))

    def forward(v):
        calls["forward"] += len(v)
        return v @ given.T

    def adjoint(u):
        calls["adjoint"] += len(u)
        return u @ given

    found = largest_triplets(forward, adjoint, (120, 90), 6, given, max_products=20)
    assert not found.is_converged
    assert found.products == (calls["forward"], calls["adjoint"]) == (10, 10)


def test_a_fresh_start_is_followed_half_longer_than_half_of_the_values_took() -> None:
    values = np.array([6.0, 5.0, 4.0, 3.0, 2.0])  # four lie above the last
    looks = [(6, [1.9, 1.0]), (8, [6.0, 1.5]), (10, [6.0, 5.0, 1.0]), (14, list(values))]
    history = [(taken, np.array(found)) for taken, found in looks]
    assert _effort(history, values, 1e-6) == 15 + 6
    assert _effort(history[:2], values, 1e-6) == 12 + 6, "never told: as long as it took in all"
    assert _effort([(100, values)], values, 1e-6) == 40
    assert _effort(history, np.array([6.0, 5.0, 4.0, 3.0, 2.0, 1.0]), 1e-6) == 21 + 6, (
        "half of five"
    )


def test_the_seed_decides() -> None:
    given = matrix(SPECTRA["pairs"], (120, 90))
    one, same, other = (decomposed(given, seed=seed).right for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)


@pytest.mark.parametrize("name", ["flat", "steep", "triples"])
@pytest.mark.parametrize("scale", [2.0**12, 2.0**-12])
def test_a_map_in_another_unit_takes_the_same_steps(name, scale) -> None:
    given = matrix(SPECTRA[name], (120, 90))
    found, scaled = decomposed(given), decomposed(scale * given)
    assert scaled.is_converged and scaled.products == found.products
    torch.testing.assert_close(scaled.values, scale * found.values)
    torch.testing.assert_close(scaled.right, found.right)


def space_of(given, room=24, block=2):
    return _Space(lambda v: v @ given.T, lambda u: u @ given, tuple(given.shape), room, block,
                  given, seed=0)  # fmt: skip


def check_space(space, given, digits=1e-6) -> None:
    """F V = U B, and what the space says of its Ritz triplets is what they are."""
    held = space.held
    left, right, small = space._left[:held], space._right[:held], space._small[:held, :held]
    eye = torch.eye(held, dtype=torch.float64)
    torch.testing.assert_close(left @ left.T, eye)
    torch.testing.assert_close(right @ right.T, eye)
    torch.testing.assert_close(given @ right.T, left.T @ torch.from_numpy(small))
    values, residuals = space.ritz()
    u, s, v = space.triplets(held)
    torch.testing.assert_close(s, torch.from_numpy(values))
    torch.testing.assert_close(v @ given.T, s[:, None] * u)
    gaps = (u @ given - s[:, None] * v).norm(dim=1)
    torch.testing.assert_close(torch.from_numpy(residuals), gaps, rtol=digits, atol=1e-12)


@pytest.mark.parametrize("block", [1, 2, 3])
def test_the_space_knows_its_residuals_after_restarts_and_fresh_starts(block) -> None:
    given = matrix(SPECTRA["pairs"], (120, 90))
    space = space_of(given, block=block)
    for keep in (5, 7, 4):
        while not space.is_full:
            space.grow()
        check_space(space, given)
        assert space.held <= 24 < space.held + 2 * block
        space.restart(keep)
        assert space.held == keep and not space._small[keep:].any()
        check_space(space, given)
    # what the first start leaves lies partly among the vectors of the second
    space.start_afresh()
    check_space(space, given)
    for _ in range(3):
        space.grow()
        check_space(space, given, 0.1)
    space.restart(6)
    check_space(space, given, 0.1)
    assert space.taken == space.taken_back == space.products // 2


def test_a_space_that_spans_all_has_no_residuals() -> None:
    given = matrix(torch.tensor([3.0, 2.0, 2.0, 1.0], dtype=torch.float64), (7, 4))
    space = space_of(given, room=4, block=3)
    space.grow()
    assert not space.is_complete
    space.grow()
    assert space.is_complete and space.held == 4
    check_space(space, given)


@pytest.mark.parametrize(
    ("options", "room"),
    [
        ({"budget": 50 * 8 * 300 + 8}, 50),
        ({"budget": 50 * 8 * 300 - 8}, 49),
        ({"budget": 0}, 2 * 3 + 3 + 10),
        ({"budget": 0, "block": 4}, 2 * 3 + 12 + 10),
        ({}, 20 * 3 + 40),
        ({"k": 6}, 120),
    ],
)
def test_bases_fit_their_budget(options, room, monkeypatch) -> None:
    rooms = []

    class Watched(_Space):
        def __init__(self, *arguments) -> None:
            super().__init__(*arguments)
            rooms.append(self.room)

    monkeypatch.setattr(lanczos, "_Space", Watched)
    decomposed(matrix(SPECTRA["steep"], (180, 120)), **{"k": 3, **options})
    assert rooms == [room]


def test_what_is_never_told_is_followed_as_long_as_it_took_in_all() -> None:
    history = [(taken, np.array([1.0, 0.5])) for taken in (4, 8, 12)]
    assert _effort(history, np.array([6.0, 5.0, 4.0]), 1e-6) == 18 + 6


@pytest.mark.parametrize(("k", "expected"), [(2, 700), (3, 800)])
def test_how_many_products_it_takes_at_most(k, expected) -> None:
    values = torch.linspace(1, 0.9, 400, dtype=torch.float64)
    found = decomposed(torch.diag(values), k, tolerance=1e-30, block=2)
    assert not found.is_converged
    assert expected - 4 <= sum(found.products) <= expected
