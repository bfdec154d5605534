"""Filter-class entanglement as a torchmetrics class."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from filterscope.metrics.functional.entanglement import filter_class_entanglement
from filterscope.metrics.indexed_samples import IndexedSamples


class FilterClassEntanglement(IndexedSamples):
    """Losses of a frozen network under a gate that is fitted to all samples.

    Args:
        weight: Of the linear head, (C, K).
        bias: Of the linear head, (C,); None where it has none.
        density_bound: As in `filter_class_entanglement`.
        penalty_weight: As in `filter_class_entanglement`.
        steps: As in `filter_class_entanglement`.
        lr: As in `filter_class_entanglement`.
        random_state: As in `filter_class_entanglement`.

    Examples:
        >>> import torch
        >>> metric = FilterClassEntanglement(torch.eye(2), torch.zeros(2), steps=10)
        >>> labels = torch.arange(10) % 2
        >>> metric.update(3 * torch.eye(2)[labels], labels, torch.arange(10))
        >>> round(metric.compute()["phi_0"], 4)
        0.0486
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        density_bound: float | None = None,
        penalty_weight: float = 1e-2,
        steps: int = 500,
        lr: float = 0.05,
        random_state: int = 0,
    ) -> None:
        super().__init__()
        self.density_bound, self.penalty_weight = density_bound, penalty_weight
        self.steps, self.lr, self.random_state = steps, lr, random_state
        self.register_buffer("weight", weight.detach().clone(), persistent=False)
        kept = None if bias is None else bias.detach().clone()
        self.register_buffer("bias", kept, persistent=False)

    def compute(self) -> dict[str, Any]:
        """Give the fields of `Entanglement` by name; ``Entanglement(**fields)`` is the record.

        Raises:
            ValueError: As in `filter_class_entanglement`; no samples, or the same sample twice.
        """
        features, labels, _ = self.samples()
        result = filter_class_entanglement(
            features,
            labels,
            self.weight,
            self.bias,
            density_bound=self.density_bound,
            penalty_weight=self.penalty_weight,
            steps=self.steps,
            lr=self.lr,
            random_state=self.random_state,
        )
        return dict(vars(result))
