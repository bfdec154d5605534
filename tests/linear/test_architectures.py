"""torchvision's classifiers: value, adjoint, conservation, Jacobian."""

import random

import pytest
import timm
import torch
import torchvision

import filterscope as fs
from filterscope.linear import LinearInterpreter, UnsupportedOperation

PIECEWISE_LINEAR = [
    "alexnet", "squeezenet1_0", "vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn",
    "vgg16_bn", "vgg19_bn", "resnet34", "resnet50", "resnet101", "resnet152", "densenet161",
    "densenet169", "densenet201", "inception_v3", "googlenet", "mobilenet_v2", "mnasnet0_5",
    "regnet_x_400mf", "shufflenet_v2_x0_5",
]  # fmt: skip
GATED = ["mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0", "regnet_y_400mf"]

TIMM = [
    "resnet10t", "resnetblur18", "resnext26ts", "seresnet18", "wide_resnet50_2", "skresnet18",
    "resnest14d", "ecaresnet26t", "regnetx_002", "regnety_002", "convnext_atto", "convnextv2_atto",
    "efficientnet_lite0", "efficientnet_b0", "mobilenetv2_050", "mobilenetv3_small_050",
    "densenet121", "vgg11", "darknet17", "cspdarknet53", "cspresnet50", "hrnet_w18_small",
    "res2net50_14w_8s", "repvgg_a0", "ghostnet_050", "mixnet_s", "dla34", "dpn48b", "inception_v4",
    "xception41", "nfnet_l0", "nf_resnet26", "rexnet_100", "tinynet_e", "hardcorenas_a",
    "selecsls42b", "mnasnet_small", "spnasnet_100", "fbnetc_100", "lcnet_050", "vovnet39a",
    "ese_vovnet19b_dw", "hgnet_tiny", "mobileone_s0", "resnetv2_50", "gernet_s",
]  # fmt: skip
DRAWN = 10


def build(name, randomised):
    options = {}
    if name in ("inception_v3", "googlenet"):
        options = {"init_weights": False, "transform_input": True}
    return randomised(getattr(torchvision.models, name)(**options)).eval()


def jacobian_row(model, image, index):
    source = image.clone().requires_grad_()
    return torch.autograd.grad(model(source)[0, index], source)[0][0]


def examine(model, image, check_affine, relative, **options):
    interpreter = LinearInterpreter(model, image, **options)
    with torch.no_grad():
        expected = model(image)
    check_affine(interpreter, expected)
    top = int(expected.argmax())
    return relative(interpreter.row(top), jacobian_row(model, image, top))


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "squeezenet1_1"])
def test_networks(name, randomised, random_image, check_affine, relative) -> None:
    model = build(name, randomised)
    assert examine(model, random_image(1, 3, 64, 64), check_affine, relative) < 1e-12


def test_single_precision(randomised, random_image) -> None:
    model = build("resnet18", randomised).float()
    image = random_image(2, 3, 64, 64).float()
    interpreter = LinearInterpreter(model, image)
    # the call checks conservation to 1e-4
    assert len(interpreter.contributions([3, 4])[0].layers) == 21


def test_the_standard_path_of_a_gated_network(randomised, random_image, check_affine) -> None:
    model = randomised(torchvision.models.resnet18(num_classes=4))
    gated = fs.GatedClassifier(model, layer="layer4", num_classes=4, num_filters=512).double()
    image = random_image(1, 3, 64, 64)
    interpreter = LinearInterpreter(gated, image)
    with torch.no_grad():
        expected, features = gated.eval()(image), gated.features(image)
    check_affine(interpreter, expected)
    layer = next(name for name, module in gated.named_modules() if module is model.layer4)
    parts = interpreter.filter_contributions(2, layer)
    weights = model.fc.weight[2].detach()
    torch.testing.assert_close(parts.values, weights * features[0], rtol=1e-9, atol=1e-12)
    assert parts.rest == pytest.approx(float(model.fc.bias[2]))


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:The default weight initialization")
@pytest.mark.parametrize("name", PIECEWISE_LINEAR)
def test_all_networks(name, randomised, random_image, check_affine, relative) -> None:
    model = build(name, randomised)
    side = 203 if name == "inception_v3" else 64
    assert examine(model, random_image(1, 3, side, side), check_affine, relative) < 1e-11


@pytest.mark.full
@pytest.mark.parametrize("name", GATED)
def test_gated_networks(name, randomised, random_image, check_affine, relative) -> None:
    model, image = build(name, randomised), random_image(1, 3, 64, 64)
    with pytest.raises(UnsupportedOperation, match="freeze_gates=True"):
        LinearInterpreter(model, image)
    assert examine(model, image, check_affine, relative, freeze_gates=True) > 1e-3


@pytest.mark.full
def test_convnext(randomised, random_image, check_affine, relative) -> None:
    model, image = build("convnext_tiny", randomised), random_image(1, 3, 64, 64)
    assert examine(model, image, check_affine, relative) > 1e-3
    options = {"smooth": "tangent", "norm_freeze": "none"}
    assert examine(model, image, check_affine, relative, **options) < 1e-11


@pytest.mark.full
@pytest.mark.parametrize("name", ["vit_b_16", "swin_t"])
def test_transformers(name, randomised, random_image, check_affine, relative) -> None:
    model, image = build(name, randomised), random_image(1, 3, 224, 224)
    assert examine(model, image, check_affine, relative, freeze_gates=True) > 1e-3


@pytest.mark.full
def test_networks_of_timm(randomised, random_image, check_affine, relative) -> None:
    seed = random.SystemRandom().randrange(2**32)
    names = random.Random(seed).sample(TIMM, DRAWN)
    print(f"seed {seed}: {', '.join(names)}")
    for name in names:
        examine_timm(name, randomised, random_image, check_affine, relative)


def examine_timm(name, randomised, random_image, check_affine, relative) -> None:
    model = randomised(timm.create_model(name, pretrained=False)).eval()
    image = random_image(1, 3, 96, 96)
    try:
        examine(model, image, check_affine, relative)
    except UnsupportedOperation as error:
        assert "freeze_gates=True" in str(error), name
        examine(model, image, check_affine, relative, freeze_gates=True)
