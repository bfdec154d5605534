"""Localisation of a network over a masked split, against the metrics on all maps at once."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from filterscope import maps
from filterscope.core.gate_points import gate_point
from filterscope.data import ImageDataset, Split
from filterscope.data.split import Masks
from filterscope.evaluation import localization
from filterscope.evaluation.localization import localization_part, localize
from filterscope.evaluation.part import Part, Subject
from filterscope.metrics import functional
from filterscope.runs import Run

Network = Callable[[str], nn.Module]
FEW = 5


@pytest.fixture(autouse=True)
def _few_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each filter of each image is a backward pass."""
    monkeypatch.setattr(localization, "GRADIENT_FILTERS", FEW)
    monkeypatch.setattr(localization, "EVERY_FILTER", FEW)
    monkeypatch.setattr(localization, "GRADIENT_IMAGES", 2)


@pytest.fixture(scope="module")
def means() -> Tensor:
    return torch.rand(10, 64, generator=torch.Generator().manual_seed(3))


def measure(model: nn.Module, digits: ImageDataset, means: Tensor, **changes: object) -> Part:
    layer = model.get_submodule(gate_point(model).layer)
    options = {"batch_size": 7, "device": torch.device("cpu"), **changes}
    split = options.pop("split", digits.test)
    return localize(model, layer, torch.relu, split, digits.transform, means, **options)


def masks_of(split: Split) -> Tensor:
    return torch.stack([split.mask(i) for i in range(len(split))])


@pytest.fixture(scope="module")
def part(network: Network, digits: ImageDataset, means: Tensor) -> Part:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(localization, "GRADIENT_FILTERS", FEW)
        patch.setattr(localization, "EVERY_FILTER", FEW)
        patch.setattr(localization, "GRADIENT_IMAGES", 2)
        return measure(network("resnet20"), digits, means)


def check(part: Part, name: str, precision: str, expected: object) -> None:
    assert part.metrics[f"{name}_iou"] == pytest.approx(expected.total_iou, abs=1e-4, nan_ok=True)
    assert part.metrics[f"{name}_{precision}"] == pytest.approx(expected.total_ap, abs=1e-4)
    np.testing.assert_allclose(part.arrays[f"{name}_iou"], expected.class_iou.numpy(), atol=1e-4)
    np.testing.assert_allclose(
        part.arrays[f"{name}_{precision}"], expected.class_ap.numpy(), atol=1e-4
    )


def test_activation_maps(
    part: Part, network: Network, digits: ImageDataset, images: Tensor
) -> None:
    low = maps.activation_map(network("resnet20"), images, "layer3", size=None)
    expected = functional.activation_localization(
        low, masks_of(digits.test), digits.test.labels, 10
    )
    check(part, "activmap", "ap30", expected)
    assert part.metrics["activmap_degenerate"] == expected.degenerate


def test_class_activation_maps_of_the_true_class(
    part: Part, network: Network, digits: ImageDataset, images: Tensor
) -> None:
    labels = digits.test.labels
    found = maps.class_activation_map(network("resnet20"), images, labels)
    check(
        part, "cam", "ap30", functional.map_localization(found, masks_of(digits.test), labels, 10)
    )


def test_class_activation_maps_of_another_class(
    network: Network, digits: ImageDataset, images: Tensor, means: Tensor
) -> None:
    targets = torch.arange(10).flip(0)
    found = measure(network("resnet20"), digits, means, targets=targets)
    labels = digits.test.labels
    asked = maps.class_activation_map(network("resnet20"), images, targets[labels])
    expected = functional.map_localization(asked, masks_of(digits.test), labels, 10)
    check(found, "cam", "ap30", expected)


def first_images(labels: Tensor) -> Tensor:
    return torch.cat([torch.nonzero(labels == c).flatten()[:2] for c in range(10)])


@pytest.mark.parametrize("reading", ["official", "paper"])
def test_gradient_maps(
    reading: str, part: Part, network: Network, digits: ImageDataset, images: Tensor, means: Tensor
) -> None:
    """Image by image: the strongest filters of its class, or the same filters on every image."""
    labels = digits.test.labels
    chosen = first_images(labels)
    # 16 pixels instead of the 128 that the paper's blur is meant for
    blur = maps.GRAD_MAP_PRESETS[reading].scaled(16 / 128)
    shown = []
    for i in chosen.tolist():
        strongest = means[labels[i]].topk(FEW).indices.tolist()
        filters = strongest if reading == "official" else [0, 16, 32, 47, 63]
        shown.append(
            maps.grad_map(network("resnet20"), images[i : i + 1], "layer3", filters, preset=blur)
        )
    expected = functional.gradient_localization(
        torch.cat(shown), masks_of(digits.test)[chosen], labels[chosen], 10, reading
    )
    name = "gradmap" if reading == "official" else "gradmap_paper"
    check(part, name, "ap20", expected)
    assert part.metrics[f"{name}_filters"] == FEW
    assert part.metrics["gradmap_images_of_class"] == 2


def test_chance_levels_stand_beside(part: Part, digits: ImageDataset) -> None:
    masks = masks_of(digits.test)
    assert part.metrics["object_area"] == pytest.approx(float(masks.float().mean()))
    area = masks.flatten(1).double().mean(1)
    assert part.metrics["chance_full_iou"] == pytest.approx(float(area.mean()))
    assert part.metrics["chance_full_ap30"] == pytest.approx(float((area > 0.3).double().mean()))
    assert part.metrics["chance_full_ap20"] == pytest.approx(float((area >= 0.2).double().mean()))
    by_class = [float(area[digits.test.labels == c].mean()) for c in range(10)]
    assert part.arrays["chance_full_iou"] == pytest.approx(by_class)
    assert 0 < part.metrics["chance_box_iou"] < 1


def test_a_head_of_several_layers_has_no_class_activation_map(
    network: Network, digits: ImageDataset
) -> None:
    found = measure(network("alexnet_cifar"), digits, torch.rand(10, 256))
    assert not any(name.startswith("cam") for name in {**found.metrics, **found.arrays})
    assert {"activmap_iou", "gradmap_iou", "gradmap_paper_iou"} <= found.metrics.keys()


def test_classes_without_images_are_nan_and_not_counted(
    network: Network, digits: ImageDataset, means: Tensor
) -> None:
    places = torch.nonzero(digits.test.labels < 8).flatten()
    masks = Masks.in_memory(masks_of(digits.test)[places])
    some = dataclasses.replace(digits.test.take(places), masks=masks)
    empty = means.clone()
    empty[8:] = float("nan")
    found = measure(network("resnet20"), digits, empty, split=some)
    for name in ("cam_iou", "cam_ap30", "gradmap_iou", "gradmap_ap20", "chance_full_iou"):
        assert np.isnan(found.arrays[name][8:]).all(), name
        assert np.isfinite(found.arrays[name][:8]).all(), name
        assert np.isfinite(found.metrics[name]), name


def test_data_without_masks_has_no_localisation(subject: Subject) -> None:
    bare = dataclasses.replace(subject.dataset.test, masks=None)
    dataset = dataclasses.replace(subject.dataset, test=bare)
    assert localization_part(dataclasses.replace(subject, dataset=dataset)) == Part()


def test_measuring_leaves_no_hooks_and_no_gradients(
    network: Network, digits: ImageDataset, means: Tensor
) -> None:
    model = network("resnet20").train()
    measure(model, digits, means)
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_evaluation_of_a_masked_run_has_every_number(measured_run: Run) -> None:
    metrics = measured_run.evaluation["metrics"]
    for name in ("activmap_iou", "gradmap_iou", "gradmap_paper_ap20", "cam_ap30", "object_area"):
        assert metrics[name] is not None
        assert 0 <= metrics[name] <= 1
