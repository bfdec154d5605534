"""Pages of attacks and detection: which pictures, and what happens without any."""

import numpy as np
import pytest
import torch

from filterscope.attacks import DetectionError
from filterscope.evaluation import AttackResult, Detection, interpret_states
from filterscope.evaluation.attacks import Outcome
from filterscope.evaluation.detection_result import AttackDetection
from filterscope.report.attacks import shown_images
from filterscope.report.detection_figures import cosine_figure, roc_figure
from filterscope.report.theme import LIGHT
from filterscope.runs import load_network


def outcome(name: str) -> Outcome:
    return Outcome(name, {}, 4, 2, 1.0, 4, 0.1, 0.2, 3.0)


def test_images_that_most_attacks_turned_are_shown_first() -> None:
    arrays = {
        "success_a": np.array([False, True, False, True]),
        "success_b": np.array([False, False, True, True]),
    }
    result = AttackResult({}, 1.0, 4, 0, (outcome("a"), outcome("b")), arrays)
    assert shown_images(result, 3) == [3, 1, 2]
    assert shown_images(result, 9) == [3, 1, 2, 0]
    assert shown_images(result, 0) == []


def test_states_are_read_for_the_clean_answer_and_their_own() -> None:
    network = load_network(model="resnet20", random_weights=True)
    torch.manual_seed(0)
    picture = torch.rand(3, 32, 32)
    states = {"clean": picture, "same": picture, "inverted": 1 - picture}
    found = interpret_states(network, "folder/noise", states, 3)
    clean, again, inverted = found.readings
    assert found.label == 3
    assert [reading.state for reading in found.readings] == list(states)
    assert clean.best == again.best
    assert inverted.original.label == clean.best.label
    logits = network.model(network.transform.standardize((1 - picture)[None]))[0]
    assert inverted.best.label == int(logits.argmax())
    assert inverted.votes is not None
    assert float(inverted.votes.shares.sum()) == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match="`states` must hold"):
        interpret_states(network, "nothing", {})


def detection(roc: np.ndarray) -> Detection:
    """One attack, one repeat."""
    one = np.array([0.3])
    error = DetectionError(one, one, one, one, roc[None], one, one)
    found = AttackDetection("fgsm", 0.5, 9, 0, {5: error}, None, np.zeros((4, 19)))
    return Detection({}, tuple(map(str, range(19))), 688, (found,))


@pytest.mark.parametrize(
    ("power", "corner"), [(0.01, True), (0.1, True), (0.8, False), (1, False), (np.nan, True)]
)
def test_a_curve_of_a_poor_detector_is_shown_whole(power: float, corner: bool) -> None:
    (axis,) = roc_figure({"run": (detection(np.linspace(0, 1, 101) ** power),)}, LIGHT).axes
    assert axis.get_xlim() == pytest.approx((0, 0.4) if corner else (0, 1))
    assert axis.get_ylim() == pytest.approx((0.5, 1.005) if corner else (0, 1.005))


def test_convolutions_are_counted_in_whole_numbers() -> None:
    (axis,) = cosine_figure({"run": (detection(np.ones(101)),)}, LIGHT).axes
    assert all(tick == int(tick) for tick in axis.get_xticks())
