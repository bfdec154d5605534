"""Values of a wrong kind are told in words, not in Python's types."""

import pytest

from filterscope.cli import main


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train", "--method", "gate"], "`--method` must be one of standard, gated, parts, "
                                        "gated-parts, got gate"),
        (["train", "--lr", "abc"], "`--lr` must be a number, got abc"),
        (["train", "--epochs", "3.5"], "`--epochs` must be a whole number, got 3.5"),
        (["train", "--image_size", "big"], "`--image_size` must be a whole number, got big"),
        (["train", "--fixed_gate", "6"], "`--fixed_gate` must be 2 whole numbers, got [6]"),
        (["train", "--milestones", "a"], "`--milestones` must be numbers, got "),
        (["train", "--task_loss", "hinge"], "`--task_loss` must be one of softmax, logistic, "),
        (["evaluate", "run", "--balanced", "maybe"], "`--balanced` must be true or false, got "),
        (["evaluate", "run", "--device", "gpu"], "`--device` must be one of auto, cpu, cuda, mps"),
        (["interpret", "a.png", "--mean", "1", "2"], "`--mean` must be 3 numbers, got [1, 2]"),
        (["doctor", "word"], "known: --help, --json (all"),
    ],
)  # fmt: skip
def test_a_value_of_a_wrong_kind_is_told_in_words(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert told in line
