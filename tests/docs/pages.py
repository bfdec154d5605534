"""What the pages' blocks find: small files of the kinds that the pages speak of, and variables."""

import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.data.test_part_preparation import (
    annotate,
    photograph,
    rectangle,
    write_cub,
    write_ilsvrc,
)
from torch import nn
from torchvision.models import vgg

from filterscope import load_run
from filterscope.models import create_image_network, create_model

Names = dict[str, Any]


@dataclass(frozen=True)
class World:
    """Where a page's blocks run.

    Args:
        folder: Their working folder.
        runs: A folder with trained runs of a moment: plain, gated, fixed.
    """

    folder: Path
    runs: Path

    def picture(self, name: str, side: int = 48, seed: int = 0) -> Path:
        """A picture of noise around a square of a colour."""
        values = np.random.default_rng(seed).integers(0, 120, (side, side, 3)).astype(np.uint8)
        values[side // 4 : -side // 4, side // 4 : -side // 4, seed % 3] = 250
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(file)
        return file

    def class_folders(self, root: str, classes: tuple[str, ...], count: int = 15) -> None:
        """Pictures in a folder a class; each class has a colour."""
        for label, kind in enumerate(classes):
            for i in range(count):
                self.picture(f"{root}/{kind}/{i}.jpg", seed=label + 3 * i)

    def masked_folder(self, root: str) -> None:
        """Pictures with masks beside them."""
        self.class_folders(f"{root}/images", ("cat", "dog"))
        for file in (self.folder / root / "images").rglob("*.jpg"):
            mask = np.zeros((48, 48), np.uint8)
            mask[12:36, 12:36] = 255
            target = self.folder / root / "masks" / file.parent.name / f"{file.stem}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(target)

    def part_folder(self, root: str, *categories: str, count: int = 12) -> None:
        """Pictures with the landmarks of two parts, and pictures of nothing."""
        for label, category in enumerate((*categories, "neg")):
            rows = ["image,part,x,y"]
            for i in range(count):
                self.picture(f"{root}/{category}/images/{i:05d}.jpg", seed=label + 3 * i)
                rows += [
                    f"images/{i:05d}.jpg,{part},{10 + i},{20 + i}" for part in ("head", "legs")
                ]
            if category != "neg":
                (self.folder / root / category / "landmarks.csv").write_text("\n".join(rows))

    def take_runs(self, **named: str) -> None:
        """Copies of the trained runs under runs/."""
        for name, kind in named.items():
            shutil.copytree(self.runs / kind, self.folder / "runs" / name.replace("_", "-"))

    def image_weights(self, name: str, model: str, **options: Any) -> None:
        """Random weights of a network whose output is an image."""
        network = create_image_network(model, random_weights=True, **options)
        torch.save(network.model.state_dict(), self.folder / name)


def own_images(world: World) -> Names:
    """Class folders, photographs, and a network for the loop."""
    world.class_folders("photos", ("cat", "dog"))
    world.picture("photo.jpg")
    world.class_folders("more-photos", ("any",), count=2)
    model = create_model("resnet18", 10)
    return {
        "torch": torch,
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "images": torch.rand(40, 3, 32, 32),
        "labels": torch.arange(40) % 10,
        "features": torch.rand(40, 16),
    }


def all_kinds_of_data(world: World) -> Names:
    """The archives that `prepare` reads, masks, landmarks."""
    world.masked_folder("photos")
    world.part_folder("animals", "bird", "dog")
    archives = world.folder / "archives"
    write_cub(archives)
    write_ilsvrc(archives)
    voc, parts = archives / "VOCdevkit/VOC2010", archives / "Annotations_Part"
    for folder in (voc / "JPEGImages", voc / "ImageSets/Main", parts):
        folder.mkdir(parents=True)
    kinds = ("bird", "cat", "dog", "cow", "horse", "sheep", "table")
    names = []
    for i in range(42):
        body = {"head": rectangle((20, 10, 40, 30)), "torso": rectangle((30, 30, 90, 60))}
        seen = {kinds[(i + step) % len(kinds)] for step in (0, 1, 3)} if i % 7 != 6 else {"table"}
        found = [
            (kind, rectangle((20, 10, 100, 70)), {} if kind == "table" else body)
            for kind in sorted(seen)
        ]
        names.append(f"2008_{i:06d}")
        photograph(voc / "JPEGImages" / f"{names[-1]}.jpg")
        annotate(parts / f"{names[-1]}.mat", found)
    (voc / "ImageSets/Main/trainval.txt").write_text("\n".join(names))
    return {}


def part_networks(world: World) -> Names:
    """Landmarks, and a network with the layers of a VGG-16."""
    world.part_folder("animals", "dog", "bird")
    shutil.copytree(world.folder / "animals", world.folder / "voc-parts")
    world.class_folders("photos", ("cat", "dog"))
    weights = {
        name: value
        for name, value in create_model("vgg16_parts", 1).state_dict().items()
        if name.startswith("features.")
    }
    save_file(weights, world.folder / "vgg16.safetensors")
    plan: list[str | int] = []
    for number in (2, 2, 3, 3, 3):
        plan += [*([8] * number), "M"]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 1), nn.Flatten(0)]
    model = nn.Sequential()
    model.features = vgg.make_layers(plan)
    model.head = nn.Sequential(*head)
    return {
        "model": model,
        "images": torch.rand(4, 3, 64, 64),
        "labels": torch.tensor([True, False, True, False]),
        "task_loss": lambda logits, labels: nn.functional.binary_cross_entropy_with_logits(
            logits, labels.float()
        ),
        "epoch": 1,
    }


def classifiers(world: World) -> Names:
    """Photographs, weights of a SqueezeNet and a ResNet-50, images in class folders."""
    world.take_runs(gated="gated", plain="plain")
    world.picture("photo.jpg")
    world.class_folders("more-photos", ("any",), count=1)
    world.class_folders("test-images", ("0", "1"), count=1)
    torch.save(create_model("squeezenet1_0", 1000).state_dict(), world.folder / "squeezenet.pt")
    # where torchvision keeps what it has fetched
    kept = world.folder / "torch/hub/checkpoints/resnet50-11ad3fa6.pth"
    kept.parent.mkdir(parents=True)
    torch.save(create_model("resnet50", 1000).state_dict(), kept)
    return {}


def image_networks(world: World) -> Names:
    """Weights of networks whose output is an image, and pictures for them."""
    world.take_runs(gated="gated", plain="plain")
    world.image_weights("espcn_x3.pt", "espcn", scale=3)
    world.image_weights("espcn.pt", "espcn", scale=3)
    for name in ("style", "la_muse", "wave"):
        world.image_weights(f"{name}.pt", "fast_style")
    world.picture("photo.png")
    world.picture("photo.jpg")
    pictures = torch.randint(0, 256, (2, 3, 30, 30), dtype=torch.uint8)
    return {"a": pictures[0], "b": pictures[1]}


def attacked(world: World) -> Names:
    """Runs, and one of them with images."""
    world.take_runs(gated="gated", plain="plain")
    run = load_run(world.runs / "plain")
    split = run.dataset().test
    images = torch.stack([split.raw(i) for i in range(4)]).float() / 255
    labels = split.labels[:4]
    return {
        "model": run.classifier,
        "normalize": run.transform.standardize,
        "images": images,
        "labels": labels,
        "run": run,
    }


def studies(world: World) -> Names:
    """Runs to take, and CIFAR-10 in its official layout."""
    world.take_runs(plain_s0="plain", gated_s0="gated", fixed_s0="fixed")
    folder = world.folder / "data/cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        values = {
            "data": rng.integers(0, 256, (40, 3072)).astype(np.uint8),
            "labels": [i % 10 for i in range(40)],
            "filenames": [f"{i}.png" for i in range(40)],
        }
        (folder / name).write_bytes(pickle.dumps(values, protocol=2))
    meta = {"label_names": [f"class {i}" for i in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    return {}


def nothing(world: World) -> Names:
    """Pages that bring along what they need."""
    del world
    return {}


GIVEN: dict[str, Callable[[World], Names]] = {
    "README.md": own_images,
    "docs/quickstart.md": own_images,
    "docs/data.md": all_kinds_of_data,
    "docs/parts.md": part_networks,
    "docs/linear.md": classifiers,
    "docs/images.md": image_networks,
    "docs/explorer.md": image_networks,
    "docs/attacks.md": attacked,
    "docs/studies.md": studies,
}
