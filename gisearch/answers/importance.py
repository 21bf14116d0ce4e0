"""How much of the score each searched parameter decides: functional ANOVA, conditional parameters included.

A random forest learns the score from the trials' configurations. Its mean over all other parameters, as a
function of one, is that one's marginal; the marginal's variance over the forest's is the parameter's
importance (Hutter, Hoos and Leyton-Brown 2014, An efficient approach for assessing hyperparameter
importance, ICML). Two things differ from the paper, so that conditional parameters are treated rightly:

* Averages are taken over the search space as it is: configurations are drawn in the order of its conditions,
  so that a parameter that does not exist has no value, which the forest sees as a level of its own. Setting a
  parameter to a value brings the parameters that exist for this value, and takes away the others.
* The marginal of a conditional parameter is taken over the region where it exists. Its ``within`` is its
  share of the variance there; its ``share`` is the part of the whole variance that this amounts to, the
  region's probability included. Shares add up to at most 1; the rest lies in combinations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gisearch.answers.space_codes import SpaceCodes
from gisearch.search.space import SearchSpace
from gisearch.seeding import child_generator, child_seed

if TYPE_CHECKING:
    from gisearch.search.results import SweepResults

# With fewer trials than this the forest has next to nothing to tell a dozen parameters apart by.
ENOUGH_TRIALS = 20
_LEAST_TRIALS = 5
# Out-of-bag R2 below which the forest does not know the space.
_KNOWS_LITTLE = 0.2
_DRAWS_LOG2 = 11
_GROUPS = 8
_TREES_PER_GROUP = 16

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ParameterImportance:
    """What one parameter decides.

    Attributes:
        path: the parameter.
        share: of the variance of the score over the whole space, 0 to 1.
        error: standard deviation of ``share`` between groups of trees.
        within: of the variance where the parameter exists, 0 to 1; equals ``share`` where it always does.
        exists: the probability that it exists in a configuration drawn from the space.
    """

    path: str
    share: float
    error: float
    within: float
    exists: float


@dataclass(frozen=True)
class Importances:
    """The importance of every searched parameter, the largest first.

    Attributes:
        parameters: one per parameter.
        trials: how many trials the forest has learnt from.
        known: the forest's R2 on trials that a tree has not seen (out of bag); at most 1, below 0 where it
            predicts worse than the mean.
    """

    parameters: tuple[ParameterImportance, ...]
    trials: int
    known: float

    @property
    def doubts(self) -> str:
        """Return in one sentence why not to rely on the numbers; empty where nothing speaks against them."""
        if self.trials < ENOUGH_TRIALS:
            return (
                f"Not reliable: {self.trials} trials are too few to tell the parameters apart "
                f"(at least {ENOUGH_TRIALS})."
            )
        if self.known < _KNOWS_LITTLE:
            return (
                "Not reliable: from the other trials, the forest predicts a trial's score hardly better than "
                f"their mean does (R² {self.known:.2f})."
            )
        return ""


def sweep_importances(results: SweepResults, space: SearchSpace, seed: int = 0) -> Importances | None:
    """Return the importances of a sweep's parameters, or None where its trials do not allow any.

    Trials without a value and reused results, which would count twice, are left out.
    """
    rows = [row for row in results.rows if row.value is not None and row.status != "reused"]
    # Best first is an order by the answer itself; the forest's draws must not depend on it.
    rows.sort(key=lambda row: row.number)
    values = [float(row.value or 0.0) for row in rows]
    return importances([row.params for row in rows], values, space, seed)


def importances(
    assignments: Sequence[Any], values: Sequence[float], space: SearchSpace, seed: int = 0
) -> Importances | None:
    """Return the importance of every parameter of a space.

    Args:
        assignments: per trial the values of the parameters that existed.
        values: per trial its score.
        space: what was searched.
        seed: decides the forest and the configurations that averages are taken over.

    Returns:
        None for fewer than 5 trials, for trials that all scored the same, and for a space of nothing.
    """
    from scipy.stats import qmc
    from sklearn.ensemble import RandomForestRegressor

    y = np.asarray(values, float)
    if len(y) < _LEAST_TRIALS or np.ptp(y) == 0.0 or not space.parameters:
        return None
    columns = SpaceCodes(space)
    forest = RandomForestRegressor(
        n_estimators=_GROUPS * _TREES_PER_GROUP,
        min_samples_leaf=2 if len(y) < 3 * ENOUGH_TRIALS else 3,
        max_features=0.8,
        oob_score=True,
        random_state=child_seed(seed, "importance", "forest") % 2**32,
        n_jobs=1,
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        forest.fit(columns.encode(columns.codes(assignments)), y)
    # Scrambled Sobol points (Owen 1998): drawn independently, columns correlate by chance, and the whole
    # variance is then not the sum of its parts.
    sobol = qmc.Sobol(len(space.parameters), seed=child_generator(seed, "importance", "draws"))
    uniforms = sobol.random_base2(_DRAWS_LOG2)

    drawn = columns.draw(uniforms)
    predicted = _by_group(forest, columns.encode(drawn))
    variance = predicted.var(axis=1)
    found = []
    for i, parameter in enumerate(space.parameters):
        there = np.flatnonzero(~np.isnan(drawn[:, i]))
        if len(there) < 2:
            continue
        points = (np.arange(columns.sizes[i]) + 0.5) / columns.sizes[i]
        # The same draws at every value: what differs between two means is the parameter.
        marginal = np.stack(
            [
                _by_group(forest, columns.encode(columns.draw(uniforms[there], {i: point}))).mean(axis=1)
                for point in points
            ],
            axis=1,
        )
        exists = len(there) / len(drawn)
        share = _ratio(exists * marginal.var(axis=1), variance)
        within = _ratio(marginal.var(axis=1), predicted[:, there].var(axis=1))
        found.append(
            ParameterImportance(
                parameter.path, float(share.mean()), float(share.std()), float(within.mean()), exists
            )
        )
    found.sort(key=lambda one: (-one.share, one.path))
    return Importances(tuple(found), len(y), float(forest.oob_score_))


def _by_group(forest: Any, encoded: Floats) -> Floats:
    """Return the mean prediction of every group of trees, [groups, n]."""
    x = np.ascontiguousarray(encoded, dtype=np.float32)
    each = np.stack([tree.tree_.predict(x)[:, 0] for tree in forest.estimators_])
    return np.asarray(each.reshape(_GROUPS, _TREES_PER_GROUP, -1).mean(axis=1))


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.clip(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0), 0.0, 1.0)
