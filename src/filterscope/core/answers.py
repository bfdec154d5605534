"""What logits say: scores and probabilities of classes, losses, and wrong answers.

A network that tells one category from everything else may have a single logit. Its sign is the
answer, and the logistic loss belongs to it. Such a logit f counts as the pair of scores
(-f / 2, f / 2) of the classes "not it" and "it": the larger score is then the answer by sign,
their softmax the logistic function, and their cross entropy the logistic loss.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

TaskLoss = Literal["softmax", "logistic"]
"""softmax: classes exclude each other; logistic: each logit answers yes or no by itself."""


def class_scores(logits: Tensor) -> Tensor:
    """Give one score for each class, so that the largest is the answer.

    Args:
        logits: (N, C), or (N, 1) for one category against everything else.

    Returns:
        The logits as they are, or the pairs (-f / 2, f / 2), (N, 2).

    Examples:
        >>> class_scores(torch.tensor([[2.0], [-1.0]])).argmax(1)
        tensor([1, 0])
    """
    if logits.dim() != 2 or logits.shape[1] != 1:
        return logits
    return torch.cat([-logits, logits], dim=1) / 2


def class_rows(weight: Tensor) -> Tensor:
    """Give one row for each class, from the rows of a linear layer that gives the logits.

    Args:
        weight: Weights (C, K) or biases (C,), with C = 1 for one category against everything else.

    Returns:
        As they are, or the rows of `class_scores` for the only one.

    Examples:
        >>> class_rows(torch.tensor([[2.0, 3.0]]))
        tensor([[-1.0000, -1.5000],
                [ 1.0000,  1.5000]])
    """
    return torch.cat([-weight, weight]) / 2 if len(weight) == 1 else weight


def class_probabilities(logits: Tensor, kind: TaskLoss = "softmax") -> Tensor:
    """Give the probability of each class.

    Args:
        logits: (N, C) or (N, 1).
        kind: The loss that the network was trained with. With "logistic" and several logits each
            class has a probability of its own, and they need not sum to 1.

    Returns:
        (N, C); (N, 2) for a single logit.

    Examples:
        >>> class_probabilities(torch.tensor([[0.0]]))
        tensor([[0.5000, 0.5000]])
    """
    if kind == "logistic" and logits.shape[1] > 1:
        return logits.sigmoid()
    return class_scores(logits).softmax(1)


def image_losses(logits: Tensor, labels: Tensor, kind: TaskLoss = "softmax") -> Tensor:
    """Compute the loss of each image.

    Args:
        logits: (N, C) or (N, 1).
        labels: True class of each image, (N,); 0 or 1 for a single logit.
        kind: "softmax" is the cross entropy. "logistic" is log(1 + exp(-y f)), where y is 1 for
            the true class and -1 for another, summed over the logits.

    Returns:
        (N,).

    Source: Zhang et al., CVPR 2018, section 4.1, and the authors' code.

    Examples:
        >>> image_losses(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), "logistic")
        tensor([1.3863])
    """
    if kind == "softmax" or logits.shape[1] == 1:
        return F.cross_entropy(class_scores(logits), labels, reduction="none")
    true = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, true, reduction="none").sum(1)


def wrong_answers(logits: Tensor, labels: Tensor, kind: TaskLoss = "softmax") -> Tensor:
    """Say how wrong the answer to each image is.

    Args:
        logits: (N, C) or (N, 1).
        labels: True class of each image, (N,).
        kind: "softmax" counts an image whose largest score is another class's. "logistic" gives
            the share of its logits whose sign is wrong, so that a network that always says no is
            right for all classes but one: never compare the two.

    Returns:
        Values in [0, 1], (N,) float64.

    Source: the authors' code of Zhang et al., CVPR 2018.

    Examples:
        >>> wrong_answers(torch.full((1, 4), -1.0), torch.tensor([2]), "logistic")
        tensor([0.2500], dtype=torch.float64)
    """
    if kind == "softmax" or logits.shape[1] == 1:
        return (class_scores(logits).argmax(1) != labels).double()
    true = F.one_hot(labels, logits.shape[1]).bool()
    return ((logits > 0) != true).double().mean(1)
