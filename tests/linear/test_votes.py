"""Pixel votes against the discussion of all labels, and the numbers about them."""

import math
import os
import re
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

from filterscope.linear import LinearInterpreter, PixelVotes, pixel_discussion, pixel_votes
from filterscope.linear import discussion as discussion_module

METHODS = ["conserving", "literal", "literal_times_input", "backprojected"]


@pytest.fixture
def interpreter(randomised, random_image):
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(),
        nn.Linear(27, 20), nn.ReLU(), nn.Linear(20, 30),
    )  # fmt: skip
    return LinearInterpreter(randomised(model).eval(), random_image(1, 2, 9, 7))


@pytest.mark.filterwarnings("ignore:the pixels of")
@pytest.mark.parametrize("budget", [0, 2**30])
@pytest.mark.parametrize("method", METHODS)
def test_votes_equal_the_argmax_of_all_discussions(method, budget, interpreter) -> None:
    every = torch.stack([pixel_discussion(interpreter, label, method) for label in range(30)])
    votes = pixel_votes(interpreter, method=method, chunk=7, budget=budget)
    assert torch.equal(votes.winners, every.argmax(0))
    torch.testing.assert_close(votes.values, every.amax(0), rtol=1e-9, atol=1e-12)
    assert votes.shares.tolist() == [
        pytest.approx(float((every.argmax(0) == label).double().mean())) for label in range(30)
    ]
    assert torch.equal(votes.scores, interpreter.output[0])
    assert not votes.is_preview
    assert votes.method == method


def test_a_preview_says_so(interpreter) -> None:
    chosen = [29, 3, 7, 3]
    votes = pixel_votes(interpreter, chosen)
    assert votes.is_preview
    assert votes.labels.tolist() == [3, 7, 29]
    every = pixel_discussion(interpreter, [3, 7, 29])
    assert torch.equal(votes.winners, votes.labels[every.argmax(0)])
    assert votes.chance_entropy == pytest.approx(math.log(3))


@pytest.mark.parametrize("chunk", [1, 2, 16])
def test_of_equal_labels_the_lowest_wins(chunk, random_image) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 4)).double()
    with torch.no_grad():
        for twin, label in ((2, 1), (3, 0)):
            model[2].weight[twin] = model[2].weight[label]
            model[2].bias[twin] = model[2].bias[label]
    votes = pixel_votes(LinearInterpreter(model, random_image(1, 1, 4, 4)), chunk=chunk)
    assert set(votes.winners.unique().tolist()) <= {0, 1}


def hand_made():
    winners = torch.tensor([[7, 7, 2, 2], [7, 7, 2, 4], [7, 7, 4, 4], [7, 7, 9, 9]])
    labels = torch.tensor([2, 4, 7, 9, 11])
    shares = torch.tensor([3, 3, 8, 2, 0], dtype=torch.float64) / 16
    scores = torch.tensor([5.0, 5.0, 1.0, 9.0, 0.0])
    return PixelVotes(winners, winners.double(), labels, shares, scores, True, "conserving")


def test_counts_of_a_hand_made_picture() -> None:
    votes = hand_made()
    assert [(one.label, one.share * 16, one.rank) for one in votes.top(3)] == [
        (7, 8, 4), (2, 3, 2), (4, 3, 2)
    ]  # fmt: skip
    assert len(votes.top(99)) == 5
    with pytest.raises(FrozenInstanceError):
        votes.top(1)[0].share = 1.0
    expected = -sum(n / 16 * math.log(n / 16) for n in (3, 3, 8, 2))
    assert votes.entropy == pytest.approx(expected, rel=1e-12)
    assert votes.chance_entropy == pytest.approx(math.log(5))
    assert [votes.num_labels(least) for least in (0.01, 2 / 16, 3 / 16, 0.2, 1)] == [4, 4, 3, 1, 0]
    assert votes.majority(2).tolist() == [
        [0, 0, 1, 1], [0, 0, 1, -1], [0, 0, -1, -1], [0, 0, -1, -1]
    ]  # fmt: skip


def test_all_pixels_for_one_label_have_no_entropy() -> None:
    winners = torch.zeros(2, 2, dtype=torch.int64)
    shares = torch.tensor([1.0, 0.0], dtype=torch.float64)
    votes = PixelVotes(
        winners, winners.double(), torch.arange(2), shares, torch.ones(2), False, "literal"
    )
    assert math.copysign(1, votes.entropy) == 1
    assert votes.entropy == 0


def test_votes_inside_an_object() -> None:
    votes, mask = hand_made(), torch.zeros(4, 4, dtype=torch.bool)
    mask[:3, 2:] = True
    inside = votes.share_inside(mask, 4)
    assert (inside.share, inside.area, inside.num_votes) == (1.0, 6 / 16, 3)
    with pytest.raises(FrozenInstanceError):
        inside.share = 0.0
    best = votes.share_inside(mask)
    assert (best.label, best.share, best.num_votes) == (9, 0.0, 2)
    nobody = votes.share_inside(mask, 11)
    assert math.isnan(nobody.share)
    assert nobody.num_votes == 0


def test_bad_questions() -> None:
    votes, mask = hand_made(), torch.ones(4, 4, dtype=torch.bool)
    for k in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="`k` must be a positive integer"):
            votes.top(k)
        with pytest.raises(ValueError, match="`k`"):
            votes.majority(k)
    for least in (0, 1.5, math.nan):
        with pytest.raises(ValueError, match="`least`"):
            votes.num_labels(least)
    with pytest.raises(TypeError, match=r"`mask` must be a tensor of bool, got torch\.float32"):
        votes.share_inside(mask.float())
    with pytest.raises(ValueError, match=r"`mask` must be \(4, 4\) and hold a pixel, got \(4, 3\)"):
        votes.share_inside(mask[:, :3])
    with pytest.raises(ValueError, match="with 0 pixels"):
        votes.share_inside(~mask)
    with pytest.raises(ValueError, match="`label` must be one of those that took part, got 3"):
        votes.share_inside(mask, 3)


def test_bad_input(interpreter) -> None:
    for chunk in (0, 1.5, True):
        with pytest.raises(ValueError, match="`chunk` must be a positive integer"):
            pixel_votes(interpreter, chunk=chunk)
    for budget in (-1, 1e9, True):
        with pytest.raises(ValueError, match="`budget` must be a number of bytes"):
            pixel_votes(interpreter, budget=budget)
    with pytest.raises(ValueError, match=r"`labels` must be in \[0, 29\]"):
        pixel_votes(interpreter, [30])
    with pytest.raises(TypeError, match="`labels` must be integers"):
        pixel_votes(interpreter, 3)
    with pytest.raises(ValueError, match="`method` must be one of"):
        pixel_votes(interpreter, method="loud")


def test_one_warning_for_all_labels(random_image) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 40, bias=False)).double()
    with torch.no_grad():
        model[1].weight[:] = torch.tensor([1.0, -1.0, 1.0, -1.0 + 1e-5])
    interpreter = LinearInterpreter(model, random_image(1, 1, 2, 2))
    with pytest.warns(UserWarning, match="40 of 40 labels cancel") as told:
        pixel_votes(interpreter, method="literal", chunk=8)
    assert len(told) == 1


@pytest.mark.parametrize("method", ["conserving", "literal"])
def test_labels_that_are_switched_off_get_no_number_but_zero(method) -> None:
    torch.manual_seed(0)
    model = torchvision.models.squeezenet1_0().eval().double()
    interpreter = LinearInterpreter(model, torch.randn(1, 3, 32, 32).double())
    off = (interpreter.output[0] == 0).nonzero()[:, 0].tolist()
    assert len(off) > 100
    assert not pixel_discussion(interpreter, off[:20], method).any()
    labels = sorted([*off[:20], *interpreter.output[0].topk(4).indices.tolist()])
    found = pixel_votes(interpreter, labels, method)
    every = pixel_discussion(interpreter, labels, method)
    assert torch.equal(found.winners, torch.tensor(labels)[every.argmax(0)])
    assert bool(found.values.isfinite().all())


def memory(name):
    """A line of the process's status, in bytes."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024


@pytest.mark.filterwarnings("ignore:the pixels of")
@pytest.mark.parametrize("method", ["conserving", "literal"])
def test_the_stream_holds_a_chunk_at_a_time(method) -> None:
    model = nn.Sequential(nn.AvgPool2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(300, 400))
    interpreter = LinearInterpreter(model, torch.randn(1, 3, 160, 160))
    chunk, label_map = 4, 160 * 160 * 4
    pixel_votes(interpreter, range(20), method, chunk=chunk, budget=0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = memory("VmRSS")
    pixel_votes(interpreter, method=method, chunk=chunk, budget=0)
    # a chunk of rows with three channels, its products and its maps: some ten such arrays
    assert memory("VmHWM") - before < 12 * chunk * 3 * label_map < 400 * label_map / 2


def test_the_features_of_a_cut_stay_within_their_budget(monkeypatch, interpreter) -> None:
    used = []
    for name in ("CutReader", "PixelReader"):
        original = getattr(discussion_module, name)

        class Spy(original):
            def __init__(self, *args) -> None:
                used.append(type(self).__mro__[1].__name__)
                super().__init__(*args)

        monkeypatch.setattr(discussion_module, name, Spy)
    active = int((interpreter._model[:6](interpreter.images) > 0).sum())
    needed = active * 63 * 8
    pixel_votes(interpreter, budget=needed)
    pixel_votes(interpreter, budget=needed - 1)
    assert used == ["CutReader", "PixelReader"]


@pytest.mark.data
def test_real_weights_and_a_photograph() -> None:
    data = Path(os.environ["FILTERSCOPE_DATA"])
    model = torchvision.models.squeezenet1_0()
    weights = data / "weights" / "squeezenet1_0_deepcompression.pt"
    model.load_state_dict(torch.load(weights, weights_only=True))
    picture = Image.open(data / "imagenet_samples" / "n02391049_zebra.JPEG").convert("RGB")
    picture = picture.resize((224, 224))
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    interpreter = LinearInterpreter(model.eval(), (pixels - mean) / deviation)
    best = interpreter.output[0].topk(8).indices.tolist()
    assert best[0] == 340
    votes = pixel_votes(interpreter, best)
    every = pixel_discussion(interpreter, sorted(best))
    assert torch.equal(votes.winners, votes.labels[every.argmax(0)])
    torch.testing.assert_close(every.sum((1, 2)), votes.scores, rtol=1e-4, atol=1e-3)
    assert 0 < votes.entropy < votes.chance_entropy
    assert sum(one.share for one in votes.top(8)) == pytest.approx(1)


def test_a_hundredth_of_the_pixels_is_a_part_unless_told_otherwise() -> None:
    counts = torch.tensor([179, 15, 3, 2, 1, 0])
    winners = torch.arange(6).repeat_interleave(counts).view(10, 20)
    votes = PixelVotes(winners, torch.zeros(10, 20), torch.arange(6), counts.double() / 200,
                       torch.zeros(6), False, "conserving")  # fmt: skip
    assert votes.num_labels() == 4
    assert [votes.num_labels(least) for least in (0.005, 0.011, 0.02, 0.89)] == [5, 3, 2, 1]
