"""Which settings make two runs the same experiment."""

import dataclasses

import pytest

from filterscope.runs.identity import defining_settings, run_name, settings_digest
from filterscope.training import TrainSettings

GATED = TrainSettings(method="gated", fixed_gate=(6, 4), gated_freeze=("head",))
STANDARD = dataclasses.replace(GATED, method="standard")
OTHERWISE = {
    "data": "cifar10", "data_root": "elsewhere", "image_size": 20, "limit": 3, "limit_test": 4,
    "test_fraction": 0.3, "data_seed": 1, "download": True, "class_weights": "balanced",
    "model": "resnet32", "weights": "a.safetensors", "freeze": ("conv1",), "freeze_bn": True,
    "layer": "layer2", "method": "standard", "scheme": "joint", "warmup": 1, "period": 4,
    "gated_epochs": 2, "lambda1": 2.0, "lambda2": 2.0, "psi": "l2", "density_bound": 0.5,
    "fixed_gate": (5, 14), "epochs": 3, "batch_size": 7, "optimizer": "adam", "lr": 0.5,
    "momentum": 0.5, "nesterov": False, "weight_decay": 0.0, "schedule": "constant",
    "warmup_lr_epochs": 1.0, "milestones": (0.5,), "clock": "own", "gate_lr": 0.5,
    "gated_lr": 0.5, "gated_freeze": (), "gradient_norms": True, "precision": "bf16-mixed",
    "repeat": False, "official_leaky_split": True, "task_loss": "logistic", "template": "l2",
    "space": "index", "beta": 3.0, "gamma": 3.0, "mu": "centroid", "learn_beta": True,
    "beta_rate": 0.5, "mask_layers": ("layer2",), "second_mask": "before_pool",
    "filter_statistic": "sum", "filter_loss": "paper", "filter_weight": 0.5,
    "filter_schedule": "constant", "category_factors": "official", "decay_epochs": 5,
    "bias_rate": 2.0, "bias_decay": False,
    "max_unreadable": 0.5,
    "seed": 9, "device": "cuda", "devices": 7, "compile": True, "workers": 0, "tensorboard": True,
}  # fmt: skip
CIRCUMSTANCES = {
    "device", "devices", "workers", "compile", "data_root", "download", "gradient_norms",
    "tensorboard", "max_unreadable",
}  # fmt: skip
GATE_ONLY = {
    "scheme", "warmup", "period", "gated_epochs", "lambda1", "lambda2", "psi", "density_bound",
    "fixed_gate", "gate_lr", "gated_lr", "gated_freeze", "clock",
}  # fmt: skip


PARTS_ONLY = {
    "template", "space", "beta", "gamma", "mu", "learn_beta", "beta_rate", "mask_layers",
    "second_mask", "filter_statistic", "filter_loss", "filter_weight", "filter_schedule",
}  # fmt: skip


def changed(settings: TrainSettings, name: str) -> TrainSettings:
    changes = {name: OTHERWISE[name]}
    if name == "devices":
        changes["batch_size"] = settings.batch_size - settings.batch_size % 7
        settings = dataclasses.replace(settings, batch_size=changes["batch_size"])
    return dataclasses.replace(settings, **changes)


def same(one: TrainSettings, other: TrainSettings) -> bool:
    equal = defining_settings(one.to_dict()) == defining_settings(other.to_dict())
    assert equal == (settings_digest(one.to_dict()) == settings_digest(other.to_dict()))
    return equal


def test_every_setting_is_looked_at() -> None:
    assert OTHERWISE.keys() == {field.name for field in dataclasses.fields(TrainSettings)}


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_gated_run_is_defined_by_all_but_seed_and_circumstances(name: str) -> None:
    base = dataclasses.replace(GATED, batch_size=126)
    assert same(base, changed(base, name)) == (name in CIRCUMSTANCES | PARTS_ONLY | {"seed"})


@pytest.mark.parametrize("name", sorted(OTHERWISE.keys() - {"method"}))
def test_a_run_with_part_templates_is_defined_by_them(name: str) -> None:
    base = dataclasses.replace(STANDARD, method="parts", batch_size=126)
    if name == "space":  # slopes are learned in the normalized space alone
        base = dataclasses.replace(base, learn_beta=False)
    assert same(base, changed(base, name)) == (name in CIRCUMSTANCES | GATE_ONLY | {"seed"})


def test_a_run_made_before_a_setting_was_there_is_the_same_experiment() -> None:
    config = STANDARD.to_dict()
    later = {"repeat", "official_leaky_split", "task_loss", "category_factors", "decay_epochs"}
    later |= PARTS_ONLY | {"bias_rate", "bias_decay"}
    old = {name: value for name, value in config.items() if name not in later}
    assert settings_digest(old) == settings_digest(config)


@pytest.mark.parametrize("name", sorted(OTHERWISE.keys() - {"method"}))
def test_a_standard_run_is_not_defined_by_a_gate_that_it_has_not(name: str) -> None:
    base = dataclasses.replace(STANDARD, batch_size=126)
    unused = CIRCUMSTANCES | GATE_ONLY | PARTS_ONLY | {"seed"}
    assert same(base, changed(base, name)) == (name in unused)


def test_the_digest_is_short_and_does_not_hang_on_order_or_kind_of_list() -> None:
    config = GATED.to_dict()
    digest = settings_digest(config)
    assert len(digest) == 8
    assert int(digest, 16) >= 0
    assert settings_digest(dict(reversed(config.items()))) == digest
    assert settings_digest({**config, "fixed_gate": (6, 4)}) == digest
    assert defining_settings(config)["fixed_gate"] == [6, 4]
    assert "seed" in config, "the settings themselves stay as they are"


@pytest.mark.parametrize(
    ("data", "model", "expected"),
    [
        ("digits", "resnet20", "digits-resnet20-gated"),
        ("folder:my/photos/", "timm:a/b", "photos-timm-a-b-gated"),
        ("masked-folder:/data/cups", "resnet18", "cups-resnet18-gated"),
    ],
)
def test_a_name_is_fit_for_a_folder(data: str, model: str, expected: str) -> None:
    name = run_name({"data": data, "model": model, "method": "gated"})
    assert name == expected
    assert "/" not in name
