"""Receptive fields: which pixels of the image a unit of a map can see."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, inf

import torch
from torch import Tensor, nn

from filterscope.core.layers import find_layer
from filterscope.maps._capture import check_images, run_and_capture
from filterscope.maps._follow import Follower
from filterscope.maps._places import Places
from filterscope.maps._reach import Reach

_ROUNDING = 1e-6  # of the thirds that uneven adaptive pools give


@dataclass(frozen=True)
class ReceptiveField:
    """The receptive fields of a map's units, rows before columns.

    Pixels are counted from 0, and a coordinate stands for the centre of its pixel. Fields may
    begin before the image or end behind it, where the network pads.

    Attributes:
        size: Pixels along each axis; infinite where an operation mixes the whole image, as a
            squeeze-and-excitation block or an instance norm does.
        stride: Pixels between the fields of neighbouring units.
        low: First pixels that unit (0, 0) sees by operations that keep places.
        high: Last ones.
        map_size: Units of the map, (h, w).
        image_size: Pixels of the image, (H, W).
    """

    size: tuple[float, float]
    stride: tuple[float, float]
    low: tuple[float, float]
    high: tuple[float, float]
    map_size: tuple[int, int]
    image_size: tuple[int, int]

    @property
    def local_size(self) -> tuple[int, int]:
        """Pixels that a unit sees by operations that keep places alone; finite."""
        rows, columns = zip(self.low, self.high, strict=True)
        return _count(*rows), _count(*columns)

    @property
    def first(self) -> tuple[float, float]:
        """Centre of the field of unit (0, 0), by operations that keep places."""
        rows, columns = zip(self.low, self.high, strict=True)
        return sum(rows) / 2, sum(columns) / 2

    def centres(self) -> Tensor:
        """Centre of each unit's field as (x, y) in pixels, (h, w, 2) float64.

        Examples:
            >>> model = nn.Sequential(nn.Conv2d(1, 1, 3, stride=2, padding=1))
            >>> field = receptive_field(model, "0", torch.zeros(1, 1, 4, 6))
            >>> field.centres()[1, 2]
            tensor([4., 2.], dtype=torch.float64)
        """
        rows, columns = (
            first + stride * torch.arange(count, dtype=torch.float64)
            for first, stride, count in zip(self.first, self.stride, self.map_size, strict=True)
        )
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        return torch.stack([x, y], dim=-1)

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Pixels that a unit sees by operations that keep places, cut off at the image's border.

        Args:
            row: Of the unit.
            column: Of the unit.

        Returns:
            Top, left, bottom and right, the last two excluded: ``image[top:bottom, left:right]``.

        Raises:
            ValueError: A unit that the map does not have.
        """
        edges = []
        for axis, unit in enumerate((row, column)):
            if not 0 <= unit < self.map_size[axis]:
                raise ValueError(f"the map is {self.map_size}, got unit {(row, column)}")
            start = unit * self.stride[axis]
            begin = ceil(self.low[axis] + start - _ROUNDING)
            end = floor(self.high[axis] + start + _ROUNDING) + 1
            edges.append((max(0, begin), min(self.image_size[axis], end)))
        (top, bottom), (left, right) = edges
        return top, left, bottom, right


def receptive_field(
    model: nn.Module, layer: str | nn.Module, example_input: Tensor
) -> ReceptiveField:
    """Work out which pixels each unit of a layer's map can see.

    Exact arithmetic, no measurement: a convolution or pool of kernel k, stride s, padding p and
    dilation d lets a unit read d (k - 1) + 1 places, s apart; along several paths (residual sums,
    concatenated branches) the fields are united. What a network does is read off one run, at the
    level of PyTorch's primitive operations. There a functional pool, a sum of branches, slices
    and permuted channels are seen like any module, which hooks on modules would miss; control
    flow in Python does not matter, which stops symbolic tracing; and fields larger than the image,
    or cut off at its border, come out whole, which gradients of a network of ones would not show.

    With padding by reflection or replication, units near the border may see a few pixels besides.
    Behind an enlargement, whose units differ by phase, the field is one that serves all of them.
    Places are not followed through a tensor that is filled part by part, as by circular padding.

    Args:
        model: Any network, called as ``model(example_input)``; it runs once, in eval mode and
            without gradient, and its train flags are restored.
        layer: The layer, by name or as the module; it gives maps (N, K, h, w).
        example_input: Images (N, C, H, W) of the size that the network is used with; their values
            do not matter.

    Returns:
        Size, stride and centres of the fields.

    Raises:
        TypeError: An argument of a wrong type.
        ValueError: A layer that is unknown, gives no map or does not run exactly once, or whose
            places can't be traced back to the image's (attention between places, for instance).

    Source: Zhang et al., CVPR 2018, section 4 (positions of a filter's peaks).

    Examples:
        >>> from torchvision.models import vgg16
        >>> field = receptive_field(vgg16(), "features.29", torch.zeros(1, 3, 224, 224))
        >>> field.size, field.stride, field.first
        ((196, 196), (16.0, 16.0), (7.5, 7.5))
    """
    name, module = find_layer(model, layer)
    check_images(example_input)
    with torch.inference_mode(False):
        # a tensor of inference mode would hide composite operations in one piece
        image = example_input.detach().clone()
        with Follower(image) as follower:
            maps = run_and_capture(model, image, module, None, None)[1]
    places = follower.places(maps)
    if places is None:
        raise ValueError(f"the output of `layer` {name!r} does not depend on the image")
    rows, columns = _reaches(places, name, follower.unknown)
    sizes = [floor(r.high - r.low) + 1 for r in (rows, columns)]
    return ReceptiveField(
        size=(inf if 0 in places.whole else sizes[0], inf if 1 in places.whole else sizes[1]),
        stride=(float(rows.step), float(columns.step)),
        low=(float(rows.low), float(columns.low)),
        high=(float(rows.high), float(columns.high)),
        map_size=(maps.shape[2], maps.shape[3]),
        image_size=(image.shape[2], image.shape[3]),
    )


def _count(low: float, high: float) -> int:
    return floor(high - low + _ROUNDING) + 1


def _reaches(places: Places, name: str, unknown: list[str]) -> tuple[Reach, Reach]:
    rows, columns = places.reaches
    kept = [places.axes(dim) for dim in range(len(places.dims))] == [set(), set(), {0}, {1}]
    if not kept or rows is None or columns is None:
        operations = ", ".join(dict.fromkeys(unknown)) or "a reduction or a view"
        raise ValueError(
            f"the places of `layer` {name!r} could not be traced back to those of the image, "
            f"because of {operations}"
        )
    return rows, columns
