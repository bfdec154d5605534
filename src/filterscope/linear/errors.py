"""What can go wrong when a network is read as an affine map."""

from __future__ import annotations


class UnsupportedOperation(ValueError):
    """An operation on input-dependent tensors that has no linear rule, or one that is refused.

    Args:
        name: The operation, as in ``"softmax"``.
        path: Path of the module that ran it; empty for the network's own forward.
        reason: What is the matter, and what can be done.

    Examples:
        >>> raise UnsupportedOperation("softmax", "head", "it is no linear operation")
        Traceback (most recent call last):
        filterscope.linear.errors.UnsupportedOperation: operation `softmax` in `head`: it is no ...
    """

    def __init__(self, name: str, path: str, reason: str) -> None:
        self.name = name
        self.path = path
        self.reason = reason
        super().__init__(f"operation `{name}` in `{path or 'forward'}`: {reason}")


class ConservationError(ArithmeticError):
    """The parts of an output do not add up to it: something was left unattributed."""
