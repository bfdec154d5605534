"""The demo as a newcomer meets it, and the claim that it makes."""

import json
from pathlib import Path

import pytest

from filterscope.cli import main
from filterscope.studies import demo, run_demo
from filterscope.training import TrainSettings, preset


@pytest.mark.slow
@pytest.mark.usefixtures("few_gradient_maps")
def test_the_demo_trains_compares_and_names_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short = {"epochs": 2, "warmup": 1, "limit": 200, "limit_test": 60}
    monkeypatch.setattr(demo, "preset", lambda *names: {**preset(*names), **short})
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--seeds", "2"]) == 0
    shown = capsys.readouterr().out
    assert "gated - standard" in shown
    assert "2 seeds" in shown
    assert shown.strip().endswith(f"open {out / 'report.html'}")
    names = {path.name for path in out.iterdir()}
    assert names == {"standard-s0", "standard-s1", "gated-s0", "gated-s1", "report.html"}
    for name in names - {"report.html"}:
        assert (out / name / "report.html").exists()
    assert main(["demo", "--out", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_the_demo_uses_its_preset_on_both_sides() -> None:
    gated, standard = (TrainSettings(**preset("csg-digits", m)) for m in ("gated", "standard"))
    differing = {k for k, v in gated.to_dict().items() if standard.to_dict()[k] != v}
    assert differing == {"method"}


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_gated_filters_are_more_class_specific_in_every_seed(tmp_path: Path) -> None:
    comparison, _ = run_demo(tmp_path / "demo", seeds=3, progress=False)
    gated = next(side for side in comparison.sides if side.values("density"))
    assert comparison.sides[1] is gated
    mis, accuracy = (comparison.difference(gated, name) for name in ("mis", "accuracy"))
    assert mis is not None
    assert accuracy is not None
    assert min(mis.each) > 0
    assert mis.mean >= 0.01
    assert abs(accuracy.mean) <= 0.01
    for run, density in zip(gated.runs, gated.values("density"), strict=True):
        low, high = json.loads((run.path / "evaluation.json").read_text())["metrics"][
            "density_interval"
        ]
        assert low - 1e-6 <= density <= high + 1e-4  # what Adam's last step leaves
