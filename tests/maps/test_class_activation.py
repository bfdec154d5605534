"""Class activation maps."""

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models as tv

from filterscope.gates import GatedClassifier
from filterscope.maps import class_activation_map
from filterscope.models import create_model

IMAGES = torch.randn(3, 3, 14, 11, generator=torch.Generator().manual_seed(4))
LABELS = torch.tensor([4, 0, 2])


def randomised(model: nn.Module) -> nn.Module:
    torch.manual_seed(5)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return model


def test_the_map_is_the_weighted_sum_of_the_rectified_maps(
    model, signed_map, assert_untouched
) -> None:
    maps = torch.relu(signed_map(model, IMAGES)).detach()
    raw = class_activation_map(model, IMAGES, LABELS, layer="top", size=None)
    for n, label in enumerate(LABELS):
        expected = sum(model.fc.weight[label, k] * maps[n, k] for k in range(8))
        torch.testing.assert_close(raw[n], expected.detach())
    wide = class_activation_map(model, IMAGES, LABELS, layer="top")
    expected = F.interpolate(raw[:, None], size=(14, 11), mode="bilinear", align_corners=False)
    torch.testing.assert_close(wide, expected[:, 0])
    assert not wide.requires_grad
    assert_untouched(model)


NETWORKS = {
    "resnet18": lambda: tv.resnet18(num_classes=5),
    "densenet121": lambda: tv.densenet121(num_classes=5),
    "mobilenet_v2": lambda: tv.mobilenet_v2(num_classes=5),
    "efficientnet_b0": lambda: tv.efficientnet_b0(num_classes=5),
    "timm resnet18": lambda: create_model("timm:resnet18", num_classes=5),
    "timm resnet10t": lambda: timm.create_model("resnet10t", num_classes=5),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_its_mean_is_the_logit_without_bias(name: str) -> None:
    model = randomised(NETWORKS[name]())
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(6))
    layer = "layer4" if name == "timm resnet10t" else None  # not known to the library
    raw = class_activation_map(model, images, LABELS[:2], layer=layer, size=None)
    model.eval()
    head = [part for part in model.modules() if isinstance(part, nn.Linear)][-1]
    with torch.no_grad():
        logits = model(images) - head.bias
    chosen = logits[[0, 1], LABELS[:2]]
    slack = 1e-4 * float(logits.abs().max())
    torch.testing.assert_close(raw.mean((1, 2)), chosen, rtol=1e-4, atol=slack)


def test_a_gated_network_is_its_plain_network() -> None:
    model = randomised(tv.resnet18(num_classes=5))
    images = torch.randn(2, 3, 64, 64)
    expected = class_activation_map(model, images, LABELS[:2])
    gated = GatedClassifier(model, "layer4", num_classes=5, num_filters=512)
    with torch.no_grad():
        gated.gate.matrix.fill_(0.25)
    assert torch.equal(class_activation_map(gated, images, LABELS[:2]), expected)
    assert torch.equal(
        class_activation_map(gated, images, LABELS[:2], layer="model.layer4"), expected
    )


def test_a_network_with_a_trunk_of_a_known_kind_is_read_as_a_whole() -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.top, self.fc = tv.resnet18(), nn.Conv2d(64, 8, 1), nn.Linear(8, 5)

        def forward(self, x):
            trunk = self.model
            x = trunk.layer1(trunk.relu(trunk.bn1(trunk.conv1(x))))
            return self.fc(self.top(x).relu().mean((2, 3)))

    model = Whole()
    raw = class_activation_map(model, IMAGES, LABELS, layer="top", size=None)
    with torch.no_grad():
        logits = model.eval()(IMAGES) - model.fc.bias
    torch.testing.assert_close(raw.mean((1, 2)), logits[range(3), LABELS], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("make", [tv.alexnet, tv.squeezenet1_1, tv.mobilenet_v3_small])
def test_another_head_is_refused(make) -> None:
    model = make(num_classes=5)
    with pytest.raises(ValueError, match="needs global average pooling and one linear"):
        class_activation_map(model, torch.randn(1, 3, 64, 64), LABELS[:1])


def test_a_head_that_only_looks_right_is_refused_by_its_logits(assert_untouched) -> None:
    class Scaled(nn.Module):
        """Global pooling that is a maximum, one linear layer."""

        def __init__(self) -> None:
            super().__init__()
            self.top, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

        def forward(self, x):
            return self.fc(self.top(x).relu().amax((2, 3)))

    model = Scaled()
    with pytest.raises(ValueError, match=r"logits differ from W mean\(A\) \+ b by"):
        class_activation_map(model, IMAGES, LABELS, layer="top")
    assert_untouched(model)
    big = Scaled()
    nn.init.constant_(big.fc.bias, 1e3)  # does not hide the difference
    with pytest.raises(ValueError, match="logits differ"):
        class_activation_map(big, IMAGES, LABELS, layer="top")
    resnet = tv.resnet18(num_classes=5)
    with pytest.raises(ValueError, match="`layer` gives 256 filters, its head reads 512"):
        class_activation_map(resnet, IMAGES, LABELS, layer="layer3")
    with pytest.raises(ValueError, match="its linear layers are none"):
        class_activation_map(nn.Sequential(nn.Conv2d(3, 8, 3)), IMAGES, LABELS, layer="0")
    cut = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(9, 5))
    with pytest.raises(ValueError, match=r"it gives \(3, 8, 12, 5\)"):
        class_activation_map(cut, IMAGES, LABELS, layer="0")


def test_a_dead_network_still_has_a_map(model) -> None:
    with torch.no_grad():
        model.top.bias.fill_(-1e6)
    assert not class_activation_map(model, IMAGES, LABELS, layer="top").any()


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([0, 1, 2], TypeError, "`labels` must be a tensor"),
        (torch.tensor([0, 1]), ValueError, r"`labels` must be \(3,\)"),
        (torch.tensor([0.0, 1.0, 2.0]), ValueError, "integers"),
        (torch.tensor([0, 1, 5]), ValueError, r"`labels` must lie in \[0, 4\], got 0 to 5"),
        (torch.tensor([-1, 1, 2]), ValueError, "`labels`"),
    ],
)
def test_bad_labels_are_named(model, labels, error, message) -> None:
    with pytest.raises(error, match=message):
        class_activation_map(model, IMAGES, labels, layer="top")


def test_other_bad_input_is_named(model) -> None:
    with pytest.raises(ValueError, match="`layer` is needed: the last map of"):
        class_activation_map(model, IMAGES, LABELS)
    with pytest.raises(ValueError, match="`size`"):
        class_activation_map(model, IMAGES, LABELS, layer="top", size=3)
    with pytest.raises(ValueError, match="`images`"):
        class_activation_map(model, IMAGES[0], LABELS, layer="top")
    with pytest.raises(ValueError, match="unknown layer"):
        class_activation_map(model, IMAGES, LABELS, layer="tops")
