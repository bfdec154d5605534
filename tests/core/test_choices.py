"""Words that are no choice are refused, also where no type checker and no flag looks."""

from typing import Any

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
