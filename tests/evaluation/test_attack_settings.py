"""Settings of attacks and detectors: defaults of the paper, and what is refused."""

import pytest

from filterscope.evaluation import AttackSettings, DetectSettings


def test_the_defaults_are_the_papers() -> None:
    settings = DetectSettings()
    assert settings.attacks == ("fgsm", "pgd", "cw")
    assert settings.per_class == (500, 1000, 2000)
    assert (settings.test_per_class, settings.repeats, settings.targeted) == (100, 5, True)
    assert settings.options("fgsm") == {"epsilon": 8 / 255}
    pgd = settings.options("pgd")
    assert (pgd["epsilon"], pgd["steps"], pgd["step_size"]) == (8 / 255, 7, 2 / 255)
    assert settings.options("cw")["steps"] == 100
    attacks = AttackSettings(max_pixels=3)
    assert (attacks.images, attacks.targeted, attacks.preset) == (100, False, "foolbox")
    assert attacks.options("local-search") == {"preset": "foolbox"}
    assert attacks.options("single-pixel") == {"preset": "foolbox", "max_pixels": 3}
    assert attacks.options("one-pixel-de") == {}
    assert AttackSettings(generations=7).options("one-pixel-de") == {"generations": 7}


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (AttackSettings, {"attacks": ()}, "`attacks` must name attacks"),
        (AttackSettings, {"attacks": ("pgd", "pgd")}, "`attacks` must name attacks, each once"),
        (AttackSettings, {"images": 0}, "`images` must be at least 1, got 0"),
        (AttackSettings, {"rounds": 0}, "`rounds` must be at least 1"),
        (AttackSettings, {"generations": 0}, "`generations` must be at least 1"),
        (AttackSettings, {"pictures": -1}, "`pictures` must be at least 0"),
        (AttackSettings, {"epsilon": "8/0"}, "`epsilon` must be a number or fraction"),
        (AttackSettings, {"epsilon": 8}, r"`epsilon` must lie in \(0, 1\], got 8"),
        (AttackSettings, {"pgd_step_size": 0.0}, "`pgd_step_size` must lie"),
        (AttackSettings, {"cw_const": 0.0}, "`cw_const` must be above 0"),
        (AttackSettings, {"cw_const": float("inf")}, "`cw_const` must be above 0 and finite"),
        (AttackSettings, {"seed": -1}, "`seed` must be at least 0"),
        (DetectSettings, {"attacks": ("single-pixel",)}, "`attacks` must be among fgsm, pgd, cw"),
        (DetectSettings, {"per_class": ()}, "`per_class` must be rising"),
        (DetectSettings, {"per_class": (20, 10)}, "`per_class` must be rising"),
        (DetectSettings, {"per_class": (0, 10)}, "`per_class` must be at least 1"),
        (DetectSettings, {"per_class": (5,), "pool": 4}, "`pool` must be at least 5, got 4"),
        (DetectSettings, {"repeats": 0}, "`repeats` must be at least 1"),
        (DetectSettings, {"trees": 0}, "`trees` must be at least 1"),
    ],
)
def test_bad_input(kind, change, message) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**change)
