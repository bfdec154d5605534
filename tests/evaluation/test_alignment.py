"""Class subspaces against scikit-learn's principal components of unfolded patches."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope.data import ImageDataset
from filterscope.evaluation import alignment
from filterscope.evaluation.alignment import class_alignment
from filterscope.runs import Run


def plain_alignment(
    convolution: nn.Conv2d, inputs: Tensor, labels: Tensor, num_classes: int
) -> np.ndarray:
    """Share of each filter's length in the components that hold 95 % of a class's variance."""
    patches = F.unfold(
        inputs, convolution.kernel_size, convolution.dilation, convolution.padding,
        convolution.stride,
    ).double()  # fmt: skip
    filters = convolution.weight.detach().double().flatten(1).numpy()
    rows = []
    for c in range(num_classes):
        of_class = patches[labels == c].permute(0, 2, 1).flatten(0, 1).numpy()
        components = PCA(n_components=0.95, svd_solver="full").fit(of_class).components_
        rows.append(
            np.linalg.norm(filters @ components.T, axis=1) / np.linalg.norm(filters, axis=1)
        )
    return np.stack(rows)


def inputs_of(model: nn.Module, convolution: nn.Module, images: Tensor) -> Tensor:
    seen: list[Tensor] = []
    handle = convolution.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model.eval()(images)
    handle.remove()
    return seen[0]


def aligned(
    model: nn.Module, convolution: nn.Module, digits: ImageDataset, batch_size: int = 8
) -> Tensor | None:
    return class_alignment(
        model, convolution, digits.test, digits.transform, len(digits.classes),
        batch_size=batch_size, device=torch.device("cpu"), workers=0,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["conv1", "layer2.0.conv1", "layer3.2.conv2"])
def test_every_convolution_agrees_with_scikit_learn(
    name: str, network: object, digits: ImageDataset, images: Tensor
) -> None:
    model = network("resnet20")
    convolution = model.get_submodule(name)
    found = aligned(model, convolution, digits)
    expected = plain_alignment(
        convolution, inputs_of(model, convolution, images), digits.test.labels, 10
    )
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    assert not convolution._forward_pre_hooks


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(3, 4, 2, stride=2),
        nn.Conv2d(3, 4, (3, 1), stride=(1, 2), padding=(2, 0), dilation=(2, 1)),
    ],
)
def test_odd_kernels_strides_and_dilations(
    convolution: nn.Conv2d, digits: ImageDataset, images: Tensor
) -> None:
    model = nn.Sequential(convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = aligned(model, convolution, digits, batch_size=64)
    expected = plain_alignment(convolution, images, digits.test.labels, 10)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(3, 6, 3, groups=3),
        nn.Conv2d(3, 6, 3, padding="same"),
        nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect"),
    ],
)
def test_convolutions_that_it_is_not_made_for_are_left_out(
    convolution: nn.Conv2d, digits: ImageDataset
) -> None:
    model = nn.Sequential(convolution, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert aligned(model, convolution, digits) is None


def test_large_patches_are_left_out(
    network: object, digits: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network("resnet20")
    monkeypatch.setattr(alignment, "LARGEST_PATCH", 26)
    assert aligned(model, model.conv1, digits) is None
    monkeypatch.setattr(alignment, "LARGEST_PATCH", 27)
    assert aligned(model, model.conv1, digits) is not None


def test_many_classes_of_large_patches_are_left_out(
    network: object, digits: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network("resnet20")
    monkeypatch.setattr(alignment, "MOST_WORK", 10 * 27**3 - 1)
    assert aligned(model, model.conv1, digits) is None
    monkeypatch.setattr(alignment, "MOST_WORK", 10 * 27**3)
    assert aligned(model, model.conv1, digits) is not None


@pytest.mark.parametrize("classes_together", [1, 3])
def test_classes_in_groups_give_the_same_and_see_each_image_once(
    classes_together: int,
    network: object,
    digits: ImageDataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = network("resnet20")
    whole = aligned(model, model.conv1, digits)
    monkeypatch.setattr(alignment, "MOMENT_BYTES", 8 * 27**2 * classes_together)
    seen: list[int] = []
    handle = model.register_forward_hook(lambda _m, inputs, _o: seen.append(len(inputs[0])))
    found = aligned(model, model.conv1, digits)
    handle.remove()
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-9)
    assert sum(seen) == len(digits.test)
    assert max(seen) <= classes_together * int(digits.test.labels.bincount().max())


def test_the_first_images_of_each_class_are_looked_at(
    network: object, digits: ImageDataset, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = network("resnet20")
    monkeypatch.setattr(alignment, "IMAGES_OF_CLASS", 2)
    labels = digits.test.labels
    first = torch.cat([torch.nonzero(labels == c).flatten()[:2] for c in range(10)])
    expected = plain_alignment(model.conv1, images[first], labels[first], 10)
    np.testing.assert_allclose(aligned(model, model.conv1, digits).numpy(), expected, atol=1e-5)


def test_a_class_without_images_has_no_subspace(network: object, digits: ImageDataset) -> None:
    model = network("resnet20")
    few = digits.test.take(torch.nonzero(digits.test.labels != 3).flatten())
    found = class_alignment(
        model, model.conv1, few, digits.transform, 10, batch_size=50, device=torch.device("cpu"),
        workers=0,
    )  # fmt: skip
    assert found[3].isnan().all()
    assert not found[[0, 1, 2, 4, 5, 6, 7, 8, 9]].isnan().any()


def test_hooks_are_gone_after_an_error(network: object, digits: ImageDataset) -> None:
    model = network("resnet20")
    model.layer1[0].register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        aligned(model, model.conv1, digits)
    assert not model.conv1._forward_pre_hooks


def test_the_evaluation_has_the_alignment_of_the_last_convolution(measured_run: Run) -> None:
    model, test = measured_run.classifier, measured_run.dataset().test
    raw = torch.stack([test.raw(i) for i in range(len(test))])
    convolution = model.layer3[2].conv2
    inputs = inputs_of(model, convolution, measured_run.transform.normalize(raw))
    expected = plain_alignment(convolution, inputs, test.labels, 10)
    np.testing.assert_allclose(measured_run.arrays["alignment"], expected, atol=1e-4)
    owners, metrics = measured_run.arrays["filter_owners"], measured_run.evaluation["metrics"]
    owned = [k for k in range(64) if owners[k] >= 0]
    own = np.mean([expected[owners[k], k] for k in owned])
    others = np.mean([expected[c, k] for k in owned for c in range(10) if c != owners[k]])
    assert metrics["alignment_own"] == pytest.approx(own, abs=1e-4)
    assert metrics["alignment_contrast"] == pytest.approx(own - others, abs=1e-4)
