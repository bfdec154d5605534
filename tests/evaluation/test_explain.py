"""Explanations: contributions that add up, and files that do not open."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch
from PIL import Image

from filterscope import load_run
from filterscope.evaluation import explain_images
from filterscope.evaluation.explain import _answer
from filterscope.maps import activation_map, class_activation_map
from filterscope.runs import Run
from filterscope.training import TrainSettings, train


@pytest.fixture(scope="module", params=["resnet20", "densenet121"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = TrainSettings(
        model=request.param, method="gated", epochs=1, warmup=0, scheme="joint", limit=40,
        limit_test=20, batch_size=20, image_size=32,
    )  # fmt: skip
    return load_run(train(settings, tmp_path_factory.mktemp("runs") / request.param))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "picture.png"
    Image.effect_noise((40, 50), 80).save(file)
    return file


def test_contributions_add_up_to_the_logit_of_a_pooled_linear_head(run: Run, picture: Path) -> None:
    images = run.transform(picture)[None]
    answer = _answer(run, images)
    logits, contributions, activations = answer.logits, answer.contributions, answer.activations
    head = [m for m in run.classifier.modules() if isinstance(m, torch.nn.Linear)][-1]
    best = int(logits.argmax())
    total = float(contributions.sum() + head.bias.detach()[best])
    assert total == pytest.approx(float(logits[best]), rel=1e-5)
    expected = head.weight[best].detach() * activations
    torch.testing.assert_close(contributions, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_gradients_that_are_switched_off_around_it_change_nothing(
    run: Run, picture: Path, around: Callable[[], AbstractContextManager[None]]
) -> None:
    (expected,) = explain_images(run, [picture])
    with around():
        (found,) = explain_images(run, [picture])
    assert found.rows() == expected.rows()


def test_an_explanation_names_prediction_and_filters(run: Run, picture: Path) -> None:
    (explanation,) = explain_images(run, [picture], top_filters=3)
    with torch.no_grad():
        logits = run.model(run.transform(picture)[None])[0]
    name, probability = explanation.probabilities[0]
    assert name == run.classes[int(logits.argmax())]
    assert probability == pytest.approx(float(logits.softmax(0).max()), abs=1e-5)
    parts = [part.contribution for part in explanation.filters]
    assert len(parts) == 3
    assert parts == sorted(parts, reverse=True)
    assert len(explanation.rows()) == 3
    assert all(len(row) == len(explanation.columns) for row in explanation.rows())
    assert name in str(explanation)
    assert not any(m._forward_pre_hooks for m in run.model.modules())


def test_what_removing_filters_does_is_a_forward_pass_with_their_maps_at_zero(
    run: Run, picture: Path
) -> None:
    (explanation,) = explain_images(run, [picture], top_filters=4)
    top = [part.index for part in explanation.filters]
    predicted = run.classes.index(explanation.probabilities[0][0])
    assert run.gate is not None
    opened = torch.nonzero(run.gate.matrix.detach()[predicted] > 0.5).flatten().tolist()
    layer = dict(run.classifier.named_modules())[run.layer]
    for item, filters in zip(explanation.without, (top, opened), strict=True):

        def silence(_m: object, _i: object, output: torch.Tensor, k: list[int] = filters) -> None:
            output[:, k] = 0

        handle = layer.register_forward_hook(silence)
        with torch.no_grad():
            shares = run.classifier(run.transform(picture)[None]).softmax(1)[0]
        handle.remove()
        assert item.num_filters == len(filters)
        assert item.probability == pytest.approx(float(shares[predicted]), abs=1e-5)
        assert item.new_probability == pytest.approx(float(shares.max()), abs=1e-5)
        assert item.prediction == run.classes[int(shares.argmax())]


def test_the_class_activation_map_is_that_of_the_maps_package(run: Run, picture: Path) -> None:
    (explanation,) = explain_images(run, [picture], top_filters=2)
    pictures = explanation.pictures
    assert pictures is not None
    assert pictures.cam is not None
    images = run.transform(picture)[None]
    predicted = torch.tensor([run.classes.index(explanation.probabilities[0][0])])
    expected = class_activation_map(run.classifier, images, predicted, layer=run.layer)[0]
    scale = float(expected.abs().max())
    torch.testing.assert_close(torch.from_numpy(pictures.cam), expected, atol=1e-4 * scale, rtol=0)
    filters = [part.index for part in explanation.filters]
    active = activation_map(run.classifier, images, run.layer, filters)[0]
    torch.testing.assert_close(torch.from_numpy(pictures.filter_maps), active)
    assert pictures.image.shape == (32, 32, 3)


def test_unreadable_images_are_told_and_the_rest_is_explained(
    run: Run, picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    broken, good = explain_images(run, [tmp_path])
    assert "not readable" in (broken.error or "")
    assert good.error is None
    assert len(broken.rows()[0]) == len(broken.columns)


def test_missing_files_and_empty_folders_are_told(run: Run, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        explain_images(run, [tmp_path / "absent.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no image"):
        explain_images(run, [tmp_path / "empty"])
    with pytest.raises(ValueError, match="`top_filters` must be at least 1"):
        explain_images(run, [tmp_path], top_filters=0)
