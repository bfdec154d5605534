"""A network as the explorer knows it: its id, and how it is read at a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from filterscope.explorer.settings import Limits
from filterscope.explorer.uploads import shrunk_pixels

if TYPE_CHECKING:
    from filterscope.core.answers import TaskLoss
    from filterscope.models.image_networks import ImageNetwork
    from filterscope.runs import Network, Run


@dataclass(frozen=True, eq=False)
class Subject:
    """A network that can be explored.

    Attributes:
        id: A short text for links.
        name: For people.
        source: Where its weights come from, in words.
        kind: "pictures" for networks that give a picture, "labels" for classifiers.
        model: The network.
        pixels: Cuts a picture (3, H, W) to what the network looks at; uint8.
        prepare: Turns those pixels into the network's input (1, C, H, W).
        finish: Turns the network's output and those pixels into RGB uint8; None for classifiers.
        classes: Class names; empty for networks that give a picture.
        run: The run that a classifier comes from; None for others.
        task_loss: What a classifier's scores were trained with.
    """

    id: str
    name: str
    source: str
    kind: Literal["pictures", "labels"]
    model: nn.Module
    pixels: Callable[[Tensor], Tensor]
    prepare: Callable[[Tensor], Tensor]
    finish: Callable[[Tensor, Tensor], Tensor] | None = None
    classes: tuple[str, ...] = ()
    run: Run | None = None
    task_loss: TaskLoss = "softmax"

    def to_dict(self) -> dict[str, object]:
        """What the page is told."""
        return {"id": self.id, "name": self.name, "source": self.source, "kind": self.kind,
                "classes": list(self.classes)}  # fmt: skip


def image_subject(network: ImageNetwork, limits: Limits) -> Subject:
    """A super-resolution or image-to-image network, of `create_image_network`."""

    def pixels(picture: Tensor) -> Tensor:
        return network.crop(shrunk_pixels(picture, limits.network_side))

    return Subject(
        id=_plain(network.name),
        name=network.name,
        source=network.source,
        kind="pictures",
        model=network.model,
        pixels=pixels,
        prepare=network.prepare,
        finish=network.finish,
    )


def classifier_subject(network: Network, run: Run | None = None) -> Subject:
    """A classifier, of `load_network`; with its run for the classes of its filters."""

    def prepare(pixels: Tensor) -> Tensor:
        return network.transform.normalize(pixels[None])

    return Subject(
        id=_plain(network.name),
        name=network.name,
        source=_without_folders(network.source),
        kind="labels",
        model=network.model,
        pixels=network.transform.pixels,
        prepare=prepare,
        classes=network.classes,
        run=run,
        task_loss=network.task_loss,
    )


def by_id(subjects: Sequence[Subject]) -> dict[str, Subject]:
    """Subjects by their ids; those of one name get a number.

    Raises:
        ValueError: None at all.
    """
    if not subjects:
        raise ValueError("`subjects` must hold at least one network")
    found: dict[str, Subject] = {}
    for subject in subjects:
        number, changed = 2, subject
        while changed.id in found:
            changed = replace(
                subject, id=f"{subject.id}-{number}", name=f"{subject.name} ({number})"
            )
            number += 1
        found[changed.id] = changed
    return found


def _without_folders(source: str) -> str:
    """Where weights come from, without telling clients of the server's folders.

    Examples:
        >>> _without_folders("weights /home/me/nets/a.pt"), _without_folders("torchvision")
        ('weights a.pt', 'torchvision')
    """
    kind, _, place = source.partition(" ")
    return f"{kind} {Path(place).name}" if kind in ("weights", "run") else source


def _plain(name: str) -> str:
    """A name in letters, digits, dots, dashes and underscores.

    Examples:
        >>> _plain("timm:convnext tiny")
        'timm-convnext-tiny'
    """
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name)[:64]
