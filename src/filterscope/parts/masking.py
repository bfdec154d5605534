"""The mask at the end of a layer, and what it does while filter losses are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, Unpack, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope.core.recomputation import is_recomputed
from filterscope.parts.beta import moved_beta
from filterscope.parts.categories import (
    Statistic,
    category_means,
    checked_shares,
    moved_means,
)
from filterscope.parts.filter_loss import (
    exact_loss,
    official_loss,
    paper_loss,
    with_gradient,
    with_negative,
)
from filterscope.parts.peaks import peak_units
from filterscope.parts.request import LossRequest
from filterscope.parts.settings import TemplateOptions, TemplateSettings


class PartTemplates(nn.Module):
    """Mask each feature map by the template of its own peak.

    Each map is multiplied by the positive part of the template centred on its unit mu, so that
    only the surroundings of the peak pass. The choice is a constant for gradients. It needs no
    labels, and is the same in train and eval mode. Maps are meant to be rectified; where they are
    not, mu and the filter loss read their positive part and the mask multiplies them as they are.

    Inside `part_losses` it also gives the filter loss of the maps before the mask. In train mode
    the buffers then move: a step's loss uses what earlier steps left.

    Args:
        num_filters: K, channels of the maps.
        num_categories: C, object categories that filters are divided among.
        class_shares: Share of the training images in each category, C numbers, for the weights
            0.5 / share and 0.5 / (1 - share) of the official loss; None means 1 / C. A single
            category has weights 1.
        class_statistic: What assigns a filter to one of several categories: the category with the
            largest moving average of the maps' "peak" (the authors' code) or "sum" (the paper).
        **templates: `shape`, `space`, `beta`, `gamma`, `mu` and `learn_beta` of
            `TemplateSettings`.

    Attributes:
        settings: The `TemplateSettings`.
        beta: Slope of each filter's templates, (K,), a buffer; absent unless it is learned.
        class_strengths: Moving average of the statistic, (C, K), a buffer; absent with one
            category.
        batches: Batches that the average has seen, a buffer; absent with one category.

    Raises:
        ValueError: A size below 1, shares that are no shares, or templates that cannot be.

    Source: Zhang et al., CVPR 2018, section 3; the authors' code for beta and categories.

    Examples:
        >>> import torch
        >>> maps = torch.rand(2, 8, 6, 6)
        >>> masked = PartTemplates(num_filters=8)(maps)
        >>> bool((masked <= maps).all()), torch.equal(masked.amax((2, 3)), maps.amax((2, 3)))
        (True, True)
    """

    beta: Tensor
    class_strengths: Tensor
    batches: Tensor
    class_shares: Tensor

    def __init__(
        self,
        num_filters: int,
        num_categories: int = 1,
        *,
        class_shares: Sequence[float] | None = None,
        class_statistic: Statistic = "peak",
        **templates: Unpack[TemplateOptions],
    ) -> None:
        super().__init__()
        for name, size in (("num_filters", num_filters), ("num_categories", num_categories)):
            if size < 1:
                raise ValueError(f"`{name}` must be at least 1, got {size}")
        if class_statistic not in get_args(Statistic):
            raise ValueError(f"`class_statistic` must be 'peak' or 'sum', got {class_statistic!r}")
        self.num_filters = num_filters
        self.num_categories = num_categories
        self.class_statistic = class_statistic
        self.settings = TemplateSettings(**templates)
        # what to give beside the masked maps, set for the length of one `part_losses`
        self._request: LossRequest | None = None
        if self.settings.learn_beta:
            self.register_buffer("beta", torch.full((num_filters,), float(self.settings.beta)))
        if num_categories > 1:
            self.register_buffer("class_strengths", torch.zeros(num_categories, num_filters))
            self.register_buffer("batches", torch.tensor(0))
            shares = checked_shares(class_shares, num_categories)
            self.register_buffer("class_shares", shares, persistent=False)
        elif class_shares is not None:
            raise ValueError("`class_shares` only concern several categories")

    def forward(self, maps: Tensor) -> Tensor:
        """Mask the maps.

        Args:
            maps: Feature maps, (N, K, n, n) with n of 2 or more.

        Returns:
            The masked maps, of the same shape and dtype.

        Raises:
            ValueError: Maps of integers, of another number of filters, not square, or below 2 x 2.
            RuntimeError: Inside `part_losses`: a second run in one context; in a backward pass:
                a recomputation by activation checkpointing.
        """
        self._check(maps)
        units = peak_units(maps, self.settings.mu)
        masks = self.templates_at(units, maps).clamp_min(0)
        if self._request is not None and self._request.training == self.training:
            self._request.add(self._filter_loss(maps, units, self._request))
        return maps * masks

    def on_layer_output(self, _module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        """Mask the output of the layer that carries this as its forward hook.

        A permanent hook and a bound method, so that copies and pickles of a network carry it, and
        `torch.compile` sees it.
        """
        masked: Tensor = self(output)
        return masked

    def templates_at(self, units: Tensor, maps: Tensor) -> Tensor:
        """Gather the template of each map's unit, with peak 1.

        Args:
            units: Flat unit of each map, (N, K).
            maps: The maps, (N, K, n, n), for their size, dtype and device.

        Returns:
            Templates, (N, K, n, n).
        """
        if not self.settings.learn_beta:
            return F.embedding(units, self.settings.bank(maps)).view(maps.shape)
        distances = F.embedding(units, self.settings.distances(maps)).view(maps.shape)
        slopes = self._read("beta").to(maps.dtype)[:, None, None]
        return (1 - slopes * distances).clamp_min_(-1)

    def target_categories(self) -> Tensor:
        """Give the category of each filter, (K,), int64; -1 before the first training batch."""
        if self.num_categories == 1:
            device = self.beta.device if self.settings.learn_beta else None
            return torch.zeros(self.num_filters, dtype=torch.long, device=device)
        return torch.where(self.batches > 0, self.class_strengths.argmax(0), -1)

    def filterscope_description(self) -> dict[str, Any]:
        """Tell what masks the maps and stands in no weights, as plain values for a file."""
        return {
            "num_filters": self.num_filters,
            "num_categories": self.num_categories,
            "class_statistic": self.class_statistic,
            **self.settings.to_description(),
        }

    def extra_repr(self) -> str:
        """Describe the templates in the network's printout."""
        settings = self.settings
        return (
            f"num_filters={self.num_filters}, num_categories={self.num_categories}, "
            f"shape={settings.shape!r}, space={settings.space!r}, mu={settings.mu!r}"
        )

    def _filter_loss(self, maps: Tensor, units: Tensor, request: LossRequest) -> Tensor:
        """Give this batch's loss, then move the buffers."""
        members = request.members_for(maps)
        with torch.autocast(maps.device.type, enabled=False):
            wide = torch.relu(maps.to(torch.promote_types(maps.dtype, torch.float32)))
            flat = wide.flatten(2)
            positives = self._positives(members)
            chosen = self.templates_at(units, wide.detach()).flatten(2)
            if request.kind == "official":
                weights = self._sign_weights(wide)
                answer = official_loss(flat, chosen, positives, weights, request.temperature)
            else:
                templates = self._likelihood_templates(wide.detach(), request.tau)
                if request.kind == "exact":
                    answer = exact_loss(flat, templates)
                else:
                    answer = paper_loss(flat, templates, units, positives)
            loss = with_gradient(flat, answer)
            if self.training:
                self._move(wide.detach(), units, chosen, members, positives, request)
        return loss

    def _positives(self, members: Tensor) -> Tensor:
        """Whether each image is of each filter's category, (N, K); all before the first batch."""
        if self.num_categories == 1:
            return members.expand(-1, self.num_filters)
        own = members[:, self._read("class_strengths").argmax(0)]
        return own | (self._read("batches") == 0)

    def _sign_weights(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of positive and negative images, (K,) each, that balance the categories."""
        ones = maps.new_ones(self.num_filters)
        if self.num_categories == 1:
            return ones, ones
        share = self.class_shares.to(maps)[self._read("class_strengths").argmax(0)]
        known = self._read("batches") > 0
        return torch.where(known, 0.5 / share, ones), torch.where(known, 0.5 / (1 - share), ones)

    def _likelihood_templates(self, maps: Tensor, tau: float | None) -> Tensor:
        units = maps.shape[2] * maps.shape[3]
        tau = 0.5 / units if tau is None else tau
        if not self.settings.learn_beta:
            return with_negative(self.settings.bank(maps), tau)
        slopes = self._read("beta").to(maps.dtype)[:, None, None]
        return with_negative((1 - slopes * self.settings.distances(maps)).clamp_min_(-1), tau)

    @torch.no_grad()
    def _move(
        self,
        maps: Tensor,
        units: Tensor,
        chosen: Tensor,
        members: Tensor,
        positives: Tensor,
        request: LossRequest,
    ) -> None:
        """Move the statistics and the slopes by one batch."""
        if self.settings.learn_beta:
            beta = self._read("beta")
            self.beta.copy_(moved_beta(beta, maps, units, chosen, positives, request))
        if self.num_categories > 1:
            old, batches = self._read("class_strengths"), self._read("batches")
            means = category_means(maps, members, self.class_statistic).to(old)
            self.class_strengths.copy_(moved_means(old, means, batches == 0))
            self.batches.copy_(batches + 1)

    def _read(self, name: str) -> Tensor:
        """Give a buffer, inside `part_losses` as it was at the entry."""
        if self._request is not None:
            return self._request.buffers[name]
        buffer: Tensor = getattr(self, name)
        return buffer

    def _check(self, maps: Tensor) -> None:
        if maps.dim() != 4 or maps.shape[1] != self.num_filters:
            raise ValueError(
                f"`maps` must be (N, {self.num_filters}, n, n) for these templates, got "
                f"{tuple(maps.shape)}"
            )
        if not maps.is_floating_point():
            raise ValueError(f"`maps` must be floating point, got {maps.dtype}")
        if maps.shape[2] != maps.shape[3] or maps.shape[2] < 2:
            raise ValueError(
                "part templates need square maps of 2 x 2 units or more, got "
                f"{maps.shape[2]} x {maps.shape[3]}: give square images, or choose another layer"
            )
        if is_recomputed():
            raise RuntimeError(
                "activation checkpointing over part templates would recompute them without their "
                "filter loss; checkpoint the blocks below them"
            )

    def _replicate_for_data_parallel(self) -> NoReturn:
        raise RuntimeError(
            "DataParallel loses the filter losses of part templates; use DistributedDataParallel"
        )
