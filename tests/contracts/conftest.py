"""Every registered model, in every categorical variant, and every option of its configuration.

A model added to the registry is tested without a word here, unless an option of it means something only
beside another one, or a parameter of it cannot have a gradient: then ``cases/`` gets a file of its name.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gisearch.config import assign, build
from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.dataset import Dataset
from gisearch.data.derived.names import NEGATIVE, POSITIVE
from gisearch.errors import ConfigError
from gisearch.models.base import FittedModel, Model
from gisearch.models.batch import GenotypeBatch
from gisearch.models.registry import MODELS
from gisearch.models.targets import Targets
from gisearch.training.target import training_targets
from tests.contracts.case import Case, case_of


@dataclass(frozen=True)
class Variant:
    """A model's configuration: the case's base with changes."""

    model: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def case(self) -> Case:
        return case_of(self.model)

    def config(self, extra: Mapping[str, Any] | None = None) -> Any:
        return build(MODELS[self.model], assign({}, {**self.case.base, **self.changes, **(extra or {})}))

    def cell(self, dataset: Dataset) -> CellGraph:
        """The data's cell graph, with signed networks where the variant asks for a pathway on them."""
        evidence = getattr(self.config(), "evidence_predictor", None)
        return with_signed_pairs(dataset.cell) if evidence is not None and evidence.enabled else dataset.cell

    @property
    def reads_features(self) -> bool:
        """Whether gene features take part in the scores, through weights of their own."""
        return not {"features", "both"}.isdisjoint(v for v in self.changes.values() if isinstance(v, str))

    def __str__(self) -> str:
        text = ",".join(f"{key}={value}" for key, value in self.changes.items())
        return f"{self.model}:{text or 'base'}"


@dataclass(frozen=True)
class Option:
    """One option of a model's configuration, and another value for it."""

    reference: Variant
    path: str
    value: Any

    @property
    def changed(self) -> Variant:
        return Variant(self.reference.model, {**self.reference.changes, self.path: self.value})

    def __str__(self) -> str:
        return f"{self.reference.model}:{self.path}={self.value}"


def with_signed_pairs(cell: CellGraph) -> CellGraph:
    """Return the cell graph with 200 pairs drawn for the networks of high and low labels."""
    number = cell.num_genes
    pairs = np.stack(np.triu_indices(number, 1))
    pairs = pairs[:, np.random.default_rng(0).permutation(pairs.shape[1])[:200]]
    return cell.with_networks(
        Network.from_pairs(NEGATIVE, pairs[:, :120], directed=False, num_genes=number),
        Network.from_pairs(POSITIVE, pairs[:, 120:], directed=False, num_genes=number),
    )


def leaves(cls: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and the bare type of every option."""
    hints = get_type_hints(cls, include_extras=True)
    for option in dataclasses.fields(cls):
        annotation = _bare(hints[option.name])
        if dataclasses.is_dataclass(annotation):
            yield from leaves(annotation, f"{prefix}{option.name}.")
        else:
            yield f"{prefix}{option.name}", annotation


def _bare(annotation: Any) -> Any:
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        options = [_bare(option) for option in get_args(annotation) if option is not NoneType]
        return options[0] if len(options) == 1 else annotation
    return annotation


def value_at(config: Any, path: str) -> Any:
    for part in path.split("."):
        config = getattr(config, part)
    return config


def options_of(model: str) -> Iterator[Option]:
    """Yield every option with its other values: all of a choice, a valid other one of a number."""
    case = case_of(model)
    for path, annotation in leaves(MODELS[model]):
        reference = Variant(model, case.contexts.get(path, {}))
        value = value_at(reference.config(), path)
        candidates: list[Any]
        if path in case.alternatives:
            candidates = case.alternatives[path]
        elif annotation is bool:
            candidates = [not value]
        elif get_origin(annotation) is Literal:
            candidates = [other for other in get_args(annotation) if other != value]
        elif annotation is int and value is not None:
            candidates = _first_valid(reference, path, [value * 2, value + 1, value - 1])
        elif annotation is float and value is not None:
            candidates = _first_valid(reference, path, [value + 0.3, value / 2, value * 2])
        else:
            raise TypeError(
                f"{model}: the contracts know no other value for {path}; add alternatives to its case"
            )
        for candidate in candidates:
            yield Option(reference, path, candidate)


def _first_valid(reference: Variant, path: str, candidates: list[Any]) -> list[Any]:
    for candidate in candidates:
        try:
            reference.config({path: candidate})
        except ConfigError:
            continue
        return [candidate]
    raise ValueError(f"{reference.model}: no valid other value for {path} among {candidates}")


def variants_of(model: str) -> list[Variant]:
    """Return the base and every categorical choice made differently."""
    categorical = [o.changed for o in options_of(model) if isinstance(o.value, bool | str | list)]
    return [Variant(model), *categorical]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "model_name" in metafunc.fixturenames:
        metafunc.parametrize("model_name", list(MODELS))
    if "variant" in metafunc.fixturenames:
        metafunc.parametrize("variant", [v for name in MODELS for v in variants_of(name)], ids=str)
    if "option" in metafunc.fixturenames:
        metafunc.parametrize("option", [o for name in MODELS for o in options_of(name)], ids=str)


@pytest.fixture(scope="session")
def all_options() -> list[Option]:
    """Every option of every model."""
    return [option for name in MODELS for option in options_of(name)]


@pytest.fixture(scope="session")
def dataset(make_dataset: Callable[..., Dataset]) -> Dataset:
    """The tiny cell with fitness as its target: one to three deletions; two tables of features."""
    features = ("data.cell.feature_width=5", "data.builtin_features=[degrees]")
    return make_dataset("data=demo_tiny", "data.target=fitness", *features)


@pytest.fixture(scope="session")
def batch(dataset: Dataset) -> GenotypeBatch:
    """Four single, four double and four triple deletions, in turns."""
    order = dataset.genotypes.order
    rows = [row for i in range(4) for k in (1, 2, 3) for row in [(order == k).nonzero()[0][i]]]
    return GenotypeBatch.from_genotypes(dataset.genotypes.subset(rows))


@pytest.fixture(scope="session")
def targets(dataset: Dataset, batch: GenotypeBatch) -> Targets:
    """Two labels of the batch; every third genotype lacks the second."""
    torch.manual_seed(5)
    fitness, interaction = torch.randn(2, len(batch))
    interaction[::3] = torch.nan
    return Targets("fitness", {"fitness": fitness, "gene_interaction": interaction})


@pytest.fixture
def make_model(dataset: Dataset) -> Callable[..., Model]:
    """Build a variant with its initial weights, drawn from a seed, in evaluation mode.

    A model that its own algorithm fits has no weights before: it takes two steps on the training split.
    """
    rows = dataset.split.train
    batch = GenotypeBatch.from_genotypes(dataset.genotypes.subset(rows))
    targets = training_targets(dataset)

    def make(variant: Variant, seed: int = 0) -> Model:
        torch.manual_seed(seed)
        model: Model = variant.config().build(variant.cell(dataset), dataset.target)
        for _ in range(2 if isinstance(model, FittedModel) else 0):
            model.fit_epoch(batch, targets)
        return model.eval()

    return make


@pytest.fixture
def unread_parameters(
    make_model: Callable[..., Model], batch: GenotypeBatch
) -> Callable[[Variant], list[str]]:
    """List the parameters that the scores of a variant should depend on and do not.

    In double precision, where a gradient that is zero mathematically is below 1e-10 of the others; and for
    several initial weights, because a ReLU that is on or off for all genes hides what lies before it.
    """

    def unread(variant: Variant) -> list[str]:
        read: set[str] = set()
        if not variant.case.needs_gradient:
            assert not any(p.requires_grad for p in make_model(variant).parameters())
            return []
        for seed in range(5):
            model = make_model(variant, seed).double()
            score = model(batch).score
            (score * torch.randn_like(score)).sum().backward()
            size = {name: _size(parameter) for name, parameter in model.named_parameters()}
            assert all(math.isfinite(value) for value in size.values()), size
            read |= {name for name, value in size.items() if value > 1e-10 * max(size.values())}
        exempt = {name for name in size if any(re.fullmatch(p, name) for p in variant.case.gradientless)}
        assert exempt & read == set(), "these have a gradient after all"
        return sorted(set(size) - read - exempt)

    return unread


def _size(parameter: nn.Parameter) -> float:
    gradient: Tensor | None = parameter.grad
    return 0.0 if gradient is None else gradient.abs().max().item()
