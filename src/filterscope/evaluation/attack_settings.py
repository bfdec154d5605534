"""How runs are attacked and attacks detected: every setting in one place, for flags and help."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from filterscope.core.choices import refuse_other_numbers, refuse_other_words

GRADIENT_ATTACKS = ("fgsm", "pgd", "cw")
"""Attacks along the gradient, in the order of the paper's table."""


def fraction(name: str, value: float | str) -> float:
    """Read a number that may be written as a fraction.

    Args:
        name: Of the setting.
        value: As 0.03 or "8/255".

    Raises:
        ValueError: Neither.

    Examples:
        >>> fraction("epsilon", "1/4")
        0.25
    """
    if not isinstance(value, str):
        return value
    above, slash, below = value.partition("/")
    try:
        return float(above) / (float(below) if slash else 1.0)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"`{name}` must be a number or fraction, got {value!r}") from error


@dataclass(frozen=True)
class GradientSettings:
    """Settings of the attacks along the gradient, and of what every attack needs.

    Args:
        epsilon: Largest change of a pixel in [0, 1] of fgsm and pgd, as 8/255 or 0.03. Default:
            the paper's 0.031.
        pgd_steps: Steps of pgd. Default: the paper's.
        pgd_step_size: One step of pgd; the paper prints none.
        pgd_random_start: Start pgd anywhere in the cube; the paper does not say.
        cw_steps: Steps of each descent of cw. Default: the paper's.
        cw_searches: Descents of cw, each with another weight. Default: foolbox's.
        cw_const: First weight of cw. Default: foolbox's.
        seed: Of the choice of images, the targets and the attacks.
        batch_size: Images in a pass.
        device: auto, cpu, cuda or mps.

    Raises:
        ValueError: A value out of its range; the message names the setting.
    """

    epsilon: float | str = "8/255"
    pgd_steps: int = 7
    pgd_step_size: float | str = "2/255"
    pgd_random_start: bool = True
    cw_steps: int = 100
    cw_searches: int = 9
    cw_const: float = 1e-3
    seed: int = 0
    batch_size: int = 128
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def __post_init__(self) -> None:
        refuse_other_words(self)
        refuse_other_numbers(self)
        for name in ("epsilon", "pgd_step_size"):
            value = getattr(self, name)
            if not 0 < fraction(name, value) <= 1:
                raise ValueError(f"`{name}` must lie in (0, 1], got {value}")
        for name in ("pgd_steps", "cw_steps", "cw_searches", "batch_size"):
            least(name, getattr(self, name), 1)
        least("seed", self.seed, 0)
        if not 0 < self.cw_const < math.inf:
            raise ValueError(f"`cw_const` must be above 0 and finite, got {self.cw_const}")

    def options(self, name: str) -> dict[str, Any]:
        """Settings of an attack, as `filterscope.attacks.attack` takes them.

        Examples:
            >>> GradientSettings(epsilon="1/4").options("fgsm")
            {'epsilon': 0.25}
        """
        epsilon = fraction("epsilon", self.epsilon)
        if name == "fgsm":
            return {"epsilon": epsilon}
        if name == "pgd":
            return {
                "epsilon": epsilon,
                "steps": self.pgd_steps,
                "step_size": fraction("pgd_step_size", self.pgd_step_size),
                "random_start": self.pgd_random_start,
            }
        if name == "cw":
            return {
                "steps": self.cw_steps,
                "binary_search_steps": self.cw_searches,
                "initial_const": self.cw_const,
            }
        return {}


def least(name: str, value: int, smallest: int) -> None:
    """Refuse a number below the smallest."""
    if value < smallest:
        raise ValueError(f"`{name}` must be at least {smallest}, got {value}")


def check_attacks(attacks: tuple[str, ...], known: tuple[str, ...] | None = None) -> None:
    """Refuse an empty list of attacks, one named twice, and one that is not known.

    Args:
        attacks: Their names.
        known: Those that are allowed; None: not looked at here.

    Raises:
        ValueError: The message names the setting.
    """
    if not attacks or len(set(attacks)) < len(attacks):
        raise ValueError(f"`attacks` must name attacks, each once, got {attacks}")
    for name in attacks:
        if known is not None and name not in known:
            raise ValueError(f"`attacks` must be among {', '.join(known)}, got {name!r}")


@dataclass(frozen=True)
class AttackSettings(GradientSettings):
    """Settings of `attack_run`.

    Args:
        attacks: fgsm, pgd and cw follow the gradient and need foolbox (the extra attacks);
            single-pixel, local-search and one-pixel-de look at scores alone.
        images: Test images, chosen at random among those that the run classifies rightly.
        targeted: Lead each image to a wrong class drawn at random, not to any wrong one.
        preset: Whose numbers single-pixel and local-search take: foolbox or advertorch.
        max_pixels: Pixels that single-pixel tries. Default: the preset's.
        rounds: Rounds of local-search. Default: the preset's.
        generations: Of one-pixel-de, 400 queries each. Default: the source's 100.
        pictures: Images that the page shows, with the pixels' votes before and after.
        epsilon: Largest change of a pixel in [0, 1] of fgsm and pgd, as 8/255 or 0.03. Default:
            the paper's 0.031.
        pgd_steps: Steps of pgd. Default: the paper's.
        pgd_step_size: One step of pgd; the paper prints none.
        pgd_random_start: Start pgd anywhere in the cube; the paper does not say.
        cw_steps: Steps of each descent of cw. Default: the paper's.
        cw_searches: Descents of cw, each with another weight. Default: foolbox's.
        cw_const: First weight of cw. Default: foolbox's.
        seed: Of the choice of images, the targets and the attacks.
        batch_size: Images in a pass.
        device: auto, cpu, cuda or mps.

    Raises:
        ValueError: A value out of its range; the message names the setting.
    """

    attacks: tuple[str, ...] = ("pgd",)
    images: int = 100
    targeted: bool = False
    preset: Literal["foolbox", "advertorch"] = "foolbox"
    max_pixels: int | None = None
    rounds: int | None = None
    generations: int | None = None
    pictures: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_attacks(self.attacks)
        least("images", self.images, 1)
        least("pictures", self.pictures, 0)
        for name in ("max_pixels", "rounds", "generations"):
            value = getattr(self, name)
            if value is not None:
                least(name, value, 1)

    def options(self, name: str) -> dict[str, Any]:
        """Settings of an attack, as `filterscope.attacks.attack` takes them.

        Examples:
            >>> AttackSettings(max_pixels=5).options("single-pixel")
            {'preset': 'foolbox', 'max_pixels': 5}
        """
        limits = {
            "single-pixel": "max_pixels", "local-search": "rounds", "one-pixel-de": "generations"
        }  # fmt: skip
        if name not in limits:
            return super().options(name)
        limit = getattr(self, limits[name])
        options = {} if name == "one-pixel-de" else {"preset": self.preset}
        return options if limit is None else {**options, limits[name]: limit}


@dataclass(frozen=True)
class DetectSettings(GradientSettings):
    """Settings of `detect_run`.

    Args:
        attacks: Whose samples are to be detected: fgsm, pgd, cw; they need foolbox (the extra
            attacks).
        per_class: Training images of each class that the detector learns from, one or several
            sizes; each gives a clean and an adversarial sample. Default: the paper's.
        test_per_class: Test images of each class that it is judged on. Default: the paper's.
        pool: Draw the training images of all repeats from so many of each class, which bounds the
            attacks' time. Default: from all.
        repeats: Times that other images are drawn and another detector trained. Default: the
            paper's.
        trees: Of the random forest; the paper prints no number.
        targeted: Lead each image to a wrong class drawn at random, as the paper does, not to any.
        rectify: Take the convolutions' outputs after a ReLU.
        transfer: Judge on each attack a detector that has learned the others alone, too.
        epsilon: Largest change of a pixel in [0, 1] of fgsm and pgd, as 8/255 or 0.03. Default:
            the paper's 0.031.
        pgd_steps: Steps of pgd. Default: the paper's.
        pgd_step_size: One step of pgd; the paper prints none.
        pgd_random_start: Start pgd anywhere in the cube; the paper does not say.
        cw_steps: Steps of each descent of cw. Default: the paper's.
        cw_searches: Descents of cw, each with another weight. Default: foolbox's.
        cw_const: First weight of cw. Default: foolbox's.
        seed: Of the choice of images, the targets, the attacks and the forests.
        batch_size: Images in a pass.
        device: auto, cpu, cuda or mps.

    Raises:
        ValueError: A value out of its range; the message names the setting.
    """

    attacks: tuple[str, ...] = GRADIENT_ATTACKS
    per_class: tuple[int, ...] = (500, 1000, 2000)
    test_per_class: int = 100
    pool: int | None = None
    repeats: int = 5
    trees: int = 100
    targeted: bool = True
    rectify: bool = False
    transfer: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_attacks(self.attacks, GRADIENT_ATTACKS)
        if not self.per_class or list(self.per_class) != sorted(set(self.per_class)):
            raise ValueError(f"`per_class` must be rising numbers, got {self.per_class}")
        least("per_class", self.per_class[0], 1)
        for name in ("test_per_class", "repeats", "trees"):
            least(name, getattr(self, name), 1)
        if self.pool is not None:
            least("pool", self.pool, self.per_class[-1])
