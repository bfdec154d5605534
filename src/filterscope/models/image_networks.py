"""Networks whose output is an image, by name, with their own handling of pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from filterscope.core.names import unknown_name
from filterscope.models.bicubic import Bicubic, Kernel
from filterscope.models.colour import luminance, rgb_to_ycbcr, ycbcr_to_rgb
from filterscope.models.cyclegan import CycleGanGenerator
from filterscope.models.edsr import Edsr
from filterscope.models.fast_style import FastStyleGenerator
from filterscope.models.pixel_shuffle import PixelShuffleNet
from filterscope.models.weights import load_exactly, read_state

_USUAL_SCALE = 4

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class _Kind:
    """What is known of an architecture.

    Attributes:
        summary: A line for lists.
        random: Builds it for a scale, with random weights.
        trained: Builds the network that a state dict belongs to; None where there are no weights.
        scales: Scales that it comes in.
        channels: 3, or 1 for luminance.
        value_range: What black and white are for the network.
        multiple: Sides of its input are multiples of it.
        least: Smallest side of its input.
    """

    summary: str
    random: Callable[[int], nn.Module]
    trained: Callable[[State], nn.Module] | None
    scales: tuple[int, ...]
    channels: int = 3
    value_range: tuple[float, float] = (0.0, 255.0)
    multiple: int = 1
    least: int = 1


_KINDS = {
    "bicubic": _Kind(
        "upscaling by a fixed kernel, no weights; x2, x3, x4",
        Bicubic, None, (2, 3, 4), value_range=(0.0, 1.0),
    ),
    "espcn": _Kind(
        "super-resolution, four layers and a pixel shuffle, luminance; scale as in the weights",
        PixelShuffleNet, PixelShuffleNet.for_weights, (2, 3, 4, 8), 1, (0.0, 1.0),
    ),
    "edsr_baseline": _Kind(
        "super-resolution, 16 residual blocks of 64 filters; x2, x3, x4",
        Edsr, Edsr.for_weights, (2, 3, 4),
    ),
    "edsr": _Kind(
        "super-resolution, 32 residual blocks of 256 filters; x2, x3, x4",
        Edsr.full, partial(Edsr.for_weights, full=True), (2, 3, 4),
    ),
    "cyclegan": _Kind(
        "image to image, nine residual blocks with instance norm",
        lambda scale: CycleGanGenerator(), CycleGanGenerator.for_weights, (1,),
        value_range=(-1.0, 1.0), multiple=4, least=8,
    ),
    "fast_style": _Kind(
        "image to image, five residual blocks with instance norm, a style each file of weights",
        lambda scale: FastStyleGenerator(), lambda tensors: FastStyleGenerator(), (1,),
        multiple=4, least=8,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class ImageNetwork:
    """A network whose output is an image, with what turns pixels into its input and back.

    Attributes:
        name: As `create_image_network` takes it.
        model: The network, in eval mode and float32; its parameters take no gradients.
        scale: Output side over input side.
        channels: Of input and output: 3 for RGB, 1 for luminance.
        source: Where the weights come from, in words.
        value_range: What black and white are for the network, at its input and output.
        multiple: The sides of its input are multiples of this.
        least: The smallest side of its input, in pixels.

    Examples:
        >>> network = create_image_network("bicubic", scale=2)
        >>> pixels = torch.full((3, 4, 6), 100, dtype=torch.uint8)
        >>> output = network.model(network.prepare(pixels))
        >>> network.finish(output, pixels).shape
        torch.Size([3, 8, 12])
    """

    name: str
    model: nn.Module
    scale: int
    channels: int
    source: str
    value_range: tuple[float, float] = (0.0, 1.0)
    multiple: int = 1
    least: int = 1

    def crop(self, pixels: Tensor) -> Tensor:
        """Take off what the network has no use for: at the right and at the bottom.

        Args:
            pixels: RGB, (3, H, W) uint8.

        Returns:
            The part that `prepare` takes: sides are multiples of `multiple`.

        Raises:
            TypeError: No uint8 tensor.
            ValueError: Another shape, or a picture that is too small.
        """
        if not isinstance(pixels, Tensor) or pixels.dtype != torch.uint8:
            kind = pixels.dtype if isinstance(pixels, Tensor) else type(pixels).__name__
            raise TypeError(f"`pixels` must be a tensor of uint8, got {kind}")
        if pixels.dim() != 3 or len(pixels) != 3:
            raise ValueError(f"`pixels` must be RGB, (3, H, W), got {tuple(pixels.shape)}")
        if min(pixels.shape[1:]) < self.least:
            height, width = pixels.shape[1:]
            raise ValueError(
                f"`pixels` are {height} x {width}; {self.name} takes {self.least} x {self.least} "
                "or more"
            )
        height, width = (size - size % self.multiple for size in pixels.shape[1:])
        return pixels[:, :height, :width]

    def prepare(self, pixels: Tensor) -> Tensor:
        """Turn pixels into the input of the network.

        Args:
            pixels: RGB, (3, H, W) uint8; cropped by `crop` where the network wants it.

        Returns:
            (1, channels, H, W) float32 on the pixels' device: RGB or luminance in `value_range`.

        Raises:
            TypeError: No uint8 tensor.
            ValueError: Another shape, or a picture that is too small.
        """
        values = self.crop(pixels).float()
        low, high = self.value_range
        values = values if self.channels == 3 else luminance(values)
        return (values * ((high - low) / 255) + low)[None]

    def finish(self, output: Tensor, pixels: Tensor) -> Tensor:
        """Turn the output of the network into pixels.

        Args:
            output: (1, channels, scale H, scale W), or without the first axis. What leaves
                `value_range` is limited to it.
            pixels: The picture that `prepare` was given, of which luminance networks take the
                colour, upscaled bicubically.

        Returns:
            RGB, (3, scale H, scale W) uint8.

        Raises:
            TypeError: `pixels` that are no uint8 tensor.
            ValueError: Shapes that do not belong to each other, or non-finite values.
        """
        cropped = self.crop(pixels)
        expected = (self.channels, *(self.scale * size for size in cropped.shape[1:]))
        values = output.detach()
        values = values[0] if values.dim() == 4 and len(values) == 1 else values
        if tuple(values.shape) != expected:
            raise ValueError(
                f"`output` must be (1, {', '.join(map(str, expected))}) for these `pixels`, got "
                f"{tuple(output.shape)}"
            )
        if not bool(torch.isfinite(values).all()):
            raise ValueError("`output` holds non-finite values")
        low, high = self.value_range
        values = (values.float() - low) * (255 / (high - low))
        if self.channels == 1:
            colour = rgb_to_ycbcr(cropped.to(values))[None, 1:]
            larger = Bicubic(self.scale, "pil")(colour) if self.scale > 1 else colour
            # limited before the colours come in, which would else be washed out
            values = ycbcr_to_rgb(torch.cat((values.clamp(0, 255), larger[0])))
        return values.round().clamp(0, 255).to(torch.uint8)


def list_image_networks() -> list[str]:
    """List the names that `create_image_network` takes.

    Examples:
        >>> list_image_networks()
        ['bicubic', 'espcn', 'edsr_baseline', 'edsr', 'cyclegan', 'fast_style']
    """
    return list(_KINDS)


def describe_image_network(name: str) -> str:
    """Say in a line what an image network is.

    Raises:
        ValueError: An unknown name, with the near ones.
    """
    return _kind(name).summary


def create_image_network(
    name: str,
    *,
    weights: str | Path | None = None,
    random_weights: bool = False,
    seed: int = 0,
    scale: int | None = None,
    kernel: Kernel = "torch",
) -> ImageNetwork:
    """Build a network whose output is an image.

    Args:
        name: One of `list_image_networks`.
        weights: A file of weights in the layout of the network's authors: safetensors, or a state
            dict saved by torch. Nothing is unpickled but tensors. None are shipped.
        random_weights: Builds the network with random weights instead, to try things out.
        seed: Of the random weights. PyTorch's global generator is left alone.
        scale: Output side over input side. Weights know theirs; else 4 by default. Image-to-image
            networks have 1.
        kernel: Of "bicubic", see `Bicubic`.

    Raises:
        FileNotFoundError: There is no such file of weights.
        ValueError: An unknown name (with the near ones), neither weights nor random weights or
            both, weights of another network or scale, a damaged file, or a pickled module.

    Examples:
        >>> create_image_network("espcn", random_weights=True, scale=3).source
        'random weights, seed 0'
    """
    kind = _kind(name)
    _check_choices(name, kind, weights, random_weights, scale)
    if kind.trained is None:
        model: nn.Module = Bicubic(scale or _USUAL_SCALE, kernel)
        source = f"no weights, kernel of {kernel}"
    elif weights is not None:
        model = _with_weights(kind.trained, Path(weights))
        source = Path(weights).name
    else:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # not those of accelerators
            model = kind.random(scale or _USUAL_SCALE)
        source = f"random weights, seed {seed}"
    found = getattr(model, "scale", 1)
    if scale is not None and found != scale:
        raise ValueError(f"`scale` is {scale}, but the weights in {weights} are for {found}")
    model = model.eval().requires_grad_(False)
    return ImageNetwork(
        name, model, found, kind.channels, source, kind.value_range, kind.multiple, kind.least
    )


def _kind(name: str) -> _Kind:
    if name not in _KINDS:
        raise unknown_name("image network", name, _KINDS, "filterscope list image-networks")
    return _KINDS[name]


def _check_choices(
    name: str, kind: _Kind, weights: str | Path | None, random_weights: bool, scale: int | None
) -> None:
    """Refuse choices that do not go together."""
    if kind.trained is None and (weights is not None or random_weights):
        raise ValueError(f"{name} has no weights: leave `weights` and `random_weights` out")
    if kind.trained is not None and (weights is None) == (not random_weights):
        both = "both came" if random_weights else "neither came"
        raise ValueError(
            f"{name} needs either `weights` (a file; none are shipped) or `random_weights=True`; "
            f"{both}"
        )
    if scale is not None and weights is None and scale not in kind.scales:
        known = ", ".join(map(str, kind.scales))
        raise ValueError(f"`scale` of {name} must be one of {known}, got {scale}")


def _with_weights(build: Callable[[State], nn.Module], file: Path) -> nn.Module:
    tensors = read_state(file)
    try:
        model = build(tensors)
    except ValueError as error:
        raise ValueError(f"{file} holds weights of another network: {error}") from error
    if isinstance(model, CycleGanGenerator):
        tensors = model.without_statistics(tensors)
    load_exactly(model, tensors, file)
    return model
