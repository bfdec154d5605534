"""What a run writes beside its history: what it is of, and its weights."""

from __future__ import annotations

from lightning.fabric import Fabric

from filterscope.core.files import write_json
from filterscope.core.pretrained import write_tensors
from filterscope.data import ImageDataset
from filterscope.runs.data_notes import write_data_notes
from filterscope.runs.division import DIVISION, division
from filterscope.runs.environment import describe_environment
from filterscope.runs.folder import RunFolder
from filterscope.training.network import Network
from filterscope.training.part_training import describe_parts
from filterscope.training.settings import TrainSettings


def dataset_notes(dataset: ImageDataset) -> list[str]:
    """Say what was loaded."""
    side = dataset.transform.image_size
    notes = [
        f"{dataset.name}: {len(dataset.train)} training and {len(dataset.test)} test images, "
        f"{len(dataset.classes)} classes, {side} x {side} pixels"
    ]
    return [*notes, *dataset.left_out_notes, *dataset.mask_notes, *dataset.landmark_notes]


def write_description(
    folder: RunFolder,
    network: Network,
    dataset: ImageDataset,
    fabric: Fabric,
    settings: TrainSettings,
) -> None:
    """Write what it takes to build the network again, and what the run is made with."""
    gate, parts = network.gate, network.parts
    write_json(
        folder.classes,
        {
            "classes": list(dataset.classes),
            "layer": network.layer,
            "rectified": network.rectified,
            "num_logits": network.num_logits,
            "task_loss": network.task_loss,
            "parts": None if parts is None else describe_parts(parts, dataset),
            "density_bound": None if gate is None else gate.density_bound,
            "transform": dataset.transform.to_dict(),
            DIVISION: division(dataset),
        },
    )
    write_data_notes(folder, dataset)
    environment = describe_environment(fabric.device)
    write_json(
        folder.environment,
        {**environment, "processes": fabric.world_size, "seed": settings.seed},
    )


def write_weights(folder: RunFolder, network: Network) -> None:
    """Write the tensors of a finished run; the classifier's last, which say that it is one."""
    if network.gate is not None:
        write_tensors(folder.gate, network.gate.state_dict())
    if network.parts is not None:
        write_tensors(folder.parts, network.parts.templates.state_dict())
    write_tensors(folder.weights, network.classifier.state_dict())
