"""Attacks on a run: which images, what is counted, what is kept."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from filterscope.attacks import Attacked, attack, class_distances
from filterscope.evaluation import (
    AttackResult,
    AttackSettings,
    attack_run,
    attacks,
    class_spread,
    counted,
)
from filterscope.evaluation.attack_text import describe_attacks

SETTINGS = AttackSettings(
    attacks=("fgsm", "single-pixel"), images=20, epsilon="32/255", max_pixels=20, device="cpu",
    batch_size=16,
)  # fmt: skip


@pytest.fixture(scope="module")
def result(attackable) -> AttackResult:
    run, dataset = attackable
    return attack_run(run, SETTINGS, dataset=dataset)


def answers(run, pixels):
    with torch.no_grad():
        return run.model(run.transform.standardize(pixels)).argmax(1)


def test_only_rightly_classified_images_are_attacked(attackable, result) -> None:
    run, dataset = attackable
    places = torch.from_numpy(result.arrays["places"])
    assert len(places.unique()) == 20
    raw = torch.stack([dataset.test.raw(i) for i in range(100)]).float() / 255
    right = answers(run, raw) == dataset.test.labels
    assert bool(right[places].all())
    assert result.accuracy == pytest.approx(float(right.double().mean()))
    assert result.misclassified == int((~right).sum())
    assert result.num_tested == 100
    assert result.arrays["labels"].tolist() == dataset.test.labels[places].tolist()


def test_what_is_counted_is_what_the_network_says(attackable, result) -> None:
    run, dataset = attackable
    places, labels = result.arrays["places"], torch.from_numpy(result.arrays["labels"])
    clean = torch.stack([dataset.test.raw(int(i)) for i in places]).float() / 255
    for outcome in result.outcomes:
        images = torch.from_numpy(result.arrays[f"images_{outcome.name}"])
        said = answers(run, images)
        assert result.arrays[f"answers_{outcome.name}"].tolist() == said.tolist()
        turned = said != labels
        assert result.arrays[f"success_{outcome.name}"].tolist() == turned.tolist()
        assert outcome.successes == int(turned.sum()) > 0
        assert outcome.success_rate == pytest.approx(float(turned.double().mean()))
        change = (images - clean)[turned]
        assert outcome.largest_change == pytest.approx(float(change.abs().max()))
        queries = result.arrays[f"queries_{outcome.name}"][turned.numpy()]
        assert outcome.median_queries == np.median(queries)
        assert outcome.total_queries == result.arrays[f"queries_{outcome.name}"].sum()
        pixels = (change != 0).any(1).flatten(1).sum(1).double().mean()
        assert outcome.mean_pixels == pytest.approx(float(pixels))
    assert result.outcome("fgsm").largest_change <= 32 / 255 + 1e-6
    assert result.outcome("single-pixel").mean_pixels == 1
    assert result.outcome("single-pixel").options == {"preset": "foolbox", "max_pixels": 20}


def test_the_images_are_those_of_the_attack_itself(attackable, result) -> None:
    run, dataset = attackable
    clean = torch.stack([dataset.test.raw(int(i)) for i in result.arrays["places"]]).float() / 255
    labels = torch.from_numpy(result.arrays["labels"])
    found = attack(
        "fgsm", run.model, clean, labels, normalize=run.transform.standardize, epsilon=32 / 255
    )
    torch.testing.assert_close(found.images, torch.from_numpy(result.arrays["images_fgsm"]))


def test_two_networks_are_attacked_on_the_same_images_where_both_are_right(
    attackable, result
) -> None:
    run, dataset = attackable
    other = replace(run, model=torch.nn.Sequential(*run.model, torch.nn.Dropout()).eval())
    with torch.no_grad():
        other.model[8].bias[3] -= 2  # errs on more of one class
    found = attack_run(other, replace(SETTINGS, attacks=("fgsm",)), dataset=dataset)
    with torch.no_grad():
        run.model[8].bias[3] += 2  # the layers are shared
    both = set(found.arrays["places"].tolist()) & set(result.arrays["places"].tolist())
    assert len(both) >= 15


def test_targets_are_wrong_classes(attackable) -> None:
    run, dataset = attackable
    settings = replace(SETTINGS, attacks=("pgd",), targeted=True)
    found = attack_run(run, settings, dataset=dataset)
    targets = found.arrays["targets"]
    assert (targets != found.arrays["labels"]).all()
    reached = found.arrays["answers_pgd"] == targets
    assert found.arrays["success_pgd"].tolist() == reached.tolist()


def test_it_is_kept_and_read_again(attackable, result, tmp_path) -> None:
    result.save(tmp_path)
    again = AttackResult.load(tmp_path)
    assert again.outcomes == result.outcomes
    assert again.accuracy == result.accuracy
    assert again.arrays.keys() == result.arrays.keys()
    for name, array in result.arrays.items():
        assert np.array_equal(again.arrays[name], array)
    assert again.settings["attacks"] == ["fgsm", "single-pixel"]
    assert describe_attacks(again) == describe_attacks(result)
    with pytest.raises(FileNotFoundError, match="run `filterscope attack"):
        AttackResult.load(tmp_path / "nowhere")
    (tmp_path / "attack.json").write_text('{"schema": 99}')
    with pytest.raises(ValueError, match="has schema 99"):
        AttackResult.load(tmp_path)


def test_an_attack_that_never_succeeds_and_fewer_images_are_told(attackable) -> None:
    run, dataset = attackable
    settings = replace(SETTINGS, attacks=("fgsm",), epsilon=1e-6, images=1000)
    found = attack_run(run, settings, dataset=dataset)
    (outcome,) = found.outcomes
    assert (outcome.successes, outcome.success_rate) == (0, 0.0)
    assert np.isnan([outcome.median_queries, outcome.largest_change, outcome.mean_norm]).all()
    assert any("1000 images were asked for" in note for note in found.notes)
    assert any("succeeds on none" in note for note in outcome.notes)
    assert "0.0 %" in describe_attacks(found)


def test_the_median_of_an_even_number_lies_between_the_middle_two(
    attackable, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, dataset = attackable

    def known(name, model, images, labels, **options):
        return Attacked(
            images, torch.tensor([True, True, False]), torch.tensor([1, 4, 9]),
            torch.zeros(3, dtype=torch.bool),
        )  # fmt: skip

    monkeypatch.setattr(attacks, "attack", known)
    found = attack_run(run, replace(SETTINGS, attacks=("fgsm",), images=3), dataset=dataset)
    assert found.outcomes[0].median_queries == 2.5


def test_an_attack_that_cannot_be_made_is_told_before_any_is_made(
    attackable, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, dataset = attackable
    lines: list[str] = []
    settings = replace(SETTINGS, attacks=("single-pixel", "pgdd"), images=2)
    with pytest.raises(ValueError, match="unknown attack 'pgdd'; near: pgd"):
        attack_run(run, settings, dataset=dataset, tell=lines.append)
    monkeypatch.setitem(sys.modules, "foolbox", None)
    settings = replace(SETTINGS, attacks=("single-pixel", "pgd"), images=2)
    with pytest.raises(ModuleNotFoundError, match="need foolbox"):
        attack_run(run, settings, dataset=dataset, tell=lines.append)
    assert lines == []


def test_the_settings_of_each_attack_are_told(result) -> None:
    shown = describe_attacks(result)
    assert (
        "untargeted, seed 0; fgsm with epsilon 0.1255; single-pixel with preset foolbox, max_"
        in (shown)
    )


def test_a_long_attack_gives_signs_of_life(attackable, monkeypatch: pytest.MonkeyPatch) -> None:
    run, dataset = attackable
    settings = replace(SETTINGS, attacks=("single-pixel",), images=3, max_pixels=4)
    quiet: list[str] = []
    monkeypatch.setattr(counted, "EVERY", float("inf"))
    first = attack_run(run, settings, dataset=dataset, tell=quiet.append)
    assert len(quiet) == 1
    lines: list[str] = []
    monkeypatch.setattr(counted, "EVERY", 0.0)
    second = attack_run(run, settings, dataset=dataset, tell=lines.append)
    *alive, done = lines
    assert done == quiet[0]
    assert alive[0].startswith("single-pixel: the network has answered ")
    answered = [int(line.split("answered ")[1].split()[0]) for line in alive]
    assert answered == sorted(set(answered))
    assert answered[-1] >= int(second.arrays["queries_single-pixel"].sum())
    assert (first.arrays["images_single-pixel"] == second.arrays["images_single-pixel"]).all()


def test_the_network_is_left_as_it_was(attackable) -> None:
    run, dataset = attackable
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    lines: list[str] = []
    attack_run(run, replace(SETTINGS, images=3), dataset=dataset, tell=lines.append)
    assert list(dict.fromkeys(line.split(":")[0] for line in lines)) == ["fgsm", "single-pixel"]
    assert not run.model.training
    assert not any(module._forward_hooks for module in run.model.modules())
    assert all(torch.equal(v, before[name]) for name, v in run.model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in run.model.parameters())


def test_bad_input(attackable) -> None:
    run, dataset = attackable
    other = replace(dataset, classes=tuple("abcdefghij"))
    with pytest.raises(ValueError, match="has 10 classes"):
        attack_run(run, SETTINGS, dataset=other)
    with pytest.raises(ValueError, match="unknown attack 'pgdd'; near: pgd"):
        attack_run(run, AttackSettings(attacks=("pgdd",)), dataset=dataset)
    wrong = replace(dataset, test=replace(dataset.test, labels=torch.full((100,), 3)))
    blind = replace(run, model=torch.nn.Sequential(run.model, Never()))
    with pytest.raises(ValueError, match="classifies none of 100 images rightly"):
        attack_run(blind, SETTINGS, dataset=wrong)


class Never(torch.nn.Module):
    """Never says 3."""

    def forward(self, logits):
        return torch.where(torch.arange(10) == 3, -100.0, logits)


def test_distances_are_those_of_the_studied_layers_pooled_features(attackable) -> None:
    run, dataset = attackable
    found = class_spread(run, dataset=dataset, per_class=1000, device="cpu", batch_size=32)
    assert found.num_images == 100
    assert list(found.convolutions) == ["0", "4"]
    pixels = torch.stack([dataset.test.raw(i) for i in range(100)]).float() / 255
    with torch.no_grad():
        maps = run.model[:6](run.transform.standardize(pixels))
    expected = class_distances(maps.relu().mean((2, 3)), dataset.test.labels)
    assert found.studied.within == pytest.approx(expected.within, rel=1e-5)
    assert found.studied.between == pytest.approx(expected.between, rel=1e-5)
    assert found.ratio == pytest.approx(expected.between / expected.within, rel=1e-5)
    few = class_spread(run, dataset=dataset, per_class=2, device="cpu")
    assert few.num_images == 20
