"""The detector and its error, against scikit-learn used by hand."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from filterscope.attacks import Detector, Draw, Pairs, detection_error, draw_samples


def pairs(count: int, shift: float, seed: int) -> Pairs:
    generator = torch.Generator().manual_seed(seed)
    clean, noise = (torch.randn(count, 6, generator=generator) for _ in range(2))
    return Pairs(clean, clean + 0.3 * noise + shift)


def test_it_is_scikit_learns_forest() -> None:
    train, test = pairs(60, 0.7, 0), pairs(40, 0.7, 1)
    detector = Detector(train.clean, train.adversarial, num_trees=20, seed=3)
    forest = RandomForestClassifier(20, random_state=3)
    rows = torch.cat([train.clean, train.adversarial]).numpy()
    forest.fit(rows, [0] * 60 + [1] * 60)
    for features in (test.clean, test.adversarial):
        assert np.array_equal(detector.scores(features), forest.predict_proba(features)[:, 1])
        assert np.array_equal(detector.detects(features), forest.predict(features) == 1)
    threads = Detector(train.clean, train.adversarial, num_trees=20, seed=3, jobs=2)
    assert torch.equal(threads.scores(test.clean), detector.scores(test.clean))


def test_errors_are_those_of_each_repeat() -> None:
    train, test = pairs(80, 0.6, 0), pairs(50, 0.6, 1)
    draws = [Draw(torch.arange(80)[r::2], torch.arange(50)[r::2]) for r in range(2)]
    draws.append(draws[0])
    found = detection_error(train, test, draws, num_trees=15, seed=7)
    for repeat, draw in enumerate(draws):
        seed = int(np.random.SeedSequence((7, repeat)).generate_state(1)[0])
        learned, judged = train.take(draw.train), test.take(draw.test)
        detector = Detector(learned.clean, learned.adversarial, num_trees=15, seed=seed)
        wrong = detector.detects(judged.clean).sum() + (~detector.detects(judged.adversarial)).sum()
        assert found.errors[repeat] == pytest.approx(float(wrong) / 50)
        scores = torch.cat([detector.scores(judged.clean), detector.scores(judged.adversarial)])
        assert found.areas[repeat] == pytest.approx(roc_auc_score([0] * 25 + [1] * 25, scores))
    assert found.errors == pytest.approx((found.false_alarms + found.misses) / 2)
    assert found.error == pytest.approx(np.mean(found.errors))
    assert found.spread == pytest.approx(np.std(found.errors, ddof=1))
    assert found.num_train.tolist() == [40] * 3
    assert found.num_test.tolist() == [25] * 3
    assert not np.array_equal(found.roc[0], found.roc[2]), "each repeat has its own forest"
    again = detection_error(train, test, draws, num_trees=15, seed=7)
    assert np.array_equal(again.roc, found.roc)


def test_the_curve_rises_to_one_and_holds_what_the_detector_reaches() -> None:
    train, test = pairs(80, 0.6, 0), pairs(50, 0.6, 1)
    every = [Draw(torch.arange(80), torch.arange(50))]
    (curve,) = (found := detection_error(train, test, every, num_trees=15)).roc
    assert curve.shape == (101,)
    assert (np.diff(curve) >= 0).all()
    assert curve[-1] == 1
    at = np.interp(found.false_alarms[0], np.linspace(0, 1, 101), curve)
    assert at == pytest.approx(1 - found.misses[0], abs=0.02)
    assert np.isnan(found.spread)


def test_what_cannot_be_told_apart_is_told_at_chance() -> None:
    train, test = pairs(200, 0.0, 0), pairs(200, 0.0, 1)
    every = [Draw(torch.arange(200), torch.arange(200))]
    assert detection_error(train, test, every).error == pytest.approx(0.5, abs=0.08)
    easy = detection_error(pairs(200, 5.0, 0), pairs(200, 5.0, 1), every)
    assert easy.error < 0.02
    assert easy.areas[0] > 0.99


def test_draws_are_balanced_seeded_and_nested() -> None:
    labels = torch.tensor([0] * 30 + [1] * 20 + [3] * 4)[torch.randperm(54)]
    small, large = (draw_samples(labels, n, seed=(0, 1)) for n in (3, 10))
    assert torch.bincount(labels[small]).tolist() == [3, 3, 0, 3]
    assert torch.bincount(labels[large]).tolist() == [10, 10, 0, 4]
    assert set(small.tolist()) <= set(large.tolist())
    assert small.tolist() == sorted(small.tolist())
    assert torch.equal(small, draw_samples(labels, 3, seed=(0, 1)))
    assert not torch.equal(small, draw_samples(labels, 3, seed=(0, 2)))


CLEAN = torch.zeros(5, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Detector(CLEAN[:0], CLEAN), r"`clean` must be \(N, D\) and not empty"),
        (lambda: Detector(CLEAN, CLEAN[:, :2]), "`adversarial` must have 3 columns, got 2"),
        (lambda: Detector(CLEAN, CLEAN * torch.nan), "`adversarial` must be finite"),
        (lambda: Detector(CLEAN, CLEAN, num_trees=0), "`num_trees` must be at least 1"),
        (lambda: Detector(CLEAN, CLEAN).scores(CLEAN[:, :1]), "`features` must have 3 columns"),
        (lambda: Pairs(CLEAN, CLEAN[:4]), "the same 5 images as `clean`, got 4"),
        (lambda: detection_error(Pairs(CLEAN, CLEAN), Pairs(CLEAN, CLEAN), []), "`draws` must"),
        (lambda: draw_samples(torch.arange(3), 0, (0,)), "`per_class` must be at least 1"),
        (lambda: draw_samples(torch.arange(0), 1, (0,)), "`labels` must be"),
    ],
)
def test_bad_input(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_allowed_images_are_marked_by_bool() -> None:
    labels, allowed = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 0, 1, 1, 0, 1])
    with pytest.raises(ValueError, match=r"`allowed` must be bool, got torch\.int64"):
        draw_samples(labels, 2, seed=(0,), allowed=allowed)
    assert draw_samples(labels, 2, seed=(0,), allowed=allowed.bool()).tolist() == [2, 3, 5]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_features_of_any_precision_and_with_gradients_are_taken(dtype: torch.dtype) -> None:
    clean, adversarial = torch.zeros(20, 3, dtype=dtype), torch.ones(20, 3, dtype=dtype)
    detector = Detector(clean.requires_grad_(), adversarial, num_trees=5)
    assert detector.scores(torch.stack([clean[0], adversarial[0]])).tolist() == [0, 1]
