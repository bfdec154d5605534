"""Numbers that the papers print, by data set."""

from __future__ import annotations

from collections.abc import Mapping

# Liang et al., ECCV 2020, table 1: accuracy, mutual-information score, L1-density.
CSG_TABLE_1: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "cifar10": {
        "gated": {"accuracy": 0.9192, "mis": 0.1603, "density": 0.1000},
        "standard": {"accuracy": 0.9169, "mis": 0.1119},
    },
    "imagenet": {
        "gated": {"accuracy": 0.6784, "mis": 0.6259, "density": 0.0016},
        "standard": {"accuracy": 0.6976, "mis": 0.5514},
    },
    "voc-animals": {
        "gated": {"accuracy": 0.8518, "mis": 0.1998, "density": 0.1996},
        "standard": {"accuracy": 0.8447, "mis": 0.1428},
    },
}

# The same, table 2: for each map and number the six classes (bird, cat, dog, cow, horse, sheep)
# and the total.
CSG_TABLE_2: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "gated": {
        "GradMap Avg-IoU": (0.2765, 0.2876, 0.3313, 0.3261, 0.3159, 0.2857, 0.3035),
        "GradMap AP20": (0.6624, 0.8006, 0.9170, 0.8828, 0.8204, 0.8089, 0.8165),
        "ActivMap Avg-IoU": (0.3266, 0.4666, 0.4003, 0.4226, 0.3357, 0.4343, 0.4289),
        "ActivMap AP30": (0.5867, 0.8608, 0.7497, 0.8072, 0.5824, 0.8603, 0.8251),
        "CAM Avg-IoU": (0.3489, 0.4027, 0.3641, 0.3972, 0.3524, 0.3562, 0.3694),
        "CAM AP30": (0.6431, 0.8382, 0.7197, 0.7517, 0.7136, 0.7073, 0.7300),
    },
    "standard": {
        "GradMap Avg-IoU": (0.2056, 0.2568, 0.2786, 0.2921, 0.2779, 0.2698, 0.2606),
        "GradMap AP20": (0.4759, 0.7081, 0.7556, 0.8069, 0.7621, 0.7764, 0.7029),
        "ActivMap Avg-IoU": (0.2858, 0.3816, 0.3446, 0.3674, 0.3019, 0.3652, 0.3602),
        "ActivMap AP30": (0.4739, 0.7004, 0.6372, 0.7214, 0.5157, 0.6970, 0.6759),
        "CAM Avg-IoU": (0.3458, 0.3677, 0.3492, 0.3516, 0.3170, 0.3470, 0.3483),
        "CAM AP30": (0.6495, 0.7832, 0.7085, 0.6621, 0.5825, 0.6504, 0.6853),
    },
}

# The same, table 3: error of detectors of adversarial samples by their training images of a class.
CSG_TABLE_3: Mapping[str, Mapping[str, Mapping[int, float]]] = {
    "standard": {
        "fgsm": {500: 0.0476, 1000: 0.0460, 2000: 0.0415},
        "pgd": {500: 0.0503, 1000: 0.0620, 2000: 0.0408},
        "cw": {500: 0.0733, 1000: 0.0676, 2000: 0.0646},
    },
    "gated": {
        "fgsm": {500: 0.0450, 1000: 0.0394, 2000: 0.0384},
        "pgd": {500: 0.0452, 1000: 0.0395, 2000: 0.0325},
        "cw": {500: 0.0703, 1000: 0.0618, 2000: 0.0587},
    },
}

# The same, table 4 (J.1): clean accuracy and success of black-box attacks.
CSG_TABLE_4: Mapping[str, Mapping[str, float]] = {
    "standard": {"accuracy": 0.8803, "single-pixel": 0.1400, "local-search": 0.1500},
    "gated": {"accuracy": 0.8885, "single-pixel": 0.0200, "local-search": 0.0200},
}

# The same, section 4.3: inter-class correlation of the gated network over the standard one's.
CSG_INTER_CLASS_RATIO = 0.5

# The same, appendix E: filters that a learned gate gives to one class alone, and to all.
CSG_FIXED_GATE = {"own filters of a class": 6.0, "filters shared by several classes": 4.0}

# Navarrete Michelini et al., ICCV 2019, table 1 of the appendix: share of the residual in the top
# label's score over 100 ImageNet images; mean and standard deviation, None where it is not printed.
RESIDUAL_SHARES: Mapping[str, tuple[float, float | None]] = {
    "alexnet": (0.785, 0.158),
    "squeezenet1_0": (0.807, 0.115),
    "squeezenet1_1": (0.843, 0.110),
    "resnet18": (0.805, 0.139),
    "resnet34": (0.837, 0.129),
    "resnet50": (0.820, None),
    "resnet101": (0.802, 0.136),
    "resnet152": (0.811, 0.169),
    "densenet121": (0.946, 0.045),
    "densenet161": (0.950, 0.040),
    "densenet169": (0.944, 0.044),
    "densenet201": (0.940, 0.048),
    "inception_v3": (0.916, None),
    "vgg11": (0.822, 0.141),
    "vgg13": (0.8211, 0.133),
    "vgg16": (0.842, 0.120),
    "vgg19": (0.855, 0.109),
    "vgg11_bn": (0.845, 0.126),
    "vgg13_bn": (0.851, 0.125),
    "vgg16_bn": (0.862, 0.125),
    "vgg19_bn": (0.858, 0.136),
}

# Ong and Liu, tables 1 and 3: location instability of six animals of PASCAL-Part and their mean.
PART_ANIMALS = ("bird", "cat", "cow", "dog", "horse", "sheep")
PART_INSTABILITY: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "alexnet_parts": {
        "standard": (0.146, 0.133, 0.145, 0.128, 0.143, 0.138, 0.139),
        "L1": (0.095, 0.094, 0.099, 0.092, 0.098, 0.098, 0.096),
        "L2": (0.094, 0.094, 0.096, 0.093, 0.097, 0.095, 0.095),
        "uniform L1": (0.142, 0.138, 0.145, 0.127, 0.126, 0.125, 0.134),
        "uniform L2": (0.147, 0.124, 0.135, 0.119, 0.148, 0.131, 0.134),
    },
    "vgg16_parts": {
        "standard": (0.138, 0.136, 0.145, 0.138, 0.141, 0.137, 0.139),
        "L1": (0.099, 0.096, 0.113, 0.092, 0.098, 0.096, 0.099),
        "L2": (0.096, 0.090, 0.098, 0.097, 0.094, 0.098, 0.096),
        "uniform L1": (0.135, 0.116, 0.128, 0.127, 0.141, 0.145, 0.132),
        "uniform L2": (0.143, 0.128, 0.123, 0.117, 0.135, 0.132, 0.130),
    },
    "vgg_m_parts": {
        "standard": (0.145, 0.138, 0.144, 0.131, 0.146, 0.142, 0.141),
        "L1": (0.099, 0.095, 0.097, 0.090, 0.093, 0.097, 0.095),
        "L2": (0.100, 0.092, 0.094, 0.095, 0.098, 0.093, 0.095),
        "uniform L1": (0.136, 0.122, 0.135, 0.118, 0.132, 0.138, 0.130),
        "uniform L2": (0.144, 0.115, 0.139, 0.121, 0.136, 0.128, 0.131),
    },
    "vgg_s_parts": {
        "standard": (0.138, 0.132, 0.139, 0.128, 0.151, 0.142, 0.138),
        "L1": (0.094, 0.092, 0.094, 0.093, 0.098, 0.099, 0.095),
        "L2": (0.098, 0.091, 0.095, 0.091, 0.093, 0.094, 0.094),
        "uniform L1": (0.126, 0.135, 0.149, 0.111, 0.142, 0.139, 0.134),
        "uniform L2": (0.137, 0.118, 0.135, 0.119, 0.148, 0.133, 0.132),
    },
}

# The same, tables 2 and 5: accuracy, a mean over the animals.
PART_ACCURACY: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "alexnet_parts": {
        "standard": (0.932,), "L1": (0.916,), "L2": (0.915,),
        "uniform L1": (0.924,), "uniform L2": (0.925,),
    },
    "vgg16_parts": {
        "standard": (0.958,), "L1": (0.931,), "L2": (0.921,),
        "uniform L1": (0.931,), "uniform L2": (0.936,),
    },
    "vgg_m_parts": {
        "standard": (0.967,), "L1": (0.942,), "L2": (0.938,),
        "uniform L1": (0.949,), "uniform L2": (0.955,),
    },
    "vgg_s_parts": {
        "standard": (0.955,), "L1": (0.923,), "L2": (0.931,),
        "uniform L1": (0.934,), "uniform L2": (0.949,),
    },
}  # fmt: skip

# The same, figures 7 and 8: epochs until AlexNet's error has settled.
PART_EPOCHS = {"gradient templates": 115.0, "uniform templates": 50.0}
