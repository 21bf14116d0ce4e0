"""Whatever is wrong with a configuration is one sentence: what, where, what was expected."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import Field
from pydantic.dataclasses import dataclass

from gisearch.config import STRICT, assign, build, field_names, flatten, to_plain
from gisearch.errors import ConfigError


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Inner:
    width: int = Field(default=8, ge=1)
    rate: float = Field(default=0.5, ge=0, lt=1)
    kind: Literal["sum", "mean"] = "sum"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Red:
    name: Literal["red"] = "red"
    depth: int = 1


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Blue:
    name: Literal["blue"] = "blue"
    inner: Inner = Field(default_factory=Inner)
    size: float


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Outer:
    title: str
    inner: Inner = Field(default_factory=Inner)
    several: dict[str, Inner] = Field(default_factory=dict)
    listed: list[Inner] = Field(default_factory=list)
    limits: list[Annotated[int, Field(le=3)]] | None = None
    colour: Annotated[Red | Blue, Field(discriminator="name")] = Field(default_factory=Red)
    heads: int = 1
    flag: bool = False

    def __post_init__(self) -> None:
        if self.inner.width % self.heads:
            raise ValueError(f"heads: {self.heads} heads do not divide width {self.inner.width}.")


def error(values: dict[str, Any], where: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        build(Outer, {"title": "t", **values}, where)
    return str(caught.value)


def test_builds_nested_values_and_defaults() -> None:
    config = build(
        Outer,
        {
            "title": "t",
            "inner": {"rate": 0},
            "several": {"a": {"width": 2}},
            "listed": [{"kind": "mean"}],
            "colour": {"name": "blue", "size": 2},
        },
    )
    assert config.inner == Inner(rate=0.0)
    assert config.several == {"a": Inner(width=2)}
    assert config.listed == [Inner(kind="mean")]
    assert config.colour == Blue(size=2.0)


def test_plain_values_and_yaml_come_back() -> None:
    config = build(Outer, {"title": "t", "several": {"a": {"rate": 1e-5}}, "limits": [1, 2]})
    assert build(Outer, to_plain(config)) == config
    assert build(Outer, yaml.safe_load(yaml.safe_dump(to_plain(config)))) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        # Unknown keys, with the nearest name or all of them.
        ({"titel": 1}, "unknown key 'titel' in the configuration. Did you mean 'title'?"),
        ({"inner": {"widht": 1}}, "unknown key 'widht' in inner. Did you mean 'width'?"),
        ({"inner": {"q": 1}}, "unknown key 'q' in inner. Valid keys: width, rate, kind."),
        ({"several": {"a": {"rat": 1}}}, "unknown key 'rat' in several.a. Did you mean 'rate'?"),
        ({"listed": [{}, {"rat": 1}]}, "unknown key 'rat' in listed.1. Did you mean 'rate'?"),
        (
            {"colour": {"name": "blue", "sze": 1}},
            "unknown key 'sze' in colour. Did you mean 'size'?",
        ),
        (
            {"colour": {"name": "blue", "size": 1, "inner": {"widht": 1}}},
            "unknown key 'widht' in colour.inner. Did you mean 'width'?",
        ),
        # Missing values.
        ({"colour": {"name": "blue"}}, "colour.size: a value is required."),
        ({"colour": {"depth": 2}}, "colour.name: a value is required."),
        # Wrong types: strings are no numbers, numbers no booleans.
        ({"inner": {"width": "8"}}, "inner.width: expected a valid integer, got '8'."),
        ({"inner": {"width": 8.5}}, "inner.width: expected a valid integer, got 8.5."),
        ({"inner": {"width": True}}, "inner.width: expected a valid integer, got True."),
        ({"inner": {"rate": "x"}}, "inner.rate: expected a valid number, got 'x'."),
        ({"flag": 1}, "flag: expected a valid boolean, got 1."),
        ({"title": None}, "title: expected a valid string, got None."),
        ({"inner": 3}, "inner: expected an object, got 3."),
        ({"listed": "x"}, "listed: expected a valid array, got 'x'."),
        # Limits.
        ({"inner": {"width": 0}}, "inner.width: expected greater than or equal to 1, got 0."),
        ({"inner": {"rate": 1.0}}, "inner.rate: expected less than 1, got 1.0."),
        ({"inner": {"rate": float("nan")}}, "inner.rate: expected a finite number, got nan."),
        ({"limits": [1, 7]}, "limits.1: expected less than or equal to 3, got 7."),
        ({"several": {"b": {"width": 0}}}, "several.b.width: expected greater than or equal to 1, got 0."),
        # Choices.
        ({"inner": {"kind": "men"}}, "inner.kind: expected 'sum' or 'mean', got 'men'. Did you mean 'mean'?"),
        (
            {"colour": {"name": "rad"}},
            "colour.name: unknown value 'rad'; expected one of red, blue. Did you mean 'red'?",
        ),
        # Values that do not fit together.
        ({"heads": 3}, "heads: 3 heads do not divide width 8."),
    ],
)
def test_what_is_wrong_is_one_sentence(values: dict[str, Any], message: str) -> None:
    assert error(values) == message


def test_a_required_value_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^title: a value is required\.$"):
        build(Outer, {})


def test_messages_say_where_the_values_came_from() -> None:
    assert error({"inner": {"width": 0}}, "model").startswith("model.inner.width: expected")
    assert error({"q": 0}, "model").startswith("unknown key 'q' in model.")
    assert error({"heads": 3}, "model") == "model: heads: 3 heads do not divide width 8."
    assert error({"colour": {"name": "x"}}, "model").startswith("model.colour.name: unknown value")


def test_a_misspelt_key_is_named_before_the_one_it_leaves_missing() -> None:
    with pytest.raises(
        ConfigError, match=r"^unknown key 'titel' in the configuration\. Did you mean 'title'"
    ):
        build(Outer, {"titel": "t"})


def test_values_that_yaml_has_and_configurations_have_not() -> None:
    assert build(Outer, {"title": datetime.date(2024, 5, 1)}).title == "2024-05-01"
    assert error({"heads": datetime.date(2024, 5, 1)}) == (
        "heads: expected a valid integer, got '2024-05-01'."
    )
    assert "expected plain values only" in error({"inner": {(1, 2): 3}})
    assert error({"inner": {1: 2}}).startswith("unknown key '1' in inner.")


def test_field_names_below_a_path() -> None:
    assert field_names(Outer) == [
        "title",
        "inner",
        "several",
        "listed",
        "limits",
        "colour",
        "heads",
        "flag",
    ]
    assert field_names(Outer, "several.anything") == ["width", "rate", "kind"]
    assert field_names(Outer, "listed.0") == ["width", "rate", "kind"]
    assert field_names(Outer, "colour") == ["name", "depth", "inner", "size"]
    assert field_names(Outer, "colour.inner") == ["width", "rate", "kind"]
    assert field_names(Outer, "title.x") == []


def test_flatten_and_assign() -> None:
    nested = {"a": {"b": 1, "c": {"d": 2}}, "e": {}, "f": [1]}
    assert flatten(nested) == {"a.b": 1, "a.c.d": 2, "e": {}, "f": [1]}
    changed = assign(nested, {"a.c.d": 3, "x.y": 4})
    assert flatten(changed) == {"a.b": 1, "a.c.d": 3, "e": {}, "f": [1], "x.y": 4}
    assert nested["a"] == {"b": 1, "c": {"d": 2}}
