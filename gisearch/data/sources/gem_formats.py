"""The formats of genome-scale metabolic models: cobra's YAML and JSON, and SBML.

YAML and JSON are read directly: importing cobra takes longer than reading yeast-GEM, whose 340,000 YAML nodes
are only walked where they matter. SBML goes through cobra (Ebrahim et al., BMC Systems Biology 2013).
"""

from __future__ import annotations

import gc
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gisearch.errors import DataError


@dataclass(frozen=True)
class PlainReaction:
    """A reaction as its file gives it.

    Attributes:
        name: its identifier.
        stoichiometry: coefficient per metabolite identifier, none of them zero.
        rule: the gene rule, empty where there is none.
    """

    name: str
    stoichiometry: Mapping[str, float]
    rule: str


@dataclass(frozen=True)
class PlainModel:
    """Metabolites and reactions in the order of the file; every metabolite that a reaction names is listed.

    Raises:
        ValueError: there is no reaction, an identifier occurs twice, or a metabolite is not listed.
    """

    metabolites: tuple[str, ...]
    reactions: tuple[PlainReaction, ...]

    def __post_init__(self) -> None:
        listed = set(self.metabolites)
        for what, names in (
            ("metabolite", self.metabolites),
            ("reaction", tuple(reaction.name for reaction in self.reactions)),
        ):
            seen: set[str] = set()
            for name in names:
                if name in seen:
                    raise ValueError(f"the {what} {name!r} is listed twice")
                seen.add(name)
        for reaction in self.reactions:
            for name in reaction.stoichiometry:
                if name not in listed:
                    raise ValueError(
                        f"reaction {reaction.name} refers to the metabolite {name!r}, which is not listed"
                    )


def load_yaml(data: bytes) -> PlainModel:
    """Read cobra's YAML, mappings or ordered maps; scalars stay text, so that NO is no truth value.

    Raises:
        ValueError: a part is missing or is none of what it should be.
        yaml.YAMLError: the file is no YAML.
    """
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    # Nodes are no garbage: looking for some among 340,000 of them took four fifths of the time.
    with _no_collection():
        return _model(yaml.compose(data, Loader=loader), _of_node)


def load_json(data: bytes) -> PlainModel:
    """Read cobra's JSON.

    Raises:
        ValueError: it is no JSON, a part is missing or is none of what it should be.
    """
    return _model(json.loads(data), lambda value: value)


def load_sbml(data: bytes) -> PlainModel:
    """Read SBML.

    Raises:
        DataError: a gene rule is malformed.
        Exception: whatever cobra and libsbml raise.
    """
    import cobra.io

    # cobra reports each harmless deviation of a model through logging, thousands of lines for some.
    logger = logging.getLogger("cobra")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = cobra.io.read_sbml_model(data.decode("utf-8"))
    finally:
        logger.setLevel(level)
    # cobra only warns, and takes a rule that it cannot read for none at all.
    malformed = [str(w.message) for w in caught if "gene_reaction_rule" in str(w.message)]
    if malformed:
        raise DataError(f"{malformed[0]}; expected genes joined by 'and' and 'or'.")
    reactions = (
        PlainReaction(
            reaction.id,
            {metabolite.id: float(value) for metabolite, value in reaction.metabolites.items()},
            reaction.gene_reaction_rule,
        )
        for reaction in model.reactions
    )
    return PlainModel(tuple(metabolite.id for metabolite in model.metabolites), tuple(reactions))


FORMATS: Mapping[str, Callable[[bytes], PlainModel]] = {
    ".yml": load_yaml,
    ".yaml": load_yaml,
    ".json": load_json,
    ".xml": load_sbml,
    ".sbml": load_sbml,
}


def _model(content: Any, open_node: Callable[[Any], Any]) -> PlainModel:
    """Return the model of a document whose nodes ``open_node`` turns into text, lists or mappings."""
    document = _mapping(content, open_node)
    sections = {}
    for section in ("metabolites", "reactions", "genes"):
        sections[section] = open_node(document.get(section))
        if not isinstance(sections[section], list):
            raise ValueError(f"no list of {section}")
    reactions = []
    for node in sections["reactions"]:
        entry = _mapping(node, open_node)
        coefficients = {
            name: float(open_node(value))
            for name, value in _mapping(entry.get("metabolites"), open_node).items()
        }
        reactions.append(
            PlainReaction(
                _identifier(entry, "reaction", open_node),
                {name: value for name, value in coefficients.items() if value},
                str(open_node(entry.get("gene_reaction_rule")) or ""),
            )
        )
    metabolites = tuple(
        _identifier(_mapping(node, open_node), "metabolite", open_node) for node in sections["metabolites"]
    )
    return PlainModel(metabolites, tuple(reactions))


def _identifier(entry: Mapping[str, Any], what: str, open_node: Callable[[Any], Any]) -> str:
    name = open_node(entry.get("id"))
    if not name or not isinstance(name, str):
        raise ValueError(f"a {what} has no id")
    return name


def _mapping(node: Any, open_node: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a mapping of nodes, which may be written as an ordered map: a list of single entries."""
    value = open_node(node)
    if isinstance(value, dict):
        return value
    if value is None or value == "":
        return {}
    if not isinstance(value, list):
        raise ValueError(f"expected a mapping, got {str(value)[:40]!r}")
    merged: dict[str, Any] = {}
    for entry in value:
        merged.update(_mapping(entry, open_node))
    return merged


def _of_node(node: Any) -> Any:
    """Return what a YAML node holds: text, a list of nodes, or a mapping from text to nodes."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        return {str(key.value): value for key, value in node.value}
    return None if node is None else node.value


@contextmanager
def _no_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
