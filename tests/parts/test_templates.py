"""Banks of templates against the formulas, cell by cell, and the published coverage."""

import math
import warnings

import pytest
import torch

from filterscope.parts import fit_template, part_templates, template_coverage

SHAPES = ("l1", "uniform_l1", "l2", "uniform_l2")


def quiet(*arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return part_templates(*arguments, **options)


def by_loops(n, shape, space, beta, gamma, tau):
    bank = torch.zeros(n * n, n, n, dtype=torch.float64)
    for i0 in range(n):
        for j0 in range(n):
            for i in range(n):
                for j in range(n):
                    down, right = abs(i - i0), abs(j - j0)
                    distance = down + right if shape.endswith("l1") else math.hypot(down, right)
                    scaled = distance / n if space == "index" else 2 * distance / (n - 1)
                    if shape.startswith("uniform"):
                        value = 1 if beta * scaled < gamma - 1e-12 else -1
                    else:
                        value = max(1 - beta * scaled, -1)
                    bank[i0 * n + j0, i, j] = tau * value
    return bank


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("space", ["index", "normalized"])
@pytest.mark.parametrize(("n", "beta", "gamma", "tau"), [(4, 2, 2, 1), (5, 4, 1.3, 0.02)])
def test_banks_are_the_formula_cell_by_cell(shape, space, n, beta, gamma, tau):
    bank = quiet(n, shape, space, beta, gamma, tau, dtype=torch.float64)
    torch.testing.assert_close(bank, by_loops(n, shape, space, beta, gamma, tau))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("space", ["index", "normalized"])
def test_values_at_mu_floor_and_symmetry(shape, space):
    n, tau = 7, 0.5 / 49
    bank = quiet(n, shape, space, tau=tau)
    peaks = bank.flatten(1).diagonal()
    assert torch.equal(peaks, torch.full_like(peaks, tau)), "the peak is tau, at mu"
    assert bank.min() >= torch.tensor(-tau)
    four = bank.view(n, n, n, n)  # mu down, mu right, down, right
    torch.testing.assert_close(four, four.transpose(0, 1).transpose(2, 3))
    torch.testing.assert_close(four, four.flip(0, 1, 2, 3))
    torch.testing.assert_close(four, four.permute(2, 3, 0, 1))


COVERAGE = {  # centre, corner, mean, share of templates that are all ones
    (6, "index"): [
        (13, 6, 0.272, 0), (35, 21, 0.784, 0), (25, 9, 0.444, 0), (36, 33, 0.985, 0.667),
    ],
    (6, "normalized"): [(5, 3, 0.120, 0), (13, 6, 0.272, 0), (5, 3, 0.120, 0), (21, 8, 0.395, 0)],
    (14, "index"): [
        (85, 28, 0.308, 0), (195, 105, 0.810, 0), (145, 43, 0.463, 0), (196, 166, 0.976, 0.429),
    ],
    (14, "normalized"): [
        (25, 10, 0.108, 0), (85, 28, 0.308, 0), (37, 13, 0.152, 0), (137, 41, 0.445, 0),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("n", "space"), COVERAGE)
def test_coverage_of_the_readings_of_the_report(n, space):
    for shape, (centre, corner, mean, all_ones) in zip(SHAPES, COVERAGE[n, space], strict=True):
        coverage = template_coverage(quiet(n, shape, space))
        assert (coverage.centre, coverage.corner, coverage.cells) == (centre, corner, n * n)
        assert coverage.mean == pytest.approx(mean, abs=5e-4)
        assert coverage.all_ones == pytest.approx(all_ones, abs=5e-4)


def test_coverage_of_the_paper_and_of_other_sizes():
    for n, centre, corner in ((6, 5, 3), (14, 25, 10)):
        paper = template_coverage(part_templates(n, "l1", "index", beta=4))
        assert (paper.centre, paper.corner) == (centre, corner)
        same = template_coverage(part_templates(n, "l1"))
        assert paper == same
    assert template_coverage(quiet(6, "uniform_l2", "index")).distinct == 9
    assert template_coverage(quiet(14, "uniform_l2", "index")).distinct == 73
    thirteen = template_coverage(quiet(13, "uniform_l1", "index"))
    assert (thirteen.centre, thirteen.mean) == (169, pytest.approx(0.809, abs=5e-4))
    for n in (7, 13):
        coverage = template_coverage(quiet(n, "uniform_l2", "index"))
        assert coverage.mean == pytest.approx(0.975, abs=5e-4)


def test_slope_in_units_equals_slope_in_coordinates():
    for n in (6, 13):
        index = part_templates(n, "l1", "index", beta=4 * n / (n - 1))
        torch.testing.assert_close(index, part_templates(n, "l1", "normalized", beta=2))


def test_nearly_full_templates_warn():
    with pytest.warns(UserWarning, match=r"98\.5%"):
        part_templates(6, "uniform_l2", "index")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for shape in SHAPES:
            part_templates(6, shape)
        part_templates(6, "uniform_l1", "index")


def test_a_function_gets_offsets_as_shares_of_the_side():
    def tilted(rows, columns):
        return 1 - (2 * rows.abs() + columns.clamp_min(0))

    bank = part_templates(4, tilted)
    assert bank[5, 3, 1] == pytest.approx(1 - 2 * 2 / 4)
    assert bank[5, 1, 3] == pytest.approx(1 - 2 / 4)
    assert bank[5, 1, 0] == 1


def test_fitted_templates_end_half_way_to_the_next_part():
    nan = math.nan
    landmarks = torch.tensor([
        [[10.0, 20.0], [10.0, 60.0], [90.0, 20.0]],  # nearest: 40, 40, 80
        [[50.0, 50.0], [nan, nan], [50.0, 150.0]],  # nearest: 100, 100
        [[1.0, 1.0], [nan, nan], [nan, nan]],  # nothing to be near
    ])  # fmt: skip
    template = fit_template(landmarks, image_size=200)
    assert template.borders == pytest.approx([0.1, 0.1, 0.2, 0.25, 0.25])
    row = part_templates(9, template)[40, 4]  # the middle unit's, at shares 0, 1/9, 2/9, ...
    assert row[4:8].tolist() == pytest.approx([1, 1 - 4 / 5, 1 - 6 / 5, -1])
    assert template == fit_template(landmarks.flip(0), (200, 200))
    assert hash(template) == hash(fit_template(landmarks, 200))


def test_many_landmarks_become_quantiles():
    generator = torch.Generator().manual_seed(0)
    landmarks = torch.rand(300, 4, 2, generator=generator) * 64
    template = fit_template(landmarks, 64)
    assert len(template.borders) == 101
    shares = landmarks / 64
    apart = torch.cdist(shares, shares) + torch.eye(4) * 9
    halves = apart.amin(2).flatten() / 2
    assert template.borders[50] == pytest.approx(halves.median().item(), abs=1e-3)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: part_templates(1), ValueError, "`size`"),
        (lambda: part_templates(3.0), TypeError, "`size`"),
        (lambda: part_templates(4, "l3"), ValueError, "`shape`"),
        (lambda: part_templates(4, space="pixels"), ValueError, "`space`"),
        (lambda: part_templates(4, beta=0), ValueError, "`beta`"),
        (lambda: part_templates(4, gamma=math.nan), ValueError, "`gamma`"),
        (lambda: part_templates(4, tau=-1.0), ValueError, "`tau`"),
        (lambda: part_templates(4, lambda rows, columns: rows.flatten()), ValueError, "`shape`"),
        (lambda: part_templates(4, lambda r, c: (r + c) * math.nan), ValueError, "finite"),
        (lambda: template_coverage(torch.ones(4, 4, 4)), ValueError, "`bank`"),
        (lambda: fit_template(torch.zeros(3, 2), 9), ValueError, "`landmarks`"),
        (lambda: fit_template(torch.full((1, 2, 2), 10.0), 9), ValueError, "inside"),
        (lambda: fit_template(torch.full((1, 2, 2), math.inf), 9), ValueError, "inside"),
        (lambda: fit_template(torch.zeros(3, 1, 2), 9), ValueError, "two parts"),
        (lambda: fit_template(torch.zeros(0, 2, 2), 9), ValueError, "two parts"),
        (lambda: fit_template(torch.zeros(1, 2, 2), 0), ValueError, "`image_size`"),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
