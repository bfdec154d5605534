"""Make the pictures of the gallery from the runs of the demo and of one with part templates.

    filterscope demo --out demo
    filterscope train --preset icnn-small --data digit-parts --out demo/parts
    python docs/gallery.py demo --out docs/assets/gallery

All images are scikit-learn's handwritten digits.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

import filterscope as fs
from filterscope.attacks import fgsm
from filterscope.linear import contribution_histogram
from filterscope.report.contribution_figure import contribution_figure
from filterscope.report.matrices import gate_figure, mi_figure
from filterscope.report.overlay import overlay
from filterscope.report.template_figures import templates_figure
from filterscope.report.theme import LIGHT, Theme, render
from filterscope.report.votes_figure import Column, votes_figure
from filterscope.runs import Run

SHOWN = (3, 8, 6, 0)  # digits
EPSILON = 8 / 255


def examples(run: Run, digits: Sequence[int] = SHOWN) -> tuple[Tensor, Tensor]:
    """The first test image of each digit: pixels (N, 3, S, S) and labels."""
    split = run.dataset().test
    places = [int(torch.nonzero(split.labels == digit)[0]) for digit in digits]
    return torch.stack([split.raw(i) for i in places]), torch.tensor(digits)


def plain(pixels: Tensor) -> np.ndarray:
    """(3, S, S) uint8 as a picture for matplotlib."""
    return pixels.permute(1, 2, 0).numpy()


def bare(axis: Axes, content: np.ndarray, title: str = "") -> None:
    """A picture without ticks."""
    axis.imshow(content, interpolation="nearest")
    axis.set_title(title, fontsize=7.5)
    axis.set_xticks([])
    axis.set_yticks([])


def where_filters_look(run: Run, theme: Theme) -> Figure:
    """Of four digits the class activation map, and three maps of the filter that fires most."""
    pixels, labels = examples(run)
    images = run.transform.normalize(pixels)
    model, layer = run.classifier, run.layer
    evidence = fs.maps.class_activation_map(model, images, labels)
    means = fs.maps.activation_map(model, images, layer, activation=run.activation).mean((2, 3))
    figure = Figure(figsize=(6.4, 1.65 * len(pixels)), layout="constrained", facecolor=theme.paper)
    axes = figure.subplots(len(pixels), 5)
    blur = fs.maps.GRAD_MAP_PRESETS["paper"].scaled(images.shape[-1] / 128)
    for row, line in enumerate(axes):
        strongest = int(means[row].argmax())
        one, shown = images[row : row + 1], plain(pixels[row])
        active = fs.maps.activation_map(model, one, layer, [strongest], activation=run.activation)
        gradient = fs.maps.grad_map(model, one, layer, [strongest], preset=blur)
        kept = torch.where(gradient[0, 0] > 1, 1.0, 0.25).numpy()[..., None]
        bare(line[0], shown, f"a {int(labels[row])}")
        bare(line[1], overlay(shown, evidence[row].numpy()), "class activation map")
        bare(line[2], overlay(shown, active[0, 0].numpy()), f"filter {strongest}: activation")
        bare(line[3], overlay(shown, gradient[0, 0].numpy()), "its gradient map")
        bare(line[4], (shown * kept).astype(np.uint8), "above 1: looked at")
    return figure


def pixels_that_speak(run: Run, attacked: bool, theme: Theme) -> Figure:
    """Discussion of the top label and votes of the pixels, clean or attacked."""
    pixels, labels = examples(run)
    values = pixels.float() / 255
    if attacked:
        values = fgsm(
            run.model, values, labels, epsilon=EPSILON, normalize=run.transform.standardize
        )
    columns = []
    for value in values:
        interpreter = fs.LinearInterpreter(run.model, run.transform.standardize(value[None]))
        top = int(interpreter.output.argmax())
        discussion = fs.pixel_discussion(interpreter, top).numpy()
        votes = fs.pixel_votes(interpreter)
        title = f"called a {run.classes[top]}"
        columns.append(Column(title, value.permute(1, 2, 0).numpy(), discussion, votes))
    return votes_figure(columns, run.classes, theme)


def layer_by_layer(run: Run, theme: Theme) -> Figure:
    """What image and layers contribute to the top score of 32 test images, clean and attacked."""
    split = run.dataset().test
    count = min(32, len(split))
    values = torch.stack([split.raw(i) for i in range(count)]).float() / 255
    normalize = run.transform.standardize
    attacked = fgsm(
        run.classifier, values, split.labels[:count], epsilon=EPSILON, normalize=normalize
    )
    states = {"clean": values, "attacked": attacked}
    histograms = {}
    for name, batch in states.items():
        interpreter = fs.LinearInterpreter(run.classifier, normalize(batch))
        top = interpreter.output.argmax(1)
        histograms[name] = contribution_histogram(interpreter.contributions(top))
    return contribution_figure(histograms, theme)


def templates(theme: Theme) -> Figure:
    """Sloped and uniform templates of a map of 14 x 14 units."""
    shapes = {"L1": "l1", "L2": "l2", "uniform L1": "uniform_l1"}
    banks = {name: fs.part_templates(14, shape).numpy() for name, shape in shapes.items()}
    return templates_figure(banks, theme)


def before_and_behind_the_mask(run: Run, theme: Theme) -> Figure:
    """Three filters of a network with part templates on four images: map and masked map."""
    split = run.dataset().test
    places = torch.nonzero(split.labels == 1).flatten()[:4].tolist()
    pixels = torch.stack([split.raw(i) for i in places])
    images, layer = run.transform.normalize(pixels), run.layer
    masked = fs.maps.activation_map(run.classifier, images, layer, activation=run.activation)
    assert run.parts is not None
    free = fs.maps.activation_map(run.parts.unwrap(), images, layer, activation=run.activation)
    strongest = free.mean((0, 2, 3)).argsort(descending=True)[:3].tolist()
    figure = Figure(figsize=(9.0, 1.45 * len(places)), layout="constrained", facecolor=theme.paper)
    for row, line in enumerate(figure.subplots(len(places), 1 + 2 * len(strongest))):
        shown = plain(pixels[row])
        bare(line[0], shown, "image")
        for k, name in enumerate(strongest):
            bare(line[1 + 2 * k], overlay(shown, free[row, name].numpy()), f"filter {name}")
            bare(line[2 + 2 * k], overlay(shown, masked[row, name].numpy()), "behind its mask")
    return figure


def main() -> None:
    """Write all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, help="folder of `filterscope demo`, with parts/ in it")
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    gated, standard, parts = (
        fs.load_run(arguments.runs / name) for name in ("gated-s0", "standard-s0", "parts")
    )
    assert gated.arrays is not None
    top = float(gated.arrays["mi"].max())
    pictures: dict[str, Callable[[Theme], Figure]] = {
        "gate": partial(gate_figure, gated),
        "information-gated": partial(mi_figure, gated, top),
        "information-standard": partial(mi_figure, standard, top),
        "where-filters-look": partial(where_filters_look, gated),
        "pixels-clean": partial(pixels_that_speak, gated, False),
        "pixels-attacked": partial(pixels_that_speak, gated, True),
        "layer-by-layer": partial(layer_by_layer, gated),
        "templates": templates,
        "masks": partial(before_and_behind_the_mask, parts),
    }
    for name, figure in pictures.items():
        file = arguments.out / f"{name}.png"
        file.write_bytes(render(figure, LIGHT, 120))
        print(f"wrote {file}")


if __name__ == "__main__":
    main()
