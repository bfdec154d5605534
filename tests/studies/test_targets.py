"""The published numbers, typed a second time from the paper's tables."""

import pytest

from filterscope.studies import targets

# data set: accuracy, MIS, density of the gated network; accuracy and MIS of the standard one
TABLE_1 = {
    "cifar10": (0.9192, 0.1603, 0.1000, 0.9169, 0.1119),
    "imagenet": (0.6784, 0.6259, 0.0016, 0.6976, 0.5514),
    "voc-animals": (0.8518, 0.1998, 0.1996, 0.8447, 0.1428),
}

# bird cat dog cow horse sheep total
TABLE_2 = """
GradMap Avg-IoU  | gated    | .2765 .2876 .3313 .3261 .3159 .2857 .3035
GradMap Avg-IoU  | standard | .2056 .2568 .2786 .2921 .2779 .2698 .2606
GradMap AP20     | gated    | .6624 .8006 .9170 .8828 .8204 .8089 .8165
GradMap AP20     | standard | .4759 .7081 .7556 .8069 .7621 .7764 .7029
ActivMap Avg-IoU | gated    | .3266 .4666 .4003 .4226 .3357 .4343 .4289
ActivMap Avg-IoU | standard | .2858 .3816 .3446 .3674 .3019 .3652 .3602
ActivMap AP30    | gated    | .5867 .8608 .7497 .8072 .5824 .8603 .8251
ActivMap AP30    | standard | .4739 .7004 .6372 .7214 .5157 .6970 .6759
CAM Avg-IoU      | gated    | .3489 .4027 .3641 .3972 .3524 .3562 .3694
CAM Avg-IoU      | standard | .3458 .3677 .3492 .3516 .3170 .3470 .3483
CAM AP30         | gated    | .6431 .8382 .7197 .7517 .7136 .7073 .7300
CAM AP30         | standard | .6495 .7832 .7085 .6621 .5825 .6504 .6853
"""


def test_table_1() -> None:
    assert targets.CSG_TABLE_1.keys() == TABLE_1.keys()
    for data, (accuracy, mis, density, standard_accuracy, standard_mis) in TABLE_1.items():
        table = targets.CSG_TABLE_1[data]
        assert table["gated"] == {"accuracy": accuracy, "mis": mis, "density": density}
        assert table["standard"] == {"accuracy": standard_accuracy, "mis": standard_mis}


@pytest.mark.parametrize("line", TABLE_2.strip().splitlines())
def test_table_2(line: str) -> None:
    quantity, side, numbers = (cell.strip() for cell in line.split("|"))
    assert targets.CSG_TABLE_2[side][quantity] == tuple(map(float, numbers.split()))


def test_table_2_has_no_other_rows() -> None:
    assert sum(len(rows) for rows in targets.CSG_TABLE_2.values()) == 12
    assert targets.CSG_TABLE_2.keys() == {"gated", "standard"}


def test_numbers_of_the_text() -> None:
    assert targets.CSG_INTER_CLASS_RATIO == 0.5
    assert sorted(targets.CSG_FIXED_GATE.values()) == [4.0, 6.0]
    assert targets.CSG_FIXED_GATE["own filters of a class"] == 6.0
