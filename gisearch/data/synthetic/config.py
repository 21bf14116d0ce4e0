"""How large the demo cell is, what its networks see, and how noisy its measurements are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from math import comb
from typing import Any, Literal, TypeAlias

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs

from gisearch.config import STRICT

Size: TypeAlias = Literal["tiny", "demo", "yeast", "yeast_large"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DemoNetworkConfig:
    """One generated network.

    Attributes:
        mean_degree: directed edges per gene; an undirected edge counts as two.
        directed: whether edges run from regulators to their targets only.
        modules_seen: fraction of the modules whose genes this network connects.
        noise: fraction of the edges between genes drawn regardless of module.
        complexes: whether all members of a complex are connected.
        scores: whether edges carry a score in (0, 1], higher on average for true edges.
    """

    mean_degree: float = Field(gt=0)
    directed: bool = False
    modules_seen: float = Field(default=0.8, gt=0, le=1)
    noise: float = Field(default=0.2, ge=0, le=1)
    complexes: bool = False
    scores: bool = False


def _three_networks(physical: float, regulatory: float, coexpression: float) -> dict[str, DemoNetworkConfig]:
    return {
        "physical": DemoNetworkConfig(mean_degree=physical, complexes=True),
        "regulatory": DemoNetworkConfig(mean_degree=regulatory, directed=True),
        "coexpression": DemoNetworkConfig(mean_degree=coexpression, noise=0.25, scores=True),
    }


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DemoCellConfig:
    """The demo cell. ``size`` sets every number that is not given.

    Attributes:
        size: ``tiny`` for unit tests, ``demo`` for searches, ``yeast`` and ``yeast_large`` (two and nine
            networks) for benchmarks at the published sizes of the reference yeast cell.
        seed: the master seed of the cell.
        num_genes: N.
        num_modules: functional modules; every gene belongs to one.
        num_complexes: protein complexes of 3 to 6 genes, each within one module.
        networks: the gene-gene networks by name, at least two.
        num_reactions: R.
        num_metabolites: M.
        num_screened: genes that double and triple deletions are made of; single deletions take any.
        num_single: single deletions, labelled with fitness.
        num_double: double deletions, labelled with fitness and epsilon.
        num_triple: triple deletions, labelled with fitness and tau.
        related: fraction of the double and triple deletions that hit one complex or one reaction.
        dosage_spread: standard deviation of the log of the genes' dosage, the weight of their deletion.
        rank: latent factors of the module-by-module interactions.
        interaction_sd: spread of the planted interactions, in units of wild-type fitness.
        additive: mean of the first latent factor over genes, in units of its spread; at 0 a gene has no
            effect of its own on the interactions.
        three_way: fraction of tau's variance that no pair of genes explains, about.
        hub_exponent: exponent of the power law of the genes' expected degrees; smaller is heavier-tailed.
        noise_sd: root mean square standard deviation of a measurement, in units of wild-type fitness.
        feature_width: columns of a table ``modules`` of gene features, which tell of modules and dosage; 0
            generates none.
        feature_noise: standard deviation of their noise, in units of the spread between modules.
        feature_missing: fraction of the genes without a row in it.
    """

    size: Size = "demo"
    seed: int = Field(default=0, ge=0)
    num_genes: int = Field(default=500, ge=20, le=17_000)
    num_modules: int = Field(default=8, ge=2)
    num_complexes: int = Field(default=40, ge=0)
    networks: dict[str, DemoNetworkConfig] = Field(
        default_factory=lambda: _three_networks(16.0, 3.0, 16.0), min_length=2
    )
    num_reactions: int = Field(default=200, ge=1)
    num_metabolites: int = Field(default=150, ge=4)
    num_screened: int = Field(default=320, ge=3)
    num_single: int = Field(default=480, ge=1)
    num_double: int = Field(default=3_100, ge=1)
    num_triple: int = Field(default=2_200, ge=0)
    related: float = Field(default=0.1, ge=0, le=0.5)
    dosage_spread: float = Field(default=0.2, ge=0, le=0.5)
    rank: int = Field(default=6, ge=1, le=32)
    interaction_sd: float = Field(default=0.07, gt=0, le=0.2)
    additive: float = Field(default=0.7, ge=0, le=2)
    three_way: float = Field(default=0.3, ge=0, le=1)
    hub_exponent: float = Field(default=2.6, gt=2)
    noise_sd: float = Field(default=0.03, ge=0)
    feature_width: int = Field(default=0, ge=0, le=4_096)
    feature_noise: float = Field(default=0.25, ge=0)
    feature_missing: float = Field(default=0.1, ge=0, le=0.9)

    @model_validator(mode="before")
    @classmethod
    def _fill_in_size(cls, given: Any) -> Any:
        values = (given.kwargs or {}) if isinstance(given, ArgsKwargs) else given
        if not isinstance(values, Mapping):
            return given
        size = str(values.get("size", "demo"))
        preset = _SIZES.get(size, {})
        numbers = [key for key in preset if key != "networks"]
        # A composed configuration spells out every number, and then a size alone would change nothing.
        defaults = {field.name: field.default for field in fields(cls)}
        if numbers and all(values.get(key) == getattr(defaults[key], "default", None) for key in numbers):
            raise ValueError(
                f"size {size!r} contradicts the numbers, which are all given and are those of 'demo'; "
                f"expected the numbers of {size!r}, for example num_genes {preset['num_genes']}, or none."
            )
        return {**preset, **values}

    @model_validator(mode="after")
    def _fits(self) -> DemoCellConfig:
        limits = (
            ("num_modules", self.num_modules, self.num_genes // 5),
            ("num_complexes", self.num_complexes, self.num_genes // 10),
            ("num_screened", self.num_screened, self.num_genes),
            ("num_single", self.num_single, self.num_genes),
            ("num_double", self.num_double, comb(self.num_screened, 2) // 2),
            ("num_triple", self.num_triple, comb(self.num_screened, 3) // 2),
        )
        for name, value, limit in limits:
            if value > limit:
                raise ValueError(
                    f"{name} must be at most {limit} with {self.num_genes} genes, of which "
                    f"{self.num_screened} screened; got {value}."
                )
        for name, network in self.networks.items():
            limit = self.num_genes // (20 if network.directed else 4)
            if network.mean_degree > limit:
                raise ValueError(
                    f"networks.{name}.mean_degree must be at most {limit} with {self.num_genes} genes, "
                    f"got {network.mean_degree:g}."
                )
        return self


_YEAST: dict[str, Any] = {
    "num_genes": 6_607,
    "num_modules": 150,
    "num_complexes": 500,
    "num_reactions": 4_881,
    "num_metabolites": 2_534,
    "num_screened": 1_500,
    "num_single": 5_500,
    "num_double": 60_000,
    "num_triple": 90_000,
}
# 144,211 published directed edges; an undirected network has an even number of them.
_PHYSICAL = DemoNetworkConfig(mean_degree=144_210 / 6_607, complexes=True)
_REGULATORY = DemoNetworkConfig(mean_degree=16_095 / 6_607, directed=True)


def _channel(mean_degree: float) -> DemoNetworkConfig:
    return DemoNetworkConfig(mean_degree=mean_degree, noise=0.35, modules_seen=0.5, scores=True)


_SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "num_genes": 40,
        "num_modules": 4,
        "num_complexes": 3,
        "networks": _three_networks(6.0, 2.0, 6.0),
        "num_reactions": 16,
        "num_metabolites": 12,
        "num_screened": 25,
        "num_single": 30,
        "num_double": 150,
        "num_triple": 90,
    },
    "demo": {},
    "yeast": {**_YEAST, "networks": {"physical": _PHYSICAL, "regulatory": _REGULATORY}},
    "yeast_large": {
        **_YEAST,
        "networks": {
            "physical": _PHYSICAL,
            "regulatory": _REGULATORY,
            "tflink": DemoNetworkConfig(mean_degree=30.0, directed=True, noise=0.4),
            "neighborhood": _channel(22.0),
            "fusion": _channel(2.0),
            "cooccurence": _channel(4.0),
            "coexpression": _channel(150.0),
            "experimental": _channel(110.0),
            "database": _channel(20.0),
        },
    },
}
