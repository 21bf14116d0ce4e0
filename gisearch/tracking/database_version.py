"""Whether an SQLite database of MLflow has the version that the installed MLflow works with."""

from __future__ import annotations

import importlib.util
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from gisearch.tracking.new_database import alone_with, is_new

_STATEMENT = re.compile(r"^(down_revision|revision)\s*(?::[^=]+)?=(.*)$", re.MULTILINE)
_REVISION = re.compile(r"[\"'](\w+)[\"']")


def version_of(database: Path) -> str | None:
    """Read the version of a database; nothing is written, and one that is being made is waited for.

    Returns:
        The revision that MLflow has noted; None where it has not, or it cannot be read now.
    """
    if is_new(database):
        return None
    address = f"file:{quote(str(database.absolute()))}?mode=ro"
    with alone_with(database):
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=1.0)) as connection:
                found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.Error:
            return None
    return None if found is None else str(found[0])


def installed_versions() -> tuple[frozenset[str], str | None]:
    """Return the revisions that the installed MLflow knows, and the newest.

    They are read from its files: importing it takes seconds.
    """
    spec = importlib.util.find_spec("mlflow")
    if spec is None or spec.origin is None:
        return frozenset(), None
    known, before = set[str](), set[str]()
    for file in (Path(spec.origin).parent / "store" / "db_migrations" / "versions").glob("*.py"):
        for name, value in _STATEMENT.findall(file.read_text(encoding="utf-8")):
            (known if name == "revision" else before).update(_REVISION.findall(value))
    heads = known - before
    return frozenset(known), heads.pop() if len(heads) == 1 else None
