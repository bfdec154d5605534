"""How much a frozen network loses when each filter may serve few classes only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from filterscope.core.brief import Brief
from filterscope.core.gate_matrix import checked_density_bound, projected_gate
from filterscope.metrics.functional._checks import check_classes, check_matrix

# Up to here every step sees all samples; above, a random part of this size.
_BATCH = 16384
# The share of the steps over which the penalty grows. At full weight from the first step it
# outweighs the cross entropy, and filters are given to classes before that can tell them apart.
_GROWTH = 0.9


@dataclass(frozen=True, repr=False)
class Entanglement(Brief):
    """Cross entropies of a frozen network under gates fitted to it, means over samples in nats.

    All are upper bounds of the minima that the equations ask for: the problem is not convex.

    Attributes:
        phi: Of the fitted gate (Phi, equation 2), without the penalty.
        phi_0: Of the one-hot gate that gives each filter to its class of largest entry in the
            fitted gate (Phi_0, equation 1).
        chance: `phi` of a gate fitted to the same features under permuted labels: how far the gate
            gets by knowing the labels alone.
        standard_loss: Without a gate.
        gap: ``phi - standard_loss``. Negative values are common, because the gate knows the label.
        gap_0: ``phi_0 - standard_loss``.
        penalty: What equation 2 adds to `phi`: ``penalty_weight * ReLU(||G||_1 - g)``; above 0
            where the fitted gate is denser than the bound.
        gate: The fitted gate, (C, K) float64.
        density: Its mean entry, ||G||_1 / (C K).
        density_bound: g / (C K).
        num_samples: N.
    """

    phi: float
    phi_0: float
    chance: float
    standard_loss: float
    gap: float
    gap_0: float
    penalty: float
    gate: Tensor
    density: float
    density_bound: float
    num_samples: int


def filter_class_entanglement(
    features: Tensor,
    labels: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    num_classes: int | None = None,
    density_bound: float | None = None,
    penalty_weight: float = 1e-2,
    steps: int = 500,
    lr: float = 0.05,
    random_state: int = 0,
) -> Entanglement:
    """Fit a gate to a frozen network with a linear head: the lower the loss, the less entangled.

    The gate minimises the cross entropy of the gated path plus the density penalty by projected
    gradient descent from ones. A step moves the entry with the steepest slope by `lr`, which falls
    linearly to 0; the penalty grows to its weight over the first nine tenths of the steps.

    Args:
        features: Pooled, ungated activations, (N, K).
        labels: True class of each sample, (N,) integers.
        weight: Of the linear head, (C, K).
        bias: Of the linear head, (C,); None where it has none.
        num_classes: C; default: the rows of `weight`, which it must equal.
        density_bound: g / (C K), in [1 / C, 1]; None means max(0.1, 1 / C), as in `ClassGate`.
        penalty_weight: Of ReLU(||G||_1 - g) beside the mean cross entropy (mu); not published.
        steps: Gradient steps. Above 16384 samples each sees a random 16384 of them.
        lr: Largest change of an entry in the first step.
        random_state: Seed of the batches and of the permuted labels.

    Returns:
        The losses beside the standard path's and chance, and the fitted gate, on CPU.

    Raises:
        ValueError: Shapes that do not fit, non-finite values, labels out of range, or settings
            out of theirs.

    Source: Liang et al., ECCV 2020, section 3.1, equations 1 and 2.

    Examples:
        >>> labels = torch.arange(30) % 3
        >>> own = 3 * torch.eye(3)[labels].repeat_interleave(2, dim=1)
        >>> fit = filter_class_entanglement(own, labels, torch.eye(3).repeat_interleave(2, dim=1),
        ...                                 torch.zeros(3))
        >>> round(fit.density, 3), fit.phi <= fit.standard_loss + 1e-6
        (0.333, True)
    """
    _check_settings(penalty_weight, steps, lr)
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    _check_network(features, labels, weight, bias, num_classes)
    values, bound = features.detach().double(), checked_density_bound(density_bound, len(weight))
    head = weight.detach().to(values), bias.detach().to(values)
    problem = _Problem(values, labels.long(), *head, bound, penalty_weight)
    generator = torch.Generator().manual_seed(random_state)
    gate = _fit(problem, steps, lr, generator)
    order = torch.randperm(len(values), generator=generator).to(labels.device)
    permuted = replace(problem, labels=problem.labels[order])
    return _result(problem, gate, chance=_loss(permuted, _fit(permuted, steps, lr, generator)))


@dataclass(frozen=True)
class _Problem:
    """A frozen network and what a gate for it should cost, float64 and int64 on one device."""

    features: Tensor
    labels: Tensor
    weight: Tensor
    bias: Tensor
    density_bound: float
    penalty_weight: float

    @property
    def norm_bound(self) -> float:
        """The bound g of ||G||_1."""
        return self.density_bound * self.weight.numel()


def _result(problem: _Problem, gate: Tensor, chance: float) -> Entanglement:
    phi, phi_0 = _loss(problem, gate), _loss(problem, _one_hot(problem, gate))
    standard_loss = _loss(problem, torch.ones_like(gate))
    return Entanglement(
        phi=phi,
        phi_0=phi_0,
        chance=chance,
        standard_loss=standard_loss,
        gap=phi - standard_loss,
        gap_0=phi_0 - standard_loss,
        penalty=problem.penalty_weight * max(0.0, float(gate.sum()) - problem.norm_bound),
        gate=gate.cpu(),
        density=float(gate.mean()),
        density_bound=problem.density_bound,
        num_samples=len(problem.labels),
    )


def _fit(problem: _Problem, steps: int, lr: float, generator: torch.Generator) -> Tensor:
    order = problem.labels.argsort(stable=True)
    features, labels = problem.features[order], problem.labels[order]
    gate = torch.ones_like(problem.weight)
    for step in range(steps):
        part: Tensor | slice = slice(None)
        if len(features) > _BATCH:
            drawn = torch.randint(len(features), (_BATCH,), generator=generator)
            part = drawn.sort().values.to(labels.device)  # the labels stay in order
        gradient = gate_gradient(features[part], labels[part], problem.weight, problem.bias, gate)
        if float(gate.sum()) > problem.norm_bound:
            gradient = gradient + problem.penalty_weight * min(1.0, (step + 1) / (_GROWTH * steps))
        # Scaled as a whole: a scale for each entry, as Adam's, would move all entries alike at
        # first and hide which filters a class needs.
        largest = gradient.abs().max()
        if float(largest) == 0:
            break
        gate = projected_gate(gate - lr * (1 - step / steps) * gradient / largest)[0]
    return gate


def gate_gradient(
    features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor, gate: Tensor
) -> Tensor:
    """Gradient of the gated path's mean cross entropy with respect to the gate, (C, K).

    The labels are in ascending order. Nothing of the size of the features is made: with the errors
    E = softmax - one-hot of the samples X of a class, its row is the column sums of W * (E^T X).
    """
    gradient = torch.zeros_like(gate)
    counts = torch.bincount(labels, minlength=len(gate)).tolist()
    for c, samples in enumerate(torch.split(features, counts)):
        error = F.linear(samples, weight * gate[c], bias).softmax(dim=1)
        error[:, c] -= 1
        gradient[c] = (weight * (error.T @ samples)).sum(dim=0)
    return gradient / len(labels)


def _loss(problem: _Problem, gate: Tensor) -> float:
    """Mean cross entropy of the gated path."""
    total = 0.0
    for c in range(len(gate)):
        samples = problem.features[problem.labels == c]
        logits = F.linear(samples, problem.weight * gate[c], problem.bias)
        total -= float(logits.log_softmax(dim=1)[:, c].sum())
    return total / len(problem.labels)


def _one_hot(problem: _Problem, gate: Tensor) -> Tensor:
    """Give each filter to one class: the largest entry, of equals the largest mean evidence."""
    sums = torch.zeros_like(gate).index_add_(0, problem.labels, problem.features)
    counts = torch.bincount(problem.labels, minlength=len(gate)).clamp(min=1)
    evidence = problem.weight * sums / counts[:, None]
    owner = evidence.masked_fill(gate < gate.amax(dim=0), -torch.inf).argmax(dim=0)
    return F.one_hot(owner, len(gate)).T.to(gate)


def _check_network(
    features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor, num_classes: int | None
) -> None:
    check_matrix("features", features, "(N, K)")
    check_matrix("weight", weight)
    if weight.shape[1] != features.shape[1]:
        raise ValueError(
            f"`weight` must be (C, {features.shape[1]}) for these features, "
            f"got {tuple(weight.shape)}"
        )
    if bias.shape != weight.shape[:1] or not bool(torch.isfinite(bias).all()):
        raise ValueError(f"`bias` must be finite ({len(weight)},), got {tuple(bias.shape)}")
    if num_classes not in (None, len(weight)):
        raise ValueError(f"`num_classes` is {num_classes}, but `weight` has {len(weight)} rows")
    check_classes("labels", labels, len(features), len(weight))


def _check_settings(penalty_weight: float, steps: int, lr: float) -> None:
    if not 0 <= penalty_weight < float("inf"):
        raise ValueError(f"`penalty_weight` must be at least 0, got {penalty_weight}")
    if steps < 1:
        raise ValueError(f"`steps` must be at least 1, got {steps}")
    if not 0 < lr < float("inf"):
        raise ValueError(f"`lr` must be positive, got {lr}")
