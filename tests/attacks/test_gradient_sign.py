"""The fast gradient sign method, against a bare loop and on networks that resist it."""

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope.attacks import fgsm

MEAN, STD = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.1]).view(3, 1, 1)


def normalize(pixels: Tensor) -> Tensor:
    return (pixels - MEAN) / STD


class Network(nn.Module):
    """With what an attack could disturb: batch statistics, dropout, an in-place first step."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.drop, self.head = nn.Dropout(), nn.Linear(8, 4)

    def forward(self, x):
        x = x.mul_(2)
        x = F.relu(self.norm(self.conv(x)), inplace=True)
        return self.head(self.drop(x.mean((2, 3))))


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    model = Network()
    model.norm.running_mean.normal_()
    model.norm.running_var.uniform_(0.5, 2)
    return model


@pytest.fixture
def images() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(6, 3, 8, 8, generator=generator)
    images[0, :, :2], images[1, :, :2] = 0, 1  # where the step is cut off
    return images


LABELS = torch.tensor([0, 1, 2, 3, 3, 0])


@pytest.mark.parametrize("prepare", [None, normalize])
def test_it_is_one_signed_step_for_each_image(model, images, prepare) -> None:
    attacked = fgsm(model, images, LABELS, epsilon=0.03, normalize=prepare)
    model.eval()
    for image, label, found in zip(images, LABELS, attacked, strict=True):
        pixels = image[None].clone().requires_grad_()
        given = pixels * 1 if prepare is None else prepare(pixels)
        F.cross_entropy(model(given), label[None]).backward()
        expected = (image + 0.03 * pixels.grad[0].sign()).clip(0, 1)
        torch.testing.assert_close(found, expected)
    model.zero_grad()


def test_it_keeps_the_bound_and_the_range(model, images) -> None:
    for epsilon in (0.0, 8 / 255, 0.5, 1.0):
        attacked = fgsm(model, images, LABELS, epsilon, normalize)
        assert float((attacked - images).abs().max()) <= epsilon + 1e-6
        assert 0 <= float(attacked.min()) <= float(attacked.max()) <= 1
    assert torch.equal(fgsm(model, images, LABELS, 0.0), images)
    by_default = fgsm(model, images, LABELS)
    torch.testing.assert_close((by_default - images).abs().max(), torch.tensor(8 / 255))


def test_nothing_is_left_behind(model, images) -> None:
    model.train()
    model.norm.eval()
    model.head.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kept = images.clone()
    for broken in (False, True):
        if broken:
            with pytest.raises(RuntimeError, match=r"size|channels"):
                fgsm(model, images[:, :2], LABELS)
        else:
            attacked = fgsm(model, images, LABELS)
            assert not attacked.requires_grad
        assert model.training
        assert model.drop.training
        assert not model.norm.training
        assert all(parameter.grad is None for parameter in model.parameters())
        assert not model.head.weight.requires_grad
        assert model.conv.weight.requires_grad
        assert torch.equal(images, kept)
        assert all(torch.equal(value, before[n]) for n, value in model.state_dict().items())
    assert torch.is_grad_enabled()


def test_it_works_where_gradients_are_off_and_on_images_that_have_them(model, images) -> None:
    expected = fgsm(model, images, LABELS)
    with torch.no_grad():
        assert torch.equal(fgsm(model, images, LABELS), expected)
    with torch.inference_mode():
        made_inside = images.clone()
        assert torch.equal(fgsm(model, made_inside, LABELS), expected)
    leaf = images.clone().requires_grad_()
    assert torch.equal(fgsm(model, leaf, LABELS), expected)
    assert leaf.grad is None


def test_it_raises_the_loss_of_a_trained_network() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 3))
    images, labels = torch.rand(60, 3, 8, 8), torch.arange(60) % 3
    images[range(60), labels] += 0.3  # a class is a colour
    images /= images.max()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    with torch.no_grad():
        clean = F.cross_entropy(model(images), labels)
        losses = [
            F.cross_entropy(model(fgsm(model, images, labels, epsilon)), labels)
            for epsilon in (0.02, 0.05, 0.1)
        ]
        noise = 0.1 * (torch.rand_like(images) - 0.5).sign()
        by_noise = F.cross_entropy(model((images + noise).clip(0, 1)), labels)
        wrong_before = int((model(images).argmax(1) != labels).sum())
        attacked = fgsm(model, images, labels, 0.1)
        wrong_after = int((model(attacked).argmax(1) != labels).sum())
    assert clean < losses[0] < losses[1] < losses[2]
    assert losses[2] > 3 * by_noise
    assert wrong_after > wrong_before + 10


def test_double_precision_and_grey_images_stay_what_they_are() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()
    attacked = fgsm(model, torch.rand(2, 1, 4, 4).double(), torch.tensor([0, 1]))
    assert attacked.dtype == torch.float64
    assert attacked.shape == (2, 1, 4, 4)


def test_images_without_a_gradient_are_counted_and_kept() -> None:
    model = nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(12, 2))
    with torch.no_grad():
        model[2].weight[0], model[2].weight[1], model[2].bias[:] = 1e6, -1e6, 0
    images = torch.rand(3, 3, 2, 2)
    images[1] = 0  # the only image of which the network is not sure
    with pytest.warns(UserWarning, match="zero on 2 of 3 images") as caught:
        attacked = fgsm(model, images, torch.tensor([0, 0, 0]), normalize=lambda x: x + 1e-9)
    assert caught[0].filename == __file__
    assert torch.equal(attacked[::2], images[::2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fgsm(model, images, torch.tensor([1, 1, 1]), normalize=lambda x: x + 1e-9)


class Broken(nn.Module):
    """Infinite slope at a black pixel."""

    def forward(self, x):
        return x.flatten(1).sqrt()[:, :3]


def test_gradients_that_are_no_numbers_are_refused() -> None:
    images = torch.rand(4, 3, 2, 2) + 0.01
    images[2, 0, 0, 0] = 0
    with pytest.raises(ValueError, match="non-finite gradient on 1 of 4 images"):
        fgsm(Broken(), images.clip(0, 1), torch.tensor([0, 1, 2, 1]))


PIXELS = torch.full((6, 3, 8, 8), 0.5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": PIXELS.tolist()}, TypeError, "`images` must be a tensor, got list"),
        ({"images": PIXELS[0]}, ValueError, r"`images` must be \(N, channels, H, W\)"),
        ({"images": PIXELS[:0]}, ValueError, "`images` must be .* not empty"),
        ({"images": (255 * PIXELS).byte()}, TypeError, "`images` must be floating point"),
        ({"images": PIXELS.half()}, ValueError, "`images` must be float32 or float64"),
        ({"images": PIXELS * 4}, ValueError, r"in \[0, 1\], got 2 to 2; .* `normalize`"),
        ({"images": PIXELS - 1}, ValueError, r"in \[0, 1\], got -0.5"),
        ({"images": PIXELS * torch.nan}, ValueError, r"in \[0, 1\], got nan"),
        ({"labels": [0] * 6}, TypeError, "`labels` must be a tensor, got list"),
        ({"labels": LABELS.double()}, TypeError, "`labels` must be integers"),
        ({"labels": LABELS > 0}, TypeError, "`labels` must be integers, got torch.bool"),
        ({"labels": LABELS[:5]}, ValueError, "`labels` must be one class for each of 6 images"),
        ({"labels": LABELS + 1}, ValueError, r"`labels` must lie in \[0, 3\], got 1 to 4"),
        ({"labels": LABELS - 1}, ValueError, r"`labels` must lie in \[0, 3\], got -1 to 2"),
        ({"epsilon": -0.1}, ValueError, "`epsilon` must lie"),
        ({"epsilon": 8}, ValueError, "`epsilon` must lie"),
        ({"epsilon": float("nan")}, ValueError, "`epsilon` must lie"),
        ({"normalize": lambda x: x.detach()}, ValueError, "no gradient connects"),
        ({"normalize": torch.zeros_like}, ValueError, "no gradient connects"),
        ({"model": nn.Conv2d(3, 4, 3)}, ValueError, r"`model` must give logits \(6, C\)"),
        ({"model": nn.LSTM(8, 2), "images": PIXELS[:, 0]}, ValueError, "`images` must be"),
    ],
)
def test_bad_input(model, change, error, message) -> None:
    arguments = {"model": model, "images": PIXELS, "labels": LABELS} | change
    with pytest.raises(error, match=message):
        fgsm(**arguments)


def test_networks_that_return_more_than_logits_are_refused() -> None:
    class Two(nn.Module):
        def forward(self, x):
            return x.flatten(1), x

    with pytest.raises(ValueError, match="got tuple"):
        fgsm(Two(), PIXELS, LABELS)
