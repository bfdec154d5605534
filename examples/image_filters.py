"""What do image networks read, paint and see most? Pictures of rows, columns and eigenvectors.

Takes a photograph that scikit-learn brings along and networks with weights; without arguments it
shows bicubic upscaling:

    python examples/image_filters.py
    python examples/image_filters.py --espcn espcn_x3.pt --style la_muse.pt wave.pt --out pictures
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import Tensor

from filterscope.data.decode import to_pixels
from filterscope.linear import (
    LinearInterpreter,
    energy_within,
    pixel_column,
    pixel_row,
    residual_ratio,
)
from filterscope.models import ImageNetwork, create_image_network
from filterscope.report.filter_pictures import eigen_figure, reconstruction_figure, signed_picture
from filterscope.report.probe_figures import ProbedNetwork, probes_figure
from filterscope.report.theme import LIGHT, Theme, render

# Parts of the photograph, reduced to a third: top, left, side.
UPSCALED, RESTYLED = (66, 80, 64), (10, 40, 128)
REACH = 6  # how far around a pixel of the input its filters are shown
NEAR = 2  # pixels of the input

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument(
    "--espcn", type=Path, metavar="FILE", help="weights of the 4-layer PixelShuffle"
)
parser.add_argument("--style", type=Path, nargs="+", default=[], metavar="FILE",
                    help="weights of fast style generators")  # fmt: skip
parser.add_argument("--out", type=Path, default=Path("pictures"), help="folder of the pictures")
arguments = parser.parse_args()
arguments.out.mkdir(parents=True, exist_ok=True)


def photograph(top: int, left: int, side: int) -> Tensor:
    """A part of the photograph, RGB (3, side, side) uint8."""
    image = Image.fromarray(load_sample_image("china.jpg"))
    small = image.resize((image.width // 3, image.height // 3), Image.Resampling.BILINEAR)
    return to_pixels(small)[:, top : top + side, left : left + side]


def edge_and_flat(pixels: Tensor) -> list[tuple[int, int]]:
    """The pixel of the strongest edge and that of the flattest place, away from the border."""
    slope = torch.hypot(*torch.gradient(pixels.float().mean(0)))
    around = torch.nn.functional.avg_pool2d(slope[None, None], 9, 1, 4)[0, 0]
    inner = torch.zeros_like(slope, dtype=torch.bool)
    inner[14:-14, 14:-14] = True
    edge = int(slope.masked_fill(~inner, -1).argmax())
    flat = int(around.masked_fill(~inner, float("inf")).argmin())
    return [divmod(edge, len(slope)), divmod(flat, len(slope))]


def probe(
    name: str, network: ImageNetwork, pixels: Tensor, places: list[tuple[int, int]]
) -> ProbedNetwork:
    """Rows and columns at some pixels; prints how near they stay."""
    interpreter = LinearInterpreter(network.model, network.prepare(pixels))
    scale = network.scale
    middles = [(row * scale + scale // 2, column * scale + scale // 2) for row, column in places]
    rows = torch.stack([pixel_row(interpreter, middle) for middle in middles])
    columns = torch.stack([pixel_column(interpreter, place) for place in places])
    print(f"{name}: {network.source}; |r| / |y| {residual_ratio(interpreter):.3f}")
    for place, row, column in zip(places, rows, columns, strict=True):
        middle = (place[0] * scale + scale // 2, place[1] * scale + scale // 2)
        print(f"  pixel {place}: {100 * energy_within(row, place, NEAR):.1f} % of its row and "
              f"{100 * energy_within(column, middle, NEAR * scale):.1f} % of its column "
              f"within {NEAR} pixels")  # fmt: skip
    return ProbedNetwork(name, pixels, places, rows, columns)


def style_figure(networks: list[tuple[str, ImageNetwork]], pixels: Tensor, theme: Theme) -> Figure:
    """Each generator's output, its parts F x0 and r, and a row and a column over the picture."""
    place = edge_and_flat(pixels)[0]
    figure = Figure(figsize=(8.6, 1.65 * len(networks) + 0.5), layout="constrained")
    axes = figure.subplots(len(networks), 6, squeeze=False)
    for line, (name, network) in zip(axes, networks, strict=True):
        interpreter = LinearInterpreter(network.model, network.prepare(pixels))
        found = probe(name, network, pixels, [place])
        output = interpreter.output[0]
        constant = interpreter.residual[0]
        signed = {
            "F x₀": output - constant,
            "r": constant,
            "row": found.rows[0],
            "column": found.columns[0],
        }
        line[0].imshow(pixels.permute(1, 2, 0).numpy())
        line[0].plot(place[1], place[0], "o", ms=6, mfc="none", mec=theme.series[1])
        line[0].set_title(name)
        line[1].imshow(network.finish(interpreter.output, pixels).permute(1, 2, 0).numpy())
        line[1].set_title("y = F x₀ + r")
        for axis, (told, picture) in zip(line[2:], signed.items(), strict=True):
            drawn, largest = signed_picture(picture)
            axis.imshow(drawn, interpolation="nearest")
            axis.set_title(f"{told}, ±{largest:.2g}")
    for axis in axes.flat:
        axis.title.set_fontsize(7.5)
        axis.axis("off")
    told = "Grey is 0, ± the strongest value of each; row and column at the circle"
    figure.suptitle(told, fontsize=8, color=theme.ink)
    return figure


def keep(figure: Callable[[Theme], Figure], name: str) -> None:
    """Write a picture and say so."""
    file = arguments.out / f"{name}.png"
    file.write_bytes(render(figure, LIGHT, 130))
    print(f"  wrote {file}")


pixels = photograph(*UPSCALED)
places = edge_and_flat(pixels)
upscaling = {"bicubic": create_image_network("bicubic", scale=3, kernel="pil")}
if arguments.espcn:
    upscaling["4-layer PixelShuffle"] = create_image_network("espcn", weights=arguments.espcn)
probed = [probe(name, network, pixels, places) for name, network in upscaling.items()]
keep(partial(probes_figure, probed, reach=REACH), "rows-columns")
if arguments.espcn:
    espcn = upscaling["4-layer PixelShuffle"]
    triplets = LinearInterpreter(espcn.model, espcn.prepare(pixels)).svd(10)
    print(f"  svd(10): {sum(triplets.products)} products; residuals at most "
          f"{float(triplets.residuals.max()):.1g}")  # fmt: skip
    keep(partial(eigen_figure, triplets, side="input"), "eigen-inputs")
    keep(partial(eigen_figure, triplets, side="output"), "eigen-outputs")
    keep(partial(reconstruction_figure, triplets), "reconstruction")
if arguments.style:
    generators = [
        (
            file.stem.replace("fast_style_", "").replace("_", " "),
            create_image_network("fast_style", weights=file),
        )
        for file in arguments.style
    ]
    keep(partial(style_figure, generators, photograph(*RESTYLED)), "style")
