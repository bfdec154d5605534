"""What the explorer allows: every bound in one place."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Limits:
    """Bounds on what clients can ask of the server.

    Args:
        upload_bytes: Size of an uploaded file.
        upload_pixels: Pixels of an uploaded picture, told by its header before it is decoded.
        kept_side: Longer side of a picture that is kept; larger ones are shrunk.
        kept_pictures: Uploaded pictures that are kept; the oldest goes first.
        network_side: Longer side of what a super-resolution or image-to-image network is given.
        cache_bytes: Memory that interpreters may keep between requests.
        waiting: Requests that may wait for the compute thread, all clients together.

    Raises:
        ValueError: A bound below 1.
    """

    upload_bytes: int = 20 * 2**20
    upload_pixels: int = 24_000_000
    kept_side: int = 1024
    kept_pictures: int = 16
    network_side: int = 128
    cache_bytes: int = 2**30
    waiting: int = 512

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"`{field.name}` must be a positive integer, got {value!r}")
