"""The space as Optuna sees it: suggestions of active parameters, and the samplers."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from gisearch.search.config import SearchConfig
from gisearch.search.domains import Choice
from gisearch.search.space import Assignment, Parameter, SearchSpace
from gisearch.seeding import child_generator, child_seed

_PLAIN = (str, int, float, bool, type(None))


def suggest_with(trial: optuna.Trial) -> Callable[[Parameter], Any]:
    """Return a function that asks an Optuna trial for a parameter's value (define-by-run)."""

    def suggest(parameter: Parameter) -> Any:
        domain = parameter.domain
        if isinstance(domain, Choice):
            labels = {encode(value): value for value in domain.values}
            return labels[trial.suggest_categorical(parameter.path, list(labels))]
        if domain.integer:
            value = trial.suggest_int(
                parameter.path,
                int(domain.low),
                int(domain.high),
                step=1 if domain.log else int(domain.step or 1),
                log=domain.log,
            )
            return int(value)
        # An enqueued value comes back as it was given: 1 and 1.0 must not be two configurations.
        return domain.exact(
            trial.suggest_float(parameter.path, domain.low, domain.high, step=domain.step, log=domain.log)
        )

    return suggest


def encode(value: Any) -> Any:
    """Return a value as Optuna stores it: plain values as they are, lists as JSON text."""
    return value if isinstance(value, _PLAIN) else json.dumps(value)


def shuffled(space: SearchSpace, seed: int) -> list[Assignment]:
    """Return every configuration of a finite space in seeded random order."""
    everything = list(space.enumerate())
    order = child_generator(seed, "exhaustive").permutation(len(everything))
    return [everything[i] for i in reversed(order)]


def sampler_for(config: SearchConfig, number: int) -> BaseSampler:
    """Return the sampler of one trial; its random stream depends on the seed and the trial's number alone.

    A sweep that is resumed, or runs in another process, therefore draws what it would have drawn.
    ``group=True`` makes the estimator of a parameter see only the trials in which it existed.
    """
    seed = child_seed(config.seed, "sampler", number) % 2**32
    if config.sampler == "random":
        return RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        # Optuna 5 announces the end of warn_independent_sampling, which still silences a warning per trial.
        warnings.simplefilter("ignore", FutureWarning)
        return TPESampler(
            n_startup_trials=config.startup_trials,
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=seed,
            warn_independent_sampling=False,
        )
