"""What can go wrong in the explorer, as the page is told of it."""

from __future__ import annotations


class ExplorerError(Exception):
    """An answer that is an error.

    Args:
        status: HTTP status.
        kind: One word for programs.
        message: One sentence for people.
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        self.status, self.kind, self.message = status, kind, message
        super().__init__(message)

    def to_dict(self) -> dict[str, dict[str, str]]:
        """The body of the answer.

        Examples:
            >>> ExplorerError(404, "unknown", "no such picture").to_dict()
            {'error': {'kind': 'unknown', 'message': 'no such picture'}}
        """
        return {"error": {"kind": self.kind, "message": self.message}}


class Superseded(ExplorerError):
    """A request that a later one of the same client has replaced."""

    def __init__(self) -> None:
        super().__init__(409, "superseded", "a later request of this client replaced this one")
