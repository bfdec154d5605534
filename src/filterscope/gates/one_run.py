"""Whether both paths of a gated network may share one run of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from filterscope.core.contexts import evaluating, forward_hook

_BATCH_NORMS = (F.batch_norm, torch.batch_norm, torch.native_batch_norm)


def paths_share_a_run(
    run_both: Callable[[Tensor], Any], model: nn.Module, layer: nn.Module, images: Tensor
) -> bool:
    """Try, in eval mode, whether a batch may be doubled at a layer.

    It may not where a batch norm follows, whose statistics would mix the paths, nor where the
    network still needs the number of images that it was given: for a sum with what bypasses the
    layer, or for a view.

    Args:
        run_both: Runs the network and doubles the batch at the layer; gives the network's output.
        model: The network; its train flags are restored.
        layer: The layer.
        images: (N, ...); the first one is tried, twice, because a single one would be broadcast.
    """
    pair = torch.cat([images[:1], images[:1]])
    watch = _NormWatch()
    try:
        with evaluating(model), forward_hook(layer, watch.layer_ran), watch:
            output = run_both(pair)
    except (RuntimeError, ValueError, AssertionError):
        return False  # what is wrong with the network itself shows again when it runs twice
    doubled = isinstance(output, Tensor) and output.shape[:1] == (2 * len(pair),)
    return doubled and not watch.found


class _NormWatch(TorchFunctionMode):
    """Looks whether a batch norm is computed after a layer has run."""

    def __init__(self) -> None:
        super().__init__()
        self.after = self.found = False

    def layer_ran(self, *_: Any) -> None:
        self.after = True

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.found |= self.after and func in _BATCH_NORMS
        return func(*args, **kwargs or {})
