"""The finished sweep that a question is about, and comparison sweeps made from its search space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gisearch.config import flatten
from gisearch.data.dataset import Dataset
from gisearch.data.load import load_dataset
from gisearch.errors import ConfigError, DataError
from gisearch.search.composing import hydra_value
from gisearch.search.domains import Choice, Domain, parse_domain, same
from gisearch.search.folders import SPACE_FILE, find_results
from gisearch.search.model_options import MODEL
from gisearch.search.origin import found_again
from gisearch.search.plan import SweepPlan, plan_sweep
from gisearch.search.results import SweepResults, TrialRow, load_results
from gisearch.search.space import Assignment, canonical
from gisearch.search.space_file import SEED, SpaceFile
from gisearch.training.cells import check_fit
from gisearch.yaml_text import dump

_SECTIONS = ("search.", "tracking.")
# What makes a comparison of a sweep; the rest of `search` is how it runs.
_FIXED: Mapping[str, str] = {
    "search.trials": "",
    "search.scheduler": "none",
    "search.sampler": "random",
    "search.exhaustive": "false",
    "search.duplicates": "reuse",
    "search.keep_top": "",
    "search.keep_checkpoints": "null",
}
# Limits of the search; a comparison has none, or those that it is given.
_LIFTED = ("search.hours", "search.gpu_hours", "search.trial_minutes")


@dataclass(frozen=True)
class Source:
    """A sweep that has been searched.

    Attributes:
        results: its trials.
        file: its search-space file.
        stored: the overrides that it was run with.
        given: overrides for the comparison's own run.
    """

    results: SweepResults
    file: SpaceFile
    stored: tuple[str, ...]
    given: tuple[str, ...]

    @classmethod
    def find(cls, name: str, results_dir: str, overrides: Sequence[str] = ()) -> Source:
        """Find a sweep by its name in the results folder, or by its folder.

        Raises:
            ConfigError: there is no such sweep, no trial of it has been trained, or an override is for what
                a comparison keeps.
        """
        for override in overrides:
            key = _key(override)
            if key in _FIXED:
                raise ConfigError(
                    f"{override}: a comparison trains every candidate once per seed, to its end; expected "
                    "other keys of search or tracking, such as search.concurrency=2."
                )
            if not key.startswith(_SECTIONS):
                raise ConfigError(
                    f"{override}: a comparison keeps what the sweep's trials were trained with; expected "
                    "keys of search or tracking, such as search.concurrency=2."
                )
        folder = find_results(name, results_dir)
        results = load_results(folder)
        if results.best is None:
            raise ConfigError(f"{folder}: no trial of this sweep has a result; expected a finished one.")
        file = SpaceFile.read(folder / SPACE_FILE)
        return cls(results, file, tuple(results.facts["overrides"]), tuple(overrides))

    @property
    def folder(self) -> Path:
        """The sweep's folder."""
        return self.results.folder

    @property
    def results_dir(self) -> Path:
        """The results folder, where comparisons go as well."""
        return self.folder.parent

    @cached_property
    def plan(self) -> SweepPlan:
        """The sweep's own plan."""
        return found_again(plan_sweep(self.folder / SPACE_FILE, self.stored), self.results.facts)

    def compare(
        self,
        name: str,
        question: str,
        assignments: Sequence[Assignment],
        seeds: Sequence[int],
        folder: Path,
        *,
        split: int | None = None,
        values: Mapping[str, Sequence[Any]] | None = None,
    ) -> SweepPlan:
        """Return a checked sweep whose trials are every assignment with every seed, and nothing else.

        Seeds come first, so that trials which run side by side are of different candidates.

        Args:
            name: the comparison's name.
            question: what it is to answer.
            assignments: different configurations of the sweep's space.
            seeds: the experiment's seeds.
            folder: where its search-space file is written; the sweep copies it when it starts.
            split: the seed of another split; None keeps the sweep's own.
            values: further values of a key, searched or not.

        Raises:
            ConfigError: something does not fit together; nothing has been started.
        """
        values = values or {}
        trials = [{**assignment, SEED: seed} for seed in seeds for assignment in assignments]
        document = {
            **self.file.document,
            "name": name,
            "question": question,
            "space": {**self._space(values), SEED: list(seeds)},
            "baselines": trials,
            "search": {**self.file.section("search", dict), "trials": len(trials)},
        }
        document["search"] = {k: v for k, v in document["search"].items() if f"search.{k}" not in _LIFTED}
        # A key that is varied here is no longer fixed.
        freed = {"model", MODEL} if MODEL in values else set(values)
        kept = [o for o in self.stored if _key(o) not in {*freed, *_LIFTED}]
        own = {
            **_FIXED,
            "name": name,
            "search.trials": str(len(trials)),
            "search.keep_top": str(len(trials)),
            "objective.cost": "none",
            "tracking.register": "false",
            "results.dir": hydra_value(str(self.results_dir)),
            **({} if split is None else {"data.seed": str(split)}),
        }
        overrides = [*kept, *(f"{key}={value}" for key, value in own.items()), *self.given]
        # The last value of a key counts, at the place of the first.
        overrides = list({_key(o): o for o in overrides}.values())
        path = folder / f"{name}.yaml"
        path.write_text(dump(document), encoding="utf-8")
        return found_again(plan_sweep(path, overrides), self.results.facts)

    def params_of(self, row: TrialRow) -> Assignment:
        """Return a trial's values; of a population's member those that its best model was trained with."""
        if not row.replaced:
            return dict(row.params)
        config = flatten(self.results.config_of(row))
        return {path: config[path] for path in row.params}

    def _space(self, values: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Return the file's space, in which these keys have these values as well, on the same conditions."""
        space = dict(self.file.space)
        for path, listed in values.items():
            spec = space.get(path)
            known: list[Any] = []
            if spec is not None:
                domain = self.domain(path)
                if all(value in domain for value in listed):
                    continue
                known = list(domain.values) if isinstance(domain, Choice) else []
            when = {"when": spec["when"]} if isinstance(spec, Mapping) and "when" in spec else {}
            # A condition on a value that is never taken would be a mistake in a file.
            for other in self.file.space.values():
                needed = other.get("when", {}).get(path, []) if isinstance(other, Mapping) else []
                known += needed if isinstance(needed, list) else [needed]
            different: list[Any] = []
            for value in (*listed, *known):
                if not any(same(value, earlier) for earlier in different):
                    different.append(value)
            space[path] = {"choice": different, **when} if when else different
        return space

    def domain(self, path: str) -> Domain:
        """Return the values of a key of the file's space."""
        spec = self.file.space[path]
        plain = {k: v for k, v in spec.items() if k != "when"} if isinstance(spec, Mapping) else spec
        return parse_domain(plain, lambda message: self.file.fail(("space", path), message))

    def load_data(self) -> Dataset:
        """Load the sweep's data.

        Raises:
            DataError: it is not what the sweep was run on.
        """
        dataset = load_dataset(self.plan.config.data)
        if dataset.digest() != self.results.facts.get("data"):
            raise DataError(
                f"the data has changed since {self.folder} was started; expected the same, because its best "
                "configurations were chosen on it."
            )
        return dataset

    def trained(self) -> list[TrialRow]:
        """Return different configurations that were trained to their end, best first.

        Those that were stopped early count only where nothing else was trained.
        """
        for status in ("finished", "stopped_early"):
            rows = [row for row in self.results.rows if row.status == status and row.value is not None]
            if rows:
                different: dict[str, TrialRow] = {}
                for row in rows:
                    different.setdefault(canonical(row.params), row)
                return list(different.values())
        raise ConfigError(
            f"{self.folder}: no trial of this sweep has been trained to its end; expected a finished one."
        )


def misfit(plan: SweepPlan, dataset: Dataset, assignment: Assignment) -> str | None:
    """Return why a configuration cannot be trained, or None."""
    try:
        check_fit(plan.configure(assignment), dataset)
    except (ConfigError, DataError) as error:
        return str(error)
    return None


def free_name(root: Path, name: str) -> str:
    """Return the name, or the name with the first free number, of a sweep that is not there yet."""
    number = 1
    while (root / (found := name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return found


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")
