"""Metrics as people read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from filterscope.core.text_tables import aligned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filterscope.report.comparison import Comparison, Difference, Side

SUMMARY = "Summary"
CLASSES = "Filters and their classes"
CORRELATION = "Correlation of the filters, in numbers"
LOCALISATION = "Where the filters look"
PARTS = "Filters and the parts of the object"


@dataclass(frozen=True)
class Metric:
    """How a metric is shown.

    Attributes:
        key: Its name in ``evaluation.json``.
        name: Its name for people.
        meaning: One sentence.
        kind: "share" is shown in per cent and its differences in points.
        is_level: A chance level or bound, whose difference between sides says nothing.
        group: Heading of the table that it stands in.
    """

    key: str
    name: str
    meaning: str
    kind: Literal["share", "number", "count"] = "number"
    is_level: bool = False
    group: str = SUMMARY

    def show(self, value: float) -> str:
        """A value, as in 99.44 % or 0.2329."""
        if self.kind == "share":
            return f"{100 * value:.2f}\u00a0%"
        return f"{value:.0f}" if self.kind == "count" and value == round(value) else f"{value:.4f}"

    def show_spread(self, value: float) -> str:
        """A spread, without its unit."""
        return f"{100 * value:.2f}" if self.kind == "share" else f"{value:.4f}"

    def show_difference(self, value: float) -> str:
        """A signed difference."""
        if self.kind == "share":
            return f"{100 * value:+.2f} points"
        whole = self.kind == "count" and value == round(value)
        return f"{value:+.0f}" if whole else f"{value:+.4f}"


METRICS = [
    Metric("accuracy", "accuracy", "Correct answers on the standard path, test images.", "share"),
    Metric("mis", "MIS", "Mutual-information score: what the average filter knows about its best "
           "class, in nats. Higher is more class-specific."),
    Metric("mis_floor", "MIS by chance", "The same with permuted labels: its noise floor.",
           is_level=True),
    Metric("mis_bound", "MIS at most", "The entropy of a class: no filter can know more.",
           is_level=True),
    Metric("density", "L1-density", "Mean entry of the gate. 1 / classes: each filter serves one."),
    Metric("gated_accuracy", "gated accuracy", "Correct answers on the gated path, which is told "
           "the label: a diagnosis, never a result.", "share"),
    Metric("gap", "gated minus standard", "How much the label leaks through the gate.", "share"),
    Metric("overlap_argmax", "class of gate = class of MI", "Filters whose class of largest MI is "
           "their class in the gate.", "share"),
    Metric("overlap_argmax_chance", "the same by chance", "1 / classes.", "share", is_level=True),
    Metric("overlap_jaccard", "overlap of gate and MI", "Jaccard index of the open gate entries "
           "and as many largest MI entries."),
    Metric("overlap_jaccard_chance", "the same by chance", "With the gate's columns permuted.",
           is_level=True),
    Metric("dead_filters", "dead filters", "Filters that give the same value on every image.",
           "count"),
    Metric("removal_gate_removed_drop", "recall lost without a class's filters, by the class",
           "The filters that the gate opens for a class are removed; a mean over classes.",
           "share", group=CLASSES),
    Metric("removal_gate_others_drop", "the same, by the other classes",
           "Small when the filters serve their class alone.", "share", group=CLASSES),
    Metric("removal_activation_removed_drop", "recall lost without the strongest tenth, by the "
           "class", "The tenth of the filters with the largest mean activation on the class.",
           "share", group=CLASSES),
    Metric("removal_activation_others_drop", "the same, by the other classes",
           "Small when the filters serve their class alone.", "share", group=CLASSES),
    Metric("contribution_open", "what speaks for a class, through filters open for it",
           "Share of the positive contributions to the class's logit, in the network frozen at "
           "each of the class's images; a mean over classes.", "share", group=CLASSES),
    Metric("contribution_open_chance", "the same by chance", "Share of open filters.", "share",
           True, CLASSES),
    Metric("contribution_auc", "open filters contribute more than closed ones", "How often one "
           "open for a class contributes more to its logit than a closed one (ROC AUC).",
           "share", group=CLASSES),
    Metric("contribution_auc_chance", "the same by chance", "One half.", "share", True, CLASSES),
    Metric("contribution_cosine", "cosine of contributions and gate rows", "", group=CLASSES),
    Metric("contribution_cosine_chance", "the same by chance", "With the filters in random order.",
           is_level=True, group=CLASSES),
    Metric("similarity_tp_diagonal", "classes most similar to their gate row, right answers",
           "Cosine of mean features and gate rows.", "share", group=CLASSES),
    Metric("similarity_fn_diagonal", "the same, wrong answers",
           "Classes without a wrong answer are left out.", "share", group=CLASSES),
    Metric("similarity_chance", "the same by chance", "1 / classes.", "share", True, CLASSES),
    Metric("cluster_cosine", "k-means centres against gate rows",
           "Mean cosine after the best matching.", group=CLASSES),
    Metric("cluster_cosine_chance", "the same by chance", "With the gate's columns permuted.",
           is_level=True, group=CLASSES),
    Metric("entanglement", "entanglement Phi", "Cross entropy that the best gate for the frozen "
           "network reaches on the gated path. Lower is more class-specific.", group=CLASSES),
    Metric("entanglement_chance", "Phi with permuted labels", "The gated path is told the label: "
           "even these it fits better than no gate would.", is_level=True, group=CLASSES),
    Metric("entanglement_ideal", "entanglement Phi_0", "The same with each filter given to one "
           "class.", group=CLASSES),
    Metric("redundancy_0_1", "redundancy r(0.1)", "Filter pairs with correlation of at least 0.1, "
           "the diagonal counted as in the paper.", group=CORRELATION),
    Metric("inter_class_correlation", "inter-class correlation", "Mean correlation between the "
           "strongest filters of different classes.", group=CORRELATION),
    Metric("block_ratio", "correlation within classes over between", "Mean absolute correlation "
           "of filters of one class over that of filters of different classes.",
           group=CORRELATION),
    Metric("block_ratio_chance", "the same by chance", "With random groups of the same sizes.",
           is_level=True, group=CORRELATION),
    Metric("alignment_own", "filter in its class's input subspace", "Share of a filter's length "
           "that lies in the principal components of the patches of its class.", "share",
           group=CORRELATION),
    Metric("alignment_others", "the same, other classes", "", "share", group=CORRELATION),
    Metric("activmap_iou", "activation maps, mean IoU", "Largest 30 % of a filter's activations "
           "against the object's mask, on the class it finds best.", group=LOCALISATION),
    Metric("activmap_ap30", "activation maps, AP30", "Images with an IoU above 0.3.", "share",
           group=LOCALISATION),
    Metric("gradmap_iou", "gradient maps, mean IoU", "The strongest filters of the image's class.",
           group=LOCALISATION),
    Metric("gradmap_ap20", "gradient maps, AP20", "Images with a mean IoU of at least 0.2.",
           "share", group=LOCALISATION),
    Metric("gradmap_paper_iou", "the same, each filter on its focus class, mean IoU",
           "The reading of the paper's text; above, that of its code.", group=LOCALISATION),
    Metric("gradmap_paper_ap20", "the same, AP20", "", "share", group=LOCALISATION),
    Metric("cam_iou", "class activation maps, mean IoU", "Largest 30 % of the map of the true "
           "class.", group=LOCALISATION),
    Metric("cam_ap30", "class activation maps, AP30", "Images with an IoU above 0.3.", "share",
           group=LOCALISATION),
    Metric("chance_full_iou", "all-ones mask, IoU", "The object's share of the area.",
           is_level=True, group=LOCALISATION),
    Metric("chance_full_ap30", "all-ones mask, AP30", "", "share", True, LOCALISATION),
    Metric("chance_box_iou", "centred box, IoU", "As large as the mean object.", is_level=True,
           group=LOCALISATION),
    Metric("chance_box_ap30", "centred box, AP30", "", "share", True, LOCALISATION),
    Metric("instability", "location instability", "How much the distance of a filter's peak from a "
           "part varies over test images, in diagonals of the image. Lower is steadier; read it "
           "beside the next three.", group=PARTS),
    Metric("instability_centre_unit", "the same, a filter that peaks in the middle, always",
           "Knows nothing of the image.", is_level=True, group=PARTS),
    Metric("instability_fixed_unit", "the same, a filter that peaks at one unit, always",
           "A mean over all units.", is_level=True, group=PARTS),
    Metric("instability_random_unit", "the same, a filter that peaks anywhere", "", is_level=True,
           group=PARTS),
    Metric("instability_official", "location instability, training images too",
           "As the authors measure it.", group=PARTS),
    Metric("instability_masked", "location instability behind the mask",
           "A mask moves peaks towards its centre, whatever was learned.", group=PARTS),
    Metric("peak_spread", "spread of a filter's peaks", "In diagonals of the image; 0 for a filter "
           "that looks at one place whatever is there.", group=PARTS),
    Metric("peak_spread_random_unit", "the same, a filter that peaks anywhere", "", is_level=True,
           group=PARTS),
    Metric("peak_units", "distinct peak units of a filter", "Among its strongest images.",
           "count", group=PARTS),
    Metric("peak_units_random_unit", "the same, a filter that peaks anywhere", "", "count", True,
           PARTS),
    Metric("part_interpretability", "part interpretability", "Images on which a filter covers its "
           "best part; a disc around the landmark stands for the part.", "share", group=PARTS),
    Metric("part_interpretability_centre_unit", "the same, the middle, always", "", "share", True,
           PARTS),
    Metric("part_interpretability_fixed_unit", "the same, one unit, always", "", "share", True,
           PARTS),
    Metric("part_interpretability_random_unit", "the same, any unit", "", "share", True, PARTS),
    Metric("activmap_degenerate", "filters with a degenerate threshold", "Silent on more than 70 % "
           "of the positions: their mask is all ones.", "count", group=LOCALISATION),
]  # fmt: skip

_NEAR = 0.005  # a penalty holds a gate near its bound, not below it

BY_KEY = {metric.key: metric for metric in METRICS}


def show_side(side: Side, metric: Metric) -> str:
    """A side's value with its spread, or a dash."""
    mean, spread = side.mean(metric.key), side.spread(metric.key)
    if mean is None:
        return "-"
    shown = metric.show(mean)
    if spread is None or metric.kind == "count":
        return shown
    return f"{shown} ± {metric.show_spread(spread)}"


def show_difference(difference: Difference | None, metric: Metric) -> str:
    """A difference with the number of seeds in which it has its sign, or a dash."""
    if difference is None:
        return "-"
    shown = metric.show_difference(difference.mean)
    if len(difference.each) > 1 and difference.mean:
        same = sum(value * difference.mean > 0 for value in difference.each)
        shown += f" ({same} of {len(difference.each)} seeds)"
    return shown


def density_interval(side: Side) -> str:
    """Where the side's density lies to the interval that is aimed at: "in", or "above"."""
    metrics = (side.runs[0].evaluation or {}).get("metrics", {})
    interval = metrics.get("density_interval")
    if interval is None:
        return ""
    above = (side.mean("density") or 0.0) > interval[1] + _NEAR
    return f" {'above' if above else 'in'} [{interval[0]:.3g}, {interval[1]:.3g}]"


def text_table(comparison: Comparison) -> str:
    """The numbers that matter most, one row a side, for the console."""
    first = comparison.sides[0]
    floor, bound = (_levels(comparison.sides, key) for key in ("mis_floor", "mis_bound"))
    head = ["", "accuracy", f"MIS (floor {floor}, bound {bound})", "density"]
    rows = [head]
    for side in comparison.sides:
        settings = (side.runs[0].evaluation or {}).get("settings", {})
        seeds = f", {len(side.runs)} seeds" if len(side.runs) > 1 else ""
        rows.append(
            [
                side.label,
                f"{show_side(side, BY_KEY['accuracy'])}  n={settings.get('num_samples')}{seeds}",
                show_side(side, BY_KEY["mis"]),
                show_side(side, BY_KEY["density"]) + density_interval(side),
            ]
        )
    for side in comparison.sides[1:]:
        cells = [
            show_difference(comparison.difference(side, key), BY_KEY[key])
            for key in ("accuracy", "mis")
        ]
        rows.append([f"{side.label} - {first.label}", *cells, ""])
    warnings = [f"warning: {warning}" for warning in comparison.warnings]
    return "\n".join([*aligned(rows), *_part_lines(comparison), *warnings])


def _levels(sides: Sequence[Side], key: str) -> str:
    """A level of every side in their order, once where all have the same."""
    shown = [f"{side.mean(key) or 0.0:.4f}" for side in sides]
    return shown[0] if len(set(shown)) == 1 else " / ".join(shown)


def _part_lines(comparison: Comparison) -> list[str]:
    """Location instability beside its chance levels, for data with landmarks."""
    if not any(side.values("instability") for side in comparison.sides):
        return []
    shown = {
        "instability": "location instability",
        "instability_centre_unit": "middle unit",
        "instability_fixed_unit": "fixed unit",
        "instability_random_unit": "random unit",
        "peak_spread": "spread of peaks",
        "peak_units": "distinct units",
    }
    from filterscope.report.pareto import MARK, SteadyAndRight

    found = SteadyAndRight.of(comparison)
    rows = [["", *shown.values()]]
    for side in comparison.sides:
        mark = f" {MARK}" if found is not None and side.label in found.labels else ""
        rows.append([side.label + mark, *[show_side(side, BY_KEY[key]) for key in shown]])
    return ["", *aligned(rows), *([] if found is None else [f"{MARK} {found.legend}"])]
