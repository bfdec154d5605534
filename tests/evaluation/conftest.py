"""Small networks that answer, and a measured run, shared by the tests of evaluation."""

from collections.abc import Callable

import pytest
import torch
from tests.quick_run import learned_run
from torch import Tensor, nn

from filterscope import load_run
from filterscope.core.contexts import evaluating
from filterscope.data import ImageDataset, load_dataset
from filterscope.evaluation import evaluate_run
from filterscope.evaluation.collect import collect
from filterscope.evaluation.part import Subject
from filterscope.models import create_model
from filterscope.runs import Run
from filterscope.training import TrainSettings, train

Network = Callable[[str], nn.Module]


@pytest.fixture(scope="session")
def digits() -> ImageDataset:
    """Forty training and thirty test images."""
    return load_dataset("digits", limit=60, limit_test=30)


@pytest.fixture(scope="session")
def images(digits: ImageDataset) -> Tensor:
    """The test images as the network reads them."""
    raw = torch.stack([digits.test.raw(i) for i in range(len(digits.test))])
    return digits.transform.normalize(raw)


@pytest.fixture(scope="session")
def network(digits: ImageDataset, images: Tensor) -> Network:
    """Makes networks whose last layer is fitted to the test images, so that answers vary."""

    def make(name: str) -> nn.Module:
        torch.manual_seed(0)
        model = create_model(name, len(digits.classes)).eval()
        head = [part for part in model.modules() if isinstance(part, nn.Linear)][-1]
        seen: list[Tensor] = []
        handle = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        with evaluating(model):
            model(images)
        handle.remove()
        wanted = nn.functional.one_hot(digits.test.labels, len(digits.classes)).double()
        features = seen[0].double()
        kernel = features @ features.T
        ridge = 1e-3 * kernel.diagonal().mean() * torch.eye(len(kernel)).double()
        with torch.no_grad():
            head.weight.copy_((features.T @ torch.linalg.solve(kernel + ridge, wanted)).T)
            head.bias.zero_()
        return model

    return make


@pytest.fixture(scope="session")
def measured_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A gated run of a moment with its evaluation."""
    settings = TrainSettings(
        method="gated", scheme="joint", warmup=0, epochs=2, limit=80, limit_test=30, batch_size=20,
        lambda2=1e-2, lr=0.02, device="cpu",
    )  # fmt: skip
    folder = train(settings, tmp_path_factory.mktemp("runs") / "gated")
    evaluate_run(load_run(folder), device="cpu").save(folder)
    return load_run(folder)


@pytest.fixture(scope="session")
def subject(measured_run: Run) -> Subject:
    """What the parts of an evaluation start from."""
    arrays, dataset = measured_run.arrays or {}, measured_run.dataset()
    device = torch.device("cpu")
    collected = collect(
        measured_run.model,
        measured_run.classifier.get_submodule(measured_run.layer),
        measured_run.activation,
        dataset.test,
        measured_run.transform,
        batch_size=30,
        device=device,
    )
    return Subject(
        run=measured_run,
        dataset=dataset,
        collected=collected,
        mi=torch.from_numpy(arrays["mi"]),
        mean_features=torch.from_numpy(arrays["mean_features"]),
        batch_size=30,
        device=device,
        seed=0,
    )


@pytest.fixture(scope="session")
def attackable(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, ImageDataset]:
    """A small network that has learned some digits, and those digits."""
    dataset = load_dataset("digits", limit=300, limit_test=100)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(),
        nn.Linear(48, 10),
    )  # fmt: skip
    run = learned_run(dataset, model, "5", 60, tmp_path_factory.mktemp("attackable"))
    return run, dataset
