"""The gate: a matrix that says which filters a class may use."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope.core.gate_matrix import checked_density_bound, projected_gate


class ClassGate(nn.Module):
    """A learnable class x filter gate (the matrix G of the CSG paper).

    Entry ``matrix[c, k]`` in [0, 1] says how much of filter k an image of class c keeps on the
    gated path. The feasible matrices have a 1 in every column, so that every filter serves at
    least one class fully; `project_` returns the matrix to that set after an optimizer step.

    Args:
        num_classes: C, number of classes.
        num_filters: K, number of filters of the gated layer.
        density_bound: Upper bound of the mean entry, g / (C K) in the paper's terms, between
            1 / C (every filter one class) and 1 (no pressure). None means max(0.1, 1 / C): 0.1
            is the paper's bound for CIFAR-10 and ImageNet.

    Attributes:
        matrix: The gate, (C, K), float32. It starts at one: the first projection takes any other
            constant there, too.

    Raises:
        ValueError: A size below 1, or a density bound outside [1 / C, 1].

    Source: Liang et al., ECCV 2020, section 3.2 and equation 3.

    Examples:
        >>> import torch
        >>> gate = ClassGate(num_classes=10, num_filters=64)
        >>> gate(torch.ones(2, 64, 8, 8), torch.tensor([0, 3])).shape
        torch.Size([2, 64, 8, 8])
        >>> gate.l1_density()
        1.0
    """

    matrix: nn.Parameter

    def __init__(
        self, num_classes: int, num_filters: int, density_bound: float | None = None
    ) -> None:
        super().__init__()
        for name, size in (("num_classes", num_classes), ("num_filters", num_filters)):
            if size < 1:
                raise ValueError(f"`{name}` must be at least 1, got {size}")
        self.num_classes = num_classes
        self.num_filters = num_filters
        self.density_bound = checked_density_bound(density_bound, num_classes)
        self.matrix = nn.Parameter(torch.ones(num_classes, num_filters))

    @classmethod
    def fixed(cls, matrix: Tensor) -> ClassGate:
        """Make a gate that is not trained, from a (C, K) matrix with entries in [0, 1].

        Args:
            matrix: The gate, for instance from `fixed_gate`.

        Returns:
            A gate whose matrix takes no gradient.

        Raises:
            ValueError: Not a 2-D matrix, entries outside [0, 1], or a column without a 1.
        """
        if matrix.dim() != 2 or not matrix.numel():
            raise ValueError(f"`matrix` must be (C, K), got shape {tuple(matrix.shape)}")
        if not bool(((matrix >= 0) & (matrix <= 1)).all()):
            raise ValueError(
                "`matrix` must have entries in [0, 1], got values from "
                f"{matrix.min():.3g} to {matrix.max():.3g}"
            )
        if not bool((matrix.amax(dim=0) == 1).all()):
            raise ValueError("every column of `matrix` must hold a 1: each filter serves a class")
        gate = cls(matrix.shape[0], matrix.shape[1], density_bound=1.0)
        gate.matrix.requires_grad_(False).copy_(matrix)
        return gate

    @property
    def learnable(self) -> bool:
        """Whether the matrix is trained; False for a fixed gate."""
        return self.matrix.requires_grad

    @property
    def l1_bound(self) -> float:
        """The bound g of the matrix's L1 norm, never below K."""
        g = self.density_bound * self.num_classes * self.num_filters
        return max(g, float(self.num_filters))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Multiply the features of each image by the gate row of its label.

        Args:
            features: Feature maps (N, K, H, W) or pooled features (N, K), any number of position
                axes.
            labels: Class of each image, (N,), integers in [0, C).

        Returns:
            The gated features, with the shape and dtype of `features`.

        Raises:
            TypeError: Labels that are no tensor of integers.
            ValueError: Another number of filters or labels; on CPU also labels out of range (on
                an accelerator looking at the labels would wait for the device).
        """
        self._check(features, labels)
        # In low precision the product stays low, but the parameter and its gradient are float32.
        rows = F.embedding(labels.long(), self.matrix).to(features.dtype)
        return features * rows.reshape(*rows.shape, *[1] * (features.dim() - 2))

    def _check(self, features: Tensor, labels: Tensor) -> None:
        is_tensor = isinstance(features, Tensor)
        if not is_tensor or features.dim() < 2 or features.shape[1] != self.num_filters:
            came = tuple(features.shape) if is_tensor else type(features).__name__
            raise ValueError(
                f"`features` must be (N, {self.num_filters}, ...) for this gate, got {came}"
            )
        if not isinstance(labels, Tensor):
            raise TypeError(f"`labels` must be a tensor, got {type(labels).__name__}")
        if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
            raise TypeError(f"`labels` must be integers, got {labels.dtype}")
        if labels.shape != features.shape[:1]:
            raise ValueError(
                f"`labels` must be one class for each of {features.shape[0]} images, "
                f"got shape {tuple(labels.shape)}"
            )
        if torch.compiler.is_compiling() or labels.device.type != "cpu" or not labels.numel():
            return
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= self.num_classes:
            raise ValueError(
                f"`labels` must lie in [0, {self.num_classes - 1}] for this gate, "
                f"got values from {low} to {high}"
            )

    @torch.no_grad()
    def project_(self) -> int:
        """Bring the matrix back to the feasible set, in place, after an optimizer step.

        Each column is divided by its largest entry, then clamped to [0, 1]. This is the
        approximate projection of the paper's Algorithm 1 (lines 7 and 8), with the signed
        maximum, not the Euclidean projection. A column without a positive entry has no maximum to
        divide by: its largest entry (the first of equals) becomes 1 and the rest 0.

        Returns:
            The number of columns that had to be repaired that way. Any above zero says that the
            gate's learning rate is too large.

        Raises:
            ValueError: The matrix holds NaN or infinite entries.
        """
        if not bool(torch.isfinite(self.matrix).all()):
            raise ValueError(
                "the gate holds non-finite entries: lower the gate's learning rate, or look for "
                "a diverging loss"
            )
        projected, repaired = projected_gate(self.matrix)
        # copy_ keeps the parameter object, which the optimizer's state points at
        self.matrix.copy_(projected)
        return int(repaired.sum())

    def l1_density(self) -> float:
        """Mean absolute entry of the gate, ||G||_1 / (C K); in [1 / C, 1] for a feasible gate."""
        return float(self.matrix.detach().abs().double().mean())

    def extra_repr(self) -> str:
        """Describe the gate in the network's printout."""
        kind = f"density_bound={self.density_bound:.4g}" if self.learnable else "fixed"
        return f"num_classes={self.num_classes}, num_filters={self.num_filters}, {kind}"
