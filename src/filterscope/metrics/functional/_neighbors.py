"""Nearest-neighbour sums of the mutual-information estimator, for all classes of one filter.

The estimator asks, for every class c, two groups (class c and the rest) for the distance from each
point to its k-th neighbour in its own group, and for the number m of points of either group within
that distance. One sort of the filter's values serves all classes:

* inside class c, neighbours are found along the list of its places in the sorted values;
* inside the rest of class c, a point's contribution differs from the one that it has among all
  points only if a point of class c is among its k nearest; only those are computed again.

So the cost grows with N log N and hardly with C. All comparisons are made in the floating-point
form that scikit-learn's k-d tree and brute-force search use, so that sums agree to rounding.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

_SCAN = 4  # steps before a search gallops


def _compiled(function: Any) -> Any:
    """Compile, and keep the machine code for the next process where a folder is writable."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return njit(nogil=True)(function)


@_compiled
def _leftmost(xs: Any, i: int, radius: float, inside: int) -> int:
    """Lowest place within `radius` of place i; `inside` is known to be within."""
    x, low, step = xs[i], inside, 1
    for _ in range(_SCAN):
        if low == 0 or x - xs[low - 1] > radius:
            return low
        low -= 1
    while low - step >= 0 and x - xs[low - step] <= radius:
        low -= step
        step *= 2
    bottom = max(low - step, -1)  # outside
    while low - bottom > 1:
        middle = (low + bottom) // 2
        if x - xs[middle] <= radius:
            low = middle
        else:
            bottom = middle
    return low


@_compiled
def _rightmost(xs: Any, i: int, radius: float, inside: int) -> int:
    """Highest place within `radius` of place i; `inside` is known to be within."""
    x, high, step, n = xs[i], inside, 1, len(xs)
    for _ in range(_SCAN):
        if high == n - 1 or xs[high + 1] - x > radius:
            return high
        high += 1
    while high + step < n and xs[high + step] - x <= radius:
        high += step
        step *= 2
    top = min(high + step, n)  # outside
    while top - high > 1:
        middle = (high + top) // 2
        if xs[middle] - x <= radius:
            high = middle
        else:
            top = middle
    return high


@_compiled
def _shrunk(distance: float) -> Any:
    """The next number towards zero, so that the k-th neighbour itself is not counted."""
    return np.nextafter(distance, 0.0)


@_compiled
def _brute_distance(values: Any, t: int, k: int, scratch: Any) -> Any:
    """Distance to the k-th neighbour in a small group, expanded as scikit-learn's brute force."""
    x, count = values[t], 0
    for u in range(len(values)):
        if u != t:
            y = values[u]
            scratch[count] = math.sqrt(max(0.0, (x * x + -2.0 * (x * y)) + y * y))
            count += 1
    return np.sort(scratch[:count])[k - 1]


@_compiled
def _small_group_sum(
    xs: Any, places: Any, n_neighbors: int, dropped: int, psi: Any, scratch: Any
) -> Any:
    """`_group_sum` of a group so small that scikit-learn searches it by brute force."""
    count = len(places)
    k = min(n_neighbors, count - 1)
    values = xs[places]
    total = 0.0
    for t in range(count):
        i = places[t]
        radius = _shrunk(_brute_distance(values, t, k, scratch))
        first, last = _leftmost(xs, i, radius, i), _rightmost(xs, i, radius, i)
        total += psi[last - first + 1 - int(first <= dropped <= last)]
    return total


@_compiled
def _group_sum(xs: Any, places: Any, k: int, dropped: int, psi: Any) -> Any:
    """Sum of psi(m) over a group of more than 2 k + 1 points, given by its sorted places.

    `dropped` is the place of a point that is not in the pool, or -1.
    """
    count, n = len(places), len(xs)
    values = np.full(count + 2 * k, np.inf)  # of the group, with k sentinels at either end
    values[:k] = -np.inf
    where = np.empty(count + 2 * k, np.int64)
    where[:k], where[count + k :] = -1, n
    for t in range(count):
        values[k + t] = xs[places[t]]
        where[k + t] = places[t]
    total = 0.0
    for t in range(k, count + k):
        i, x = where[t], values[t]
        low, high = t - 1, t + 1
        distance, go_left = 0.0, 0
        for _ in range(k):
            left, right = x - values[low], values[high] - x
            go_left = int(left <= right)
            distance = min(left, right)
            low -= go_left
            high += 1 - go_left
        radius = _shrunk(distance)
        if go_left:  # the k-th neighbour bounds the left side, the right is searched
            first, inside = where[low + 1] + 1, where[high - 1]
            if x - xs[first] > radius or xs[inside] - x > radius:  # ties
                first, inside = _leftmost(xs, i, radius, i), i
            last = _rightmost(xs, i, radius, inside)
        else:
            last, inside = where[high - 1] - 1, where[low + 1]
            if xs[last] - x > radius or x - xs[inside] > radius:
                last, inside = _rightmost(xs, i, radius, i), i
            first = _leftmost(xs, i, radius, inside)
        total += psi[last - first + 1 - int(first <= dropped <= last)]
    return total


@_compiled
def _runs(labels: Any, start: Any, end: Any) -> None:
    """First and last place of the run of equal labels around each place."""
    n = len(labels)
    for i in range(n):
        start[i] = start[i - 1] if i > 0 and labels[i] == labels[i - 1] else i
    for i in range(n - 1, -1, -1):
        end[i] = end[i + 1] if i < n - 1 and labels[i] == labels[i + 1] else i


@_compiled
def _without_class(
    xs: Any, labels: Any, start: Any, end: Any, i: int, c: int, k: int, single: bool, psi: Any
) -> Any:
    """psi(m) of place i in the rest of class c, whose points are skipped run by run.

    `single`: the class has one point, which then is not in the pool.
    """
    n, x = len(xs), xs[i]
    low, high = i - 1, i + 1  # next candidates
    first, last = i, i  # farthest chosen
    inner_first, inner_last = i, i
    distance = 0.0
    for _ in range(k):
        if low >= 0 and labels[low] == c:
            low = start[low] - 1
        if high < n and labels[high] == c:
            high = end[high] + 1
        inner_first, inner_last = first, last
        left = x - xs[low] if low >= 0 else np.inf
        right = xs[high] - x if high < n else np.inf
        if left <= right:
            first, distance, low = low, left, low - 1
        else:
            last, distance, high = high, right, high + 1
    radius = _shrunk(distance)
    if x - xs[inner_first] > radius:
        inner_first = i
    if xs[inner_last] - x > radius:
        inner_last = i
    first, last = _leftmost(xs, i, radius, inner_first), _rightmost(xs, i, radius, inner_last)
    m = last - first + 1
    if single:
        for j in range(first, last + 1):
            if labels[j] == c:
                m -= 1
    return psi[m]


@_compiled
def _free_sum(xs: Any, i: int, k: int, psi: Any) -> Any:
    """psi(m) of place i among all points, where distances tie."""
    n, x = len(xs), xs[i]
    low, high, distance = i, i, 0.0
    for _ in range(k):
        left = x - xs[low - 1] if low > 0 else np.inf
        right = xs[high + 1] - x if high < n - 1 else np.inf
        if left <= right:
            low, distance = low - 1, left
        else:
            high, distance = high + 1, right
    radius = _shrunk(distance)
    return psi[_rightmost(xs, i, radius, i) - _leftmost(xs, i, radius, i) + 1]


@_compiled
def _rest_sums(xs: Any, labels: Any, counts: Any, k: int, psi: Any, sums: Any) -> None:
    """Sums of psi(m) over the rest of every class whose rest has more than 2 k + 1 points.

    The 2 k + 2 nearest points are merged once for each point. Mostly they answer for every class:
    with the k-th point that is not of class c at rank j (from 0) and no tie, m is j + 1.
    """
    n = len(xs)
    start, end = np.empty(n, np.int64), np.empty(n, np.int64)
    _runs(labels, start, end)
    own = np.zeros(len(counts))
    total = 0.0
    reach = 2 * k + 2
    padded = np.full(n + 2 * reach, np.inf)
    padded[:reach] = -np.inf
    padded[reach : reach + n] = xs
    around = np.full(n + 2 * reach, -1, np.int64)
    around[reach : reach + n] = labels
    distances, classes = np.empty(reach), np.empty(reach, np.int64)
    for i in range(n):
        x, label = xs[i], labels[i]
        low, high = reach + i - 1, reach + i + 1
        for j in range(reach):
            left, right = x - padded[low], padded[high] - x
            go_left = int(left <= right)
            distances[j] = min(left, right)
            classes[j] = around[low] if go_left else around[high]
            low -= go_left
            high += 1 - go_left
        tied = (k > 1 and distances[k - 2] == distances[k - 1]) or distances[k - 1] == 0.0
        free = _free_sum(xs, i, k, psi) if tied else psi[k]
        total += free
        own[label] += free
        for j in range(k):
            c = classes[j]
            known = c == label
            for s in range(j):
                known |= classes[s] == c
            if known or n - counts[c] <= 2 * k + 1:
                continue
            found, rank = 0, j
            for s in range(reach):
                found += int(classes[s] != c)
                if found == k:
                    rank = s
                    break
            distance = distances[rank]
            single = counts[c] == 1
            clear = found == k and distances[rank - 1] < distance and distance < np.inf
            if clear and not single:
                sums[c] += psi[rank + 1] - free
            else:
                again = _without_class(xs, labels, start, end, i, c, k, single, psi)
                sums[c] += again - free
    for c in range(len(counts)):
        sums[c] += total - own[c]


@_compiled
def neighbor_sums(
    xs: Any, labels: Any, counts: Any, n_neighbors: int, psi: Any, own: Any, rest: Any
) -> None:
    """Fill the sums of psi(m) over each class and over the rest of each class, for one filter.

    Groups of a single point are left out of the pool, as scikit-learn does, and give 0.

    Args:
        xs: Sorted values of the filter, (N,) float64.
        labels: Class of each, (N,) int64.
        counts: Points of each class, (C,).
        n_neighbors: k.
        psi: Digamma of 0 (unused) to N + 2 k + 2.
        own: Result for the classes, (C,).
        rest: Result for their rests, (C,).
    """
    n, num_classes = len(xs), len(counts)
    own[:] = 0.0
    rest[:] = 0.0
    offsets = np.zeros(num_classes + 1, np.int64)
    for c in range(num_classes):
        offsets[c + 1] = offsets[c] + counts[c]
    places, fill = np.empty(n, np.int64), offsets[:-1].copy()
    for i in range(n):
        c = labels[i]
        places[fill[c]] = i
        fill[c] += 1
    most = 2 * n_neighbors + 1  # points of a group that is searched by brute force
    scratch, others = np.empty(most + 1), np.empty(most, np.int64)
    _rest_sums(xs, labels, counts, n_neighbors, psi, rest)
    for c in range(num_classes):
        mine = places[offsets[c] : offsets[c + 1]]
        dropped = -1
        if n - counts[c] <= most:
            rest[c] = 0.0
            found = 0
            for i in range(n):
                if labels[i] != c:
                    others[found] = i
                    found += 1
            if found == 1:
                dropped = others[0]
            elif found > 1:
                alone = mine[0] if counts[c] == 1 else -1
                rest[c] = _small_group_sum(xs, others[:found], n_neighbors, alone, psi, scratch)
        if counts[c] > most:
            own[c] = _group_sum(xs, mine, n_neighbors, dropped, psi)
        elif counts[c] > 1:
            own[c] = _small_group_sum(xs, mine, n_neighbors, dropped, psi, scratch)
