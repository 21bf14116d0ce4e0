"""A figure as a piece of a web page."""

from __future__ import annotations

import io
import re
from typing import Any

from gisearch.tracking.plot_style import style

# Where the first is missing, Verdana has the same widths.
_FONTS = ["DejaVu Sans", "Verdana", "sans-serif"]
_ID = re.compile(r' id="([^"]*)"')
_REFERENCE = re.compile(r'(href="#|url\(#)([^")]+)')


def svg(figure: Any, name: str, *, label: str, width: float, height: float) -> str:
    """Return a figure as an ``<svg>`` element that stands for itself: text as text, no request, no size.

    The same figure gives the same bytes in any process.

    Args:
        figure: a matplotlib figure.
        name: tells the figure from the others of the page: their inner names must not meet.
        label: what it shows, for those who cannot see it.
        width: in inches; with the height it decides how large the text is against the rest.
        height: in inches.
    """
    import matplotlib as mpl

    figure.set_size_inches(width, height)
    buffer = io.StringIO()
    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "font.sans-serif": _FONTS,
        "path.simplify": True,
    }
    with style(), mpl.rc_context(settings):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") : text.rindex("</svg>") + len("</svg>")]
    text = re.sub(r"<metadata>.*?</metadata>\s*|<style.*?</style>\s*", "", text, flags=re.DOTALL)
    view = f'viewBox="0 0 {72 * width:g} {72 * height:g}"'
    # Its size in points would keep the page from choosing one.
    head = (
        f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {view} role="img" aria-label="{_escaped(label)}">'
    )
    text = head + text[text.index(">") + 1 :]
    return re.sub(r"\s*\n\s*", "\n", _own_names(text, name))


def _own_names(text: str, name: str) -> str:
    """Keep the names that something refers to, and make them this figure's own."""
    used = {match[2] for match in _REFERENCE.finditer(text)}
    text = _ID.sub(lambda match: f' id="{name}-{match[1]}"' if match[1] in used else "", text)
    return _REFERENCE.sub(lambda match: f"{match[1]}{name}-{match[2]}", text)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
