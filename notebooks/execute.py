"""Run the notebooks and keep what they show: ``python notebooks/execute.py [NAME ...]``.

Without a name all of them are run. Text and small pictures are kept; times of execution and what an editor
notes are not. Needs the extra ``dev``.
"""

from __future__ import annotations

import base64
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

FOLDER = Path(__file__).resolve().parent


def notebooks() -> list[Path]:
    """Return the notebooks of this folder."""
    return sorted(FOLDER.glob("*.ipynb"))


def execute(path: Path, variables: Mapping[str, str] | None = None, timeout: int = 600) -> NotebookNode:
    """Run a notebook in a fresh kernel, in this folder, and return it with its outputs.

    Args:
        path: the notebook; the file stays as it is.
        variables: of the environment, beside this process's own.
        timeout: seconds for one cell.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(FOLDER)}},
    )
    client.execute(env={**os.environ, **(variables or {})})
    return clean(notebook)


def clean(notebook: NotebookNode) -> NotebookNode:
    """Take off what differs from run to run or says nothing."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", []):
            output.get("metadata", {}).clear()
            data = output.get("data", {})
            if "image/png" in data:
                data["image/png"] = small_picture(data["image/png"])
                data["text/plain"] = "a figure"  # instead of its class and its size
    return notebook


def small_picture(encoded: str) -> str:
    """Return a PNG in base64 with a palette of 256 colours, which diagrams do not need more of."""
    picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    small = io.BytesIO()
    picture.quantize(256, dither=Image.Dither.NONE).save(small, format="PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode()


def main(names: list[str]) -> int:
    """Run the named notebooks, or all, and write them back."""
    known = {path.stem: path for path in notebooks()}
    for name in names or list(known):
        path = known.get(Path(name).stem)
        if path is None:
            print(f"error: no notebook {name!r}; expected one of {', '.join(known)}.", file=sys.stderr)
            return 2
        nbformat.write(execute(path), path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
