"""``python -m gisearch.predict RUN genotypes.csv -o scores.csv``: score genotypes with a trained model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gisearch.command_line import run


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    result = argparse.ArgumentParser(
        prog="gisearch predict",
        description="Score genotypes with a trained model.",
        epilog="The table has the columns gene1, gene2 and gene3: systematic or standard names, empty for "
        "fewer deletions. The output has the input's columns and `score` (for a binary target the "
        "probability of the positive class), and `std` where the model has one.",
    )
    result.add_argument("run", help="a sweep (its best trial), SWEEP/TRIAL, a training run, or a folder")
    result.add_argument("genotypes", help="a CSV or TSV table, possibly gzipped")
    result.add_argument(
        "-o", "--output", metavar="FILE", help="where the scores go (default: standard output)"
    )
    result.add_argument("--results-dir", default="results", metavar="DIR", help="the results folder")
    return result


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Raises:
        GisearchError: the run, the table or a gene is wrong; nothing is written then.
    """
    arguments = parser().parse_args(list(argv))

    from gisearch.data.load import load_dataset
    from gisearch.data.queries import read_queries, write_scores
    from gisearch.models.batch import GenotypeBatch
    from gisearch.search.runs import find_model
    from gisearch.training.experiment import CONFIG_FILE, load_config, load_trained

    folder = find_model(arguments.run, arguments.results_dir)
    dataset = load_dataset(load_config(folder / CONFIG_FILE).data)
    queries = read_queries(Path(arguments.genotypes), dataset.cell.names)
    trained = load_trained(folder, dataset)
    scores, std = trained.predict(GenotypeBatch.from_table(queries.table))
    spread = None if std is None else std.numpy()
    write_scores(
        queries, scores.numpy(), spread, None if arguments.output is None else Path(arguments.output)
    )
    if arguments.output is not None:
        print(f"{len(queries.table):,} genotypes scored by {folder}: {arguments.output}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
