"""AlexNet for small images."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from filterscope.core.gate_points import GatePoint

WIDTHS = (64, 192, 384, 256, 256)
HIDDEN = 1024
_POOLED = (0, 1, 4)


class CifarAlexNet(nn.Module):
    """AlexNet for 32 x 32 images: five convolutions and three linear layers.

    The last convolution has 256 filters, which a fixed gate for ten classes divides into 25 for
    each class and 6 for all. The paper names an AlexNet on CIFAR-10 and that division, but not
    the network's layers; these are ours: widths and order are torchvision's, kernels are 3 x 3
    with stride 1, so that the map of the last convolution is 8 x 8, each convolution has a batch
    norm (without, short trials stayed at chance or diverged), and the linear layers have 1,024
    units in the place of 4,096. It wants a learning rate near 0.01, where a residual network
    takes 0.1.

    Args:
        num_classes: C.

    Source: Krizhevsky et al., NeurIPS 2012; Liang et al., ECCV 2020, section 4.3 and appendix E.

    Examples:
        >>> import torch
        >>> CifarAlexNet(num_classes=10)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        widths = (3, *WIDTHS)
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
            if i in _POOLED:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(4)
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(WIDTHS[-1] * 4 * 4, HIDDEN),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Linear(HIDDEN, num_classes),
        )
        gated = len(layers) - 2  # the last ReLU, before the last pool
        self.filterscope_gate_point = GatePoint(f"features.{gated}", WIDTHS[-1], "relu", "mlp")

    def forward(self, x: Tensor) -> Tensor:
        """Classify images (N, 3, H, W) of 8 pixels or more; gives logits (N, C)."""
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits
