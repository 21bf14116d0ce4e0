"""Numbers and values as the report writes them."""

from __future__ import annotations

from typing import Any


def score(value: float | None) -> str:
    """Return a score: four decimals, as the leaderboard in the terminal."""
    return "–" if value is None else f"{value:.4f}"


def signed(value: float) -> str:
    """Return a difference with its sign."""
    return f"{value:+.4f}".replace("-", "−")


def percent(share: float) -> str:
    """Return a share in whole percent."""
    return "< 1 %" if 0 < share < 0.005 else f"{share:.0%}".replace("%", " %")


def seconds(value: float) -> str:
    """Return a time as people say it: 12.3 s, 4 min 05 s, 2 h 10 min."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural where it is not one."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def plain(value: Any) -> str:
    """Return a configuration value: on and off, three digits of a real number."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "null"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
