"""What a filter's units respond to, drawn by occlusion: their receptive field in fact."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from filterscope.core.brief import Brief
from filterscope.maps._capture import (
    Activation,
    Filters,
    check_images,
    filter_numbers,
    run_and_capture,
)
from filterscope.maps.blur import gaussian_blur
from filterscope.maps.occlusion import Occluder, Recompute, occlusion_drops
from filterscope.maps.receptive_fields import ReceptiveField, receptive_field


@dataclass(frozen=True)
class FieldSettings:
    """How receptive fields are drawn; the defaults are those of the published code.

    They are meant for images of 224 pixels.

    Attributes:
        images: Images of a filter, drawn from those on which it is strong.
        share: An image is one of these where the filter's peak reaches the value that this share
            of its activations over all images and units reach.
        kept: Positions of the occluder that count, those with the largest drop.
        sigma: Standard deviation of the Gaussian blur, in pixels.
        kernel_size: Pixels after which it is cut off; the published code has 50, which has no
            centre.
    """

    images: int = 10
    share: float = 0.003
    kept: int = 4
    sigma: float = 30.0
    kernel_size: int = 51

    def __post_init__(self) -> None:
        """Refuse impossible numbers."""
        for name in ("images", "kept"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be a positive integer, got {getattr(self, name)}")
        if not 0 < self.share <= 1:
            raise ValueError(f"`share` must lie in (0, 1], got {self.share}")

    def blur(self, maps: Tensor) -> Tensor:
        """Blur maps (..., H, W)."""
        return gaussian_blur(maps, self.sigma, self.kernel_size)


@dataclass(frozen=True, repr=False)
class OcclusionField(Brief):
    """What the units of filters respond to.

    Attributes:
        canvas: Mean drop about the centre of a unit's field, (F, 2 H, 2 W); the centre stands at
            pixel (H, W). NaN for a filter without a strong image.
        num_images: Images behind it, (F,) int64.
        field: The arithmetic receptive fields of the layer.
    """

    canvas: Tensor
    num_images: Tensor
    field: ReceptiveField

    def place(self, maps: Tensor) -> Tensor:
        """Draw, at each active unit of a map, what units respond to: heat maps of the images.

        A unit counts by its activation relative to the largest of the map, times 1.5 and at most
        1; where several units reach a pixel, the largest counts.

        Args:
            maps: Rectified maps of these filters, (N, F, h, w).

        Returns:
            (N, F, H, W); zero where a map is zero everywhere, NaN where the canvas is.

        Raises:
            ValueError: Maps of other filters, or of another size.
        """
        shape = (len(self.canvas), *self.field.map_size)
        if maps.dim() != 4 or maps.shape[1:] != torch.Size(shape):
            expected = ", ".join(map(str, ("N", *shape)))
            raise ValueError(f"`maps` must be ({expected}), got {tuple(maps.shape)}")
        height, width = self.field.image_size
        # a filter without a canvas stays without a picture
        heat = (0 * self.canvas[:, :1, :1]).repeat(len(maps), 1, height, width)
        peaks = maps.amax(dim=(2, 3), keepdim=True)
        weights = (1.5 * maps / peaks.where(peaks > 0, 1.0)).clamp(0, 1).to(heat)
        centres = self.field.centres()
        for row, column in (maps > 0).flatten(0, 1).any(dim=0).nonzero().tolist():
            x, y = centres[row, column].tolist()
            seen = _window(self.canvas, (height - round(y), width - round(x)), (height, width))
            heat = torch.maximum(heat, weights[:, :, row, column, None, None] * seen)
        return heat

    def region(self, maps: Tensor) -> Tensor:
        """Where `place` reaches half its largest value on the image, (N, F, H, W) bool."""
        heat = self.place(maps)
        peak = heat.amax(dim=(2, 3), keepdim=True)
        return (heat >= 0.5 * peak) & (peak > 0)


def occlusion_field(
    model: nn.Module,
    images: Tensor,
    layer: str | nn.Module,
    filters: Filters = None,
    *,
    occluder: Occluder | None = None,
    settings: FieldSettings | None = None,
    activation: Activation = torch.relu,
    recompute: Recompute = "auto",
    batch_size: int = 32,
    random_state: int = 0,
) -> OcclusionField:
    """Find what units respond to, by covering parts of the images on which their filter is strong.

    On each image the squares that take most away are drawn, as heavy as the drop, relative to the
    centre of the receptive field of the peak unit; the pictures of several images are averaged and
    blurred. The published code draws every 50th filter.

    Args:
        model: As in `occlusion_drops`, and so are the others that are not listed.
        images: Images from which those of each filter are drawn, (N, C, H, W).
        layer: The layer.
        filters: Each takes a canvas of 16 H W bytes.
        occluder: What covers the images.
        settings: How many images and positions count, and the blur; None for `FieldSettings()`.
        activation: Of the maps.
        recompute: Whether in part.
        batch_size: Positions, or images, at a time.
        random_state: Seed with which the images are drawn.

    Returns:
        The mean picture of each filter, which can be placed on maps.

    Raises:
        TypeError, ValueError: As `occlusion_drops` and `receptive_field`.

    Source: Zhang et al., CVPR 2018, section 4.1; B. Zhou et al., ICLR 2015.

    Examples:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU())
        >>> images = torch.rand(4, 3, 20, 24)
        >>> found = occlusion_field(model, images, "1", [7, 0], occluder=Occluder(5, stride=2))
        >>> found.canvas.shape
        torch.Size([2, 40, 48])
    """
    settings, occluder = settings or FieldSettings(), occluder or Occluder()
    check_images(images)
    field = receptive_field(model, layer, images[:1])
    parts = images.split(batch_size)
    maps = torch.cat([run_and_capture(model, p, layer, filters, activation)[1] for p in parts])
    chosen = _strong_images(maps, settings, random_state)
    drops = partial(occlusion_drops, model, layer=layer, occluder=occluder, activation=activation,
                    recompute=recompute, batch_size=batch_size)  # fmt: skip
    listed = list(range(maps.shape[1])) if filters is None else filter_numbers(filters)
    canvas = torch.zeros(maps.shape[1], *(2 * side for side in field.image_size)).to(images.device)
    for image in chosen.any(dim=1).nonzero()[:, 0].tolist():
        rows = chosen[image].nonzero()[:, 0]
        found = drops(images[image : image + 1], filters=[listed[row] for row in rows.tolist()])[0]
        _draw_all(canvas, rows, found, maps[image, rows], occluder, settings.kept, field)
    return _averaged(canvas, chosen, settings, field)


def _averaged(
    canvas: Tensor, chosen: Tensor, settings: FieldSettings, field: ReceptiveField
) -> OcclusionField:
    number = chosen.sum(dim=0)
    return OcclusionField(settings.blur(canvas / number[:, None, None]), number.cpu(), field)


def _strong_images(maps: Tensor, settings: FieldSettings, random_state: int) -> Tensor:
    """Draw the images of each filter from those on which it is strong, (N, F) bool."""
    flat = maps.flatten(2)
    values = flat.transpose(0, 1).flatten(1)
    rank = max(1, int(settings.share * values.shape[1]))
    threshold = values.topk(rank, dim=1).values[:, -1]
    peaks = flat.amax(dim=2)
    # a constant map has no peak, so that a dead filter has no image
    strong = (peaks >= threshold) & (peaks > flat.amin(dim=2))
    generator = torch.Generator().manual_seed(random_state)
    order = torch.rand(strong.shape, generator=generator).to(maps.device)
    ranks = order.where(strong, 2.0).argsort(dim=0).argsort(dim=0)
    return strong & (ranks < settings.images)


def _draw_all(
    canvas: Tensor,
    rows: Tensor,
    drops: Tensor,
    maps: Tensor,
    occluder: Occluder,
    kept: int,
    field: ReceptiveField,
) -> None:
    """Add the drops of an image to the canvases of some filters, about the peak of each map."""
    centres = field.centres().flatten(0, 1)
    for row, drop, peak in zip(rows.tolist(), drops, maps.flatten(1).argmax(dim=1), strict=True):
        x, y = centres[int(peak)].tolist()
        _draw(canvas[row], drop, occluder, kept, (y, x), field)


def _draw(
    canvas: Tensor,
    drops: Tensor,
    occluder: Occluder,
    kept: int,
    centre: tuple[float, float],
    field: ReceptiveField,
) -> None:
    """Add the squares with the largest drops, shifted so that `centre` is in the middle."""
    height, width = field.image_size
    rows, columns = occluder.positions(field.image_size)
    best = drops.flatten().topk(min(kept, drops.numel()))
    for drop, place in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        if drop <= 0:
            break  # a rise is no response
        row, column = divmod(place, drops.shape[1])
        top = int(rows[row]) + height - round(centre[0])
        left = int(columns[column]) + width - round(centre[1])
        canvas[max(0, top) : max(0, top + occluder.size),
               max(0, left) : max(0, left + occluder.size)] += drop  # fmt: skip


def _window(canvas: Tensor, corner: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """A part of a canvas (F, ., .), continued by zeros where it reaches beyond."""
    (top, left), (height, width) = corner, size
    part = canvas[:, max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
    above, before = min(height, max(0, -top)), min(width, max(0, -left))
    sides = (before, width - before - part.shape[2], above, height - above - part.shape[1])
    return nn.functional.pad(part, sides)
