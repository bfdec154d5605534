"""Where do the filters of a network look? Localisation against object masks, beside chance.

Takes any masked data set (images/ and masks/ side by side) and either a run of `filterscope train`
or a torchvision architecture with weights; without arguments it trains a small network on digits,
whose ink is the object:

    python examples/localisation.py
    python examples/localisation.py masked-folder:horses --model squeezenet1_0 --weights FILE
    python examples/localisation.py masked-folder:horses --run runs/animals --target horse
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

import filterscope as fs
from filterscope.core.gate_points import gate_point
from filterscope.core.layers import find_layer
from filterscope.data import load_dataset
from filterscope.evaluation.collect import collect
from filterscope.evaluation.localization import localize
from filterscope.metrics.functional import class_mean_features
from filterscope.models import create_model
from filterscope.report.overlay import overlay
from filterscope.training import TrainSettings, train

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("data", nargs="?", default="digits", help="masked-folder:PATH")
parser.add_argument("--run", help="a run folder")
parser.add_argument("--target", help="the run's class that the masked objects are of, for CAM")
parser.add_argument("--model", help="an architecture of `filterscope list models`")
parser.add_argument("--weights", help="its weights")
parser.add_argument("--num-classes", type=int, default=1000, help="of the weights")
parser.add_argument("--picture", type=Path, help="a file for a picture of four images")
arguments = parser.parse_args()

targets = None
if not arguments.model:
    folder = arguments.run or train(TrainSettings(epochs=5), Path(tempfile.mkdtemp()) / "run")
    run = fs.load_run(folder)
    model, layer, activation, transform = run.classifier, run.layer, run.activation, run.transform
    size = transform.image_size
    if arguments.target:
        targets = torch.tensor([run.classes.index(arguments.target)])
else:
    model = create_model(arguments.model, arguments.num_classes, weights=arguments.weights).eval()
    point = gate_point(model)
    layer, activation, size = point.layer, torch.relu, 224

# nothing is trained on foreign images, so nearly all of them are tested
fraction = 0.2 if arguments.data == "digits" else 0.995
dataset = load_dataset(arguments.data, image_size=size, test_fraction=fraction)
if arguments.model:
    transform = dataset.transform
split, module = dataset.test, find_layer(model, layer)[1]
common = {"batch_size": 32, "device": torch.device("cpu")}
seen = collect(model, module, activation, split, transform, **common)
means = class_mean_features(seen.features, seen.labels, len(dataset.classes))
part = localize(model, module, activation, split, transform, means, targets=targets, **common)

numbers = part.metrics
print(
    f"{dataset.name}: {len(split)} images of {size} x {size} pixels; "
    f"{means.shape[1]} filters of layer {layer}"
)
print(f"the object covers {100 * numbers['object_area']:.1f} % of an image")
print(f"{'':<28}{'mean IoU':>10}{'AP':>8}")
rows = {
    "activation maps (AP30)": ("activmap_iou", "activmap_ap30"),
    "gradient maps (AP20)": ("gradmap_iou", "gradmap_ap20"),
    "the same, text (AP20)": ("gradmap_paper_iou", "gradmap_paper_ap20"),
    "class activation map (AP30)": ("cam_iou", "cam_ap30"),
    "all-ones mask (AP30)": ("chance_full_iou", "chance_full_ap30"),
    "centred box (AP30)": ("chance_box_iou", "chance_box_ap30"),
    "all-ones mask (AP20)": ("chance_full_iou", "chance_full_ap20"),
    "centred box (AP20)": ("chance_box_iou", "chance_box_ap20"),
}
for name, keys in rows.items():
    if keys[0] in numbers:
        print(f"{name:<28}{numbers[keys[0]]:>10.4f}{numbers[keys[1]]:>8.4f}")
print(f"filters with a degenerate threshold: {numbers['activmap_degenerate']}")

if arguments.picture:
    # four images, and the activation maps of the filters that fire most on the first class
    filters = means[0].argsort(descending=True)[:4].tolist()
    figure = Figure(figsize=(9, 7.4), layout="constrained")
    axes = figure.subplots(4, 2 + len(filters))
    for row, place in zip(axes, np.linspace(0, len(split) - 1, 4).astype(int), strict=True):
        picture = split.raw(int(place))
        images = transform.normalize(picture[None])
        maps = fs.maps.activation_map(model, images, layer, filters, activation=activation)[0]
        pixels = picture.permute(1, 2, 0).numpy()
        shown = [pixels, pixels * split.mask(int(place)).numpy()[..., None]]
        shown += [overlay(pixels, values.numpy()) for values in maps]
        titles = ["image", "mask", *(f"filter {k}" for k in filters)]
        for axis, content, title in zip(row, shown, titles, strict=True):
            axis.imshow(content)
            axis.set_title(title, fontsize=8)
            axis.set_axis_off()
    figure.savefig(arguments.picture, dpi=110)
    print(f"picture: {arguments.picture}")
