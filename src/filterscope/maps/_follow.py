"""Following the axes of an image through the operations of a network while it runs."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from filterscope.maps._places import Places, lost, merged, source
from filterscope.maps._rules import CONSTANT, Arguments, find_rule


class Follower(TorchDispatchMode):
    """Knows of each tensor that is computed from the image how its places depend on the image.

    It stands below PyTorch's functions, where functional pools, sums of branches and the calls
    of modules are the same few primitive operations.

    Args:
        image: The batch (N, C, *axes) from which the places are counted.
        with_mirrors: Whether a place also reaches what a mirrored or repeated border shows of it.
    """

    def __init__(self, image: Tensor, *, with_mirrors: bool = False) -> None:
        TorchDispatchMode.__init__(self)
        self._known: MutableMapping[Tensor, Places] = WeakTensorKeyDictionary()
        self._known[image] = source(image.shape)
        # by address: memory that was filled through a view, and by what; held, to keep the address
        self._filled: dict[int, tuple[Any, str]] = {}
        self._num_axes = image.dim() - 2
        self._with_mirrors = with_mirrors
        self.unknown: list[str] = []

    def places(self, tensor: Tensor) -> Places | None:
        """How a tensor's places depend on the image; None where it does not."""
        return self._known.get(tensor)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operation; note the places of what it gives."""
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        name = str(func._schema.name).removeprefix("aten::").rstrip("_")
        if name not in CONSTANT:
            self._lose_filled(read)
            if any(tensor in self._known for tensor in read):
                self._note(func, name, _bound(func, args, kwargs), read, output)
        return output

    def _lose_filled(self, read: list[Tensor]) -> None:
        """Places are lost in a tensor made without the image, into a part of which it was written.

        So circular padding and ``out[:, :, 1:] = x`` work. Taken for a constant, the tensor would
        leave a path from the image out of account.
        """
        for tensor in read if self._filled else ():
            if tensor not in self._known:
                _, name = self._filled.get(tensor.untyped_storage().data_ptr(), (None, None))
                if name is not None:
                    self.unknown.append(f"{name} into a part of a tensor")
                    self._known[tensor] = lost(tensor.shape, self._num_axes)

    def _note(
        self, func: Any, name: str, given: dict[str, Any], read: list[Tensor], output: Any
    ) -> None:
        rule = find_rule(name, torch.Tag.pointwise in func.tags)
        arguments = Arguments(name, given, self._known.get, self._num_axes, self._with_mirrors)
        written = read[:1] if func._schema.is_mutable else []
        if written and written[0] not in self._known:
            memory = written[0].untyped_storage()
            self._filled[memory.data_ptr()] = (memory, name)
        for position, made in enumerate(tree_leaves(output)):
            if isinstance(made, Tensor):
                places = rule(arguments, tuple(made.shape), position) if rule else None
                if places is None:
                    self.unknown.append(name)
                    places = lost(made.shape, self._num_axes)
                self._known[made] = places
                if written and made is written[0]:
                    self._update_aliases(made, places)

    def _update_aliases(self, written: Tensor, places: Places) -> None:
        """What is written into a tensor is read through every view of its memory, too."""
        memory = written.untyped_storage().data_ptr()
        for tensor, before in list(self._known.items()):
            if tensor is not written and tensor.untyped_storage().data_ptr() == memory:
                same = tensor.shape == written.shape
                both = [before, places if same else lost((), self._num_axes)]
                self._known[tensor] = merged(both, tensor.shape)


def _bound(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of an operation by their names, defaults filled in."""
    given = {argument.name: argument.default_value for argument in func._schema.arguments}
    given.update(zip(given, args, strict=False))
    return {**given, **kwargs}
