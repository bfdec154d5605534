"""Evaluation against plain computations on the same network."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.feature_selection import mutual_info_classif

from filterscope import load_run
from filterscope.data import load_dataset
from filterscope.evaluation import Evaluation, evaluate_run
from filterscope.evaluation.redundancy import last_convolution
from filterscope.models import create_model
from filterscope.runs import Run
from filterscope.training import TrainSettings, train

SETTINGS = TrainSettings(
    method="gated", scheme="joint", epochs=3, warmup=1, limit=200, limit_test=60, batch_size=40,
    lambda2=1e-2,
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(train(SETTINGS, tmp_path_factory.mktemp("runs") / "gated"))


@pytest.fixture(scope="module")
def evaluation(run: Run) -> Evaluation:
    return evaluate_run(run)


def test_numbers_equal_a_plain_pass_over_the_test_images(run: Run, evaluation: Evaluation) -> None:
    test = run.dataset().test
    images = run.transform.normalize(torch.stack([test.raw(i) for i in range(len(test))]))
    with torch.no_grad():
        logits = run.classifier(images)
        gated = run.model(images, test.labels)
        features = run.model.features(images)
    metrics = evaluation.metrics
    assert metrics["accuracy"] == pytest.approx(
        (logits.argmax(1) == test.labels).float().mean().item(), abs=1e-6
    )
    assert metrics["gated_accuracy"] == pytest.approx(
        (gated.argmax(1) == test.labels).float().mean().item(), abs=1e-6
    )
    assert metrics["loss"] == pytest.approx(
        torch.nn.functional.cross_entropy(logits, test.labels).item(), rel=1e-4
    )
    expected = np.stack(
        [mutual_info_classif(features.numpy(), test.labels == c, random_state=0) for c in range(10)]
    )
    assert evaluation.arrays["mi"] == pytest.approx(expected, abs=1e-5)
    assert metrics["mis"] == pytest.approx(expected.max(0).mean(), abs=1e-5)
    means = np.stack([features[test.labels == c].numpy().mean(0) for c in range(10)])
    assert evaluation.arrays["mean_features"] == pytest.approx(means, abs=1e-4)
    strongest = features[:, evaluation.arrays["top_filters"][0]].argmax().item()
    assert evaluation.arrays["top_images"][0, 0] == strongest


def test_confusion_matrix_holds_counts_of_true_by_predicted(evaluation: Evaluation) -> None:
    confusion = evaluation.arrays["confusion"]
    assert confusion.sum() == evaluation.settings["num_samples"] == 60
    assert np.trace(confusion) / 60 == pytest.approx(evaluation.metrics["accuracy"])
    shares = np.diag(confusion) / confusion.sum(1)
    assert evaluation.metrics["class_accuracy"] == pytest.approx(shares.tolist())


def test_last_row_of_the_history_agrees_with_the_evaluation(
    run: Run, evaluation: Evaluation
) -> None:
    last = run.history[-1]
    assert last["test_accuracy"] == pytest.approx(evaluation.metrics["accuracy"], abs=1e-6)
    assert last["test_gated_accuracy"] == pytest.approx(evaluation.metrics["gated_accuracy"])
    assert last["density"] == pytest.approx(evaluation.metrics["density"])


def test_an_evaluation_is_saved_whole_and_readable_without_this_library(
    run: Run, evaluation: Evaluation
) -> None:
    evaluation.save(run.path)
    again = Evaluation.load(run.path)
    assert again.settings == json.loads(json.dumps(evaluation.settings))
    assert again.arrays.keys() == evaluation.arrays.keys()
    for name, array in evaluation.arrays.items():
        assert np.array_equal(again.arrays[name], array, equal_nan=array.dtype.kind == "f")
    content = json.loads((run.path / "evaluation.json").read_text())
    assert content["metrics"]["mis"] == evaluation.metrics["mis"]
    assert load_run(run.path).evaluation == content


def test_damaged_and_missing_evaluations_are_told(run: Run, evaluation: Evaluation) -> None:
    evaluation.save(run.path)
    arrays = run.path / "arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"arrays\.npz is not readable"):
        Evaluation.load(run.path)
    (run.path / "evaluation.json").write_text("{}")
    assert not Evaluation.is_current(run.path)
    with pytest.raises(ValueError, match=r"evaluation\.json holds no evaluation"):
        Evaluation.load(run.path)
    (run.path / "evaluation.json").unlink()
    with pytest.raises(FileNotFoundError, match="filterscope evaluate"):
        Evaluation.load(run.path)
    evaluation.save(run.path)


def test_measuring_leaves_the_network_as_it_was(run: Run) -> None:
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    hooks = sum(len(m._forward_hooks) for m in run.model.modules())
    run.model.train()
    evaluate_run(run)
    assert run.model.training
    run.model.eval()
    assert hooks == sum(len(m._forward_hooks) for m in run.model.modules())
    assert all(torch.equal(before[k], v) for k, v in run.model.state_dict().items())


def test_data_of_other_classes_is_refused(run: Run) -> None:
    dataset = dataclasses.replace(load_dataset("digits"), classes=tuple("abcdefghij"))
    with pytest.raises(ValueError, match="trained on"):
        evaluate_run(run, dataset=dataset)


def test_no_images_at_once_and_no_process_are_refused(run: Run) -> None:
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, got 0"):
        evaluate_run(run, batch_size=0)
    with pytest.raises(ValueError, match="`devices` must be at least 1, got 0"):
        evaluate_run(run, devices=0)


def test_a_network_that_gives_nan_is_refused(run: Run, tmp_path: Path) -> None:
    broken = load_run(run.path)
    with torch.no_grad():
        broken.classifier.linear.bias[0] = float("nan")
    with pytest.raises(ValueError, match="non-finite"):
        evaluate_run(broken)


@pytest.mark.parametrize(
    ("name", "layer", "num_filters", "expected"),
    [
        ("resnet20", "layer3", 64, "layer3.2.conv2"),
        ("resnet18", "layer4", 512, "layer4.1.conv2"),
        ("alexnet", "features.11", 256, "features.10"),
        ("vgg11_bn", "features.27", 512, "features.25"),
        ("densenet121", "features", 1024, None),
    ],
)
def test_the_convolution_behind_a_layer_is_found(
    name: str, layer: str, num_filters: int, expected: str | None
) -> None:
    model = create_model(name, 10)
    found = last_convolution(model, layer, num_filters)
    assert found is (None if expected is None else model.get_submodule(expected))
