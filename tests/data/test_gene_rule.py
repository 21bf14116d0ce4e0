"""Gene rules as alternatives of enzyme complexes, against cobra's own reading of them."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gisearch.data.sources.gene_rule import complexes_of_rule
from gisearch.errors import DataError

rules = st.recursive(
    st.sampled_from(list("ABCDE")),
    lambda inner: st.tuples(st.sampled_from([" and ", " or "]), st.lists(inner, min_size=2, max_size=4)).map(
        lambda node: "(" + node[0].join(node[1]) + ")"
    ),
    max_leaves=10,
)


@settings(deadline=None, max_examples=150)
@given(rules)
def test_complexes_are_minimal_and_say_what_cobra_says(rule: str) -> None:
    from cobra.core.gene import GPR

    gpr = GPR.from_string(rule)
    complexes = complexes_of_rule(rule)
    assert not any(a < b for a in complexes for b in complexes)
    for mask in range(32):
        gone = {gene for i, gene in enumerate("ABCDE") if mask >> i & 1}
        assert gpr.eval(gone) == any(not (genes & gone) for genes in complexes)


@pytest.mark.parametrize(
    ("rule", "complexes"),
    [
        ("", set()),
        ("  ", set()),
        ("A", {"A"}),
        ("((A))", {"A"}),
        ("A or B and C", {"A", "BC"}),
        ("A AND B Or C", {"AB", "C"}),
        ("(A|B)&C", {"AC", "BC"}),
        ("A or A and B", {"A"}),
        ("YAL001C-A and and1", {("YAL001C-A", "and1")}),
    ],
)
def test_rules_are_read_as_written(rule: str, complexes: set[str]) -> None:
    assert complexes_of_rule(rule) == frozenset(map(frozenset, complexes))


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("A and", "a gene is missing at the end"),
        ("A and and B", "a gene is missing before 'and'"),
        ("or A", "a gene is missing before 'or'"),
        ("A B", "'B' follows a complete rule"),
        ("(A or B", "a parenthesis is not closed"),
        ("A)", "')' follows a complete rule"),
        ("()", "a gene is missing before ')'"),
        ("(" * 5000 + "A" + ")" * 5000, "recursion"),
    ],
)
def test_a_malformed_rule_says_what_is_wrong(rule: str, problem: str) -> None:
    with pytest.raises(
        DataError, match=f"malformed gene rule .*{re.escape(problem)}.*; expected genes joined"
    ):
        complexes_of_rule(rule)
