"""What the studies of linear interpreters compute from contributions, and say of them."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from filterscope.data import Transform, load_dataset
from filterscope.data.split import Masks
from filterscope.linear import (
    ContributionHistogram,
    LinearInterpreter,
    PixelVotes,
    residual_shares,
)
from filterscope.runs import Run
from filterscope.studies import (
    StudySettings,
    find_study,
    linear_fig1,
    linear_fig2,
    linear_fig3,
    linear_table1,
    published,
)
from filterscope.studies.affine import (
    EPSILON,
    Sample,
    answers,
    attacked,
    interpret,
    networks,
    sample,
)
from filterscope.studies.linear_fig2 import STUDY as FIG2
from filterscope.studies.linear_fig2 import Reading, read, vote_numbers
from filterscope.studies.linear_fig3 import STUDY as FIG3
from filterscope.studies.study import Evidence
from filterscope.studies.targets import RESIDUAL_SHARES
from filterscope.studies.verdict import judge

CLASSES = tuple("0123456789")


def fake_run(model: nn.Module, name: str = "own", size: int = 16) -> Run:
    return Run(
        path=Path(name),
        config={"model": name, "data": "digits"},
        model=model.eval(),
        classes=CLASSES,
        layer="",
        activation=torch.relu,
        transform=Transform(size),
        history=[],
        evaluation=None,
        environment={},
    )


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """Two small random networks on digits."""
    torch.manual_seed(0)
    runs = tuple(
        fake_run(
            nn.Sequential(
                nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(),
                nn.Linear(96, 10),
            )
        )
        for _ in range(2)
    )  # fmt: skip
    return Evidence({"standard": runs}, (0, 1), load_dataset("digits"), "digits")


def test_seeds_have_other_images_and_the_same_ones_again(evidence: Evidence) -> None:
    run = evidence.runs["standard"][0]
    sets = [sample(evidence, run, seed, 100) for seed in range(4)]
    places = [set(chosen.places.tolist()) for chosen in sets]
    assert all(len(found) == 100 for found in places)
    assert not places[0] & places[1] and not places[1] & places[2]
    assert places[3] == places[0], "359 images hold three sets"
    split = evidence.dataset.test
    first = int(sets[0].places[0])
    assert torch.equal(sets[0].pixels[0], split.raw(first).float() / 255)
    assert sets[0].labels[0] == split.labels[first]
    assert len(sample(evidence, run, 5, 10_000).places) == len(split)


def test_other_sizes_go_through_the_runs_transform(evidence: Evidence) -> None:
    run = dataclasses.replace(evidence.runs["standard"][0], transform=Transform(24))
    assert sample(evidence, run, 0, 3).pixels.shape == (3, 3, 24, 24)


def test_answers_split_the_top_score_of_each_image(evidence: Evidence) -> None:
    run = evidence.runs["standard"][0]
    chosen = sample(evidence, run, 0, 11)
    found, inside = answers(run, chosen), answers(run, chosen, preprocess=True)
    for k, (a, b) in enumerate(zip(found.parts, inside.parts, strict=True)):
        images = run.transform.normalize((chosen.pixels[k] * 255).round().byte()[None])
        logits = run.model(images)[0].detach()
        assert a.target == b.target == int(logits.argmax())
        assert a.total == pytest.approx(float(logits.max()), abs=1e-4)
        assert b.total == pytest.approx(a.total, abs=1e-4)
        alone = LinearInterpreter(run.model, images).contributions(a.target)
        assert a.input == pytest.approx(alone.input, abs=1e-4)
    assert any(
        abs(a.input - b.input) > 0.01 for a, b in zip(found.parts, inside.parts, strict=True)
    )
    right = (found.predictions == chosen.labels).double().mean()
    assert found.accuracy == float(right)


def test_the_attack_moves_every_image_by_its_step(evidence: Evidence) -> None:
    run = evidence.runs["standard"][0]
    chosen = sample(evidence, run, 0, 10)
    moved = attacked(run, chosen)
    assert float((moved.pixels - chosen.pixels).abs().max()) <= EPSILON + 1e-6
    assert float((moved.pixels - chosen.pixels).abs().flatten(1).max(1).values.min()) > 0
    assert answers(run, moved).accuracy <= answers(run, chosen).accuracy


def test_pixels_are_read_for_the_top_label(evidence: Evidence) -> None:
    run = evidence.runs["standard"][0]
    pixels = sample(evidence, run, 0, 2).pixels
    readings = [read(run, one) for one in pixels]
    logits = interpret(run, pixels).output
    for reading, scores in zip(readings, logits, strict=True):
        assert reading.label == int(scores.argmax())
        assert float(reading.discussion.sum()) == pytest.approx(float(scores.max()), abs=1e-4)
    numbers = list(vote_numbers(readings).values())
    shares = [reading.votes.shares[reading.label] for reading in readings]
    assert numbers[2] == pytest.approx(float(sum(shares)) / 2)
    assert 0 < numbers[0] <= 1 <= numbers[1] <= 10


@pytest.mark.parametrize("name", ["linear-table1", "linear-fig1", "linear-fig2", "linear-fig3"])
def test_two_seeds_are_enough_for_a_verdict(name: str, evidence: Evidence) -> None:
    findings = find_study(name).analyse(evidence, StudySettings())
    for entry in findings.entries:
        assert len(entry.values) == 2, entry.quantity
    for claim in findings.claims:
        if all(map(math.isfinite, claim.differences)):
            assert judge(claim, papers_setting=False).direction != "not testable here"


def test_the_table_holds_means_over_the_images(evidence: Evidence) -> None:
    entries = linear_table1.analyse(evidence, StudySettings()).entries
    cells = {entry.side: entry.values for entry in entries}
    run = evidence.runs["standard"][1]
    parts = answers(run, sample(evidence, run, 1, linear_table1.IMAGES)).parts
    r1 = torch.tensor([residual_shares(part).r1 for part in parts])
    r5 = torch.tensor([residual_shares(part).r5 for part in parts])
    assert cells["R1"][1] == pytest.approx(float(r1.mean()), abs=1e-6)
    assert cells["R1 over images"][1] == pytest.approx(float(r1.std()), abs=1e-6)
    assert cells["R5"][1] == pytest.approx(float(r5.mean()), abs=1e-5)


def test_trends_are_rank_correlations_over_networks() -> None:
    rising = {
        "vgg11": (0.1, 0.5),
        "vgg13": (0.2, 0.4),
        "vgg16": (0.3, 0.3),
        "densenet121": (0.9, 0.2),
    }
    claims = {
        claim.text.split(" (")[0]: claim.differences
        for claim in linear_table1._claims(
            rising, {name: (1.0 - a, a) for name, (a, _) in rising.items()}
        )
    }
    assert claims["the residual's share rises with depth in VGG"] == pytest.approx((1, -1))
    assert claims["images differ less where the share is larger"] == pytest.approx((1, 1))
    largest = claims["the shares of DenseNet and Inception are the largest"]
    assert largest == pytest.approx((0.6, -0.3))


def test_humps_are_means_over_the_stages_between_pools() -> None:
    model = torchvision.models.vgg11(num_classes=10)
    run = fake_run(model, "vgg11", 32)
    layers = ("input", *(f"features.{k}" for k in (0, 3, 6, 8, 11, 13, 16, 18)), "classifier.0")
    values = torch.tensor([[9.0, 1, -2, 3, 4, 5, 6, -7, 9, 50]])
    found = linear_fig1._humps(run, ContributionHistogram(layers, values))
    assert found == pytest.approx((1, (2 + 3 + 4 + 5 + 6) / 5, 8))


def test_published_networks_are_refused_without_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    settings = StudySettings("paper", data="digits", model="resnet18")
    with pytest.raises(FileNotFoundError, match=r"resnet18.*--download fetches it"):
        published.published_evidence(FIG2, settings)


def test_published_networks_see_other_images_by_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    weights = torchvision.models.get_model_weights("squeezenet1_1")["IMAGENET1K_V1"]
    (tmp_path / "checkpoints").mkdir()
    file = tmp_path / "checkpoints" / weights.url.rsplit("/", 1)[1]
    torch.save(torchvision.models.squeezenet1_1().state_dict(), file)
    monkeypatch.setattr(
        type(weights), "get_state_dict", lambda *_, **__: torch.load(file, weights_only=True)
    )
    settings = StudySettings("paper", data="digits", model="squeezenet1_1")
    with pytest.raises(ValueError, match=r"1000 classes.*--data imagenet"):
        published.published_evidence(FIG3, settings)
    thousand = dataclasses.replace(
        load_dataset("digits"), classes=tuple(str(c) for c in range(1000))
    )
    monkeypatch.setattr(published, "load_dataset", lambda *_, **__: thousand)
    found = published.published_evidence(FIG3, settings)
    (side, runs), *others = found.runs.items()
    assert (side, len(runs), others) == ("squeezenet1_1, standard", 3, [])
    assert runs[0].transform == Transform(224, resize=256)
    monkeypatch.setattr(linear_table1, "IMAGES", 1)
    findings = linear_table1.analyse(dataclasses.replace(found, seeds=(0,), runs={side: runs[:1]}),
                                     StudySettings())  # fmt: skip
    assert findings.entries[0].quantity == "squeezenet1_1"
    assert findings.entries[0].published is None, "digits are not the paper's data"


def test_every_printed_share_has_a_network() -> None:
    assert linear_table1.STUDY.published == tuple(RESIDUAL_SHARES)
    known = torchvision.models.list_models()
    assert all(name in known for name in RESIDUAL_SHARES)
    assert all(0 < mean < 1 for mean, _ in RESIDUAL_SHARES.values())


def test_networks_are_named_after_their_architecture(evidence: Evidence) -> None:
    assert [name for name, _ in networks(evidence)] == ["own"]
    many = dataclasses.replace(evidence, runs={"vgg11, standard": evidence.runs["standard"]})
    assert [name for name, _ in networks(many)] == ["vgg11"]


def reading(label: int, shares: dict[int, float], size: int = 10) -> Reading:
    """A reading whose pixels vote in the given shares, from the top left on."""
    winners = torch.cat(
        [torch.full((round(share * size * size),), label) for label, share in shares.items()]
    )
    winners = winners.reshape(size, size)
    labels = torch.arange(10)
    votes = PixelVotes(
        winners=winners,
        values=torch.ones(size, size),
        labels=labels,
        shares=torch.tensor([float((winners == label).double().mean()) for label in range(10)]),
        scores=torch.zeros(10),
        is_preview=False,
        method="conserving",
    )
    return Reading(label, torch.ones(size, size), votes)


def test_votes_before_and_after_are_compared_on_the_changed_images() -> None:
    same = [reading(0, {0: 0.9, 1: 0.1})] * 9
    before, after = [*same, reading(0, {0: 0.3, 1: 0.7})], [*same, reading(1, {0: 0.4, 1: 0.6})]
    change = linear_fig3._change(before, after)
    assert list(change.values()) == pytest.approx([0.1, 0.3, 0.4, 0.6])
    rows = {"clean": [vote_numbers(before)], "FGSM": [vote_numbers(after)]}
    claim = linear_fig3._claims("own", rows, [change])[1]
    assert claim.differences == pytest.approx([-0.3])


def test_votes_in_the_object_and_its_area_are_of_the_same_images(evidence: Evidence) -> None:
    masks = torch.zeros(3, 10, 10, dtype=torch.bool)
    masks[0, :5] = True  # the votes lie there
    masks[1] = True  # all object, and no vote for the top label
    split = dataclasses.replace(evidence.dataset.test, masks=Masks.in_memory(masks))
    dataset = dataclasses.replace(evidence.dataset, test=split)
    chosen = Sample(torch.arange(3), torch.zeros(3, 3, 10, 10), torch.zeros(3, dtype=torch.long))
    readings = [reading(0, {0: 0.5, 1: 0.5}), reading(0, {1: 1.0}), reading(0, {0: 1.0})]
    numbers = linear_fig2._focus(dataclasses.replace(evidence, loaded=dataset), chosen, readings)
    assert list(numbers.values()) == pytest.approx([1.0, 0.5, 0.5])
