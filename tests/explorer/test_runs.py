"""A gated run in the explorer: its filters, with the classes that their gate is open for."""

from pathlib import Path

import pytest

from filterscope.explorer import Limits, Session
from filterscope.explorer.boxes import unpack_boxes
from filterscope.explorer.labels import open_label
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
