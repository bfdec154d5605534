"""Words that are no choice are refused, also where no type checker and no flag looks."""

from typing import Any

import numpy as np
import pytest

from filterscope.evaluation import AttackSettings, DetectSettings, InterpretSettings
from filterscope.studies.settings import StudySettings
from filterscope.training import TrainSettings


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (TrainSettings, {"optimizer": "rmsprop"}),  # would train with adamw
        (TrainSettings, {"schedule": "cosin"}),  # would be cosine
        (TrainSettings, {"method": "gate"}),  # would have no gate
        (TrainSettings, {"task_loss": "hinge"}),
        (TrainSettings, {"device": None}),
        (AttackSettings, {"preset": "torchattacks"}),
        (DetectSettings, {"device": "gpu"}),
        (InterpretSettings, {"dtype": "float16"}),
        (InterpretSettings, {"labels": "name"}),
        (StudySettings, {"preset": "full"}),
    ],
)
def test_another_word_is_refused_by_name(kind: Any, word: dict[str, Any]) -> None:
    (name,) = word
    with pytest.raises(ValueError, match=f"`{name}` must be one of "):
        kind(**word)


def test_every_word_and_none_where_it_is_allowed_pass() -> None:
    assert TrainSettings(task_loss=None, schedule="constant").task_loss is None
    assert InterpretSettings(labels=None, by="op").labels is None


@pytest.mark.parametrize(
    ("kind", "number", "told"),
    [
        (TrainSettings, {"lr": None}, "a number, got None"),  # as `lr:` in a YAML file
        (TrainSettings, {"epochs": 2.5}, "a whole number, got 2.5"),
        (TrainSettings, {"epochs": True}, "a whole number, got True"),
        (TrainSettings, {"gate_lr": "0.1"}, "a number, got '0.1'"),
        (AttackSettings, {"pgd_steps": 2.5}, "a whole number, got 2.5"),
        (StudySettings, {"seeds": 1.0}, "a whole number, got 1.0"),
    ],
)
def test_what_is_no_number_is_refused_by_name(kind: Any, number: dict[str, Any], told: str) -> None:
    (name,) = number
    with pytest.raises(ValueError, match=f"`{name}` must be {told}"):
        kind(**number)


def test_numbers_of_numpy_and_none_where_it_is_allowed_pass() -> None:
    settings = TrainSettings(epochs=np.int64(3), lr=np.float32(0.5), weight_decay=0, gate_lr=None)
    assert settings.epochs == 3
    assert AttackSettings(epsilon="8/255").epsilon == "8/255"
