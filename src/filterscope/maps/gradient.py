"""Gradient maps: which pixels of the input move a filter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn

from filterscope.core.names import unknown_name
from filterscope.maps._capture import Activation, Filters, check_images, run_and_capture
from filterscope.maps.blur import gaussian_blur


@dataclass(frozen=True)
class GradMapPreset:
    """How a gradient map is blurred.

    Attributes:
        sigma: Standard deviation of the Gaussian, in pixels.
        kernel_size: Pixels after which it is cut off; None: 4 sigma to either side.
    """

    sigma: float
    kernel_size: int | None

    def scaled(self, factor: float) -> GradMapPreset:
        """The same blur for images that are larger by a factor; the kernel's size stays odd."""
        size = None if self.kernel_size is None else 2 * round((self.kernel_size // 2) * factor) + 1
        return GradMapPreset(self.sigma * factor, size)

    def blur(self, maps: Tensor) -> Tensor:
        """Blur maps (..., H, W)."""
        return gaussian_blur(maps, self.sigma, self.kernel_size)


# "official" is what the paper's published code does and its table 2 rests on; at sigma 30 its
# kernel ends at one standard deviation. The paper's text gives sigma 5 and no kernel.
GRAD_MAP_PRESETS = MappingProxyType(
    {"paper": GradMapPreset(5.0, None), "official": GradMapPreset(30.0, 61)}
)


def grad_map(
    model: nn.Module,
    images: Tensor,
    layer: str | nn.Module,
    filters: Filters = None,
    *,
    preset: Literal["paper", "official"] | GradMapPreset | None = "paper",
    activation: Activation = torch.relu,
) -> Tensor:
    """Show which pixels of the images move the mean activation of each filter.

    The gradient of the filter's spatially averaged activation with respect to the image; its L2
    norm over the colours; divided by the root mean square over the image's pixels; blurred. The
    papers' binary map is where the result is above 1. Where a filter does not depend on the image
    (it never fires) its map is zero.

    Args:
        model: Any network, called as ``model(images)``. It runs in eval mode, and its train flags
            are restored; its parameters get no gradient.
        images: (N, C, H, W), prepared as the network expects them.
        layer: The layer, by name or as the module; it gives maps (N, K, h, w).
        filters: One filter, or several in the order of the result; None for all K.
        preset: The blur, of `GRAD_MAP_PRESETS`: "paper", sigma 5 pixels; "official", sigma 30
            pixels cut off at 61. Both are meant for images of 128 pixels; give
            ``GRAD_MAP_PRESETS["paper"].scaled(side / 128)`` for others, or a `GradMapPreset` of
            your own. None leaves the map as it is.
        activation: Rectifies maps that are read before their ReLU; None leaves signed maps.

    Returns:
        (N, F, H, W), detached, on the images' device, at least float32.

    Raises:
        TypeError: An argument of a wrong type.
        ValueError: As `input_gradients`; an unknown preset; a gradient that is not finite.

    Source: Liang et al., ECCV 2020, section 4.2 and appendix G.

    Examples:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        >>> maps = grad_map(model, torch.rand(2, 3, 12, 12), "0", filters=[1, 5])
        >>> maps.shape, (maps > 1).dtype
        (torch.Size([2, 2, 12, 12]), torch.bool)
    """
    blur = GRAD_MAP_PRESETS.get(preset) if isinstance(preset, str) else preset
    if isinstance(preset, str) and blur is None:
        raise unknown_name("preset", preset, GRAD_MAP_PRESETS)
    if not isinstance(blur, GradMapPreset | None):
        raise TypeError(f"`preset` must be a name, a GradMapPreset or None, got {preset!r}")
    gradients = input_gradients(model, images, layer, filters, activation=activation)
    with torch.no_grad():
        strengths = (_strength(gradient) for gradient in gradients)
        return torch.stack([s if blur is None else blur.blur(s) for s in strengths], dim=1)


def input_gradients(
    model: nn.Module,
    images: Tensor,
    layer: str | nn.Module,
    filters: Filters = None,
    *,
    activation: Activation = torch.relu,
) -> Iterator[Tensor]:
    """Differentiate the mean activation of each filter with respect to the images.

    The network runs forward once, now; each filter takes one backward pass, when its gradient is
    asked for. A batch shares it, because in eval mode no sample touches another (a batch norm
    without running statistics does mix them: give such a network one image at a time).

    Args:
        model: As in `grad_map`.
        images: (N, C, H, W).
        layer: As in `grad_map`.
        filters: As in `grad_map`.
        activation: As in `grad_map`.

    Returns:
        For each filter in turn its gradient, (N, C, H, W); ``torch.stack(list(...), dim=1)`` is
        (N, F, C, H, W).

    Raises:
        TypeError: An argument of a wrong type.
        ValueError: A layer that is unknown, gives no map or does not run exactly once, or whose
            output does not depend on the images; filters out of range.

    Source: Liang et al., ECCV 2020, appendix G.

    Examples:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        >>> [g.shape for g in input_gradients(model, torch.rand(2, 3, 12, 12), "0", filters=[1])]
        [torch.Size([2, 3, 12, 12])]
    """
    check_images(images)
    with torch.inference_mode(False):  # inside it nothing can be differentiated
        source = images.detach().clone().requires_grad_()
        maps = run_and_capture(model, source, layer, filters, activation, grad=True)[1]
        if not maps.requires_grad:
            raise ValueError(f"the output of `layer` {layer!r} does not depend on the images")
        with torch.enable_grad():
            means = maps.mean(dim=(2, 3)).sum(dim=0)
    return _one_by_one(means, source)


def _one_by_one(means: Tensor, source: Tensor) -> Iterator[Tensor]:
    """Gradient of each entry of `means` with respect to the images; the graph is kept between."""
    for chosen in torch.eye(len(means), dtype=means.dtype, device=means.device):
        last = bool(chosen[-1])
        with torch.inference_mode(False):
            (gradient,) = torch.autograd.grad(
                means, source, chosen.clone(), retain_graph=not last, allow_unused=True
            )
        if gradient is None:  # the parameters alone make the map
            raise ValueError("the output of `layer` does not depend on the images")
        yield gradient


def _strength(gradient: Tensor) -> Tensor:
    """Norm over the colours, relative to its root mean square: (N, C, H, W) to (N, H, W)."""
    gradient = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
    peak = gradient.abs().amax(dim=(1, 2, 3), keepdim=True)
    if not bool(torch.isfinite(peak).all()):
        raise ValueError("the gradient of a filter holds non-finite values")
    # small gradients are scaled first, because their squares would vanish
    norm = torch.linalg.vector_norm(gradient / peak.where(peak > 0, 1.0), dim=1)
    rms = norm.square().mean(dim=(1, 2), keepdim=True).sqrt()
    relative: Tensor = norm / rms.where(rms > 0, 1.0)
    return relative
