"""``python -m gisearch.predict RUN``: score genotypes, or find the extremes among all pairs or triples."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from gisearch.command_line import run, terminal
from gisearch.errors import ConfigError
from gisearch.files import local_path, output_path

if TYPE_CHECKING:
    from gisearch.data.candidates import Candidates
    from gisearch.data.dataset import Dataset
    from gisearch.training.screening import Screen, Screened

DEFAULT_TOP = 1000


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    result = argparse.ArgumentParser(
        prog="gisearch predict",
        description="Score genotypes with a trained model, or screen all pairs or triples of genes.",
        epilog="The table has the columns gene1, gene2 and gene3: systematic or standard names, empty for "
        "fewer deletions; it may be compressed. The output has the input's columns and `score` "
        "(for a binary target the probability of the positive class), and `std` where the model has one. "
        "A list of genes has a systematic or standard name per line (# begins a comment), or is a table with "
        "a column gene. An output FILE that ends in .gz, .xz, .bz2 or .zip is compressed.",
    )
    result.add_argument(
        "run", help="a sweep (its best trial), SWEEP/TRIAL, SWEEP@ensemble, a training run, or a folder"
    )
    result.add_argument("genotypes", nargs="?", help="a delimited table, possibly compressed")
    result.add_argument(
        "-o", "--output", metavar="FILE", help="where the scores go (default: standard output)"
    )
    result.add_argument("--results-dir", default="results", metavar="DIR", help="the results folder")
    screening = result.add_argument_group("screening, instead of a table")
    screening.add_argument("--all-pairs", action="store_true", help="all pairs of the model's genes")
    screening.add_argument("--all-pairs-of", metavar="FILE", help="all pairs of a list of genes")
    screening.add_argument("--all-triples-of", metavar="FILE", help="all triples of a list of genes")
    screening.add_argument(
        "--only-seen", action="store_true", help="only genes that occur in a training genotype"
    )
    screening.add_argument(
        "--top", type=int, metavar="N", help=f"the N highest and N lowest scores (default: {DEFAULT_TOP})"
    )
    screening.add_argument(
        "--include-measured",
        action="store_true",
        help="keep genotypes of the data, which are left out otherwise, and add a column `measured`",
    )
    screening.add_argument(
        "--workers", type=int, metavar="N", help="threads that score (default: one per core)"
    )
    return result


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Raises:
        GisearchError: the run, the table or a gene is wrong; nothing is written then.
    """
    arguments = parser().parse_args(list(argv))
    _check(arguments)
    if arguments.output is not None:
        arguments.output = output_path(arguments.output, "--output")
    return _score(arguments) if arguments.genotypes is not None else _screen(arguments)


def _check(arguments: argparse.Namespace) -> None:
    """Raise ConfigError where options do not go together."""
    asked = {
        "a table of genotypes": arguments.genotypes is not None,
        "--all-pairs": arguments.all_pairs,
        "--all-pairs-of": arguments.all_pairs_of is not None,
        "--all-triples-of": arguments.all_triples_of is not None,
    }
    chosen = [name for name, is_given in asked.items() if is_given]
    if len(chosen) != 1:
        raise ConfigError(f"expected one of {', '.join(asked)}; got {' and '.join(chosen) or 'none'}.")
    if arguments.genotypes is not None:
        screening = {
            "--top": arguments.top is not None,
            "--workers": arguments.workers is not None,
            "--only-seen": arguments.only_seen,
            "--include-measured": arguments.include_measured,
        }
        for name, is_given in screening.items():
            if is_given:
                raise ConfigError(f"{name} belongs to --all-pairs, --all-pairs-of or --all-triples-of.")
    for name, number in (("--top", arguments.top), ("--workers", arguments.workers)):
        if number is not None and number < 1:
            raise ConfigError(f"{name}: expected a number of at least 1, got {number}.")


def _score(arguments: argparse.Namespace) -> int:
    from gisearch.data.load import load_dataset
    from gisearch.data.queries import read_queries, write_scores
    from gisearch.models.batch import GenotypeBatch
    from gisearch.search.runs import find_model
    from gisearch.training.ensemble import load_model, load_model_config

    folder = find_model(arguments.run, arguments.results_dir)
    dataset = load_dataset(load_model_config(folder).data)
    queries = read_queries(local_path(arguments.genotypes), dataset.cell.names)
    if queries.unused:
        unused = ", ".join(map(repr, queries.unused))
        print(
            f"deleted genes read from {', '.join(map(repr, queries.gene_columns))}; not used: {unused}",
            file=sys.stderr,
        )
    trained = load_model(folder, dataset)
    scores, std = trained.predict(GenotypeBatch.from_table(queries.table))
    spread = None if std is None else std.numpy()
    write_scores(
        queries, scores.numpy(), spread, None if arguments.output is None else Path(arguments.output)
    )
    if arguments.output is not None:
        print(f"{len(queries.table):,} genotypes scored by {folder}: {arguments.output}", file=sys.stderr)
    return 0


def _screen(arguments: argparse.Namespace) -> int:
    from gisearch.data.load import load_dataset
    from gisearch.data.queries import delimiter_of, open_scores
    from gisearch.search.runs import find_model
    from gisearch.training.ensemble import load_model, load_model_config
    from gisearch.training.screening import Screen
    from gisearch.training.screening_table import write_screened

    folder = find_model(arguments.run, arguments.results_dir)
    dataset = load_dataset(load_model_config(folder).data)
    candidates = _candidates(arguments, dataset)
    if not arguments.include_measured:
        candidates.omit(dataset.genotypes)
    if not len(candidates):
        raise ConfigError(
            f"all {candidates.total:,} candidates have been measured; --include-measured scores them too."
        )
    screen = Screen(load_model(folder, dataset), candidates, arguments.top or DEFAULT_TOP)
    path = None if arguments.output is None else Path(arguments.output)
    with open_scores(path) as file:
        found = _find(screen, arguments.workers)
        write_screened(
            found,
            screen,
            dataset,
            file,
            delimiter=delimiter_of(path),
            measured=arguments.include_measured,
        )
    if path is not None:
        print(
            f"{len(found[0]):,} highest and {len(found[1]):,} lowest of {len(candidates):,} candidates, "
            f"scored by {folder}: {path}",
            file=sys.stderr,
        )
    return 0


def _candidates(arguments: argparse.Namespace, dataset: Dataset) -> Candidates:
    import numpy as np

    from gisearch.data.candidates import Candidates, read_genes

    order = 2 if arguments.all_triples_of is None else 3
    given = arguments.all_pairs_of if order == 2 else arguments.all_triples_of
    names = dataset.cell.names
    genes = np.arange(len(names)) if given is None else read_genes(local_path(given), names)
    if arguments.only_seen:
        seen = np.isin(genes, dataset.genotypes.subset(dataset.split.train).genes)
        print(f"{(~seen).sum():,} of {len(genes):,} genes occur in no training genotype", file=sys.stderr)
        genes = genes[seen]
    if len(genes) < order:
        where = given or "--all-pairs"
        sets = "pairs" if order == 2 else "triples"
        seen_ones = " that occur in a training genotype" if arguments.only_seen else ""
        raise ConfigError(
            f"{where}: expected at least {order} genes for {sets}, got {len(genes)}{seen_ones}."
        )
    return Candidates(genes, order)


def _find(screen: Screen, workers: int | None) -> tuple[Screened, Screened]:
    """Score all candidates, on the cluster that RAY_ADDRESS names or here; tell how far it is."""
    from gisearch.search.screening_progress import ScreeningProgress
    from gisearch.training.screening import decide, default_workers, screen_here

    console, candidates = terminal(stderr=True), screen.candidates
    on_cluster, done = bool(os.environ.get("RAY_ADDRESS")), 0
    number = workers or default_workers()
    seconds = timedelta(seconds=round(candidates.total * screen.seconds_per_candidate()))
    left_out = f", {candidates.num_omitted:,} measured ones left out" if candidates.num_omitted else ""
    where = "on the cluster" if on_cluster else f"on {number} thread{'s' if number > 1 else ''}"
    text = f"{len(candidates):,} candidates{left_out}; about {seconds} of processor time, {where}"
    console.print(text, highlight=False, soft_wrap=True)
    if screen.scorer.is_estimate:
        text = "chosen by cheap estimates; the model itself scores those that are kept"
        console.print(text, highlight=False, soft_wrap=True)

    def report(so_far: int) -> None:
        nonlocal done
        done = so_far
        progress(so_far)

    try:
        with ScreeningProgress(console, candidates.total) as progress:
            if on_cluster:
                from gisearch.search.screening import screen_on_cluster

                extremes = screen_on_cluster(screen, report)
            else:
                extremes = screen_here(screen, number, report)
        return decide(screen, extremes)
    except KeyboardInterrupt:
        print(
            f"stopped after {done:,} of {candidates.total:,} candidates: nothing was written.",
            file=sys.stderr,
        )
        raise


if __name__ == "__main__":
    sys.exit(run(main))
