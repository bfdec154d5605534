"""Contribution histograms: rows against the parts, and what they are divided by."""

import math
import statistics

import pytest
import torch
from torch import nn

from filterscope.linear import Contributions, LinearInterpreter, contribution_histogram


def made(image: float, **layers: float) -> Contributions:
    total = image + sum(layers.values())
    return Contributions(0, image, list(layers.items()), total, torch.ones(1), [])


PARTS = [made(1, a=3, b=-2), made(-4, a=1, b=0.5), made(0.25, a=0, b=1)]


def test_rows_are_the_images_and_columns_the_layers() -> None:
    found = contribution_histogram(PARTS)
    assert found.layers == ("input", "a", "b")
    assert found.normalize is None
    assert found.count == 3
    columns = [[1, -4, 0.25], [3, 1, 0], [-2, 0.5, 1]]
    for k, column in enumerate(columns):
        assert found.values[:, k].tolist() == column
        assert float(found.mean[k]) == pytest.approx(statistics.fmean(column))
        assert float(found.std[k]) == pytest.approx(statistics.stdev(column))


def test_divided_by_the_score_or_by_the_absolute_bars() -> None:
    by_score = contribution_histogram(PARTS, "score")
    absolute = contribution_histogram(PARTS, normalize="abs")
    for n, part in enumerate(PARTS):
        bars = [part.input, *(value for _, value in part.layers)]
        for k, bar in enumerate(bars):
            assert float(by_score.values[n, k]) == pytest.approx(bar / part.total)
            assert float(absolute.values[n, k]) == pytest.approx(bar / sum(map(abs, bars)))
    torch.testing.assert_close(by_score.values.sum(1), torch.ones(3).double())
    torch.testing.assert_close(absolute.values.abs().sum(1), torch.ones(3).double())


def test_images_without_a_scale_are_undefined_and_not_counted() -> None:
    parts = [*PARTS, made(2, a=-1, b=-1), made(0, a=0, b=0)]
    assert contribution_histogram(parts).count == 5
    for normalize, count in (("score", 3), ("abs", 4)):
        found = contribution_histogram(parts, normalize)
        assert found.values.shape == (5, 3)
        assert found.count == count
        assert found.values.isnan().all(1).sum() == 5 - count
        kept = contribution_histogram(parts[:count], normalize)
        torch.testing.assert_close(found.mean, kept.mean)
        torch.testing.assert_close(found.std, kept.std)


def test_one_image_has_no_deviation_and_none_has_no_mean() -> None:
    one = contribution_histogram(PARTS[:1])
    assert one.mean.tolist() == [1, 3, -2]
    assert one.std.isnan().all()
    none = contribution_histogram([made(0, a=0)], "score")
    assert none.count == 0
    assert none.mean.isnan().all()
    assert none.std.isnan().all()


@pytest.mark.parametrize(
    ("parts", "normalize", "message"),
    [
        ([], None, "`parts` is empty"),
        (PARTS, "sum", '`normalize` must be None, "score" or "abs", got \'sum\''),
        ([*PARTS, made(1, a=1)], None, "of image 3 differ: 1 against 2"),
        ([PARTS[0], made(1, a=1, c=2)], None, "of image 1 differ: 'c' against 'b'"),
        ([made(1, a=math.nan)], None, "not finite"),
        ([made(math.inf, a=1)], "abs", "not finite"),
    ],
)
def test_bad_input(parts, normalize, message) -> None:
    with pytest.raises(ValueError, match=message):
        contribution_histogram(parts, normalize)


def test_of_a_network(randomised, random_image) -> None:
    model = randomised(
        nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
        )
    )
    interpreter = LinearInterpreter(model, random_image(5, 2, 6, 6))
    labels = interpreter.output.argmax(1)
    found = contribution_histogram(interpreter.contributions(labels))
    assert found.layers == ("input", "0", "4")
    scores = interpreter.output.gather(1, labels[:, None])[:, 0]
    torch.testing.assert_close(found.values.sum(1), scores)
