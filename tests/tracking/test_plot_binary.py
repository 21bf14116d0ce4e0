from __future__ import annotations

from typing import Any

import matplotlib.text
import numpy as np
import pytest

from gisearch.tracking.plot_binary import reliability, wilson_interval


def texts(figure: Any) -> str:
    return "\n".join(item.get_text() for item in figure.findobj(matplotlib.text.Text))


def points(figure: Any) -> Any:
    """Return the plotted groups as (predicted, share)."""
    return figure.axes[0].lines[1].get_xydata()


def test_probabilities_that_are_frequencies_lie_on_the_diagonal() -> None:
    score = np.repeat([0.2, 0.8], 50)
    true = np.r_[np.ones(10), np.zeros(40), np.ones(40), np.zeros(10)]
    order = np.random.default_rng(0).permutation(100)
    # Two groups of equal predictions that ten groups of ten divide further.
    figure = reliability(true[order], score[order])
    found = points(figure)
    assert len(found) == 10
    assert found[:5, 1].mean() == pytest.approx(0.2)
    assert found[5:, 1].mean() == pytest.approx(0.8)


def test_the_error_is_the_mean_distance() -> None:
    # One group of 19: predicted 0.9, true in 9 of 18 measured; a missing measurement does not count.
    true = np.r_[np.ones(9), np.zeros(9), np.nan]
    figure = reliability(true, np.full(19, 0.9), label="sick")
    assert points(figure).tolist() == [[pytest.approx(0.9), 0.5]]
    assert "off by 0.400 on average" in texts(figure)
    assert "predicted probability of sick" in texts(figure)
    assert "Nothing was both measured and predicted." in texts(reliability([np.nan], [0.5]))


def test_wilson_interval() -> None:
    low, high = wilson_interval(np.array([0.5, 0.0]), np.array([100, 10]))
    assert low == pytest.approx([0.4038, 0.0], abs=1e-4)
    assert high == pytest.approx([0.5962, 0.2775], abs=1e-4)
