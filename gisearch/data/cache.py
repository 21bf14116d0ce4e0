"""A cell graph with its genotypes in one file: NumPy arrays only, nothing that could run code.

Parsing yeast takes seconds, reading it back tenths of one. A cached file is found by what it was made
from: the sizes and times of the input files and the configuration.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.dataset import LeftOut, LoadReport
from gisearch.data.gene_features import GeneFeatures
from gisearch.data.gene_names import GeneNames
from gisearch.data.genotypes import Genotypes
from gisearch.data.metabolism import Metabolism
from gisearch.errors import DataError
from gisearch.files import whole_file

# Raise this with every change of the readers' results or of the layout of the file.
FORMAT = 3
_KEPT_FILES = 12

_METABOLISM_ARRAYS = (
    "incidence",
    "stoichiometry",
    "complex_reaction",
    "complex_genes",
    "complex_offsets",
)


def cache_folder() -> Path:
    """Return where gisearch keeps files it can make again: ``GISEARCH_CACHE``, or the user's cache folder."""
    chosen = os.environ.get("GISEARCH_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("gisearch"))


def cache_key(files: Iterable[Path], settings: Mapping[str, Any]) -> str:
    """Return a name that changes with the path, size or time of any input file and with the settings.

    Raises:
        OSError: a file cannot be looked at.
    """
    stats = [(path, path.stat()) for path in sorted(files)]
    inputs = [[str(path.resolve()), stat.st_size, stat.st_mtime_ns] for path, stat in stats]
    text = json.dumps({"format": FORMAT, "inputs": inputs, "settings": settings}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def cached_path(key: str) -> Path:
    """Return the file that the cache keeps for a key."""
    return cache_folder() / "cells" / f"{key}.npz"


def store(key: str, cell: CellGraph, genotypes: Genotypes, report: LoadReport) -> bool:
    """Keep a cell for next time, and forget those not written lately; False where that is not possible."""
    path = cached_path(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_cell(path, cell, genotypes, report)
        by_age = sorted(path.parent.glob("*.npz"), key=lambda file: file.stat().st_mtime)
        for old in by_age[:-_KEPT_FILES]:
            old.unlink(missing_ok=True)
    except (OSError, DataError):
        return False
    return True


def recall(key: str) -> tuple[CellGraph, Genotypes, LoadReport] | None:
    """Return a kept cell, or None where there is none or its file is damaged."""
    path = cached_path(key)
    if not path.is_file():
        return None
    try:
        return load_cell(path)
    except DataError:
        return None


def save_cell(path: Path, cell: CellGraph, genotypes: Genotypes, report: LoadReport) -> None:
    """Write a cell graph, its genotypes and the load report; the file appears complete or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    header = {
        "format": FORMAT,
        "systematic": cell.names.systematic,
        "standard": cell.names.standard,
        "aliases": dict(cell.names.aliases),
        "networks": [[n.name, n.directed, n.scores is not None] for n in cell.networks.values()],
        "features": list(cell.features),
        "labels": list(genotypes.labels),
        "binary": sorted(genotypes.binary),
        "report": {
            "sources": report.sources,
            "unresolved": {source: dict(names) for source, names in report.unresolved.items()},
            "notes": report.notes,
            "left_out": [asdict(part) for part in report.left_out],
        },
    }
    arrays: dict[str, npt.NDArray[Any]] = {"genes": genotypes.genes, "offsets": genotypes.offsets}
    for i, network in enumerate(cell.networks.values()):
        arrays[f"network{i}"] = network.edges
        if network.scores is not None:
            arrays[f"scores{i}"] = network.scores
    for i, table in enumerate(cell.features.values()):
        arrays |= {f"features{i}": table.values, f"known{i}": table.known}
    for i, values in enumerate(genotypes.labels.values()):
        arrays[f"label{i}"] = values
    if cell.metabolism is not None:
        header["reactions"] = cell.metabolism.reactions
        header["metabolites"] = cell.metabolism.metabolites
        arrays |= {f"metabolism_{name}": getattr(cell.metabolism, name) for name in _METABOLISM_ARRAYS}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    try:
        with whole_file(path) as stream:
            np.savez(stream, allow_pickle=False, **arrays)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}).") from None


def load_cell(path: Path) -> tuple[CellGraph, Genotypes, LoadReport]:
    """Read what :func:`save_cell` wrote.

    Raises:
        DataError: the file is missing, damaged, or of another version.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            header = json.loads(archive["header"].tobytes())
            if header["format"] != FORMAT:
                raise DataError(f"{path}: written by another version of gisearch; build it again.")
            return _cell(header, archive), _genotypes(header, archive), _report(header["report"])
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; expected a cell written by 'gisearch data build'.") from None
    except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile) as error:
        what = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not a readable cell file ({what}); build it again.") from None


def _cell(header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> CellGraph:
    names = GeneNames(
        systematic=tuple(header["systematic"]),
        standard=tuple(header["standard"]),
        aliases={alias: tuple(owners) for alias, owners in header["aliases"].items()},
    )
    networks = {
        name: Network(name, arrays[f"network{i}"], arrays[f"scores{i}"] if scored else None, directed)
        for i, (name, directed, scored) in enumerate(header["networks"])
    }
    metabolism = None
    if "reactions" in header:
        metabolism = Metabolism(
            reactions=tuple(header["reactions"]),
            metabolites=tuple(header["metabolites"]),
            **{name: arrays[f"metabolism_{name}"] for name in _METABOLISM_ARRAYS},
        )
    # Files from before there were gene features have none.
    features = {
        name: GeneFeatures(name, arrays[f"features{i}"], arrays[f"known{i}"])
        for i, name in enumerate(header.get("features", ()))
    }
    return CellGraph(names, networks, metabolism, features)


def _genotypes(header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Genotypes:
    return Genotypes(
        genes=arrays["genes"],
        offsets=arrays["offsets"],
        labels={name: arrays[f"label{i}"] for i, name in enumerate(header["labels"])},
        binary=frozenset(header["binary"]),
    )


def _report(report: Mapping[str, Any]) -> LoadReport:
    return LoadReport(
        sources=tuple(report["sources"]),
        unresolved=report["unresolved"],
        notes=tuple(report["notes"]),
        left_out=tuple(LeftOut(**{**part, "names": tuple(part["names"])}) for part in report["left_out"]),
    )
