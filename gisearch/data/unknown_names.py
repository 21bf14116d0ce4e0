"""What unknown gene names look like, so that a message can say more than that they are unknown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from itertools import islice

from gisearch.data.gene_names import shown

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAY_MONTH = re.compile(r"(\d{1,2})[-/ ]([A-Z]{3})[A-Z]*", re.IGNORECASE)
_MONTH_DAY = re.compile(r"([A-Z]{3})[A-Z]*[-/ ](\d{1,2})", re.IGNORECASE)
_ISO = re.compile(r"\d{4}-(\d\d)-(\d\d)(?: 00:00:00)?")
# Days since the end of 1899, as spreadsheets count: 1954 to 2064.
_SERIAL = re.compile(r"[2-5]\d{4}")
_STRAIN = re.compile(r"Y[A-P][LR]\d{3}[WC](-[A-Z])?(\+\S+)?_\w+", re.IGNORECASE)
_ENTREZ = re.compile(r"\d{5,9}")
_NAMED = 3


def examples(names: Iterable[str]) -> str:
    """Return the first three names for a message."""
    return ", ".join(shown(name) for name in islice(names, _NAMED))


def hint(names: Iterable[str], is_known: Callable[[str], bool]) -> str:
    """Return what some unknown names look like, as the end of a sentence; empty where nothing is known."""
    for name in names:
        gene = gene_of_date(name)
        if gene and is_known(gene):
            return f" ({shown(name)} is {gene} as a spreadsheet's date: format such columns as text)"
        if not name.isascii():
            return f" ({shown(name)} holds a character that is no plain letter, digit or hyphen)"
        if _STRAIN.fullmatch(name):
            return f" ({shown(name)} looks like a strain: formats such as kuzmin2018 read those)"
        if _ENTREZ.fullmatch(name):
            return f" ({shown(name)} looks like an Entrez number: map such columns to gene names first)"
    return ""


def gene_of_date(text: str) -> str | None:
    """Return the gene that a spreadsheet has made this date (``1-Oct``, ``44105``: OCT1), or None."""
    if match := _DAY_MONTH.fullmatch(text):
        day, month = int(match[1]), match[2].upper()
    elif match := _MONTH_DAY.fullmatch(text):
        day, month = int(match[2]), match[1].upper()
    elif (match := _ISO.fullmatch(text)) and 1 <= int(match[1]) <= 12:
        day, month = int(match[2]), _MONTHS[int(match[1]) - 1]
    elif _SERIAL.fullmatch(text):
        then = date(1899, 12, 30) + timedelta(days=int(text))
        day, month = then.day, _MONTHS[then.month - 1]
    else:
        return None
    return f"{month}{day}" if month in _MONTHS else None
