"""Detection on a run: what is sampled, what is learned, what is kept."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from filterscope.attacks import (
    Attacked,
    DetectionError,
    Detector,
    attack,
    class_cosines,
    class_means,
    convolution_features,
    random_targets,
)
from filterscope.evaluation import Detection, DetectSettings, detect_run, detection
from filterscope.evaluation import detection_samples as samples
from filterscope.evaluation.attack_text import describe_detection, error_cell
from filterscope.evaluation.detection_samples import TEST, TRAIN, draw_side

SETTINGS = DetectSettings(
    attacks=("fgsm", "pgd"), per_class=(4, 8), test_per_class=5, repeats=2, trees=15,
    epsilon="24/255", pgd_step_size="8/255", device="cpu", batch_size=32,
)  # fmt: skip


@pytest.fixture(scope="module")
def found(attackable) -> Detection:
    run, dataset = attackable
    return detect_run(run, SETTINGS, dataset=dataset)


def pixels(split) -> torch.Tensor:
    return torch.stack([split.raw(i) for i in range(len(split))]).float() / 255


def right(run, split) -> torch.Tensor:
    with torch.no_grad():
        said = run.model(run.transform.standardize(pixels(split))).argmax(1)
    return said == split.labels


def same(one: DetectionError, other: DetectionError) -> bool:
    return all(
        np.array_equal(getattr(one, f.name), getattr(other, f.name), equal_nan=True)
        for f in fields(DetectionError)
    )


def test_everything_is_there(found) -> None:
    assert found.layers == ("0", "4")
    assert found.num_features == 20
    assert found.sizes == (4, 8)
    for one in found.attacks:
        assert one.transfer is not None
        for error in (*one.errors.values(), one.transfer):
            assert error.errors.shape == (2,)
            assert 0 <= error.error < 0.5
            assert error.num_test.max() <= 50
        assert one.errors[4].num_train.max() <= 40 < one.errors[8].num_train.max() <= 80
        assert one.cosines.shape == (4, 2)
        assert np.abs(one.cosines).max() <= 1
        assert one.success_rate > 0
    assert found.settings["sampling"] == detection.SAMPLING


def test_it_is_what_a_loop_over_the_definition_gives(attackable, found) -> None:
    run, dataset = attackable
    rows = {}
    for purpose, split, sizes in ((TRAIN, dataset.train, (4, 8)), (TEST, dataset.test, (5,))):
        side = draw_side(split, right(run, split), sizes, SETTINGS, purpose)
        images, labels = pixels(split)[side.places], split.labels[side.places]
        seed = int(np.random.SeedSequence((0, purpose, 0)).generate_state(1)[0])
        targets = random_targets(labels, 10, seed)
        options = {"normalize": run.transform.standardize}
        moved = attack("fgsm", run.model, images, labels, targets=targets, seed=seed,
                       epsilon=24 / 255, **options)  # fmt: skip
        changed = (moved.images != images).flatten(1).any(1)
        clean, layers = convolution_features(run.model, images, **options)
        adversarial, _ = convolution_features(run.model, moved.images, **options)
        rows[purpose] = (side, labels, targets, changed, clean, adversarial)
    side, labels, _, changed, clean, adversarial = rows[TRAIN]
    tests, test_labels, targets, test_changed, test_clean, test_adversarial = rows[TEST]
    one = found.attack("fgsm")
    assert one.unchanged == int((~changed).sum() + (~test_changed).sum())
    for repeat in range(2):
        for size in (4, 8):
            chosen = [i for i in side.draws[repeat][size].tolist() if changed[i]]
            judged = [i for i in tests.draws[repeat][5].tolist() if test_changed[i]]
            seed = int(np.random.SeedSequence((0, repeat)).generate_state(1)[0])
            detector = Detector(clean[chosen], adversarial[chosen], num_trees=15, seed=seed)
            alarms = float(detector.detects(test_clean[judged]).double().mean())
            misses = float((~detector.detects(test_adversarial[judged])).double().mean())
            # a sum taken in another order may turn a vote
            assert one.errors[size].errors[repeat] == pytest.approx((alarms + misses) / 2, abs=0.03)
            assert one.errors[size].num_train[repeat] == len(chosen)
    means = class_means(clean, labels, 10)
    expected = class_cosines(test_adversarial, targets, means, layers)[test_changed].mean(0)
    assert one.cosines[1] == pytest.approx(expected.numpy(), abs=1e-4)
    expected = class_cosines(test_clean, test_labels, means, layers)[test_changed].mean(0)
    assert one.cosines[2] == pytest.approx(expected.numpy(), abs=1e-4)


def test_samples_are_drawn_from_right_images_of_each_class(attackable) -> None:
    run, dataset = attackable
    good = right(run, dataset.train)
    side = draw_side(dataset.train, good, (4, 8), SETTINGS, TRAIN)
    assert bool(good[side.places].all())
    for draw in side.draws:
        assert set(draw[4].tolist()) <= set(draw[8].tolist())
        assert torch.bincount(side.labels[draw[8]]).tolist() == [8] * 10
    assert not torch.equal(side.draws[0][8], side.draws[1][8]), "each repeat has its own images"
    pooled = draw_side(dataset.train, good, (4, 8), replace(SETTINGS, pool=9), TRAIN)
    assert torch.bincount(pooled.labels).max() <= 9
    again = draw_side(dataset.train, good, (4, 8), SETTINGS, TRAIN)
    assert torch.equal(again.places, side.places)


def test_the_same_command_gives_the_same_numbers(attackable, found) -> None:
    run, dataset = attackable
    again = detect_run(run, SETTINGS, dataset=dataset)
    for one, other in zip(found.attacks, again.attacks, strict=True):
        assert same(one.errors[8], other.errors[8])
        assert same(one.transfer, other.transfer)
        assert np.array_equal(one.cosines, other.cosines)


def test_images_that_an_attack_left_alone_are_no_adversarial_samples(
    attackable, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, dataset = attackable

    def lazy(name, model, images, labels, **options):
        made = attack(name, model, images, labels, **options)
        kept = made.images.clone()
        idle = torch.arange(len(images)) % (2 if name == "fgsm" else 1) == 0
        kept[idle] = images[idle]
        return Attacked(kept, made.success & ~idle, made.queries, made.excluded)

    monkeypatch.setattr(samples, "attack", lazy)
    found = detect_run(run, SETTINGS, dataset=dataset)
    half, nothing = found.attack("fgsm"), found.attack("pgd")
    count = found.settings["attacked_train"] + found.settings["attacked_test"]
    assert half.unchanged >= count // 2
    assert (half.errors[8].num_train < 80).all()
    assert np.isfinite(half.errors[8].error)
    assert nothing.unchanged == count
    assert nothing.success_rate == 0
    assert np.isnan(nothing.errors[8].error)
    assert nothing.errors[8].num_train.tolist() == [0, 0]
    assert np.isnan(half.transfer.error), "there is nothing to learn from"
    assert error_cell(nothing.errors[8]) == "-"
    assert "pgd left" in describe_detection({"run": found})


def test_transfer_learns_from_the_other_attacks_alone(
    attackable, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, dataset = attackable
    learned = []
    original = detection.detection_error

    def watched(train, test, draws, **options):
        learned.append((train.adversarial[draws[0].train], test.adversarial))
        return original(train, test, draws, **options)

    monkeypatch.setattr(detection, "detection_error", watched)
    detect_run(run, replace(SETTINGS, per_class=(8,)), dataset=dataset)
    own_fgsm, moved_fgsm, _, own_pgd, moved_pgd, _ = (train for train, _ in learned)
    # of fgsm: itself, then two repeats of transfer, which is pgd's here
    assert len(learned) == 6
    assert not _shares(moved_fgsm, own_fgsm)
    assert _shares(moved_fgsm, own_pgd)
    assert not _shares(moved_pgd, own_pgd)


def _shares(some: torch.Tensor, others: torch.Tensor) -> bool:
    return bool((some[:, None] == others[None]).all(2).any())


def test_fewer_images_than_asked_for_are_told(attackable) -> None:
    run, dataset = attackable
    settings = replace(SETTINGS, attacks=("fgsm",), per_class=(5, 500, 2000), test_per_class=300)
    found = detect_run(run, settings, dataset=dataset)
    assert found.sizes == (5, 500)
    assert any("up to 2000 training images" in note for note in found.notes)
    assert any("300 test images of each class" in note for note in found.notes)
    assert found.attack("fgsm").transfer is None
    assert found.attack("fgsm").errors[500].num_train.max() <= 300


def test_a_single_class_that_is_short_of_test_images_is_told(attackable) -> None:
    run, dataset = attackable
    counts = torch.bincount(dataset.test.labels[right(run, dataset.test)], minlength=10)
    least, most = int(counts.min()), int(counts.max())
    assert least < most
    settings = replace(SETTINGS, attacks=("fgsm",), test_per_class=least + 1)
    notes = detect_run(run, settings, dataset=dataset).notes
    assert notes == (
        f"{least + 1} test images of each class were asked for; classes have {least} to {most} "
        "that are classified rightly",
    )
    settings = replace(settings, test_per_class=least)
    assert detect_run(run, settings, dataset=dataset).notes == ()


def test_misclassified_images_are_counted(attackable, found) -> None:
    run, dataset = attackable
    for name in ("train", "test"):
        split = getattr(dataset, name)
        assert found.settings[f"misclassified_{name}"] == int((~right(run, split)).sum())
    told = f"left out: {found.settings['misclassified_train']} training and"
    assert told in describe_detection({"run": found})


def test_the_attacks_settings_are_told(found) -> None:
    shown = describe_detection({"run": found})
    assert "targets are random wrong classes, seed 0, epsilon 24/255, pgd 7 steps of 8/255" in shown
    assert "5 test images of a class" in shown
    assert "cw" not in shown  # which was not asked for


def test_masked_gradients_are_counted_over_all_parts(
    attackable, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, dataset = attackable
    monkeypatch.setattr(samples, "_AT_ONCE", 16)
    monkeypatch.setattr(samples, "attack", masked)
    found = detect_run(run, replace(SETTINGS, attacks=("fgsm",)), dataset=dataset)
    for kind, key in (("training", "attacked_train"), ("test", "attacked_test")):
        parts, images = -(-found.settings[key] // 16), found.settings[key]
        assert parts > 2
        (note,) = (n for n in found.attack("fgsm").notes if n.startswith(f"{kind} images: "))
        assert f"zero at the first step on {2 * parts} of {images} images" in note
    assert "gradient is zero" in describe_detection({"run": found})


def masked(name, model, images, labels, **options):
    made = attack(name, model, images, labels, **options)
    note = f"the gradient is zero at the first step on 2 of {len(images)} images: hidden"
    return replace(made, zero_gradients=2, notes=(note,))


def test_without_targets_the_target_class_is_another_answer(
    attackable, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, dataset = attackable
    seen = []

    def watched(features, classes, means, layers):
        seen.append(classes)
        return class_cosines(features, classes, means, layers)

    monkeypatch.setattr(detection, "class_cosines", watched)
    settings = replace(SETTINGS, attacks=("fgsm",), targeted=False, epsilon="4/255")
    one = detect_run(run, settings, dataset=dataset).attack("fgsm")
    assert 0 < one.success_rate < 1
    labels, targets = seen[:2]
    assert not bool((labels == targets).any())


def test_it_is_kept_and_read_again(found, tmp_path) -> None:
    found.save(tmp_path)
    again = Detection.load(tmp_path)
    assert (again.layers, again.num_features, again.notes) == (found.layers, 20, found.notes)
    for one, other in zip(found.attacks, again.attacks, strict=True):
        assert (one.name, one.success_rate, one.notes) == (
            other.name, other.success_rate, other.notes
        )  # fmt: skip
        assert all(same(one.errors[size], other.errors[size]) for size in (4, 8))
        assert same(one.transfer, other.transfer)
        assert np.array_equal(one.cosines, other.cosines)
    assert describe_detection({"run": again}) == describe_detection({"run": found})
    (tmp_path / "detection.npz").write_bytes(b"broken")
    with pytest.raises(ValueError, match="not readable as arrays"):
        Detection.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="run `filterscope detect"):
        Detection.load(tmp_path / "nowhere")


def test_rectified_features_and_untargeted_attacks(attackable) -> None:
    run, dataset = attackable
    settings = replace(SETTINGS, attacks=("fgsm",), rectify=True, targeted=False)
    lines: list[str] = []
    found = detect_run(run, settings, dataset=dataset, tell=lines.append)
    assert found.settings["features"] == "rectified outputs"
    assert found.attack("fgsm").cosines.min() >= 0
    assert lines[-1].endswith("test images attacked")
    assert run.model.training is False
    assert not any(module._forward_hooks for module in run.model.modules())
