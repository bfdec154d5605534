"""Where the axes of an image lie in a tensor that was computed from it, and what they reach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import gcd, prod

from filterscope.maps._reach import SAME, Reach, united

# A part of a dimension: its size, and the axis of the image along which it runs.
Atom = tuple[int, int | None]
Dim = tuple[Atom, ...]


@dataclass(frozen=True)
class Places:
    """How the places of a tensor depend on the image.

    Attributes:
        dims: For each dimension the atoms that it runs through, the last one fastest.
        reaches: For each axis of the image what a place reaches by operations that keep places;
            None where the tensor no longer runs along the axis.
        whole: Axes along which every pixel reaches every place, through operations that mix them.
    """

    dims: tuple[Dim, ...]
    reaches: tuple[Reach | None, ...]
    whole: frozenset[int] = frozenset()

    def axes(self, dim: int) -> set[int]:
        """Axes of the image along which a dimension runs."""
        return {axis for _, axis in self.dims[dim] if axis is not None}

    def read(self, dim: int, later: Reach, size: int) -> Places:
        """After an operation that reads `dim` as `later` says and leaves `size` places."""
        axes = self.axes(dim)
        if not axes:
            return self._with_dim(dim, ((size, None),))
        (axis, *others) = axes
        before = self.reaches[axis]
        if others or before is None or any(n > 1 for n, found in self.dims[dim] if found is None):
            return self.renewed(dim, size)
        reaches = list(self.reaches)
        reaches[axis] = before.through(later)
        return replace(self._with_dim(dim, ((size, axis),)), reaches=tuple(reaches))

    def mixed(self, *dims: int) -> Places:
        """After an operation through which each place along `dims` reaches every other."""
        axes = set[int]().union(*(self.axes(dim) for dim in dims))
        return replace(self, whole=self.whole | axes)

    def renewed(self, dim: int, size: int) -> Places:
        """After an operation that mixes the places along `dim` into new ones."""
        return self.mixed(dim)._forgetting(self.axes(dim))._with_dim(dim, ((size, None),))

    def without(self, *dims: int) -> Places:
        """After an operation that mixes the places along `dims` and removes these."""
        gone = {dim % len(self.dims) for dim in dims}
        axes = set[int]().union(*(self.axes(dim) for dim in gone))
        kept = tuple(atoms for dim, atoms in enumerate(self.dims) if dim not in gone)
        return replace(self.mixed(*gone)._forgetting(axes), dims=kept)

    def permuted(self, order: Sequence[int]) -> Places:
        """With the dimensions in another order."""
        return replace(self, dims=tuple(self.dims[dim] for dim in order))

    def inserted(self, dim: int, size: int = 1) -> Places:
        """With a new dimension."""
        place = dim % (len(self.dims) + 1)
        dims = (*self.dims[:place], ((size, None),), *self.dims[place:])
        return replace(self, dims=dims)

    def viewed(self, shape: Sequence[int]) -> Places:
        """After a view; an axis of the image that the new shape cuts apart is lost."""
        if [prod(n for n, _ in atoms) for atoms in self.dims] == list(shape):
            return self
        rest = _joined([atom for atoms in self.dims for atom in atoms])
        dims: list[Dim] = []
        for size in shape:
            taken: list[Atom] = []
            while prod(n for n, _ in taken) < size or (size == 1 and not taken and _single(rest)):
                needed = size // prod(n for n, _ in taken)
                if not rest:
                    break
                n, axis = rest.pop(0)
                if needed % n:
                    part = gcd(n, needed)
                    if axis is not None or part == 1:
                        return lost(shape, len(self.reaches))
                    rest.insert(0, (n // part, None))
                    n = part
                taken.append((n, axis))
            dims.append(tuple(taken) or ((size, None),))
        if dims:
            dims[-1] = (*dims[-1], *rest)
        return replace(self, dims=tuple(dims))

    def _with_dim(self, dim: int, atoms: Dim) -> Places:
        dims = list(self.dims)
        dims[dim] = atoms
        return replace(self, dims=tuple(dims))

    def _forgetting(self, axes: Iterable[int]) -> Places:
        gone = set(axes)
        reaches = tuple(None if axis in gone else r for axis, r in enumerate(self.reaches))
        return replace(self, reaches=reaches)


def source(shape: Sequence[int]) -> Places:
    """A batch of images or maps itself, (N, C, *axes)."""
    axes = range(len(shape) - 2)
    dims = [((size, None),) for size in shape[:2]]
    return Places(
        (*dims, *(((size, axis),) for size, axis in zip(shape[2:], axes, strict=True))),
        (SAME,) * len(axes),
    )


def lost(shape: Sequence[int], num_axes: int) -> Places:
    """After an operation that is not known: it may do anything."""
    dims = tuple(((size, None),) for size in shape)
    return Places(dims, (None,) * num_axes, frozenset(range(num_axes)))


def merged(operands: Sequence[Places], shape: Sequence[int]) -> Places:
    """After an operation that puts tensors together place by place, broadcasting them."""
    whole = frozenset[int]().union(*(p.whole for p in operands))
    reaches: dict[int, list[Reach]] = {}
    counts: dict[int, int] = {}
    dims: list[Dim] = []
    for back, size in enumerate(reversed(shape), start=1):
        running = [p for p in operands if len(p.dims) >= back and p.axes(-back)]
        fitting = [p for p in running if prod(n for n, _ in p.dims[-back]) == size]
        # one place along an axis is spread over all, so that each of them reads what it read
        spread = [p for p in running if p not in fitting]
        agreed = len({p.dims[-back] for p in fitting}) == 1
        for p in spread if agreed else running:
            whole |= p.axes(-back)
        dims.insert(0, fitting[0].dims[-back] if agreed else ((size, None),))
        for n, axis in dims[0]:
            if axis is not None:
                reaches[axis] = [r for p in fitting if (r := p.reaches[axis]) is not None]
                counts[axis] = n
    axes_in_all = range(len(operands[0].reaches))
    reach_of = [united(reaches[a], counts[a]) if reaches.get(a) else None for a in axes_in_all]
    return Places(tuple(dims), tuple(reach_of), whole)


def _joined(atoms: Sequence[Atom]) -> list[Atom]:
    """The same order of places in fewer atoms, where no axis of the image is concerned."""
    found: list[Atom] = []
    for n, axis in atoms:
        if axis is None and found and found[-1][1] is None:
            n *= found.pop()[0]
        if (n, axis) != (1, None):
            found.append((n, axis))
    return found


def _single(atoms: Sequence[Atom]) -> bool:
    return bool(atoms) and atoms[0][0] == 1
