"""Parts about the filters of a class: where they apply, and against plain computations."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from filterscope import load_run
from filterscope.core.gate_points import gate_point
from filterscope.evaluation import Evaluation, evaluate_run, specificity
from filterscope.evaluation.part import Part, Subject
from filterscope.evaluation.specificity import (
    cluster_part,
    entanglement_part,
    removal_part,
    similarity_part,
)
from filterscope.metrics import functional
from filterscope.models import create_model
from filterscope.runs import Run
from filterscope.training import TrainSettings, train


def ungated(subject: Subject) -> Subject:
    """The same network without its gate."""
    run = dataclasses.replace(subject.run, model=subject.run.classifier)
    return dataclasses.replace(subject, run=run)


def test_similarity_is_the_cosine_of_class_features_and_gate_rows(subject: Subject) -> None:
    part = similarity_part(subject)
    collected, gate = subject.collected, subject.gate
    for name, right in (("tp", True), ("fn", False)):
        for y in range(10):
            chosen = (collected.labels == y) & ((collected.predictions == y) == right)
            row = part.arrays[f"similarity_{name}"][y]
            if not chosen.any():
                assert np.isnan(row).all()
                continue
            mean = collected.features[chosen].double().mean(0)
            for c in range(10):
                expected = nn.functional.cosine_similarity(mean, gate[c].double(), dim=0)
                assert row[c] == pytest.approx(float(expected), abs=1e-5)
    missed = (collected.predictions != collected.labels).int()
    counts = torch.zeros(10, dtype=torch.int64).index_add_(0, collected.labels, missed.long())
    assert part.arrays["similarity_fn_counts"].tolist() == counts.tolist()
    assert sorted(part.arrays["similarity_order"]) == list(range(10))


def test_clusters_are_those_of_the_functional_metric(subject: Subject) -> None:
    part = cluster_part(subject)
    expected = functional.cluster_centres(subject.collected.features, subject.gate, random_state=0)
    assert part.metrics["cluster_cosine"] == expected.mean_cosine
    assert part.arrays["cluster_centres"].shape == (10, 64)


def test_entanglement_of_a_pooled_linear_head(subject: Subject) -> None:
    part = entanglement_part(subject)
    head = subject.run.classifier.linear
    expected = functional.filter_class_entanglement(
        subject.collected.features, subject.collected.labels, head.weight.detach(),
        head.bias.detach(), density_bound=subject.run.gate.density_bound, random_state=0,
    )  # fmt: skip
    assert part.metrics["entanglement"] == expected.phi
    assert part.metrics["entanglement_ideal"] == expected.phi_0
    loss = float(subject.collected.losses.double().mean())
    assert part.metrics["entanglement_gap"] == pytest.approx(expected.phi - loss, abs=1e-4)


def test_other_heads_have_no_entanglement(subject: Subject) -> None:
    model = create_model("alexnet_cifar", 10)
    run = dataclasses.replace(subject.run, model=model, layer=gate_point(model).layer)
    assert entanglement_part(dataclasses.replace(subject, run=run)) == Part()


def test_another_layer_than_the_heads_has_no_entanglement(subject: Subject) -> None:
    for layer in ("layer2", "layer3.1"):  # 32 filters, and 64 that the head does not read
        run = dataclasses.replace(subject.run, layer=layer)
        assert entanglement_part(dataclasses.replace(subject, run=run)) == Part()


def test_a_standard_network_has_removal_by_activation_and_entanglement(subject: Subject) -> None:
    plain = ungated(subject)
    assert similarity_part(plain) == cluster_part(plain) == Part()
    assert "entanglement" in entanglement_part(plain).metrics
    arrays = removal_part(plain).arrays
    assert "removal_activation" in arrays
    assert "removal_gate" not in arrays


def test_a_class_without_images_has_no_strongest_filters(subject: Subject) -> None:
    means = subject.mean_features.clone()
    means[2] = float("nan")
    assert removal_part(dataclasses.replace(subject, mean_features=means)) == Part()


def test_fewer_images_than_classes_have_no_clusters(subject: Subject) -> None:
    few = dataclasses.replace(subject.collected, features=subject.collected.features[:9])
    assert cluster_part(dataclasses.replace(subject, collected=few)) == Part()


def test_large_clusters_start_once_and_say_so(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = subject.collected.features.numel() * 10
    monkeypatch.setattr(specificity, "MOST_WORK", size)
    assert "cluster_starts" not in cluster_part(subject).metrics
    monkeypatch.setattr(specificity, "MOST_WORK", size - 1)
    part = cluster_part(subject)
    once = functional.cluster_centres(subject.collected.features, subject.gate, n_init=1)
    assert part.metrics["cluster_starts"] == 1
    assert part.metrics["cluster_cosine"] == pytest.approx(once.mean_cosine, abs=1e-12)


def without_class(run: Run, missing: int) -> Evaluation:
    """Measure a run on its test images but those of one class."""
    dataset = run.dataset()
    places = torch.nonzero(dataset.test.labels != missing).flatten()
    return evaluate_run(
        run, dataset=dataclasses.replace(dataset, test=dataset.test.take(places)), device="cpu"
    )


def test_a_class_without_test_images_is_nan_and_the_rest_is_measured(measured_run: Run) -> None:
    evaluation = without_class(measured_run, 7)
    assert np.isnan(evaluation.arrays["mean_features"][7]).all()
    assert np.isnan(evaluation.metrics["class_accuracy"][7])
    assert not evaluation.arrays["confusion"][7].any()
    assert "removed_classes" not in evaluation.arrays
    assert "inter_class_correlation" not in evaluation.metrics
    assert np.isnan(evaluation.arrays["alignment"][7]).all()
    for name in ("accuracy", "mis", "density", "redundancy_0_1", "entanglement"):
        assert np.isfinite(evaluation.metrics[name]), name


@pytest.mark.parametrize("layer", ["layer2", "layer3.1"])
def test_a_run_that_studies_an_inner_layer_is_measured(
    layer: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = TrainSettings(
        layer=layer, epochs=1, limit=40, limit_test=20, batch_size=20, device="cpu"
    )
    run = load_run(train(settings, tmp_path_factory.mktemp("inner") / "run"))
    evaluation = evaluate_run(run, device="cpu")
    assert {"accuracy", "activmap_iou", "redundancy_0_1"} <= evaluation.metrics.keys()
    assert not {"cam_iou", "entanglement"} & evaluation.metrics.keys()


def test_parts_add_up_and_the_later_one_wins() -> None:
    one, two = Part({"a": 1, "b": 2}, {"x": np.zeros(1)}), Part({"b": 3})
    assert (one | two).metrics == {"a": 1, "b": 3}
    assert one.metrics == {"a": 1, "b": 2}


def test_every_number_of_an_evaluation_has_one_source(subject: Subject) -> None:
    parts = [f(subject) for f in (removal_part, similarity_part, cluster_part, entanglement_part)]
    names = [name for part in parts for name in part.metrics]
    assert len(set(names)) == len(names)


def test_an_evaluation_is_current_when_it_has_every_metric(
    measured_run: Run, tmp_path: object
) -> None:
    assert not Evaluation.is_current(tmp_path)
    evaluation = Evaluation.load(measured_run.path)
    evaluation.save(tmp_path)
    assert Evaluation.is_current(tmp_path)
    again = Evaluation.load(tmp_path)
    assert again.metrics == evaluation.metrics
    assert again.arrays.keys() == evaluation.arrays.keys()
    for name, array in evaluation.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array, err_msg=name)
    text = (tmp_path / "evaluation.json").read_text()
    schema = int(text.split('"schema": ')[1].split(",")[0])
    for other in (schema - 1, schema + 1):
        changed = text.replace(f'"schema": {schema}', f'"schema": {other}')
        (tmp_path / "evaluation.json").write_text(changed)
        assert not Evaluation.is_current(tmp_path)
    with pytest.raises(ValueError, match=f"has schema {schema + 1}"):
        Evaluation.load(tmp_path)
    (tmp_path / "evaluation.json").write_text(text.replace(f'"schema": {schema},', ""))
    assert not Evaluation.is_current(tmp_path)
    (tmp_path / "evaluation.json").write_text(text)
    (tmp_path / "arrays.npz").unlink()
    assert not Evaluation.is_current(tmp_path)


def test_the_mean_features_are_those_of_the_collected_samples(subject: Subject) -> None:
    features, labels = subject.collected.features, subject.collected.labels
    expected: list[Tensor] = [features[labels == c].double().mean(0) for c in range(10)]
    torch.testing.assert_close(subject.mean_features.double(), torch.stack(expected))
