"""Networks with the weights that their authors published, in the place of trained runs."""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision
from torch import nn

from filterscope.data import Transform, load_dataset
from filterscope.models import model_info
from filterscope.runs import Run
from filterscope.studies.recipes import study_data, study_seeds
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Evidence, Study


def published_evidence(study: Study, settings: StudySettings) -> Evidence:
    """Take the networks of a study with torchvision's first official weights.

    The weights are those of PyTorch's cache; a missing file is fetched with `settings.download`.
    A seed stands for other test images, since there is one network of each architecture.

    Args:
        study: With `published` architectures.
        settings: Of the study; `model` picks one architecture.

    Raises:
        FileNotFoundError: The data or a file of weights is not there.
        ValueError: Data with other classes than the weights.
    """
    data = study_data(settings, study.paper_data)
    dataset = load_dataset(
        data,
        root=settings.data_root,
        image_size=settings.image_size,
        limit_test=settings.limit_test,
        download=settings.download,
    )
    seeds = study_seeds(settings, study.least_seeds)
    names = study.published if settings.model is None else (settings.model,)
    found = {}
    for name in names:
        run = _published_run(name, data, download=settings.download)
        if len(run.classes) != len(dataset.classes):
            raise ValueError(
                f"{name} has {len(run.classes)} classes, {dataset.name} {len(dataset.classes)}; "
                "official weights want `--data imagenet`"
            )
        found[f"{name}, standard"] = (run,) * len(seeds)
    return Evidence(found, seeds, dataset, data)


def _published_run(name: str, data: str, *, download: bool) -> Run:
    weights = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
    cached = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[1]
    if not download and not cached.is_file():
        raise FileNotFoundError(f"{cached} does not exist; --download fetches it")
    model: nn.Module = torchvision.models.get_model(name, weights=weights).eval()
    official = weights.transforms.keywords
    size = int(official["crop_size"])
    point = model_info(name).gate_point
    return Run(
        path=cached,
        config={"model": name, "data": data, "method": "standard", "fixed_gate": None},
        model=model,
        classes=tuple(weights.meta["categories"]),
        layer="" if point is None else point.layer,
        activation=torch.relu,
        transform=Transform(size, resize=int(official.get("resize_size", 256))),
        history=[],
        evaluation=None,
        environment={},
    )
