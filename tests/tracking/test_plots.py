from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from sklearn.metrics import average_precision_score, roc_auc_score

from gisearch.tracking.plot_axis import build_axis, merged_order, short_names
from gisearch.tracking.plot_predictions import interval_coverage
from gisearch.tracking.plots import (
    Curve,
    TrialPoint,
    choice_effects,
    learning_curves,
    parallel_coordinates,
    parameter_importance,
    predicted_against_true,
    save,
    score_against_cost,
    score_distribution_by_class,
)

PARAMS: list[dict[str, Any]] = [
    {"model.local.enabled": True, "model.local.layers": 2, "optimizer.lr": 1e-4},
    {"model.local.enabled": False, "optimizer.lr": 1e-2},
    {"model.local.enabled": True, "model.local.layers": 4, "optimizer.lr": 1e-3},
    {"model.local.enabled": False, "optimizer.lr": 3e-3},
    {"model.local.enabled": True, "model.local.layers": 2, "optimizer.lr": 1e-3},
    {"model.local.enabled": False, "optimizer.lr": 3e-3},
]
VALUES = [0.5, 0.1, 0.7, 0.2, 0.6, float("nan")]


def texts(figure: Any) -> str:
    import matplotlib.text

    return "\n".join(item.get_text() for item in figure.findobj(matplotlib.text.Text))


def marker_points(axes: Any, colour: str) -> list[tuple[float, float]]:
    wanted = mpl.colors.to_rgb(colour)
    return [
        (float(x), float(y))
        for item in axes.collections
        if isinstance(item, PathCollection)
        and len(item.get_facecolor())
        and tuple(item.get_facecolor()[0][:3]) == wanted
        for x, y in np.asarray(item.get_offsets())
    ]


def test_best_curve_is_named_and_endings_are_marked() -> None:
    curves = [
        Curve("trial 000", [1, 2, 3], [0.1, 0.6, 0.5], "finished"),
        Curve("trial 001", [1], [0.05], "stopped_early"),
        Curve("trial 002", [1, 2], [0.1, 0.9], "failed"),
    ]
    figure = learning_curves(curves, "val/pearson", "max", noise_ceiling=0.8)
    shown = texts(figure)
    assert "The best of 3 trials has val/pearson 0.600, at epoch 2" in shown
    assert "trial 000" in shown
    assert "noise ceiling 0.800" in shown
    assert "1 trial was stopped early" in shown
    axes = figure.axes[0]
    assert marker_points(axes, "#E69F00") == [(1.0, 0.05)]
    assert marker_points(axes, "#D55E00") == [(2.0, 0.9)]
    assert axes.get_ylim()[1] > 0.8


def test_lower_is_better_and_a_diverged_trial_does_not_flatten_the_rest() -> None:
    steps = list(range(60))
    curves = [Curve("a", steps, [1.0 - 0.01 * e for e in steps], "finished")]
    curves += [Curve("b", [*steps, 60], [*(1.0 for _ in steps), 1e6], "finished")]
    figure = learning_curves(curves, "val/loss", "min")
    assert "val/loss 0.410, at epoch 59" in texts(figure)
    assert figure.axes[0].get_ylim()[1] < 3


def test_inactive_parameter_stands_at_off_below_its_axis() -> None:
    axis = build_axis("layers", [2, None, 4], [True, False, True])
    assert axis.heights == (0.12, 0.0, 1.0)
    assert (0.0, "off") in axis.ticks
    assert [text for _, text in axis.ticks] == ["2", "3", "4", "off"]
    always = build_axis("layers", [2, 3, 4], [True] * 3)
    assert "off" not in [text for _, text in always.ticks]


def test_wide_ranges_are_logarithmic_and_choices_have_a_tick_each() -> None:
    lr = build_axis("lr", [1e-4, 1e-3, 1e-2], [True] * 3)
    assert lr.log
    assert lr.heights == pytest.approx((0.12, 0.56, 1.0))
    linear = build_axis("dropout", [0.0, 0.1, 0.2], [True] * 3)
    assert not linear.log
    assert linear.heights == pytest.approx((0.12, 0.56, 1.0))
    choice = build_axis("kind", ["sum", "mean", "sum"], [True] * 3)
    assert {text: height for height, text in choice.ticks} == {"mean": 0.12, "sum": 1.0}
    assert choice.heights == (1.0, 0.12, 1.0)


def test_parallel_coordinates_draw_one_line_per_result_and_emphasise_the_best() -> None:
    figure = parallel_coordinates(PARAMS, VALUES, "val/pearson", "max")
    axes = figure.axes[0]
    assert len(axes.patches) == 5
    widest = max(axes.patches, key=lambda patch: patch.get_linewidth())
    assert widest.get_path().vertices[-1][1] == pytest.approx(1.0)
    shown = texts(figure)
    assert "Best val/pearson 0.700: local.enabled true, layers 4, lr 0.001" in shown
    assert "off" in shown.split("\n")
    worst = parallel_coordinates(PARAMS, VALUES, "val/pearson", "min")
    assert "Best val/pearson 0.100" in texts(worst)


def test_conditional_parameters_stand_beside_their_condition() -> None:
    assert merged_order([["a", "c"], ["a", "b", "c"], ["a", "b2", "c"]]) == ["a", "b2", "b", "c"]
    assert short_names(["model.decoder.type", "model.encoder.type", "optimizer.lr"]) == {
        "model.decoder.type": "decoder.type",
        "model.encoder.type": "encoder.type",
        "optimizer.lr": "lr",
    }


def test_importance_is_sorted_and_the_title_names_the_first() -> None:
    figure = parameter_importance({"model.a": 0.1, "optimizer.lr": 0.7, "model.b": 0.2}, "val/pearson")
    assert "lr matters most: 70% of the variation of val/pearson" in texts(figure)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["model.a", "model.b", "optimizer.lr"]


def test_choice_effects_compare_medians_and_show_early_stops_hollow() -> None:
    params = [{"kind": "sum"}] * 3 + [{"kind": "mean"}] * 3 + [{}]
    values = [0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.9]
    figure = choice_effects(params, values, "val/pearson", "max", [True] + [False] * 6)
    shown = texts(figure)
    assert "kind makes the largest difference: mean leads by 0.400 in the median" in shown
    assert "Hollow: stopped early." in shown
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["mean\n(3)", "sum\n(3)", "off\n(1)"]
    assert marker_points(figure.axes[0], "white") == [pytest.approx((1.0, 0.1), abs=0.2)]


def plane(*trials: tuple[float, float, bool]) -> list[TrialPoint]:
    return [TrialPoint(f"t{i}", score, cost, front) for i, (score, cost, front) in enumerate(trials)]


def front_line(axes: Any) -> list[tuple[float, float]]:
    line = next(line for line in axes.lines if line.get_drawstyle() == "steps-post")
    return [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]


def test_the_front_is_a_line_at_the_best_score_within_a_cost() -> None:
    points = plane((0.9, 9000.0, True), (0.3, 100.0, True), (0.6, 900.0, True), (0.5, 4000.0, False))
    figure = score_against_cost(points, "val/pearson", "max", "parameters", noise_ceiling=0.95)
    axes = figure.axes[0]
    (low, high), (left, right) = axes.get_ylim(), axes.get_xlim()
    assert front_line(axes) == [(100, low), (100, 0.3), (900, 0.6), (9000, 0.9), (right, 0.9)]
    assert sorted(marker_points(axes, "#0072B2")) == [(100, 0.3), (900, 0.6), (9000, 0.9)]
    assert marker_points(axes, "#B9BEC4") == [(4000, 0.5)]
    assert axes.get_xscale() == "log"
    assert left < 100
    assert low < 0.3
    assert high > 0.95
    shown = texts(figure)
    conclusion = "t0 reaches val/pearson 0.900 with 9,000 parameters; the cheapest, t1, 0.300 with 100"
    assert conclusion in shown.replace("\n", " ")
    assert {"t0", "t1", "t2", "t3", "noise ceiling 0.950"} <= set(shown.split("\n"))
    assert "Left out" not in shown


def test_a_cheaper_trial_that_is_nearly_as_good_is_named() -> None:
    others = [(1e6, 90.0, False), *[(0.8, 70.0 + i, False) for i in range(6)]]
    points = plane((0.30, 80.0, True), (0.31, 40.0, True), (0.9, 20.0, True), *others)
    figure = score_against_cost(points, "val/rmse", "min", "seconds")
    axes = figure.axes[0]
    shown = texts(figure).replace("\n", " ")
    assert "t0 reaches val/rmse 0.300 in 80 seconds; t1 is 2 times cheaper and loses 0.010" in shown
    assert axes.get_xscale() == "linear"
    assert "Left out: 1 far above." in shown
    assert axes.get_ylim()[1] < 2
    assert front_line(axes)[0] == (20.0, axes.get_ylim()[1])


def test_a_trial_without_cost_stands_at_zero_of_a_logarithmic_axis() -> None:
    points = plane((0.9, 2e6, True), (0.3, 0.0, True), (0.6, 5000.0, True))
    figure = score_against_cost(points, "val/pearson", "max", "parameters")
    figure.draw_without_rendering()
    assert figure.axes[0].get_xscale() == "symlog"
    assert {"0", "10k", "100k", "1M"} <= {label.get_text() for label in figure.axes[0].get_xticklabels()}
    shown = texts(figure).replace("\n", " ")
    assert "t0 reaches val/pearson 0.900 with 2M parameters; the cheapest, t1, 0.300 with 0" in shown


def test_one_trial_that_is_best_and_cheapest() -> None:
    points = plane((0.9, 10.0, True), (0.8, 20.0, False), (0.7, 30.0, False))
    shown = texts(score_against_cost(points, "val/pearson", "max", "seconds"))
    assert "t0 is the best and the cheapest of 3 trials: val/pearson 0.900 in 10 seconds" in shown


def test_labels_of_trials_do_not_cover_each_other() -> None:
    rng = np.random.default_rng(0)
    points = plane(*((float(s), float(c), False) for s, c in rng.uniform(1, 2, (80, 2))), (3.0, 0.9, True))
    figure = score_against_cost(points, "val/pearson", "max", "seconds")
    figure.canvas.draw()
    boxes = [t.get_window_extent() for t in figure.axes[0].texts if t.get_text().startswith("t")]
    assert len(boxes) > 20
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_predictions_report_fit_and_coverage() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=400)
    predicted = 0.5 * true
    figure = predicted_against_true(
        [*true, np.nan], [*predicted, 1.0], "Pearson 1.00", label="fitness", std=np.full(401, 10.0)
    )
    shown = texts(figure)
    assert "slope 0.50" in shown
    assert "100% of the measurements lie within" in shown
    assert figure.axes[0].get_xlabel() == "measured fitness"
    assert figure.axes[0].get_xlim() == figure.axes[0].get_ylim()


def test_interval_coverage_counts_what_lies_within() -> None:
    """Errors of 0.5, 1 and 2 standard deviations: within the central 38 %, 68 % and 95 %."""
    figure = interval_coverage([0.5, 2.0, 4.0, np.nan], [0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 2.0, 1.0])
    shown = texts(figure)
    assert "67% of the measurements lie within their 90 % interval" in shown
    assert "33% lie within their 50 % interval, of 3." in shown
    nominal, share = figure.axes[0].lines[1].get_data()
    np.testing.assert_allclose(nominal[1:-1], [0.3829, 0.6827, 0.9545], atol=1e-4)
    np.testing.assert_allclose(share[1:-1], [1 / 3, 2 / 3, 1.0])


def test_areas_agree_with_scikit_learn_ties_included() -> None:
    rng = np.random.default_rng(1)
    true = (rng.random(500) < 0.3).astype(float)
    score = np.round(np.clip(0.3 * true + rng.random(500) * 0.6, 0, 1), 1)
    shown = texts(score_distribution_by_class(true, score, label="strong negative interaction"))
    assert f"ROC, area {roc_auc_score(true, score):.3f}" in shown
    assert f"precision, average {average_precision_score(true, score):.3f}" in shown


@pytest.mark.parametrize(
    "figure",
    [
        lambda: learning_curves([], "val/pearson", "max"),
        lambda: learning_curves([Curve("a", [0], [float("nan")], "failed")], "val/pearson", "max"),
        lambda: parallel_coordinates([{"a": 1}], [float("nan")], "val/pearson", "max"),
        lambda: parameter_importance({}),
        lambda: choice_effects([{"a": "x"}], [1.0], "val/pearson", "max"),
        lambda: score_against_cost([], "val/pearson", "max", "seconds"),
        lambda: predicted_against_true([np.nan], [1.0], "Pearson"),
        lambda: interval_coverage([1.0], [1.0], [0.0]),
        lambda: score_distribution_by_class([1, 1], [0.2, 0.3]),
    ],
)
def test_figures_without_data_say_why(figure: Any) -> None:
    shown = texts(figure())
    assert any(word in shown for word in ("No ", "Too few", "Nothing", "Only one class"))


@pytest.mark.parametrize(
    "figure",
    [
        lambda: learning_curves([Curve("a", [3], [0.5], "finished")], "val/pearson", "max"),
        lambda: parallel_coordinates([{"a": 1}], [0.5], "val/pearson", "max"),
        lambda: choice_effects(PARAMS, VALUES, "val/pearson", "max"),
        lambda: score_against_cost(plane((0.5, 0.0, True)), "val/pearson", "max", "parameters"),
        lambda: score_against_cost(plane(*[(0.5, 3.0, True)] * 200), "val/pearson", "max", "parameters"),
        lambda: predicted_against_true([1.0], [1.0], "one point", std=[0.1]),
        lambda: predicted_against_true(np.arange(5000.0), np.arange(5000.0), "many points"),
    ],
)
def test_extreme_sizes_are_drawn_and_saved_as_png(figure: Any, tmp_path: Path) -> None:
    path = save(figure(), tmp_path / "plots" / "figure.png")
    head = path.read_bytes()[:8]
    assert head == b"\x89PNG\r\n\x1a\n"


def test_the_same_data_give_the_same_file(tmp_path: Path) -> None:
    files = [
        save(choice_effects(PARAMS, VALUES, "val/pearson", "max"), tmp_path / name).read_bytes()
        for name in "ab"
    ]
    assert files[0] == files[1]


def test_global_state_is_left_alone() -> None:
    before = dict(mpl.rcParams)
    parameter_importance({"a": 1.0})
    assert dict(mpl.rcParams) == before
    code = (
        "import sys; from gisearch.tracking.plots import parameter_importance;"
        "print('matplotlib' in sys.modules); parameter_importance({'a': 1.0});"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
