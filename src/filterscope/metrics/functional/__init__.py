"""Pure functions behind the metrics. Matrices over classes and filters are (C, K)."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.metrics.functional._landmarks import peak_units
    from filterscope.metrics.functional.agreement import GateAgreement, gate_agreement
    from filterscope.metrics.functional.class_means import class_mean_features
    from filterscope.metrics.functional.clusters import ClusterCentres, cluster_centres
    from filterscope.metrics.functional.correlation import (
        class_groups,
        filter_correlation,
        inter_class_correlation,
        redundancy,
    )
    from filterscope.metrics.functional.correlation_blocks import BlockRatio, block_ratio
    from filterscope.metrics.functional.entanglement import Entanglement, filter_class_entanglement
    from filterscope.metrics.functional.filter_removal import (
        RemovalEffect,
        confusion_matrix,
        gate_filters,
        masked_confusion,
        removal_effect,
        strongest_filters,
    )
    from filterscope.metrics.functional.gate import (
        GateStatistics,
        Overlap,
        gate_mi_overlap,
        gate_statistics,
        strongest_elements,
    )
    from filterscope.metrics.functional.instability import (
        CategoryInstability,
        Instability,
        InstabilityChance,
        instability_of_peaks,
        instability_over_categories,
        location_instability,
    )
    from filterscope.metrics.functional.interpretability import (
        Interpretability,
        InterpretabilityChance,
        part_interpretability,
    )
    from filterscope.metrics.functional.localization import (
        activation_localization,
        activation_thresholds,
        binary_iou,
        gradient_localization,
        map_localization,
    )
    from filterscope.metrics.functional.localization_baseline import (
        LocalizationChance,
        localization_chance,
    )
    from filterscope.metrics.functional.localization_result import (
        ImageLocalization,
        Localization,
    )
    from filterscope.metrics.functional.mutual_information import (
        mutual_information_bound,
        mutual_information_floor,
        mutual_information_matrix,
        mutual_information_score,
    )
    from filterscope.metrics.functional.psnr import peak_signal_noise_ratio
    from filterscope.metrics.functional.similarity import (
        GateSimilarity,
        gate_similarity,
        pair_rank,
    )
    from filterscope.metrics.functional.subspace import (
        SubspaceAlignment,
        alignment_contrast,
        class_subspace_alignment,
        patch_moments,
    )

__all__ = [
    "BlockRatio",
    "CategoryInstability",
    "ClusterCentres",
    "Entanglement",
    "GateAgreement",
    "GateSimilarity",
    "GateStatistics",
    "ImageLocalization",
    "Instability",
    "InstabilityChance",
    "Interpretability",
    "InterpretabilityChance",
    "Localization",
    "LocalizationChance",
    "Overlap",
    "RemovalEffect",
    "SubspaceAlignment",
    "activation_localization",
    "activation_thresholds",
    "alignment_contrast",
    "binary_iou",
    "block_ratio",
    "class_groups",
    "class_mean_features",
    "class_subspace_alignment",
    "cluster_centres",
    "confusion_matrix",
    "filter_class_entanglement",
    "filter_correlation",
    "gate_agreement",
    "gate_filters",
    "gate_mi_overlap",
    "gate_similarity",
    "gate_statistics",
    "gradient_localization",
    "instability_of_peaks",
    "instability_over_categories",
    "inter_class_correlation",
    "localization_chance",
    "location_instability",
    "map_localization",
    "masked_confusion",
    "mutual_information_bound",
    "mutual_information_floor",
    "mutual_information_matrix",
    "mutual_information_score",
    "pair_rank",
    "part_interpretability",
    "patch_moments",
    "peak_signal_noise_ratio",
    "peak_units",
    "redundancy",
    "removal_effect",
    "strongest_elements",
    "strongest_filters",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "BlockRatio": f"{__name__}.correlation_blocks",
        "CategoryInstability": f"{__name__}.instability",
        "ClusterCentres": f"{__name__}.clusters",
        "Entanglement": f"{__name__}.entanglement",
        "GateAgreement": f"{__name__}.agreement",
        "GateSimilarity": f"{__name__}.similarity",
        "GateStatistics": f"{__name__}.gate",
        "ImageLocalization": f"{__name__}.localization_result",
        "Instability": f"{__name__}.instability",
        "InstabilityChance": f"{__name__}.instability",
        "Interpretability": f"{__name__}.interpretability",
        "InterpretabilityChance": f"{__name__}.interpretability",
        "Localization": f"{__name__}.localization_result",
        "LocalizationChance": f"{__name__}.localization_baseline",
        "Overlap": f"{__name__}.gate",
        "RemovalEffect": f"{__name__}.filter_removal",
        "SubspaceAlignment": f"{__name__}.subspace",
        "activation_localization": f"{__name__}.localization",
        "activation_thresholds": f"{__name__}.localization",
        "alignment_contrast": f"{__name__}.subspace",
        "binary_iou": f"{__name__}.localization",
        "block_ratio": f"{__name__}.correlation_blocks",
        "class_groups": f"{__name__}.correlation",
        "class_mean_features": f"{__name__}.class_means",
        "class_subspace_alignment": f"{__name__}.subspace",
        "cluster_centres": f"{__name__}.clusters",
        "confusion_matrix": f"{__name__}.filter_removal",
        "filter_class_entanglement": f"{__name__}.entanglement",
        "filter_correlation": f"{__name__}.correlation",
        "gate_agreement": f"{__name__}.agreement",
        "gate_filters": f"{__name__}.filter_removal",
        "gate_mi_overlap": f"{__name__}.gate",
        "gate_similarity": f"{__name__}.similarity",
        "gate_statistics": f"{__name__}.gate",
        "gradient_localization": f"{__name__}.localization",
        "instability_of_peaks": f"{__name__}.instability",
        "instability_over_categories": f"{__name__}.instability",
        "inter_class_correlation": f"{__name__}.correlation",
        "localization_chance": f"{__name__}.localization_baseline",
        "location_instability": f"{__name__}.instability",
        "map_localization": f"{__name__}.localization",
        "masked_confusion": f"{__name__}.filter_removal",
        "mutual_information_bound": f"{__name__}.mutual_information",
        "mutual_information_floor": f"{__name__}.mutual_information",
        "mutual_information_matrix": f"{__name__}.mutual_information",
        "mutual_information_score": f"{__name__}.mutual_information",
        "pair_rank": f"{__name__}.similarity",
        "part_interpretability": f"{__name__}.interpretability",
        "patch_moments": f"{__name__}.subspace",
        "peak_signal_noise_ratio": f"{__name__}.psnr",
        "peak_units": f"{__name__}._landmarks",
        "redundancy": f"{__name__}.correlation",
        "removal_effect": f"{__name__}.filter_removal",
        "strongest_elements": f"{__name__}.gate",
        "strongest_filters": f"{__name__}.filter_removal",
    },
)
