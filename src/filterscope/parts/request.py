"""What `part_losses` asks the layers of a network for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

LossKind = Literal["exact", "paper", "official"]


@dataclass
class LossRequest:
    """The question parked on one layer for the length of one context.

    Attributes:
        members: Which image is of which category, (N, C), bool.
        losses: Where the layer's loss goes; shared by the layers of a network.
        kind: The form of the filter loss.
        tau: Peak of the templates in the likelihood; None means 0.5 / n squared.
        temperature: Of the official loss.
        beta_rate: Share of the way to its target that a learned beta goes in a step.
        training: The layer's train flag when the context was entered. A run with another flag is
            somebody's look at the network, not this step's forward pass.
        buffers: The layer's buffers as they were when the context was entered. The forward pass
            reads these while it moves the layer's own: a compiled backward pass may compute the
            masks again from what the forward pass read.
        ran: Whether the layer has answered.
    """

    members: Tensor
    losses: list[Tensor]
    kind: LossKind
    tau: float | None
    temperature: float
    beta_rate: float
    training: bool
    buffers: dict[str, Tensor]
    ran: bool = field(default=False)

    def members_for(self, maps: Tensor) -> Tensor:
        """Give the membership, after a look at the batch."""
        if len(maps) != len(self.members):
            raise ValueError(
                f"`labels` are for {len(self.members)} images, but a layer with part templates "
                f"saw {len(maps)}"
            )
        return self.members

    def add(self, loss: Tensor) -> None:
        """Note the layer's loss.

        Raises:
            RuntimeError: It has one already.
        """
        if self.ran:
            raise RuntimeError(
                "a layer with part templates ran more than once in `part_losses`; enter it for "
                "one forward pass, and put templates on layers that run once"
            )
        self.ran = True
        self.losses.append(loss)
