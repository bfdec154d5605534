"""Runs in the explorer: filters with the classes of their gate, probabilities of their loss."""

from pathlib import Path

import pytest
from PIL import Image

from filterscope.evaluation import InterpretSettings, explain_images, interpret_images
from filterscope.explorer import Limits, Session
from filterscope.explorer.boxes import unpack_boxes
from filterscope.explorer.labels import open_label, open_labels
from filterscope.explorer.pictures import drawn_picture
from filterscope.explorer.subjects import classifier_subject
from filterscope.runs import load_network, load_run
from filterscope.training import TrainSettings, train


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = TrainSettings(method="gated", epochs=1, limit=40, limit_test=20)
    return train(settings, tmp_path_factory.mktemp("runs") / "gated")


def test_the_filters_of_a_gated_run(run_folder: Path) -> None:
    run = load_run(run_folder)
    subject = classifier_subject(load_network(run_folder), run)
    session = Session([subject], {"drawn": drawn_picture()}, Limits())
    try:
        picture = next(iter(session.pictures))
        with session.interpreters.reading(subject, picture, lambda: False) as reading:
            header, _ = unpack_boxes(open_label(reading, 2))
            found = reading.interpreter.filter_contributions(2, run.layer)
        filters = header["filters"]
        assert (filters["layer"], filters["gated"]) == (run.layer, True)
        assert filters["count"] == len(found.values)
        values = [one["value"] for one in filters["top"]]
        assert values == sorted(values, reverse=True)
        assert values[0] == pytest.approx(float(found.values.max()), rel=1e-4)
        assert run.gate is not None
        for one in filters["top"]:
            is_open = run.gate.matrix[:, one["filter"]] > 0.5
            assert one["classes"] == [run.classes[c] for c in is_open.nonzero().flatten()]
        assert str(run_folder.parent) not in str(subject.to_dict())
    finally:
        session.close()


def test_a_logistic_run_has_the_same_probabilities_wherever_it_is_asked(tmp_path: Path) -> None:
    settings = TrainSettings(task_loss="logistic", epochs=1, limit=40, limit_test=20)
    run, network = load_run(train(settings, tmp_path / "run")), load_network(tmp_path / "run")
    picture = drawn_picture(16)
    Image.fromarray(picture.permute(1, 2, 0).numpy()).save(tmp_path / "drawn.png")
    subject = classifier_subject(network, run)
    session = Session([subject], {"drawn": picture}, Limits())
    try:
        chosen = next(iter(session.pictures))
        with session.interpreters.reading(subject, chosen, lambda: False) as reading:
            scores = unpack_boxes(open_labels(reading))[0]["scores"]
            logits = reading.interpreter.output[0].sort(descending=True).values
    finally:
        session.close()
    each = logits.sigmoid().tolist()  # of its own: they need not sum to one
    assert [one["probability"] for one in scores] == pytest.approx(each, rel=1e-4)
    (found,) = interpret_images(network, [tmp_path / "drawn.png"], InterpretSettings(top=3))
    assert [one.probability for one in found.clean.scores] == pytest.approx(each[:3], rel=1e-4)
    (explained,) = explain_images(run, [tmp_path / "drawn.png"])
    assert explained.probabilities[0][1] == pytest.approx(each[0], rel=1e-4)
