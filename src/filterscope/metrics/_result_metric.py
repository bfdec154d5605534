"""A torchmetrics class whose result is a frozen dataclass."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torchmetrics import Metric


class _Sealed:
    """Keeps torchmetrics from looking into a result: it copies field by field, and squeezes."""

    def __init__(self, value: Any) -> None:
        self.value = value


class ResultMetric(Metric):
    """A metric whose `compute` may give a frozen dataclass, which then comes out as it is."""

    def _wrap_compute(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(compute)
        def sealed(*args: Any, **kwargs: Any) -> _Sealed:
            return _Sealed(compute(*args, **kwargs))

        wrapped = super()._wrap_compute(sealed)

        @functools.wraps(compute)
        def opened(*args: Any, **kwargs: Any) -> Any:
            return wrapped(*args, **kwargs).value

        return opened
