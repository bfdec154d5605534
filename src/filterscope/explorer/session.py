"""What one explorer holds: networks, pictures, the compute thread and its cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from filterscope.explorer.errors import ExplorerError
from filterscope.explorer.interpreters import Interpreters, Reading
from filterscope.explorer.pictures import Picture, Pictures
from filterscope.explorer.settings import Limits
from filterscope.explorer.subjects import Subject, by_id
from filterscope.explorer.worker import Job, Worker

View = Callable[[Reading], bytes]


class Session:
    """Networks and pictures that are explored together.

    Args:
        subjects: The networks, of `image_subject` and `classifier_subject`.
        pictures: Name and pixels, uint8 (3, H, W); the first is shown first.
        limits: What clients may ask; None for the defaults.
        hint: A line that the page shows, such as how to give networks of one's own.

    Attributes:
        subjects: By their ids.
        pictures: Those given and those uploaded.
        limits: What clients may ask.
        hint: As given.
        worker: The thread that computes.
        interpreters: The networks frozen at pictures; belongs to that thread.

    Raises:
        ValueError: No network, or no picture.
    """

    def __init__(
        self,
        subjects: Sequence[Subject],
        pictures: Mapping[str, Tensor],
        limits: Limits | None = None,
        hint: str = "",
    ) -> None:
        if not pictures:
            raise ValueError("`pictures` must hold at least one picture")
        self.limits = limits or Limits()
        self.hint = hint
        self.subjects = by_id(subjects)
        self.pictures = Pictures(pictures, self.limits)
        self.worker = Worker(self.limits.waiting)
        self.interpreters = Interpreters(self.limits.cache_bytes)

    def submit(self, client: str, kind: str, network: str, image: str, view: View) -> Job:
        """Ask for a view of a network at a picture.

        Args:
            client: Whose request it is; a later one of the same kind replaces it.
            kind: "open", "probe", "label" or "votes".
            network: Id of the network.
            image: Id of the picture.
            view: Computes the answer.

        Raises:
            ExplorerError: No such network or picture, one that does not have this kind of view,
                or too many requests wait.
        """
        subject = self.subject(network)
        picture = self.pictures.get(image)

        def compute(is_over: Callable[[], bool]) -> bytes:
            with self.interpreters.reading(subject, picture, is_over) as reading:
                return view(reading)

        return self.worker.submit((client, kind), compute)

    def subject(self, network: str) -> Subject:
        """The network of an id.

        Raises:
            ExplorerError: There is none.
        """
        if network not in self.subjects:
            known = ", ".join(self.subjects)
            raise ExplorerError(404, "network", f"no network {network!r} here; there are {known}")
        return self.subjects[network]

    def upload(self, content: bytes, name: str) -> Picture:
        """Decode and keep a picture; see `Pictures.upload`."""
        return self.pictures.upload(content, name)

    def to_dict(self) -> dict[str, object]:
        """What the page is told at its start."""
        return {
            "networks": [subject.to_dict() for subject in self.subjects.values()],
            "images": [picture.to_dict() for picture in self.pictures],
            "limits": {
                "upload_bytes": self.limits.upload_bytes,
                "upload_pixels": self.limits.upload_pixels,
            },
            "hint": self.hint,
        }

    def close(self) -> None:
        """End the compute thread."""
        self.worker.close()
