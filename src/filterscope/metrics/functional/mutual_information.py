"""Mutual information between filters and classes, and the score (MIS) drawn from it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

Ties = Literal["sklearn", "exact-zero"]
Target = Literal["labels", "predictions"]
Floats = NDArray[np.float64]


def mutual_information_matrix(
    features: Tensor | ArrayLike,
    labels: Tensor | ArrayLike,
    num_classes: int | None = None,
    n_neighbors: int = 3,
    balanced: bool = False,
    ties: Ties = "sklearn",
    target: Target = "labels",
    random_state: int = 0,
    *,
    predictions: Tensor | ArrayLike | None = None,
) -> Tensor:
    """Estimate the mutual information of every filter with every class, in nats.

    Entry (c, k) is the mutual information of feature k and the indicator of class c, by the
    nearest-neighbour estimator of Ross (2014), clipped at 0: exactly what scikit-learn's
    ``mutual_info_classif(features, labels == c, random_state=random_state)`` gives, including its
    seeded tie-breaking noise, for all filters and classes at once.

    Args:
        features: Pooled activations, (N, K). The order of the rows matters for the noise.
        labels: True class of each sample, (N,) integers.
        num_classes: C; default: the largest label + 1.
        n_neighbors: k of the estimator; scikit-learn's default.
        balanced: For each class take all its samples and as many others, drawn by
            ``RandomState(random_state + c)`` without replacement. Needed for many classes: the
            plain value is bounded by the entropy of a rare class (0.0079 nats at 1 in 1000).
        ties: "exact-zero" gives 0 to a filter with one distinct value, which scikit-learn's noise
            turns into a noise feature; all else as scikit-learn.
        target: "predictions" estimates the information about what the network answers.
        random_state: Seed of the tie-breaking noise.
        predictions: Predicted classes, (N,); needed for ``target="predictions"``.

    Returns:
        Matrix (C, K), float64, on CPU.

    Raises:
        ValueError: Shapes that do not fit, fewer than 2 samples, non-finite features, or labels
            out of range.

    Source: Liang et al., ECCV 2020, section 4.1; B. C. Ross, PLoS ONE 9(2), 2014.

    Examples:
        >>> import torch
        >>> labels = torch.arange(300) % 3
        >>> features = torch.stack([(labels == 1) + 0.1 * torch.rand(300), torch.rand(300)], 1)
        >>> matrix = mutual_information_matrix(features, labels)
        >>> matrix.argmax(0)[0].item(), round(matrix[1, 0].item(), 2)
        (1, 0.64)
    """
    labels = _chosen_target(labels, predictions, target)
    _check_options(ties, n_neighbors)
    values, classes, num_classes = _checked(features, labels, num_classes)
    if balanced:
        matrix = _balanced_matrix(values, classes, num_classes, n_neighbors, random_state)
    else:
        matrix = _matrix(values, classes, num_classes, n_neighbors, random_state)
    if ties == "exact-zero":
        matrix[:, (values == values[:1]).all(axis=0)] = 0.0
    return torch.from_numpy(matrix)


def _chosen_target(
    labels: Tensor | ArrayLike, predictions: Tensor | ArrayLike | None, target: Target
) -> Tensor | ArrayLike:
    if target == "labels":
        return labels
    if target != "predictions":
        raise ValueError(f'`target` must be "labels" or "predictions", got {target!r}')
    if predictions is None:
        raise ValueError('`target="predictions"` needs `predictions`')
    return predictions


def _check_options(ties: Ties, n_neighbors: int) -> None:
    if ties not in ("sklearn", "exact-zero"):
        raise ValueError(f'`ties` must be "sklearn" or "exact-zero", got {ties!r}')
    if n_neighbors < 1:
        raise ValueError(f"`n_neighbors` must be at least 1, got {n_neighbors}")


def mutual_information_score(matrix: Tensor) -> float:
    """Mutual-information score (MIS): the mean over filters of their largest entry, in nats.

    Args:
        matrix: Of `mutual_information_matrix`, (C, K).

    Source: Liang et al., ECCV 2020, section 4.1.

    Examples:
        >>> mutual_information_score(torch.tensor([[0.25, 0.0], [0.0, 0.75]]))
        0.5
    """
    if matrix.dim() != 2 or not matrix.numel():
        raise ValueError(f"`matrix` must be (C, K), got {tuple(matrix.shape)}")
    return float(matrix.double().max(dim=0).values.mean())


def mutual_information_floor(
    features: Tensor | ArrayLike,
    labels: Tensor | ArrayLike,
    num_classes: int | None = None,
    n_neighbors: int = 3,
    balanced: bool = False,
    random_state: int = 0,
    permutations: int = 1,
) -> float:
    """Score that the same features reach with permuted labels: what chance alone gives.

    Args:
        features: (N, K).
        labels: (N,).
        num_classes: C; default: the largest label + 1.
        n_neighbors: As in `mutual_information_matrix`.
        balanced: As in `mutual_information_matrix`.
        random_state: Seed of permutations and noise.
        permutations: How many to average over.

    Returns:
        MIS, in nats.
    """
    if permutations < 1:
        raise ValueError(f"`permutations` must be at least 1, got {permutations}")
    values, classes, num_classes = _checked(features, labels, num_classes)
    shuffle = np.random.RandomState(random_state)
    scores = [
        mutual_information_score(
            mutual_information_matrix(
                values,
                shuffle.permutation(classes),
                num_classes,
                n_neighbors,
                balanced,
                random_state=random_state,
            )
        )
        for _ in range(permutations)
    ]
    return float(np.mean(scores))


def mutual_information_bound(
    labels: Tensor | ArrayLike, num_classes: int | None = None, balanced: bool = False
) -> float:
    """Largest possible score: no filter knows more about a class than the class's own entropy.

    Args:
        labels: (N,).
        num_classes: C; default: the largest label + 1.
        balanced: With balanced sampling every class has the entropy ln 2.

    Returns:
        max over classes of H(1[y = c]), in nats.

    Examples:
        >>> round(mutual_information_bound(torch.arange(100) % 10), 4)
        0.3251
    """
    classes = _classes(labels)
    if len(classes):
        least, most = int(classes.min()), int(classes.max())
        if least < 0 or (num_classes is not None and most >= num_classes):
            raise ValueError(f"`labels` run from {least} to {most}, `num_classes` is {num_classes}")
    share = np.bincount(classes, minlength=num_classes or 0) / max(1, len(classes))
    share = share[(share > 0) & (share < 1)]
    if not len(share):
        return 0.0
    if balanced:
        return float(np.log(2))
    return float((-share * np.log(share) - (1 - share) * np.log1p(-share)).max())


def _classes(labels: Tensor | ArrayLike) -> NDArray[np.int64]:
    raw = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if raw.ndim != 1 or not np.issubdtype(raw.dtype, np.integer):
        raise ValueError(f"`labels` must be (N,) integers, got {raw.dtype} of shape {raw.shape}")
    return raw.astype(np.int64)


def _checked(
    features: Tensor | ArrayLike, labels: Tensor | ArrayLike, num_classes: int | None
) -> tuple[Floats, NDArray[np.int64], int]:
    if isinstance(features, Tensor):
        features = features.detach().cpu()
        # numpy knows no bfloat16; wider is exact
        raw = (features.float() if features.dtype == torch.bfloat16 else features).numpy()
    else:
        raw = np.asarray(features)
    values = np.ascontiguousarray(raw, dtype=np.float64)
    classes = _classes(labels)
    if values.ndim != 2 or values.shape[1] < 1:
        raise ValueError(f"`features` must be (N, K), got {values.shape}")
    if len(classes) != len(values):
        raise ValueError(f"`features` holds {len(values)} samples, `labels` {len(classes)}")
    if len(values) < 2:
        raise ValueError(f"mutual information needs at least 2 samples, got {len(values)}")
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).any(axis=0).sum())
        raise ValueError(f"`features` holds non-finite values in {count} of its columns")
    highest = int(classes.max())
    num_classes = highest + 1 if num_classes is None else num_classes
    if classes.min() < 0 or highest >= num_classes:
        raise ValueError(
            f"`labels` must lie in [0, {num_classes - 1}], got {classes.min()} to {highest}"
        )
    return values, classes, num_classes


def _noisy(values: Floats, random_state: int) -> Floats:
    """Scale the columns and break their ties as scikit-learn does, to the bit."""
    from sklearn.preprocessing import scale

    # the boolean index gives the column layout, and so the order of summation, of scikit-learn
    columns: Floats = values[:, np.ones(values.shape[1], dtype=bool)]
    columns = scale(columns, with_mean=False, copy=False)
    means = np.maximum(1, np.mean(np.abs(columns), axis=0))
    noise = np.random.RandomState(random_state).standard_normal(size=columns.shape)
    noise *= 1e-10 * means
    columns += noise
    return columns


def _matrix(
    values: Floats,
    classes: NDArray[np.int64],
    num_classes: int,
    n_neighbors: int,
    random_state: int,
) -> Floats:
    """The (C, K) matrix of one sample set."""
    from scipy.special import digamma

    from filterscope.metrics.functional._neighbors import neighbor_sums

    n, num_filters = values.shape
    counts = np.bincount(classes, minlength=num_classes)
    psi = digamma(np.arange(n + 2 * n_neighbors + 3, dtype=np.float64))
    columns = _noisy(values, random_state)
    own, rest = np.empty((num_filters, num_classes)), np.empty((num_filters, num_classes))

    def fill(k: int) -> None:
        column = columns[:, k]
        order = np.argsort(column)
        neighbor_sums(column[order], classes[order], counts, n_neighbors, psi, own[k], rest[k])

    threads = min(num_filters, torch.get_num_threads(), os.cpu_count() or 1)
    if threads == 1:
        for k in range(num_filters):
            fill(k)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, range(num_filters)))
    return _estimates(own.T, rest.T, counts, n, n_neighbors, psi)


def _estimates(
    own: Floats, rest: Floats, counts: NDArray[np.int64], n: int, n_neighbors: int, psi: Floats
) -> Floats:
    """Put the sums of psi(m) together: psi(N) + <psi(k)> - <psi(group size)> - <psi(m)>."""
    matrix = np.empty_like(own)
    for c, count in enumerate(counts.tolist()):
        groups = [size for size in (count, n - count) if size > 1]  # single points are dropped
        pool = sum(groups)
        if not pool:
            matrix[c] = 0.0
            continue
        neighbors = sum(size * psi[min(n_neighbors, size - 1)] for size in groups) / pool
        sizes = sum(size * psi[size] for size in groups) / pool
        matrix[c] = psi[pool] + neighbors - sizes - (own[c] + rest[c]) / pool
    return np.maximum(matrix, 0.0)


def _balanced_matrix(
    values: Floats,
    classes: NDArray[np.int64],
    num_classes: int,
    n_neighbors: int,
    random_state: int,
) -> Floats:
    matrix = np.zeros((num_classes, values.shape[1]))
    for c in range(num_classes):
        mine, others = np.flatnonzero(classes == c), np.flatnonzero(classes != c)
        if not len(mine) or not len(others):
            continue  # nothing to tell apart
        draw = np.random.RandomState(random_state + c)
        drawn = draw.choice(others, size=min(len(mine), len(others)), replace=False)
        rows = np.sort(np.concatenate([mine, drawn]))
        indicator = (classes[rows] == c).astype(np.int64)
        matrix[c] = _matrix(values[rows], indicator, 2, n_neighbors, random_state)[1]
    return matrix
