"""Removed filters against a plain loop over copies of the network, image by image."""

import copy

import pytest
import torch
from torch import Tensor, nn

from filterscope.core.gate_points import gate_point
from filterscope.data import ImageDataset
from filterscope.evaluation.removal import (
    MOST_CLASSES,
    Removal,
    removal_rules,
    remove_filters,
    removed_sets,
    removing_filters,
)
from filterscope.runs import Run


def loop_confusion(
    model: nn.Module, layer: str, images: Tensor, labels: Tensor, removed: Tensor, classes: int
) -> Tensor:
    """Zero the removed channels of one layer's output and count the answers."""
    model = copy.deepcopy(model).eval()

    def zero(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        output = output.clone()
        for k in torch.nonzero(removed).flatten().tolist():
            output[:, k] = 0
        return output

    model.get_submodule(layer).register_forward_hook(zero)
    counts = torch.zeros(classes, classes, dtype=torch.int32)
    with torch.no_grad():
        for image, label in zip(images, labels.tolist(), strict=True):
            counts[label, int(model(image[None]).argmax())] += 1
    return counts


def removals(
    model: nn.Module, digits: ImageDataset, rules: dict[str, Tensor], classes: Tensor, batch: int
) -> dict[str, Removal]:
    layer = model.get_submodule(gate_point(model).layer)
    return remove_filters(
        model, layer, digits.test, digits.transform, rules, classes,
        batch_size=batch, device=torch.device("cpu"), workers=0,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["resnet20", "alexnet_cifar"])
@pytest.mark.parametrize("batch_size", [7, 64])
def test_confusion_equals_a_loop_over_sets_and_images(
    name: str, batch_size: int, network: object, digits: ImageDataset, images: Tensor
) -> None:
    model = network(name)
    model.train()
    point, labels = gate_point(model), digits.test.labels
    generator = torch.Generator().manual_seed(1)
    rules = {
        rule: torch.rand(2, point.num_filters, generator=generator) < share
        for rule, share in (("few", 0.2), ("many", 0.7))
    }
    rules["many"][1] = False
    classes = torch.eye(10, dtype=torch.bool)[:2]
    found = removals(model, digits, rules, classes, batch_size)
    assert list(found) == ["few", "many"]
    for rule, removal in found.items():
        assert torch.equal(removal.filters, rules[rule])
        assert torch.equal(removal.classes, classes)
        assert removal.confusion.dtype == torch.int32
        for filters, confusion in zip(rules[rule], removal.confusion, strict=True):
            expected = loop_confusion(model, point.layer, images, labels, filters, 10)
            assert torch.equal(confusion, expected)
    untouched = found["many"].confusion[1]
    assert untouched.trace() > 20, "nothing removed: the network answers as it does"
    assert not torch.equal(found["many"].confusion[0], untouched)
    assert model.training
    assert not any(part._forward_hooks for part in model.modules())


def test_hooks_are_gone_after_an_error(network: object, images: Tensor) -> None:
    model = network("resnet20")
    with (
        pytest.raises(RuntimeError, match="must match"),
        removing_filters(model.layer3, torch.zeros(2, 63, dtype=torch.bool)),
    ):
        model(images)
    assert not any(part._forward_hooks for part in model.modules())


def test_a_batch_gives_the_answers_of_each_set_in_turn(network: object, images: Tensor) -> None:
    model = network("resnet20")
    removed = torch.zeros(3, 64, dtype=torch.bool)
    removed[1, :30], removed[2] = True, True
    with torch.no_grad():
        plain = model(images)
        with removing_filters(model.layer3, removed):
            answers = model(images)
    assert answers.shape == (3 * len(images), 10)
    first, second, third = answers.chunk(3)
    torch.testing.assert_close(first, plain)
    assert not torch.allclose(second, plain, atol=1e-3)
    torch.testing.assert_close(third, model.linear.bias.expand_as(third).detach())


def test_classes_are_removed_alone_and_the_first_with_the_middle_one() -> None:
    sets = removed_sets(10)
    assert sets == [[c] for c in range(10)] + [[0, 5]]  # plane and dog of CIFAR-10
    assert removed_sets(1) == [[0]]
    assert removed_sets(2) == [[0], [1], [0, 1]]
    assert len(removed_sets(1000)) == MOST_CLASSES + 1
    assert removed_sets(1000)[-1] == [0, 500]


def test_rules_by_hand() -> None:
    gate = torch.tensor(
        [[1.0, 0.5, 0.6, 0.0, 1.0], [0.0, 1.0, 0.2, 0.0, 1.0], [0.4, 0.0, 1.0, 1.0, 1.0]]
    )
    means = torch.tensor(
        [[0.1, 0.2, 0.9, 0.3, 0.3], [0.5, 0.4, 0.3, 0.2, 0.1], [0.0, 0.0, 0.0, 0.0, 0.0]]
    )
    rules, classes = removal_rules(gate, means)
    assert set(rules) == {"activation", "gate"}
    assert classes.int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]
    # open above 0.5; the pair removes the union
    assert rules["gate"].int().tolist() == [
        [1, 0, 1, 0, 1], [0, 1, 0, 0, 1], [0, 0, 1, 1, 1], [1, 1, 1, 0, 1],
    ]  # fmt: skip
    # a tenth of five filters is less than one, and one is the least
    assert rules["activation"].int().tolist() == [
        [0, 0, 1, 0, 0], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1, 0, 1, 0, 0],
    ]  # fmt: skip
    assert set(removal_rules(None, means)[0]) == {"activation"}


def test_the_strongest_tenth_of_64_filters_are_six() -> None:
    means = torch.rand(10, 64, generator=torch.Generator().manual_seed(0))
    rules, _ = removal_rules(None, means)
    assert rules["activation"][:10].sum(1).tolist() == [6] * 10
    for row, marked in zip(means, rules["activation"], strict=False):
        assert row[marked].min() > row[~marked].max()
    assert torch.equal(rules["activation"][10], rules["activation"][0] | rules["activation"][5])


def test_the_evaluation_holds_what_a_loop_finds(measured_run: Run) -> None:
    arrays, metrics = measured_run.arrays, measured_run.evaluation["metrics"]
    test = measured_run.dataset().test
    raw = torch.stack([test.raw(i) for i in range(len(test))])
    images = measured_run.transform.normalize(raw)
    for rule in ("gate", "activation"):
        assert arrays[f"removal_{rule}"].shape == (11, 10, 10)
        for s in (0, 4, 10):
            filters = torch.from_numpy(arrays[f"removal_{rule}_filters"][s])
            expected = loop_confusion(
                measured_run.classifier, measured_run.layer, images, test.labels, filters, 10
            )
            assert torch.equal(torch.from_numpy(arrays[f"removal_{rule}"][s]), expected)
        before = recall(torch.from_numpy(arrays["confusion"]))
        drops = []
        for c in range(10):
            drop = before - recall(torch.from_numpy(arrays[f"removal_{rule}"][c]))
            others = torch.cat([drop[:c], drop[c + 1 :]])
            drops.append((float(drop[c]), float(others.nanmean())))
        own, others = torch.tensor(drops).double().nanmean(0).tolist()
        assert metrics[f"removal_{rule}_removed_drop"] == pytest.approx(own, abs=1e-6)
        assert metrics[f"removal_{rule}_others_drop"] == pytest.approx(others, abs=1e-6)
        assert metrics[f"removal_{rule}_specificity"] == pytest.approx(own - others, abs=1e-6)


def recall(confusion: Tensor) -> Tensor:
    return confusion.diagonal() / confusion.sum(1)
