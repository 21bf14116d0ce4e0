"""One look for every figure: sizes, colours, axes.

Colours are Okabe and Ito's palette (jfly.uni-koeln.de/color, 2008), told apart under every common form
of colour blindness, and cividis (Nuñez et al. 2018, doi:10.1371/journal.pone.0199239) for ordered values.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY = "#CC79A7", "#56B4E9"
INK, GREY, PALE = "#222222", "#8A8A8A", "#E4E4E4"
CYCLE = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY)
DPI = 150
_CONCLUSION, _DETAIL = "conclusion", "detail"

_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "axes.titlesize": 11,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def style() -> Any:
    """Return the context in which a figure is built and drawn; nothing global changes after it."""
    import matplotlib as mpl

    return mpl.rc_context(_STYLE)


def new_figure(width: float = 7.0, height: float = 4.2) -> Any:
    """Return an empty figure of ``width`` by ``height`` inches on the Agg canvas, without pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
    FigureCanvasAgg(figure)
    return figure


def titled(figure: Any, conclusion: str, detail: str = "") -> None:
    """Write the conclusion above a figure, and how to read it below that in grey."""
    width = figure.get_size_inches()[0]
    lines = textwrap.wrap(conclusion, int(width * 10.5)) or [""]
    small = textwrap.wrap(detail, int(width * 14.2)) if detail else []
    # One block of text as the figure's title, so that the layout leaves room for it.
    height = figure.get_size_inches()[1]
    above = figure.suptitle(
        "\n".join(lines) + "\n" * len(small) if small else "\n".join(lines),
        x=0.012,
        ha="left",
        fontsize=11.5,
        fontweight="bold",
        linespacing=1.25,
    )
    above.set_gid(_CONCLUSION)
    above.set_label(conclusion)
    if small:
        top = 0.98 - len(lines) * 0.205 / height
        below = figure.text(0.012, top, "\n".join(small), ha="left", va="top", fontsize=8.8, color="#5A5A5A")
        below.set_gid(_DETAIL)
        below.set_label(detail)


def take_words(figure: Any) -> tuple[str, str]:
    """Take what :func:`titled` wrote off a figure, for a page that writes it itself.

    Returns:
        The conclusion, and how to read the figure.
    """
    words = {_CONCLUSION: "", _DETAIL: ""}
    for text in figure.texts:
        if text.get_gid() in words:
            words[text.get_gid()] = text.get_label()
            text.set_text("")
            text.set_in_layout(False)
    return words[_CONCLUSION], words[_DETAIL]


def light_grid(axes: Any, axis: str = "y") -> None:
    """Draw thin lines behind the data."""
    axes.grid(axis=axis, color=PALE, linewidth=0.7)
    axes.set_axisbelow(True)


def save(figure: Any, path: Path) -> Path:
    """Write a figure as PNG at 150 dpi and return ``path``; its folder is created where needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with style():
        figure.savefig(path, dpi=DPI, format="png", metadata={"Software": None})
    return path


def number(value: float) -> str:
    """Return a value in three or four significant digits."""
    return f"{value:.3f}" if 0.01 <= abs(value) < 10 else f"{value:.3g}"


def note_nothing(figure: Any, reason: str) -> None:
    """Say why a figure is empty."""
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.text(0.5, 0.5, reason, ha="center", va="center", color="#5A5A5A", transform=axes.transAxes)


def ceiling_line(axes: Any, ceiling: float) -> None:
    """Draw the score that measurement noise lets no model pass."""
    axes.axhline(ceiling, color=INK, linewidth=1, linestyle=(0, (5, 3)))
    axes.annotate(
        f"noise ceiling {number(ceiling)}",
        (0.0, ceiling),
        xycoords=("axes fraction", "data"),
        xytext=(4, 3),
        textcoords="offset points",
        fontsize=8.5,
        color=INK,
    )
