import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gisearch.data.metabolism import Metabolism
from gisearch.data.sources.gene_rule import complexes_of_rule
from gisearch.errors import DataError

GENES = [f"g{i}" for i in range(6)]

rules = st.recursive(
    st.sampled_from(GENES),
    lambda inner: st.tuples(st.sampled_from([" and ", " or "]), st.lists(inner, min_size=2, max_size=3)).map(
        lambda node: "(" + node[0].join(node[1]) + ")"
    ),
    max_leaves=8,
)


def metabolism_of(reactions: list[str]) -> Metabolism:
    """Build reactions with these gene rules over ``GENES``; an empty rule is none."""
    owner: list[int] = []
    complexes: list[list[int]] = []
    for number, rule in enumerate(reactions):
        for names in complexes_of_rule(rule):
            owner.append(number)
            complexes.append([GENES.index(name) for name in names])
    return Metabolism(
        reactions=tuple(f"r{i}" for i in range(len(reactions))),
        metabolites=("m0",),
        incidence=np.stack([np.zeros(len(reactions), dtype=np.int64), np.arange(len(reactions))]),
        stoichiometry=np.full(len(reactions), -1.0, dtype=np.float32),
        complex_reaction=np.array(owner, dtype=np.int64),
        complex_genes=np.array([gene for genes in complexes for gene in genes], dtype=np.int64),
        complex_offsets=np.cumsum([0, *map(len, complexes)]).astype(np.int64),
    )


@settings(deadline=None, max_examples=150)
@given(st.lists(rules, min_size=1, max_size=4), st.sets(st.sampled_from(range(6)), max_size=3))
def test_disabled_reactions_are_those_that_cobra_evaluates_to_false(
    reactions: list[str], gone: set[int]
) -> None:
    from cobra.core.gene import GPR

    names = {GENES[i] for i in gone}
    expected = [i for i, rule in enumerate(reactions) if not GPR.from_string(rule).eval(names)]
    assert metabolism_of(reactions).disabled_reactions(sorted(gone)).tolist() == expected


def test_a_reaction_without_a_rule_always_runs() -> None:
    assert metabolism_of(["g0", "", "g0 or g1"]).disabled_reactions([0]).tolist() == [0]


def test_nothing_deleted_disables_nothing() -> None:
    assert metabolism_of(["g0 and g1", "g2"]).disabled_reactions([]).tolist() == []


def test_padding_deletes_nothing() -> None:
    assert metabolism_of(["g0", "g1"]).disabled_reactions([1, -1, -1]).tolist() == [1]


def test_gene_reaction_incidences_are_unique() -> None:
    incidence = metabolism_of(["(g0 and g1) or (g0 and g2)", "g2"]).gene_reaction
    assert list(zip(*incidence.tolist(), strict=True)) == [(0, 0), (1, 0), (2, 0), (2, 1)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"incidence": np.zeros((2, 3), dtype=np.int64)},
            r"expected incidence of shape \[2, 1\], got \[2, 3\]",
        ),
        ({"complex_offsets": np.array([0])}, "complex_offsets must have one entry more"),
        ({"stoichiometry": np.array([0.0])}, "coefficients must be finite and non-zero"),
        ({"stoichiometry": np.array([np.nan])}, "coefficients must be finite and non-zero"),
    ],
)
def test_inconsistent_arrays(changes: dict[str, object], message: str) -> None:
    good = metabolism_of(["g0"])
    with pytest.raises(DataError, match=message):
        Metabolism(**{**good.__dict__, **changes})


def test_the_digest_follows_the_content() -> None:
    assert metabolism_of(["g0"]).digest() == metabolism_of(["g0"]).digest()
    assert metabolism_of(["g0"]).digest() != metabolism_of(["g1"]).digest()
