"""Genome-scale metabolic models such as yeast-GEM, through cobra: YAML, SBML or JSON, gzip or not.

yeast-GEM: Zhang et al., Molecular Systems Biology 2024; https://github.com/SysBioChalmers/yeast-GEM.
cobra: Ebrahim et al., BMC Systems Biology 2013.
"""

from __future__ import annotations

import ast
import itertools
import json
import logging
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gisearch.data.gene_names import GeneNames
from gisearch.data.metabolism import Metabolism
from gisearch.data.sources.files import check_file, open_bytes
from gisearch.data.sources.named_edges import resolve_codes
from gisearch.errors import DataError

if TYPE_CHECKING:
    import cobra

MAX_COMPLEXES = 10_000

Complexes = frozenset[frozenset[str]]


@dataclass(frozen=True)
class NamedMetabolism:
    """Metabolism as its file gives it.

    Attributes:
        path: the file.
        reactions: reaction identifiers, R of them.
        metabolites: metabolite identifiers, M of them.
        incidence: int64 [2, K], metabolite row then reaction row.
        stoichiometry: float32 [K], negative is consumed, positive produced.
        vocabulary: the genes of all rules, V of them.
        complex_reaction: int64 [C], the reaction that each enzyme complex catalyses.
        complex_codes: int64 [G], genes of the complexes as positions in ``vocabulary``, concatenated.
        complex_offsets: int64 [C + 1], where each complex starts in ``complex_codes``.
    """

    path: Path
    reactions: tuple[str, ...]
    metabolites: tuple[str, ...]
    incidence: npt.NDArray[np.int64]
    stoichiometry: npt.NDArray[np.float32]
    vocabulary: tuple[str, ...]
    complex_reaction: npt.NDArray[np.int64]
    complex_codes: npt.NDArray[np.int64]
    complex_offsets: npt.NDArray[np.int64]

    def resolve(self, names: GeneNames) -> tuple[Metabolism, Counter[str], str]:
        """Turn names into gene indices; return also the unknown names and one line for the load report.

        An unknown gene can never be deleted, so it leaves its complexes and never breaks them.
        """
        index, unresolved = resolve_codes(self.vocabulary, self.complex_codes, names)
        genes = index[self.complex_codes]
        owner = np.repeat(np.arange(len(self.complex_reaction)), np.diff(self.complex_offsets))
        size = np.bincount(owner[genes >= 0], minlength=len(self.complex_reaction))
        metabolism = Metabolism(
            reactions=self.reactions,
            metabolites=self.metabolites,
            incidence=self.incidence,
            stoichiometry=self.stoichiometry,
            complex_reaction=self.complex_reaction,
            complex_genes=genes[genes >= 0],
            complex_offsets=np.concatenate([[0], np.cumsum(size)]).astype(np.int64),
        )
        ruled = len(np.unique(self.complex_reaction))
        summary = (
            f"metabolism: {self.path.name}; {len(self.reactions):,} reactions, {ruled:,} of them with a gene "
            f"rule; {len(self.metabolites):,} metabolites; {len(self.stoichiometry):,} incidences"
        )
        return metabolism, unresolved, summary


def read_gem(path: str | Path) -> NamedMetabolism:
    """Read a metabolic model; gene rules become alternatives of enzyme complexes.

    Args:
        path: ``.yml``/``.yaml``, ``.xml``/``.sbml`` or ``.json``, and any of them followed by ``.gz``.

    Raises:
        DataError: missing file, unknown format, a file that cobra cannot read, or a gene rule with more than
            10,000 alternatives.
    """
    path = check_file(path, "a metabolic model (YAML, SBML or JSON)")
    suffix = next((s for s in reversed(path.suffixes) if s.lower() not in (".gz", ".zip")), "").lower()
    loaders = {
        ".yml": _load_yaml,
        ".yaml": _load_yaml,
        ".json": _load_json,
        ".xml": _load_sbml,
        ".sbml": _load_sbml,
    }
    if suffix not in loaders:
        raise DataError(
            f"{path}: unknown format; expected a name that ends in {', '.join(loaders)} (or .gz)."
        )
    # cobra reports each harmless deviation of a model through logging, thousands of lines for some.
    logger = logging.getLogger("cobra")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with open_bytes(path) as stream, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = loaders[suffix](stream.read())
    except DataError:
        raise
    except Exception as error:
        what = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{path}: not a readable metabolic model ({what}).") from None
    finally:
        logger.setLevel(level)
    # cobra only warns, and takes a rule that it cannot read for none at all.
    malformed = [str(w.message) for w in caught if "gene_reaction_rule" in str(w.message)]
    if malformed:
        raise DataError(f"{path}: {malformed[0]}; expected genes joined by 'and' and 'or'.")
    if not model.reactions:
        raise DataError(f"{path}: the model has no reactions.")
    return _from_model(path, model)


def complexes_of_rule(rule: cobra.core.gene.GPR) -> Complexes:
    """Return the minimal disjunctive normal form of a gene rule: the sets of genes that each suffice.

    The empty rule gives the empty set.

    Raises:
        DataError: more than 10,000 alternatives arise.
    """
    return frozenset() if rule.body is None else _alternatives(rule.body)


def _alternatives(node: ast.AST) -> Complexes:
    if isinstance(node, ast.Name):
        return frozenset([frozenset([node.id])])
    if not isinstance(node, ast.BoolOp):
        raise DataError(
            f"the gene rule holds {type(node).__name__}; expected genes joined by 'and' and 'or'."
        )
    parts = [_alternatives(value) for value in node.values]
    if isinstance(node.op, ast.Or):
        return _minimal(itertools.chain.from_iterable(parts))
    product: Complexes = frozenset([frozenset()])
    for part in parts:
        if len(product) * len(part) > MAX_COMPLEXES:
            raise DataError(
                f"the gene rule has more than {MAX_COMPLEXES:,} alternative enzyme complexes; simplify it."
            )
        product = _minimal(left | right for left in product for right in part)
    return product


def _minimal(complexes: Iterable[frozenset[str]]) -> Complexes:
    """Drop complexes that hold another one: whenever they are complete, so is the smaller."""
    kept: list[frozenset[str]] = []
    for _, same_size in itertools.groupby(sorted(set(complexes), key=len), key=len):
        kept += [candidate for candidate in same_size if not any(smaller <= candidate for smaller in kept)]
    return frozenset(kept)


def _from_model(path: Path, model: cobra.Model) -> NamedMetabolism:
    row = {metabolite.id: i for i, metabolite in enumerate(model.metabolites)}
    position: dict[str, int] = {}
    incidence: list[tuple[int, int]] = []
    stoichiometry: list[float] = []
    owners: list[int] = []
    codes: list[list[int]] = []
    for number, reaction in enumerate(model.reactions):
        for metabolite, coefficient in reaction.metabolites.items():
            incidence.append((row[metabolite.id], number))
            stoichiometry.append(float(coefficient))
        try:
            complexes = complexes_of_rule(reaction.gpr)
        except DataError as error:
            raise DataError(f"{path}: reaction {reaction.id}: {error}") from None
        for names in sorted(map(sorted, complexes)):
            owners.append(number)
            codes.append([position.setdefault(name, len(position)) for name in names])
    return NamedMetabolism(
        path=path,
        reactions=tuple(reaction.id for reaction in model.reactions),
        metabolites=tuple(metabolite.id for metabolite in model.metabolites),
        incidence=np.array(incidence, dtype=np.int64).reshape(-1, 2).T.copy(),
        stoichiometry=np.array(stoichiometry, dtype=np.float32),
        vocabulary=tuple(position),
        complex_reaction=np.array(owners, dtype=np.int64),
        complex_codes=np.array([code for own in codes for code in own], dtype=np.int64),
        complex_offsets=np.concatenate([[0], np.cumsum([len(own) for own in codes])]).astype(np.int64),
    )


def _load_yaml(data: bytes) -> cobra.Model:
    """Load cobra's YAML with the C parser: 6 s for yeast-GEM against 25 s with ``cobra.io.load_yaml_model``.

    Scalars stay text, so that an identifier such as NO is no truth value and 1e-05 becomes a number.
    """
    import cobra.io
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    content = _mapping(yaml.load(data, Loader=loader))
    for section in ("metabolites", "reactions", "genes"):
        if not isinstance(content.get(section), list):
            raise ValueError(f"no list of {section}")
    reactions = []
    for entry in map(_mapping, content["reactions"]):
        metabolites = _mapping(entry.get("metabolites"))
        reactions.append(
            {
                "id": entry["id"],
                "name": entry.get("name", ""),
                "metabolites": {name: float(coefficient) for name, coefficient in metabolites.items()},
                "lower_bound": float(entry.get("lower_bound", 0)),
                "upper_bound": float(entry.get("upper_bound", 1000)),
                "gene_reaction_rule": entry.get("gene_reaction_rule", ""),
            }
        )
    plain = {
        "id": "model",
        "compartments": {},
        "metabolites": [
            {"id": entry["id"], "name": entry.get("name", ""), "compartment": entry.get("compartment", "c")}
            for entry in map(_mapping, content["metabolites"])
        ],
        "genes": [{"id": entry["id"], "name": ""} for entry in map(_mapping, content["genes"])],
        "reactions": reactions,
    }
    return cobra.io.model_from_dict(plain)


def _mapping(node: Any) -> dict[str, Any]:
    """Return a mapping that may be written as an ordered map: a list of single entries."""
    if isinstance(node, Mapping):
        return dict(node)
    return {key: value for entry in node or [] for key, value in entry.items()}


def _load_json(data: bytes) -> cobra.Model:
    import cobra.io

    return cobra.io.model_from_dict(json.loads(data))


def _load_sbml(data: bytes) -> cobra.Model:
    import cobra.io

    return cobra.io.read_sbml_model(data.decode("utf-8"))
