"""Interpretations of a tiny network's images, against the direct calls."""

import math
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from filterscope.attacks import fgsm
from filterscope.data import Transform
from filterscope.evaluation import InterpretSettings, interpret_images, summarize
from filterscope.evaluation.interpretation import Interpretation, Reading
from filterscope.evaluation.interpretation_summary import Mean
from filterscope.evaluation.interpretation_text import COLUMNS, describe, describe_summary, rows
from filterscope.linear import (
    LinearInterpreter,
    pixel_discussion,
    pixel_votes,
    residual_shares,
)
from filterscope.runs import Network, load_network

SIZE = 12


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip
    model[1].running_mean.uniform_(-0.5, 0.5)
    transform = Transform(SIZE, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
    return Network("tiny", model.eval().requires_grad_(False), tuple("abcde"), transform, "seed 0")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three images, a fourth that is none."""
    folder = tmp_path / "images"
    folder.mkdir()
    for k in range(3):
        generator = np.random.default_rng(k)
        pixels = generator.integers(0, 256, (SIZE + k, SIZE + 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def reference(network: Network, file: Path) -> tuple[LinearInterpreter, int]:
    interpreter = LinearInterpreter(network.model, network.transform(file)[None])
    return interpreter, int(interpreter.output.argmax())


def test_an_image_is_read_as_by_the_direct_calls(network: Network, images: Path) -> None:
    (found,) = interpret_images(network, [images / "0.png"], InterpretSettings(top=2))
    interpreter, best = reference(network, images / "0.png")
    assert (found.clean.best.label, found.clean.best.name) == (best, "abcde"[best])
    order = interpreter.output[0].argsort(descending=True)[:2].tolist()
    assert [score.label for score in found.clean.scores] == order
    probability = float(interpreter.output[0].softmax(0)[best])
    assert found.clean.best.probability == pytest.approx(probability, rel=1e-5)
    parts = interpreter.contributions(best)
    assert dict(found.clean.parts["outside"].layers) == pytest.approx(dict(parts.layers))
    assert not found.clean.parts["outside"].maps
    assert found.clean.residuals["outside"].r4 == pytest.approx(residual_shares(parts).r4)
    for one, expected in zip(
        found.clean.discussions, pixel_discussion(interpreter, order), strict=True
    ):
        np.testing.assert_allclose(one.values, expected.numpy(), rtol=1e-5, atol=1e-6)
    votes = pixel_votes(interpreter)
    assert found.clean.votes is not None
    assert torch.equal(found.clean.votes.winners, votes.winners)
    assert not found.clean.votes.is_preview
    shown = network.transform.pixels(images / "0.png").permute(1, 2, 0)
    assert np.array_equal(found.clean.pixels, shown.numpy())
    assert found.attacked is None


def test_the_normalisation_inside_the_network_keeps_the_score(
    network: Network, images: Path
) -> None:
    settings = InterpretSettings(preprocess="both", dtype="float64", by="op")
    (found,) = interpret_images(network, [images / "1.png"], settings)
    outside, inside = (found.clean.parts[way] for way in ("outside", "inside"))
    assert inside.total == pytest.approx(outside.total, rel=1e-6)
    assert len(inside.layers) == len(outside.layers) + 1
    pixels = network.transform.pixels(images / "1.png")[None].double() / 255
    interpreter = LinearInterpreter(
        network.model, pixels, include_preprocess=network.transform.standardize, dtype=torch.float64
    )
    expected = interpreter.contributions(found.clean.best.label, by="op")
    assert inside.input == pytest.approx(expected.input, rel=1e-10)
    assert next(network.model.parameters()).dtype == torch.float32


def test_the_attack_leads_away_from_the_true_class_else_from_the_answer(
    network: Network, images: Path, tmp_path: Path
) -> None:
    settings = InterpretSettings(fgsm="8/255", votes="top:1")
    (found,) = interpret_images(network, [images / "2.png"], settings)
    pixels = network.transform.pixels(images / "2.png")[None].float() / 255
    best = found.clean.best.label
    moved = fgsm(
        network.model, pixels, torch.tensor([best]), 8 / 255, network.transform.standardize
    )
    assert found.attacked is not None
    scores = network.model(network.transform.standardize(moved))[0]
    assert found.attacked.best.logit == pytest.approx(float(scores.max()), rel=1e-5)
    assert found.attacked.original.label == best
    assert found.attacked.original.logit == pytest.approx(float(scores[best]), rel=1e-5)
    assert found.attacked.state == "FGSM 8/255"
    assert found.attacked.votes is not None
    assert set(found.attacked.votes.labels.tolist()) == {best, found.attacked.best.label}
    assert found.attacked.votes.is_preview
    other = "abcde"[(best + 1) % 5]
    (tmp_path / other).mkdir()
    (images / "2.png").rename(tmp_path / other / "2.png")
    told = replace(settings, labels="folder")
    (found,) = interpret_images(network, [tmp_path / other / "2.png"], told)
    target = torch.tensor([(best + 1) % 5])
    moved = fgsm(network.model, pixels, target, 8 / 255, network.transform.standardize)
    assert found.attacked is not None
    scores = network.model(network.transform.standardize(moved))[0]
    assert found.attacked.best.logit == pytest.approx(float(scores.max()), rel=1e-5)


def test_masks_tell_how_much_lies_in_the_object(
    network: Network, images: Path, tmp_path: Path
) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    mask = np.zeros((SIZE, SIZE + 4), np.uint8)
    mask[3:9, 5:10] = 255
    Image.fromarray(mask).save(masks / "0.png")
    Image.fromarray(mask).save(masks / "1.png")  # of another size than its image
    found = list(interpret_images(network, [images], InterpretSettings(masks=str(masks))))
    assert found[0].mask is not None
    assert found[0].mask.sum() == 30
    inside = found[0].clean.votes_inside
    winners, best = found[0].clean.votes.winners, found[0].clean.best.label
    expected = (winners[found[0].mask] == best).sum() / (winners == best).sum()
    assert inside is not None
    assert inside.share == pytest.approx(float(expected))
    values = found[0].clean.discussions[0].values.clip(min=0)
    share = values[found[0].mask.numpy()].sum() / values.sum()
    assert found[0].clean.discussions[0].inside == pytest.approx(float(share), rel=1e-5)
    assert "its image" in (found[1].error or "")
    assert (found[2].mask, found[2].clean.votes_inside) == (None, None)
    state = summarize(found).states[0]
    assert (state.area.count, state.area.value) == (1, pytest.approx(30 / 144))
    assert "object" in describe(found[0], network.classes)
    with pytest.raises(FileNotFoundError, match="expected masks"):
        interpret_images(network, [images], InterpretSettings(masks=str(tmp_path / "no")))
    (masks / "sub").mkdir()
    Image.fromarray(mask).save(masks / "sub" / "0.png")
    with pytest.raises(ValueError, match="the same stem"):
        interpret_images(network, [images], InterpretSettings(masks=str(masks)))


def test_a_set_has_means_over_its_readable_images(network: Network, images: Path) -> None:
    settings = InterpretSettings(pictures=1, fgsm=0.1, preprocess="both", votes="all")
    found = list(interpret_images(network, [images], settings))
    assert [one.error is None for one in found] == [True, True, True, False]
    assert [bool(one.readings and one.clean.discussions) for one in found] == [
        True, False, False, False
    ]  # fmt: skip
    summary = summarize(found)
    assert (summary.num_images, summary.num_errors, len(summary.states)) == (3, 1, 2)
    clean = summary.states[0]
    shares = [residual_shares(one.clean.parts["inside"]).r4 for one in found[:3]]
    r4 = clean.residuals["inside"]["r4"]
    assert r4.value == pytest.approx(np.mean(shares))
    assert r4.deviation == pytest.approx(np.std(shares, ddof=1))
    assert clean.histograms["outside"].count == 3
    assert (clean.entropy.count, clean.accuracy.count) == (1, 0)
    changed = [one.attacked.best.label != one.clean.best.label for one in found[:3]]
    assert summary.states[1].changed == Mean.of(map(float, changed))
    text = describe_summary(summary)
    for word in ("3 images, 1 not readable", "FGSM 0.1", "R5", "votes (n=1)"):
        assert word in text
    bars = [line for line in text.splitlines() if line.lstrip().startswith("input ")]
    assert len(bars) == 2, "one for each place of the normalisation"
    for state, part in zip(summary.states, re.split(r"\s{2,}", bars[0].strip())[1:], strict=True):
        inputs = [one.parts["outside"].input for one in state_readings(found[:3], state.state)]
        assert float(part.split(" ± ")[0]) == pytest.approx(np.mean(inputs), abs=0.01)
        assert float(part.split(" ± ")[1]) == pytest.approx(np.std(inputs, ddof=1), abs=0.01)
    assert summarize([found[3]]).states == ()


def state_readings(found: list[Interpretation], state: str) -> list[Reading]:
    return [reading for one in found for reading in one.readings if reading.state == state]


def test_rows_and_lines_hold_what_is_known(network: Network, images: Path) -> None:
    settings = InterpretSettings(fgsm="8/255", preprocess="both")
    found = list(interpret_images(network, [images / "0.png", images / "broken.jpg"], settings))
    table = [dict(zip(COLUMNS, row, strict=True)) for row in rows(found[0], network.classes)]
    assert [(row["state"], row["preprocess"]) for row in table] == [
        ("clean", "outside"), ("clean", "inside"), ("FGSM 8/255", "outside"),
        ("FGSM 8/255", "inside"),
    ]  # fmt: skip
    for row in table:
        total = float(row["input"]) + float(row["constants"])
        assert total == pytest.approx(float(row["logit"]), rel=1e-4)
        assert row["voting_labels"] == "5"
        assert (row["label"], row["error"], row["object_area"]) == ("", "", "")
    (broken,) = rows(found[1], network.classes)
    assert len(broken) == len(COLUMNS)
    assert "not readable" in broken[-1]
    assert "not readable" in describe(found[1], network.classes)
    text = describe(found[0], network.classes)
    for word in ("residual R1", "all 5 labels vote", "FGSM 8/255:", "inside the network"):
        assert word in text
    assert "nan" not in text


def test_results_come_one_after_the_other(network: Network, images: Path) -> None:
    results = interpret_images(network, [images], InterpretSettings(limit=2))
    assert next(results).image.name == "0.png"
    assert [one.image.name for one in results] == ["1.png"]


def test_known_classes_give_the_accuracy(network: Network, images: Path, tmp_path: Path) -> None:
    best = [reference(network, images / f"{k}.png")[1] for k in (0, 1)]
    for k, label in enumerate((best[0], (best[1] + 1) % 5)):
        folder = tmp_path / "set" / "abcde"[label]
        folder.mkdir(parents=True, exist_ok=True)
        (images / f"{k}.png").rename(folder / f"{k}.png")
    found = list(interpret_images(network, [tmp_path / "set"], InterpretSettings(labels="folder")))
    assert summarize(found).states[0].accuracy.value == 0.5
    with pytest.raises(ValueError, match="unknown class"):
        interpret_images(network, [images], InterpretSettings(labels="folder"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"top": 0}, "`top`"),
        ({"pictures": -1}, "`pictures`"),
        ({"limit": 0}, "`limit`"),
        ({"votes": "some"}, "`votes` must be auto, all, none or top:K, got 'some'"),
        ({"votes": "top:0"}, "`votes`"),
        ({"votes": "top:"}, "`votes`"),
        ({"fgsm": "8:255"}, "`fgsm` must be a number or fraction"),
        ({"fgsm": "1/0"}, "`fgsm`"),
        ({"fgsm": 8}, r"`fgsm` must lie in \(0, 1\]"),
        ({"fgsm": "nan"}, "`fgsm` must lie in"),
    ],
)
def test_settings_out_of_range_are_told(values: dict[str, object], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        InterpretSettings(**values)


def test_settings_say_who_votes() -> None:
    assert InterpretSettings(votes="none").voters(10) == 0
    assert InterpretSettings(votes="all").voters(1000) == 1000
    assert InterpretSettings(votes="top:7").voters(1000) == 7
    assert InterpretSettings(votes="top:7").voters(3) == 3
    assert InterpretSettings(fgsm="8/255").epsilon == pytest.approx(8 / 255)
    assert InterpretSettings(fgsm=0.5).epsilon == 0.5


def test_a_mean_leaves_out_what_is_undefined() -> None:
    assert Mean.of([math.nan, 2.0]).count == 1
    assert math.isnan(Mean.of([2.0]).deviation)
    assert math.isnan(Mean.of([]).value)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.full)])
def test_real_weights_know_real_images(step: int) -> None:
    data = Path(os.environ["FILTERSCOPE_DATA"])
    network = load_network(
        model="squeezenet1_0", weights=data / "weights" / "squeezenet1_0_deepcompression.pt"
    )
    settings = InterpretSettings(labels="synset", preprocess="both", pictures=0)
    files = sorted((data / "imagenet_samples").glob("*.JPEG"))[::step]
    summary = summarize(list(interpret_images(network, files, settings)))
    (clean,) = summary.states
    assert (clean.accuracy.count, summary.num_errors) == (100 // step, 0)
    assert clean.accuracy.value >= 0.58
    # with these weights the constants of the normalisation carry much of the score
    assert clean.residuals["outside"]["r1"].value < 0.1
    assert clean.residuals["inside"]["r1"].value > 0.3
