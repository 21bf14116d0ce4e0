from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gisearch.errors import ConfigError
from gisearch.search.compilation import Branches, compile_space
from gisearch.search.covering import covering_assignments
from gisearch.search.domains import Choice, Range, parse_domain, same
from gisearch.search.sampling import suggest_with
from gisearch.search.space import SearchSpace, canonical


def fail(key: str, message: str) -> ConfigError:
    return ConfigError(f"{key}: {message}")


def compiled(spec: dict[str, Any], base: dict[str, Any] | None = None, **pinned: Any) -> SearchSpace:
    return compile_space(spec, base or dict.fromkeys("abcdefghi", 0), fail, pinned)[0]


class TestDomains:
    def parse(self, spec: Any) -> Any:
        return parse_domain(spec, lambda message: ConfigError(message))

    def test_a_list_is_a_choice(self) -> None:
        assert self.parse([1, "x", None, [1, 2]]) == Choice((1, "x", None, [1, 2]))
        assert self.parse({"choice": [True]}) == Choice((True,))

    def test_ranges(self) -> None:
        assert self.parse({"int": [1, 4]}).all_values == (1, 2, 3, 4)
        assert self.parse({"int": [1, 8], "step": 3}).all_values == (1, 4, 7)
        assert self.parse({"float": [0, 1]}).all_values is None
        values = self.parse({"float": [1, 2], "step": 0.5}).all_values
        assert values == (1.0, 1.5, 2.0)
        assert all(type(value) is float for value in values)

    def test_membership(self) -> None:
        whole = Range(1, 7, integer=True, step=3)
        assert [v for v in (0, 1, 2, 4, 7, 10) if v in whole] == [1, 4, 7]
        assert True not in whole
        assert "4" not in whole
        assert 2.5 not in Range(1, 7, integer=True, step=1)
        assert 0.30000000000000004 in Range(0.1, 0.5, integer=False, step=0.1)
        assert 1 not in Choice((True,))
        assert 1.0 in Choice((1,))

    def test_every_step_has_one_value(self) -> None:
        grid = Range(0.1, 0.5, integer=False, step=0.1)
        assert grid.all_values == (0.1, 0.2, 0.3, 0.4, 0.5)
        assert [grid.exact(0.1 + i * 0.1) for i in range(5)] == [0.1, 0.2, 0.3, 0.4, 0.5]
        assert Range(1e-4, 1e-3, integer=False, step=3e-4).all_values == (0.0001, 0.0004, 0.0007, 0.001)
        assert Range(0, 1, integer=False, step=0.3).representatives[-1] == 0.9
        assert Range(0, 100, integer=True, step=3).representatives == (0, 99)
        assert Choice((1, "x")).exact(1.0) == 1

    @given(st.integers(-50, 50), st.integers(1, 9), st.integers(1, 30), st.sampled_from([1, 10, 1000]))
    def test_steps_are_those_that_are_written(self, low: int, step: int, count: int, scale: int) -> None:
        grid = Range(low / scale, (low + count * step) / scale, integer=False, step=step / scale)
        written = tuple((low + i * step) / scale for i in range(count + 1))
        assert grid.all_values == written
        assert tuple(grid.exact(grid.low + i * step / scale) for i in range(count + 1)) == written

    def test_texts(self) -> None:
        assert str(Range(1, 4, integer=True, step=1)) == "whole numbers 1 to 4"
        assert str(Range(1e-4, 0.1, integer=False, log=True)) == "numbers 0.0001 to 0.1 (log)"
        assert str(Range(0, 1, integer=False, step=0.5)) == "numbers 0 to 1 in steps of 0.5"
        assert str(Choice((True, None, "x"))) == "true, null, x"

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            (3, "expected a list of values, or a mapping with choice, int or float; got 3"),
            ({}, "expected exactly one of choice, int and float; got nothing"),
            (
                {"flaot": [0, 1]},
                "expected exactly one of choice, int and float; got flaot. Did you mean 'float'?",
            ),
            (
                {"int": [1, 2], "float": [0, 1]},
                "expected exactly one of choice, int and float; got int, float. Did you mean 'int'?",
            ),
            (
                {"int": [1, 2], "stepp": 1},
                "unknown key 'stepp'; expected int, log, step, when. Did you mean 'step'?",
            ),
            ({"choice": [1], "log": True}, "unknown key 'log'; expected choice, when"),
            ([], "expected a list of at least one value; got []"),
            ({"choice": 3}, "expected a list of at least one value; got 3"),
            ([1, 2, 1.0], "the value 1.0 is given twice"),
            ([None, None], "the value null is given twice"),
            ([{"a": 1}], "a choice must be a plain value or a list; got {'a': 1}"),
            ({"int": [4, 1]}, "impossible range: low 4 must be below high 1"),
            ({"int": [4, 4]}, "impossible range: low 4 must be below high 4"),
            ({"float": [0.0, float("inf")]}, "impossible range: low 0 must be below high inf"),
            ({"float": [float("nan"), 1.0]}, "impossible range: low nan must be below high 1"),
            ({"float": [0, 1], "log": True}, "a log range must start above 0; got 0"),
            ({"int": [1, 4], "step": 4}, "step 4 exceeds the range 1 to 4"),
            ({"int": [1, 4], "step": 0}, "step: expected a number above 0; got 0"),
            ({"int": [1, 4], "step": 0.5}, "step: expected a number above 0; got 0.5"),
            ({"float": [1, 4], "step": 1, "log": True}, "step and log cannot be combined"),
            ({"float": [1, 4], "log": "yes"}, "log: expected true or false; got yes"),
            ({"int": [1, 2.5]}, "expected two whole numbers [low, high]; got [1, 2.5]"),
            ({"int": [1, 2, 3]}, "expected two whole numbers [low, high]; got [1, 2, 3]"),
            ({"float": ["0", 1]}, "expected two numbers [low, high]; got ['0', 1]"),
            ({"float": [False, True]}, "expected two numbers [low, high]; got [False, True]"),
            ({"float": 3}, "expected two numbers [low, high]; got 3"),
        ],
    )
    def test_impossible(self, spec: Any, message: str) -> None:
        with pytest.raises(ConfigError) as error:
            self.parse(spec)
        assert str(error.value) == message


class TestCompile:
    def test_conditions_come_before_what_depends_on_them(self) -> None:
        space = compiled(
            {"c": {"int": [1, 2], "when": {"b": 1}}, "b": {"choice": [1, 2], "when": {"a": 0}}, "a": [0, 1]}
        )
        assert [p.path for p in space.parameters] == ["a", "b", "c"]
        assert list(space.enumerate()) == [
            {"a": 0, "b": 1, "c": 1},
            {"a": 0, "b": 1, "c": 2},
            {"a": 0, "b": 2},
            {"a": 1},
        ]
        assert space.size() == 4

    def test_a_condition_on_several_values(self) -> None:
        space = compiled({"a": [1, 2, 3], "b": {"choice": ["x", "y"], "when": {"a": [1, 3]}}})
        assert [v for v in space.enumerate() if "b" not in v] == [{"a": 2}]
        assert space.size() == 5

    def test_a_condition_on_a_list(self) -> None:
        space = compiled({"a": [[1, 2], [3]], "b": {"choice": [0, 1], "when": {"a": [[1, 2]]}}})
        assert [v for v in space.enumerate() if "b" in v] == [{"a": [1, 2], "b": 0}, {"a": [1, 2], "b": 1}]

    def test_a_condition_on_what_is_not_searched(self) -> None:
        space = compiled({"a": {"choice": [1, 2], "when": {"h": 0}}})
        assert space.size() == 2
        assert space.sample(lambda _: 1) == {"a": 1}

    def test_infinite_and_large_spaces(self) -> None:
        space = compiled({"a": {"float": [0, 1]}})
        assert space.size() is None
        with pytest.raises(
            ConfigError, match=r"^search\.exhaustive: a has infinitely many values; give it a step"
        ):
            list(space.enumerate())
        assert compiled({"a": {"int": [1, 50]}, "b": {"int": [1, 50]}}).size(limit=2000) is None

    def test_a_pinned_parameter_leaves_with_what_depends_on_another_value(self) -> None:
        spec = {
            "a": [True, False],
            "b": {"int": [1, 2], "when": {"a": True}},
            "c": {"int": [1, 2], "when": {"b": 1}},
        }
        spec |= {"d": [1, 2]}
        base = {"a": False, "b": 1, "c": 1, "d": 1}
        space, notes = compile_space(spec, base, fail, {"a": False})
        assert [p.path for p in space.parameters] == ["d"]
        assert notes[0] == "a is fixed to false by the command line"
        assert notes[1:] == ["b is left out: a is false", "c is left out: b is left out"]
        kept, _ = compile_space(spec, {**base, "a": True}, fail, {"a": True})
        assert {p.path for p in kept.parameters} == {"b", "c", "d"}
        assert all("a" not in values for values in kept.enumerate())

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ({"z": [1]}, "z: unknown parameter path 'z'"),
            (
                {"group.valeu": [1]},
                "group.valeu: unknown parameter path 'group.valeu'. Did you mean 'group.value'?",
            ),
            ({"group": [1]}, "group: 'group' is a section, not a value; expected one of group.value"),
            ({"a": {"choice": [1], "when": 3}}, "a: when: expected a mapping of keys to values; got 3"),
            (
                {"a": {"choice": [1], "when": {"group.valeu": 3}}},
                "a: unknown parameter path 'group.valeu'. Did you mean 'group.value'?",
            ),
            ({"a": {"choice": [1], "when": {"a": 1}}}, "a: the condition refers to the parameter itself"),
            (
                {"a": [1, 2], "b": {"choice": [1], "when": {"a": 3}}},
                "b: the condition can never hold: a is never 3 (it takes 1, 2)",
            ),
            (
                {"a": [True, False], "b": {"choice": [1], "when": {"a": 1}}},
                "b: the condition can never hold: a is never 1 (it takes true, false)",
            ),
            (
                {"a": {"choice": [1], "when": {"h": [5, 6]}}},
                "a: the condition can never hold: h is not searched and is 0",
            ),
            (
                {"a": {"choice": [1], "when": {"b": 1}}, "b": {"choice": [1], "when": {"a": 1}}},
                "a: the conditions form a circle: a -> b -> a",
            ),
            (
                {
                    "a": [1, 2],
                    "b": {"choice": [1], "when": {"a": 1}},
                    "c": {"choice": [1], "when": {"a": 2, "b": 1}},
                },
                "c: contradictory conditions: a must be 2 and also 1",
            ),
            (
                {
                    "a": [1, 2],
                    "b": {"choice": [1], "when": {"a": [2, 3]}},
                    "c": {"choice": [1], "when": {"a": [1, 3], "b": 1}},
                },
                "c: contradictory conditions: a must be 1 and also 2 or 3",
            ),
            ({}, ": the space is empty: expected at least one parameter to search"),
            ({3: [1]}, "3: expected a dotted path as key; got 3"),
        ],
    )
    def test_impossible(self, spec: Any, message: str) -> None:
        with pytest.raises(ConfigError) as error:
            compiled(spec, {**dict.fromkeys("abch", 0), "group.value": 0})
        circle = str(error.value).replace("b: the conditions form a circle: b -> a -> b", message)
        assert (circle if "circle" in message else str(error.value)) == message

    def test_the_part_with_one_value(self) -> None:
        spec = {
            "a": [1, 2],
            "b": {"choice": [1, 2], "when": {"a": 1}},
            "d": {"choice": [3], "when": {"a": 2}},
        }
        space = compiled({**spec, "c": {"choice": [1, 2], "when": {"b": 2}}, "e": [7]})
        everything = list(space.enumerate())
        for value in (1, 2):
            part = list(space.given("a", value).enumerate())
            assert part == [values for values in everything if values["a"] == value]
        assert [p.path for p in space.given("a", 2).parameters] == ["a", "e", "d"]

    def test_check_assignment(self) -> None:
        space = compiled(
            {"alpha": [1, 2], "beta": {"int": [1, 4], "when": {"alpha": 1}}}, {"alpha": 1, "beta": 1}
        )
        assert space.check_assignment({}) is None
        assert space.check_assignment({"alpha": 1, "beta": 4}) is None
        assert space.check_assignment({"alpa": 1}) == "'alpa' is not in the space. Did you mean 'alpha'?"
        assert space.check_assignment({"beta": 5}) == "beta: 5 is outside the space (whole numbers 1 to 4)"
        assert space.check_assignment({"alpha": 2, "beta": 4}) == "beta does not exist where alpha is 2"

    def test_canonical_does_not_depend_on_order(self) -> None:
        assert canonical({"a": 1, "b": [1, 2]}) == canonical({"b": [1, 2], "a": 1})
        assert canonical({"a": True}) != canonical({"a": 1})


class TestBranches:
    """Paths that exist under some values of another key."""

    BASES = {  # noqa: RUF012
        "one": {"name": "one", "a": 1, "b": 5, "both": 0},
        "two": {"name": "two", "c": 1, "b": 6, "both": 0},
        "three": {"name": "three", "both": 0},
    }
    NAME = {"name": ["one", "two", "three"]}  # noqa: RUF012

    def compiled(self, spec: dict[str, Any], **pinned: Any) -> tuple[SearchSpace, list[str]]:
        branches = Branches("name", self.BASES)
        base = self.BASES[pinned.get("name", "one")]
        return compile_space({**spec, **self.NAME}, base, fail, pinned, branches)

    def test_a_parameter_exists_in_the_branches_that_have_it(self) -> None:
        space, notes = self.compiled({"a": [1, 2], "b": [1], "both": [0, 1]})
        assert {p.path: p.when for p in space.parameters} == {
            "name": {},
            "a": {"name": ("one",)},
            "b": {"name": ("one", "two")},
            "both": {},
        }
        assert notes == []

    def test_conditions_on_what_is_not_searched_hold_in_some_branches(self) -> None:
        space, _ = self.compiled({"both": {"choice": [1, 2], "when": {"b": 6}}})
        assert space["both"].when == {"name": ("two",)}
        space, _ = self.compiled({"both": {"choice": [1, 2], "when": {"b": [5, 6]}}})
        assert space["both"].when == {"name": ("one", "two")}

    def test_conditions_that_are_given_are_narrowed(self) -> None:
        spec = {"both": {"choice": [1, 2], "when": {"b": [5, 6], "name": ["two", "three"]}}}
        assert self.compiled(spec)[0]["both"].when == {"name": ("two",)}

    def test_a_condition_on_a_parameter_of_another_branch_goes_with_it(self) -> None:
        space, _ = self.compiled({"a": [1, 2], "both": {"choice": [1, 2], "when": {"a": 1}}})
        found = [values for values in space.enumerate() if "both" in values]
        assert found == [{"name": "one", "a": 1, "both": value} for value in (1, 2)]

    def test_a_pinned_branch(self) -> None:
        space, notes = self.compiled({"a": [1, 2], "c": [1, 2], "both": [0, 1]}, name="two")
        assert {p.path for p in space.parameters} == {"c", "both"}
        assert notes == [
            'name is fixed to "two" by the command line',
            'a is left out: name is "two"',
        ]

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            (
                {"a": {"choice": [1], "when": {"name": ["one", "three"]}}},
                'a: name "three" has no such key; "one" has',
            ),
            (
                {"a": {"choice": [1], "when": {"c": 1}}},
                "a: the condition can never hold: no name has both it and c",
            ),
            (
                {"both": {"choice": [1], "when": {"b": 9}}},
                "both: the condition can never hold: b is not searched",
            ),
            ({"d": [1]}, "d: unknown parameter path 'd'"),
        ],
    )
    def test_impossible(self, spec: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError) as error:
            self.compiled(spec)
        assert str(error.value).startswith(message)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """Small conditional spaces that compile."""
    spec: dict[str, Any] = {}
    names = "abcdef"[: draw(st.integers(1, 6))]
    for i, name in enumerate(names):
        count = draw(st.integers(1, 3))
        domain: dict[str, Any] = (
            {"int": [0, count]} if draw(st.booleans()) else {"choice": list(range(count))}
        )
        parents = draw(st.lists(st.sampled_from(names[:i]), max_size=2, unique=True)) if i else []
        if parents:
            domain["when"] = {
                parent: draw(st.lists(st.integers(0, 2), min_size=1, max_size=2, unique=True))
                for parent in parents
            }
        spec[name] = domain
        try:
            compiled(spec)
        except ConfigError:
            domain.pop("when")
    return compiled(spec)


def pairs(values: dict[str, Any]) -> Iterator[Any]:
    return combinations(sorted(values.items()), 2)


@given(space=spaces(), seed=st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_sampling_and_enumeration_agree(space: SearchSpace, seed: Any) -> None:
    everything = list(space.enumerate())
    texts = {canonical(values) for values in everything}
    assert len(texts) == len(everything) == space.size()
    assert all(space.check_assignment(values) is None for values in everything)
    for _ in range(10):
        sample = space.sample(lambda p: seed.choice(p.domain.all_values))
        assert canonical(sample) in texts
    for values in everything:
        assert space.sample(lambda p, values=values: values[p.path]) == values


@given(space=spaces())
@settings(max_examples=50, deadline=None)
def test_every_pair_that_can_meet_is_covered(space: SearchSpace) -> None:
    wide = compiled_with_many_values(space)
    covered = {pair for values in covering_assignments(wide) for pair in pairs(values)}
    possible = {pair for values in space.enumerate() for pair in pairs(values)}
    assert possible <= covered
    for values in covering_assignments(wide):
        assert wide.check_assignment(values) is None


def compiled_with_many_values(space: SearchSpace) -> SearchSpace:
    """The same space beside free parameters that make it too large to be covered by listing it."""
    extra = compiled({name: list(range(11)) for name in "ghi"}).parameters
    return SearchSpace((*space.parameters, *extra), space.fixed)


def test_a_large_space_is_covered_with_few_configurations() -> None:
    space = compiled({name: list(range(4)) for name in "abcdefgh"})
    found = list(covering_assignments(space))
    assert len(found) < 150
    assert len({pair for values in found for pair in pairs(values)}) == 28 * 16


def test_values_that_conditions_name_are_tried_even_inside_a_range() -> None:
    space = compiled({"a": {"int": [1, 99]}, "b": {"choice": [7], "when": {"a": 50}}})
    assert {"a": 50, "b": 7} in list(covering_assignments(space))


def test_parents_are_chosen_so_that_both_of_a_pair_exist() -> None:
    spec: dict[str, Any] = {"a": [1, 2, 3], "b": {"choice": [1, 2], "when": {"a": [1, 2]}}}
    spec |= {"c": {"choice": [1, 2], "when": {"a": [2, 3]}}}
    space = compiled_with_many_values(compiled(spec))
    assert any(v.get("b") == 1 and v.get("c") == 2 for v in covering_assignments(space))


def test_same() -> None:
    assert same(1, 1.0)
    assert not same(1, True)
    assert not same(None, 0)


class TestSteppedConditions:
    SPEC: dict[str, Any] = {  # noqa: RUF012
        "a": {"float": [0.1, 0.5], "step": 0.1},
        "b": {"choice": [1, 2], "when": {"a": 0.3}},
    }

    def test_a_condition_on_a_step_holds_there(self) -> None:
        space = compiled(self.SPEC)
        assert space.size() == 6
        found = [assignment for assignment in space.enumerate() if "b" in assignment]
        assert found == [{"a": 0.3, "b": 1}, {"a": 0.3, "b": 2}]
        assert space.check_assignment({"a": 0.1 + 2 * 0.1, "b": 1}) is None
        assert space.check_assignment({"a": 0.2, "b": 1}) == "b does not exist where a is 0.2"

    def test_a_condition_is_written_as_the_range_takes_it(self) -> None:
        spec = {**self.SPEC, "b": {"choice": [1, 2], "when": {"a": [0.30000000000000004]}}}
        assert compiled(spec)["b"].when == {"a": (0.3,)}

    def test_a_trial_suggests_what_is_listed(self) -> None:
        space = compiled(self.SPEC)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        drawn = [space.sample(suggest_with(study.ask())) for _ in range(40)]
        assert {canonical(values) for values in drawn} == {canonical(v) for v in space.enumerate()}
        study.enqueue_trial({"a": 0.1 + 2 * 0.1, "b": 1})
        assert space.sample(suggest_with(study.ask())) == {"a": 0.3, "b": 1}

    def test_a_condition_on_a_continuous_range_is_refused(self) -> None:
        with pytest.raises(ConfigError) as error:
            compiled({"a": {"float": [0, 1]}, "b": {"choice": [1, 2], "when": {"a": 0.5}}})
        assert str(error.value) == (
            "b: a condition on a would hold for single values of a continuous range (numbers 0 to 1); "
            "expected a key with listed values, or a range with a step"
        )
