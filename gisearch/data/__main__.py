"""``python -m gisearch.data fetch|build|inspect|split``: get, prepare, look at and divide data."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gisearch.command_line import run

if TYPE_CHECKING:
    from gisearch.data.config import DataConfig

_OVERRIDES = "the data, such as data=yeast data.root=PATH data.split.strategy=unseen_genes"


def main(argv: Sequence[str]) -> int:
    """Run one of the data commands; return the exit code."""
    arguments = _parser().parse_args(argv)
    command = {"fetch": _fetch, "build": _build, "inspect": _inspect, "split": _split}[arguments.command]
    command(arguments)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gisearch data", description="Get, prepare and look at data.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="fetch|build|inspect|split")

    fetch = commands.add_parser("fetch", help="download upstream releases into the cache")
    fetch.add_argument("names", nargs="*", metavar="NAME", help="releases to fetch; all by default")
    fetch.add_argument("--list", action="store_true", help="say what can be fetched, and from where")
    fetch.add_argument("--to", type=Path, metavar="FOLDER", help="another folder than the cache")

    build = commands.add_parser("build", help="read all files once, into the cache and perhaps a file")
    build.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help=_OVERRIDES)
    build.add_argument("-o", "--output", metavar="FILE.npz", help="write the cell here as well")

    inspect = commands.add_parser("inspect", help="summarise the data and its split")
    inspect.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help=f"{_OVERRIDES}; and what its training part tells, such as derived.positive=true",
    )
    inspect.add_argument("--json", action="store_true", help="print one JSON object instead of tables")

    split = commands.add_parser("split", help="write which genotypes train, validate and test to a file")
    split.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help=_OVERRIDES)
    split.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="a table, .csv or .tsv, perhaps followed by .gz"
    )
    return parser


def _config(overrides: Sequence[str]) -> DataConfig:
    from gisearch.data.config import compose_data

    return compose_data(overrides)


def _fetch(arguments: argparse.Namespace) -> None:
    from gisearch.data.fetch import RELEASES, checksum, fetch

    if arguments.list:
        for name, release in RELEASES.items():
            known = f"sha256 {release.sha256}" if release.sha256 else "no checksum is published"
            print(f"{name}: {release.what}\n  {release.url}")
            print(f"  licence: {release.licence}; {known}\n  read as: {release.read_as}")
        return
    for name in arguments.names or RELEASES:
        path = fetch([name], arguments.to)[name]
        known = (
            "checksum right" if RELEASES[name].sha256 else f"no checksum to compare, sha256 {checksum(path)}"
        )
        print(f"{name}: {path} ({known})", flush=True)


def _build(arguments: argparse.Namespace) -> None:
    from gisearch.data.cache import save_cell
    from gisearch.data.config import DemoData
    from gisearch.data.load import load_dataset, load_tables
    from gisearch.files import output_path

    output = output_path(arguments.output, "--output") if arguments.output else None
    config = _config(arguments.overrides)
    start = time.perf_counter()
    if isinstance(config, DemoData):
        dataset = load_dataset(config)
        cell, genotypes, report = dataset.cell, dataset.genotypes, dataset.report
    else:
        cell, genotypes, report = load_tables(config)
    for line in (*report.sources, *report.notes):
        print(line)
    for source, names in report.unresolved.items():
        print(f"unknown gene names in {source}: {sum(names.values()):,} of {len(names):,} different names")
    if output:
        save_cell(output, cell, genotypes, report)
        print(f"written to {output}")
    print(f"ready in {time.perf_counter() - start:.1f} s")


def _inspect(arguments: argparse.Namespace) -> None:
    from gisearch.data.config import compose_derived
    from gisearch.data.derived.derive import derive
    from gisearch.data.inspect import show, summarise
    from gisearch.data.load import load_dataset

    config, derived = compose_derived(arguments.overrides)
    dataset = load_dataset(config)
    cell = dataset.cell
    if not derived.is_off:
        cell = derive(cell, dataset.genotypes, dataset.split.train, dataset.target, derived)
    summary = summarise(dataset, cell)
    if arguments.json:
        print(json.dumps(summary, indent=2))
    else:
        show(summary)


def _split(arguments: argparse.Namespace) -> None:
    from gisearch.composition import quoted_value
    from gisearch.data.load import load_dataset
    from gisearch.data.split_file import write_split
    from gisearch.data.splits import PARTS
    from gisearch.files import output_path

    output = output_path(arguments.output, "--output")
    dataset = load_dataset(_config(arguments.overrides))
    write_split(output, dataset.cell.names, dataset.genotypes, dataset.split)
    for part in PARTS:
        print(f"{part}: {len(dataset.split.part(part)):,} genotypes")
    print(f"written to {output}; the split {dataset.split.digest()} is read back with")
    plain = re.fullmatch(r"[\w./-]+", str(output))
    value = str(output) if plain else quoted_value(str(output))
    print(shlex.join(["data.split.strategy=file", f"data.split.path={value}"]))


if __name__ == "__main__":
    sys.exit(run(main))
