"""What logits say: one logit, several that exclude each other, several that do not."""

import math

import pytest
import torch

from filterscope.core.answers import (
    class_probabilities,
    class_rows,
    class_scores,
    image_losses,
    wrong_answers,
)


def test_a_single_logit_answers_by_its_sign() -> None:
    logits = torch.tensor([[3.0], [-2.0], [0.0]])
    assert class_scores(logits).argmax(1).tolist() == [1, 0, 0]
    assert class_probabilities(logits)[:, 1].tolist() == pytest.approx(logits[:, 0].sigmoid())
    assert class_probabilities(logits, "logistic").sum(1).tolist() == pytest.approx([1.0] * 3)
    labels = torch.tensor([1, 1, 0])
    expected = [math.log1p(math.exp(-3)), math.log1p(math.exp(2)), math.log(2)]
    for kind in ("softmax", "logistic"):
        assert image_losses(logits, labels, kind).tolist() == pytest.approx(expected)
        assert wrong_answers(logits, labels, kind).tolist() == [0, 1, 0]


def test_huge_logits_give_finite_losses_and_gradients() -> None:
    logits = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    losses = image_losses(logits, torch.tensor([0, 1]), "logistic")
    losses.sum().backward()
    assert losses.tolist() == [1e4, 1e4]
    assert logits.grad is not None
    assert logits.grad[:, 0].tolist() == [1, -1]


def test_several_logits_with_the_logistic_loss_answer_one_by_one() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(5, 3, dtype=torch.float64), torch.tensor([0, 2, 1, 1, 0])
    losses, errors = [], []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        signs = [1 if c == label else -1 for c in range(3)]
        losses.append(sum(math.log1p(math.exp(-y * f)) for y, f in zip(signs, row, strict=True)))
        errors.append(sum((f > 0) != (y > 0) for y, f in zip(signs, row, strict=True)) / 3)
    assert image_losses(logits, labels, "logistic").tolist() == pytest.approx(losses)
    assert wrong_answers(logits, labels, "logistic").tolist() == pytest.approx(errors)
    assert torch.equal(class_probabilities(logits, "logistic"), logits.sigmoid())
    always_no = wrong_answers(torch.full((4, 6), -1.0), torch.tensor([0, 1, 2, 3]), "logistic")
    assert always_no.mean() == pytest.approx(1 / 6)


def test_rows_of_a_linear_layer_give_the_scores() -> None:
    weight, bias, features = torch.randn(1, 4), torch.randn(1), torch.randn(3, 4)
    scores = features @ class_rows(weight).T + class_rows(bias)
    torch.testing.assert_close(scores, class_scores(features @ weight.T + bias))
    assert class_rows(torch.ones(2, 4)).shape == (2, 4)
