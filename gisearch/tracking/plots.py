"""Every figure of a sweep, from plain data.

Each function returns a matplotlib figure; :func:`save` writes it as PNG.
"""

from gisearch.tracking.plot_binary import reliability, score_distribution_by_class
from gisearch.tracking.plot_curves import Curve, learning_curves
from gisearch.tracking.plot_ensemble import selection_paths
from gisearch.tracking.plot_parallel import parallel_coordinates
from gisearch.tracking.plot_parameters import choice_effects, parameter_importance
from gisearch.tracking.plot_pareto import TrialPoint, score_against_cost
from gisearch.tracking.plot_predictions import interval_coverage, predicted_against_true
from gisearch.tracking.plot_style import save, take_words
from gisearch.tracking.plot_svg import svg

__all__ = [
    "Curve",
    "TrialPoint",
    "choice_effects",
    "interval_coverage",
    "learning_curves",
    "parallel_coordinates",
    "parameter_importance",
    "predicted_against_true",
    "reliability",
    "save",
    "score_against_cost",
    "score_distribution_by_class",
    "selection_paths",
    "svg",
    "take_words",
]
