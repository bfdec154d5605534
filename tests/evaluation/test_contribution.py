"""Contributions of filters to classes: the frozen network, bare gradients, and pooled features."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from filterscope.core.gate_points import gate_point
from filterscope.evaluation.contribution import class_contributions, contribution_part
from filterscope.evaluation.part import Part, Subject
from filterscope.metrics import functional

CPU = torch.device("cpu")


def with_network(subject: Subject, model: nn.Module, layer: str) -> Subject:
    run = dataclasses.replace(subject.run, model=model, layer=layer)
    return dataclasses.replace(subject, run=run)


def measured(subject: Subject, batch_size: int = 8) -> Tensor:
    return class_contributions(
        subject.run.classifier, subject.run.layer, subject.dataset.test, subject.run.transform,
        len(subject.mean_features), batch_size=batch_size, device=CPU, workers=0,
    )  # fmt: skip


def by_gradients(model: nn.Module, layer: str, images: Tensor, labels: Tensor) -> Tensor:
    """Gradient times output at a layer, image by image; exact for piecewise linear networks."""
    sums: dict[int, list[Tensor]] = {}
    seen: list[Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda *a: seen.append(a[2]))
    for image, label in zip(images, labels.tolist(), strict=True):
        seen.clear()
        logit = model(image[None])[0, label]
        (gradient,) = torch.autograd.grad(logit, seen[0])
        sums.setdefault(label, []).append((gradient * seen[0])[0].flatten(1).sum(1).double())
    handle.remove()
    return torch.stack([torch.stack(sums[c]).mean(0) for c in sorted(sums)])


def test_the_part_of_a_pooled_linear_head_is_that_of_the_frozen_network(subject: Subject) -> None:
    part = contribution_part(subject)
    found = torch.from_numpy(part.arrays["contributions"])
    head = subject.run.classifier.linear
    torch.testing.assert_close(found, head.weight.double() * subject.mean_features)
    torch.testing.assert_close(found, measured(subject), rtol=1e-5, atol=1e-6)


def test_numbers_compare_contributions_with_the_gate(subject: Subject) -> None:
    part = contribution_part(subject)
    expected = functional.gate_agreement(
        torch.from_numpy(part.arrays["contributions"]), subject.gate
    )
    assert part.metrics == {
        "contribution_auc": expected.auc,
        "contribution_auc_chance": 0.5,
        "contribution_auc_undefined": expected.auc_undefined,
        "contribution_cosine": expected.cosine,
        "contribution_cosine_chance": expected.cosine_chance,
        "contribution_cosine_undefined": expected.cosine_undefined,
        "contribution_open": expected.positive_share,
        "contribution_open_chance": expected.open_share,
        "contribution_open_undefined": expected.positive_undefined,
    }
    arrays = subject.run.arrays or {}
    np.testing.assert_allclose(arrays["contributions"], part.arrays["contributions"], rtol=1e-6)
    stored = (subject.run.evaluation or {})["metrics"]
    assert stored["contribution_auc"] == pytest.approx(expected.auc)


def test_standard_runs_have_the_matrix_alone(subject: Subject) -> None:
    part = contribution_part(with_network(subject, subject.run.classifier, subject.run.layer))
    assert part.metrics == {}
    assert list(part.arrays) == ["contributions"]


@pytest.mark.parametrize("layer", ["layer2", "layer3.1.conv1"])
def test_layers_inside_are_read_in_the_frozen_network(subject: Subject, images, layer) -> None:
    inside = with_network(subject, subject.run.classifier, layer)
    found = measured(inside)
    expected = by_gradients(inside.run.classifier, layer, images, subject.dataset.test.labels)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found, measured(inside, batch_size=30), rtol=1e-4, atol=1e-6)


def test_a_head_of_several_layers(subject: Subject, network, images) -> None:
    model = network("alexnet_cifar")
    layer = gate_point(model).layer
    part = contribution_part(with_network(subject, model, layer))
    expected = by_gradients(model, layer, images, subject.dataset.test.labels)
    torch.testing.assert_close(
        torch.from_numpy(part.arrays["contributions"]), expected, rtol=1e-3, atol=1e-5
    )


def test_a_class_without_images_has_no_contributions(subject: Subject) -> None:
    labels = subject.dataset.test.labels
    split = subject.dataset.test.take(torch.nonzero(labels != 3).flatten())
    dataset = dataclasses.replace(subject.dataset, test=split)
    found = measured(dataclasses.replace(subject, dataset=dataset))
    assert found.isnan().all(1).tolist() == [c == 3 for c in range(10)]
    whole = measured(subject)
    torch.testing.assert_close(found[4], whole[4], rtol=1e-4, atol=1e-6)
    features = subject.mean_features.clone()
    features[3] = torch.nan
    part = contribution_part(dataclasses.replace(subject, mean_features=features))
    assert part.metrics["contribution_auc_undefined"] >= 1
    assert 0 <= part.metrics["contribution_auc"] <= 1


def test_numbers_that_no_class_has_are_absent(subject: Subject) -> None:
    features = torch.full_like(subject.mean_features, torch.nan)
    part = contribution_part(dataclasses.replace(subject, mean_features=features))
    assert part.metrics == {
        "contribution_auc_chance": 0.5,
        "contribution_auc_undefined": 10,
        "contribution_cosine_undefined": 10,
        "contribution_open_undefined": 10,
    }


class Sorted(nn.Module):
    """A network with an operation that cannot be frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, 10)

    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3))).cumprod(1)


def test_networks_that_cannot_be_frozen_are_left_out_with_a_warning(subject: Subject) -> None:
    with pytest.warns(UserWarning, match="contributions of filters are left out: .*cumprod"):
        assert contribution_part(with_network(subject, Sorted(), "conv")) == Part()
