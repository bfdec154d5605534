"""Small networks with the habits of real ones, each with a plain second way to its last map."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Inplace(nn.Module):
    """A convolution whose output an in-place ReLU overwrites."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.top, self.rectify = nn.Conv2d(6, 8, 3, stride=2), nn.ReLU(inplace=True)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        return self.fc(self.rectify(self.top(x)).mean((2, 3)))

    def signed_map(self, x: Tensor) -> Tensor:
        return self.top(torch.relu(self.norm(self.stem(x))))


class Residual(nn.Module):
    """One ReLU object used three times, a skip connection, instance norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.relu = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True)
        self.body, self.norm = nn.Conv2d(8, 8, 3, padding=1), nn.InstanceNorm2d(8, affine=True)
        self.top, self.fc = nn.Conv2d(8, 8, 3, stride=2), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        x = self.relu(x + self.norm(self.body(x)))
        return self.fc(F.adaptive_avg_pool2d(self.relu(self.top(x)), 1).flatten(1))

    def signed_map(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        return self.top(torch.relu(x + self.norm(self.body(x))))


class Functional(nn.Module):
    """Functional in-place ReLU, and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)
        self.drop, self.top, self.fc = nn.Dropout(), nn.Conv2d(6, 8, 3), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(F.relu_(self.norm(self.stem(x))))
        return self.fc(F.relu(self.top(x), inplace=True).mean((2, 3)))

    def signed_map(self, x: Tensor) -> Tensor:
        return self.top(torch.relu(self.norm(self.stem(x))))


@pytest.fixture(params=[Inplace, Residual, Functional])
def model(request: pytest.FixtureRequest) -> nn.Module:
    """A seeded network in train mode, with random norms; its last map comes out of ``top``."""
    torch.manual_seed(0)
    network: nn.Module = request.param()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
        if isinstance(module, (nn.BatchNorm2d, nn.InstanceNorm2d)):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias, 0, 0.2)
    return network


@pytest.fixture
def signed_map() -> Callable[[nn.Module, Tensor], Tensor]:
    """The map of ``top`` before its ReLU in eval mode, without hooks; the train flags are kept."""

    def run(network: nn.Module, images: Tensor) -> Tensor:
        network.eval()
        maps: Tensor = network.signed_map(images)
        network.train()
        return maps

    return run


@pytest.fixture
def assert_untouched() -> Callable[[nn.Module], None]:
    """Look whether a network that was in train mode is as it was."""

    def look(network: nn.Module) -> None:
        for module in network.modules():
            assert module.training
            assert not module._forward_hooks
            assert not module._forward_pre_hooks
            assert not module._backward_hooks
        for parameter in network.parameters():
            assert parameter.grad is None
            assert parameter.requires_grad

    return look
