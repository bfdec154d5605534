"""Where filters peak, against landmarks: the part of an evaluation, and what it reads."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from filterscope import load_run, maps
from filterscope.core.answers import class_scores
from filterscope.core.contexts import evaluating
from filterscope.evaluation import evaluate_run
from filterscope.evaluation.explain import explain_images
from filterscope.evaluation.landmarks import PART_SHARE, part_discs
from filterscope.metrics import functional
from filterscope.report import compare_runs, write_report
from filterscope.runs import Run, load_network
from filterscope.training import TrainSettings, train

MakeBlobs = Callable[..., str]
TINY = TrainSettings(
    image_size=24, repeat=False, epochs=1, batch_size=8, lr=0.02, warmup=0, test_fraction=0.5,
    device="cpu", workers=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(blobs: MakeBlobs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A baseline and a run with part templates of one category, and one of two, evaluated."""
    one, two = blobs("bird", count=12), blobs("bird", "cow", count=12)
    chosen = {
        "standard": {"data": one},
        "parts": {"data": one, "method": "parts", "template": "l2"},
        "several": {"data": two, "method": "gated-parts", "task_loss": "logistic"},
    }
    found = {}
    for name, changes in chosen.items():
        settings = dataclasses.replace(TINY, **changes)
        folder = train(settings, tmp_path_factory.mktemp("runs") / name)
        evaluate_run(load_run(folder), device="cpu").save(folder)
        found[name] = load_run(folder)
    return found


def metrics(run: Run) -> dict[str, Any]:
    assert run.evaluation is not None
    return dict(run.evaluation["metrics"])


@pytest.mark.parametrize("name", ["standard", "parts"])
def test_it_is_the_metric_on_the_test_images_of_the_category(
    runs: dict[str, Run], name: str
) -> None:
    run, found = runs[name], metrics(runs[name])
    data = run.dataset()
    places = torch.nonzero(data.test.labels == 1).flatten()
    images = data.transform.normalize(torch.stack([data.test.raw(i) for i in places.tolist()]))
    with evaluating(run.model), torch.no_grad():
        seen: list[torch.Tensor] = []
        layer = run.classifier.get_submodule("layer3")
        mask = None if run.parts is None else run.parts.masks[0]  # its input is the map before it
        handle = (mask or layer).register_forward_hook(
            lambda _m, inputs, out: seen.append(out if mask is None else inputs[0])
        )
        run.model(images)
        handle.remove()
    field = maps.receptive_field(run.classifier, "layer3", images[:1])
    assert data.test.landmarks is not None
    truth = data.test.landmarks[places] - 0.5  # a coordinate stands for the middle of its pixel
    expected = functional.location_instability(seen[0], truth, field.centres(), (24, 24))
    assert found["instability"] == pytest.approx(expected.instability)
    assert found["instability_centre_unit"] == pytest.approx(expected.chance.centre_unit)
    assert found["instability_fixed_unit"] == pytest.approx(expected.chance.fixed_unit)
    assert found["instability_random_unit"] == pytest.approx(expected.chance.random_unit)
    assert found["peak_units"] == pytest.approx(float(expected.distinct_peaks.double().mean()))
    assert found["peak_layer"] == "layer3"
    assert ("instability_masked" in found) == (run.parts is not None)
    assert found["instability_images"] == [len(places)]
    assert found["instability_official"] != found["instability"]
    assert run.arrays is not None
    np.testing.assert_allclose(run.arrays["instability"][0], expected.filter_instability)
    covered = functional.part_interpretability(
        seen[0], part_discs(truth, 24), field.centres(), PART_SHARE * 24
    )
    assert found["part_interpretability"] == pytest.approx(covered.interpretability)


@pytest.mark.parametrize("name", ["standard", "parts", "several"])
def test_accuracy_loss_and_error_of_the_answers(runs: dict[str, Run], name: str) -> None:
    run, found = runs[name], metrics(runs[name])
    data = run.dataset()
    images = torch.stack([data.test.raw(i) for i in range(len(data.test))])
    with evaluating(run.model), torch.no_grad():
        logits = run.model(data.transform.normalize(images))
    labels = data.test.labels
    assert found["accuracy"] == pytest.approx(
        float((class_scores(logits).argmax(1) == labels).double().mean())
    )
    true = labels[:, None] if logits.shape[1] == 1 else torch.nn.functional.one_hot(labels, 2)
    loss = torch.nn.functional.softplus(-(2 * true - 1) * logits).sum(1).mean()
    assert found["loss"] == pytest.approx(float(loss), rel=1e-4)
    wrong = ((logits > 0) != true.bool()).double().mean()
    assert found["error"] == pytest.approx(float(wrong))
    assert run.history[-1]["test_error"] == pytest.approx(float(wrong), abs=1e-6)


def test_several_categories_and_a_gate(runs: dict[str, Run]) -> None:
    found, run = metrics(runs["several"]), runs["several"]
    assert found["instability_categories"] == ["bird", "cow"]
    assert found["instability_least_category"] <= found["instability"]
    assert "gap" in found
    assert run.arrays is not None
    assert run.arrays["instability"].shape == (2, 64)


def test_tables_show_the_chance_levels_beside_it(runs: dict[str, Run]) -> None:
    text = compare_runs([runs["standard"], runs["parts"]]).console_table()
    assert "location instability" in text
    for level in ("middle unit", "fixed unit", "random unit"):
        assert level in text


def test_a_single_logit_is_explained_as_two_classes(runs: dict[str, Run], tmp_path: Path) -> None:
    run = runs["parts"]
    file = Path(run.config["data"].removeprefix("part-folder:")) / "bird/images/00.png"
    (told,) = explain_images(run, [file])
    logit = float(run.classifier(run.transform(file)[None]).detach())
    shares = dict(told.probabilities)
    assert shares["bird"] == pytest.approx(torch.tensor(logit).sigmoid().item(), abs=1e-6)
    assert sum(shares.values()) == pytest.approx(1)
    assert told.logit == pytest.approx(abs(logit) / 2, abs=1e-6)
    network = load_network(run.path)
    scores = network.model(run.transform(file)[None])[0]
    assert network.classes == ("neg", "bird")
    assert scores.tolist() == pytest.approx([-logit / 2, logit / 2], abs=1e-6)


def test_discs_around_landmarks() -> None:
    points = torch.tensor([[[3.0, 5.0], [torch.nan, torch.nan]]])
    discs = part_discs(points, 16)
    for y in range(16):
        for x in range(16):
            assert bool(discs[0, 0, y, x]) == ((x - 3) ** 2 + (y - 5) ** 2 <= 4)
    assert not bool(discs[0, 1].any())


def test_data_without_landmarks_has_none_of_it(measured_run: Run) -> None:
    assert not any("instability" in name for name in metrics(measured_run))


@pytest.mark.parametrize("name", ["standard", "parts", "several"])
def test_pictures_of_filters_are_of_the_peaks_that_were_measured(
    runs: dict[str, Run], name: str
) -> None:
    run, found, arrays = runs[name], metrics(runs[name]), runs[name].arrays
    assert arrays is not None
    test = run.dataset().test
    assert test.landmarks is not None
    categories = [run.classes.index(c) for c in found["instability_categories"]]
    seen: list[torch.Tensor] = []
    with evaluating(run.model), torch.no_grad():
        layer = run.classifier.get_submodule("layer3")
        mask = None if run.parts is None else run.parts.masks[0]  # its input is the map before it
        handle = (mask or layer).register_forward_hook(
            lambda _m, inputs, out: seen.append(out if mask is None else inputs[0])
        )
        run.model(run.transform.normalize(torch.stack([test.raw(i) for i in range(len(test))])))
        handle.remove()
    units, values = functional.peak_units(seen[0])
    for row, k in enumerate(arrays["part_filters"].tolist()):
        category = int(arrays["part_filter_categories"][row])
        places = torch.nonzero(test.labels == categories[category]).flatten()
        peaks = arrays["part_filter_peaks"][row][: len(places)]
        assert peaks.tolist() == units[places, k].tolist()
        assert arrays["part_filter_instability"][row] == pytest.approx(
            arrays["instability"][category, k]
        )
        strongest = places[values[places, k].argsort(descending=True, stable=True)]
        strongest = strongest[units[strongest, k] >= 0][:6]
        for column, place in enumerate(strongest.tolist()):
            picture = arrays["part_thumbnails"][arrays["part_top_images"][row, column]]
            np.testing.assert_array_equal(picture, test.raw(place).permute(1, 2, 0))
            assert arrays["part_top_units"][row, column] == units[place, k]
            np.testing.assert_array_equal(
                arrays["part_top_landmarks"][row, column], test.landmarks[place]
            )
    assert arrays["part_landmarks"].shape[0] == len(categories)
    assert (arrays["part_filter_spread"] >= 0).all()


def test_a_mean_image_and_the_field_of_a_unit(runs: dict[str, Run]) -> None:
    run, found, arrays = runs["standard"], metrics(runs["standard"]), runs["standard"].arrays
    assert arrays is not None
    test = run.dataset().test
    mine = torch.stack([test.raw(i) for i in torch.nonzero(test.labels == 1).flatten().tolist()])
    expected = mine.double().mean(0).permute(1, 2, 0).numpy()
    assert np.abs(arrays["part_mean_images"][0] - expected).max() < 1
    field = maps.receptive_field(run.classifier, "layer3", torch.zeros(1, 3, 24, 24))
    assert found["peak_field"] == list(field.local_size)
    assert found["peak_image_size"] == 24
    assert found["peak_parts"] == ["spot"]
    unit = int(arrays["part_top_units"][0, 0])
    width = field.map_size[1]
    assert tuple(arrays["part_top_boxes"][0, 0]) == field.box(unit // width, unit % width)
    np.testing.assert_allclose(arrays["part_points"], field.centres() + 0.5)
    assert "part_templates" not in arrays


@pytest.mark.parametrize("name", ["parts", "several"])
def test_the_template_of_a_filter_is_that_of_its_most_frequent_peak(
    runs: dict[str, Run], name: str
) -> None:
    run, arrays = runs[name], runs[name].arrays
    assert arrays is not None
    assert run.parts is not None
    size = arrays["part_templates"].shape[1]
    bank = run.parts.masks[0].settings.bank(torch.zeros(1, 1, size, size))
    for row, peaks in enumerate(arrays["part_filter_peaks"]):
        counts = np.bincount(peaks[peaks >= 0], minlength=size * size)
        unit = int(arrays["part_templates"][row].argmax())
        assert counts[unit] == counts.max()
        np.testing.assert_allclose(arrays["part_templates"][row].flatten(), bank[unit])
    np.testing.assert_array_equal(arrays["part_betas"], 2)


def test_a_report_shows_filters_and_the_pareto_set(runs: dict[str, Run], tmp_path: Path) -> None:
    page, comparison = tmp_path / "report.html", compare_runs([runs["standard"], runs["parts"]])
    write_report(comparison, page)
    text = page.read_text()
    addresses = re.findall(r"""(?:src|srcset|href)=["']([^"']+)""", text)
    assert all(re.match("data:image/|#parts[12]-", address) for address in addresses)
    assert "Filters, their peaks and their fields" in text
    assert "Steady and right" in text
    assert "* Pareto set" in comparison.console_table()
    alone = compare_runs([runs["several"]])
    write_report(alone, page)
    assert "Filters, their peaks and their fields" in page.read_text()
    assert "Pareto" not in page.read_text() + alone.console_table()
