"""Images by name: data sets, their preprocessing, and batches on the training device."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.data.augmentation import Augmentation
    from filterscope.data.batching import Batch, batches, num_batches
    from filterscope.data.choice import class_weights
    from filterscope.data.part_preparation import PartPreparationReport, prepare_parts
    from filterscope.data.registry import describe_dataset, list_datasets, load_dataset
    from filterscope.data.split import ImageDataset, Masks, Split
    from filterscope.data.transform import Transform
    from filterscope.data.voc import PreparationReport, prepare_voc_animals

__all__ = [
    "Augmentation",
    "Batch",
    "ImageDataset",
    "Masks",
    "PartPreparationReport",
    "PreparationReport",
    "Split",
    "Transform",
    "batches",
    "class_weights",
    "describe_dataset",
    "list_datasets",
    "load_dataset",
    "num_batches",
    "prepare_parts",
    "prepare_voc_animals",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "Augmentation": f"{__name__}.augmentation",
        "Batch": f"{__name__}.batching",
        "ImageDataset": f"{__name__}.split",
        "Masks": f"{__name__}.split",
        "PartPreparationReport": f"{__name__}.part_preparation",
        "PreparationReport": f"{__name__}.voc",
        "Split": f"{__name__}.split",
        "Transform": f"{__name__}.transform",
        "batches": f"{__name__}.batching",
        "class_weights": f"{__name__}.choice",
        "describe_dataset": f"{__name__}.registry",
        "list_datasets": f"{__name__}.registry",
        "load_dataset": f"{__name__}.registry",
        "num_batches": f"{__name__}.batching",
        "prepare_parts": f"{__name__}.part_preparation",
        "prepare_voc_animals": f"{__name__}.voc",
    },
)
