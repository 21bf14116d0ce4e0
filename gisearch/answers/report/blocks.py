"""What a section of the report is made of; the template knows how each looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

# The part of a scale, from either end, in which a text centred on a value would leave the page.
_ROOM = 0.35


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Attributes:
        text: its words.
        tone: ``plain``; ``note`` for what to know when reading; ``missing`` for why something is not there;
            ``answer`` for the sentences that the reader came for.
    """

    kind: ClassVar[str] = "text"
    text: str
    tone: str = "plain"


@dataclass(frozen=True)
class Code:
    """A command or a configuration, to be copied."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Table:
    """A table that scrolls within itself where it is wider than the page.

    Attributes:
        caption: what it shows, in words.
        columns: headings.
        rows: cells as text.
        numeric: the columns that hold numbers, which stand to the right.
        marked: the rows to emphasise.
        sortable: whether a click on a heading may sort it.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int] = frozenset()
    marked: frozenset[int] = frozenset()
    sortable: bool = False


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        svg: the drawing.
        conclusion: what it shows, in a sentence.
        detail: how to read it.
    """

    kind: ClassVar[str] = "picture"
    svg: str
    conclusion: str
    detail: str = ""


@dataclass(frozen=True)
class Bar:
    """A row of a bar chart.

    Attributes:
        label: what the bar is of.
        value: its length, 0 to 1.
        text: its value in words.
        note: anything more.
        faint: whether it is less sure than the others.
    """

    label: str
    value: float
    text: str
    note: str = ""
    faint: bool = False


@dataclass(frozen=True)
class Bars:
    """A bar chart that is laid out by the page.

    Attributes:
        caption: what it shows, in words.
        bars: from the top down.
    """

    kind: ClassVar[str] = "bars"
    caption: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Span:
    """A row of a chart of intervals.

    Attributes:
        label: what it is of.
        middle: its point.
        low: the interval's lower end.
        high: its upper end.
        text: its values in words.
        other: a second point, drawn hollow.
        strong: whether to emphasise it.
        heading: stands above the row, where a group of rows begins.
        note: anything more.
    """

    label: str
    middle: float
    low: float
    high: float
    text: str
    other: float | None = None
    strong: bool = False
    heading: str = ""
    note: str = ""


@dataclass(frozen=True)
class Spans:
    """Points with intervals on one common scale (a forest plot), laid out by the page.

    Attributes:
        caption: what it shows, in words.
        spans: from the top down.
        line: a value to draw through all rows, such as no difference or the noise ceiling.
        line_text: what the line is.
    """

    kind: ClassVar[str] = "spans"
    caption: str
    spans: Sequence[Span]
    line: float | None = None
    line_text: str = ""

    @property
    def limits(self) -> tuple[float, float]:
        """The scale's ends, with some room."""
        values = [v for s in self.spans for v in (s.low, s.high, s.middle, s.other) if v is not None]
        values += [] if self.line is None else [self.line]
        low, high = min(values), max(values)
        room = 0.04 * (high - low) or 0.04 * abs(high) or 1.0
        return low - room, high + room

    @property
    def line_side(self) -> str:
        """To which side of the line its text has room: ``left``, ``right`` or ``both``."""
        if self.line is None:
            return "both"
        low, high = self.limits
        part = (self.line - low) / (high - low)
        return "left" if part > 1 - _ROOM else "right" if part < _ROOM else "both"

    def at(self, value: float) -> str:
        """Return where a value stands on the scale, as CSS."""
        low, high = self.limits
        return f"{100 * (value - low) / (high - low):.2f}%"


Block = Text | Code | Table | Picture | Bars | Spans


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        key: its anchor.
        title: its heading.
        blocks: its content; never empty: what is missing is said.
    """

    key: str
    title: str
    blocks: Sequence[Block]
