"""Which columns of a table name the deleted genes: the same names in training, in prediction and in lists."""

from __future__ import annotations

from collections.abc import Sequence

from gisearch.data.genotypes import MAX_DELETIONS
from gisearch.data.sources.files import listing
from gisearch.data.sources.tables import plain_column
from gisearch.errors import DataError, nearest_name

# Written with or without spaces, hyphens, underscores and capitals, all of them.
FIRST_GENE = ("gene1", "gene", "gene_a", "orf1", "orf", "systematic_name", "systematic_name1")
SECOND_GENE = ("gene2", "gene_b", "partner", "partner_gene", "orf2", "systematic_name2")
THIRD_GENE = ("gene3", "gene_c", "orf3", "systematic_name3")
_MORE = ("gene4", "gene5", "gene6", "gene_d", "gene_e", "orf4", "orf5")


def find_gene_columns(columns: Sequence[str], where: str) -> list[int]:
    """Return the positions of one to three columns of deleted genes.

    Args:
        columns: the table's columns.
        where: the table, for messages.

    Raises:
        DataError: there is none for the first gene, or two for the same one.
    """
    places = []
    for accepted in (FIRST_GENE, SECOND_GENE, THIRD_GENE):
        place = _find(columns, accepted, where)
        if place is not None:
            places.append(place)
        elif accepted is FIRST_GENE:
            raise DataError(
                f"{where}: no column 'gene1' or 'gene'; expected gene1, gene2 and gene3, found the columns "
                f"{listing(columns)}.{nearest_name('gene1', columns)}"
            )
    return places


def columns_beyond(columns: Sequence[str]) -> list[int]:
    """Return the positions of columns for a fourth gene and more."""
    more = {plain_column(name) for name in _MORE}
    return [i for i, column in enumerate(columns) if plain_column(column) in more]


def too_many_genes(where: str, column: str, cell: str) -> DataError:
    """Return what to raise where a row names more genes than a genotype can have."""
    return DataError(
        f"{where}, column {column!r}: {cell!r} is one deleted gene more than the {MAX_DELETIONS} that a "
        "genotype can have; leave such rows out."
    )


def _find(columns: Sequence[str], accepted: Sequence[str], where: str) -> int | None:
    for name in accepted:
        found = [i for i, column in enumerate(columns) if plain_column(column) == plain_column(name)]
        if len(found) > 1:
            both = " and ".join(repr(columns[i]) for i in found[:2])
            raise DataError(f"{where}: two columns are called {both}; rename or remove one.")
        if found:
            return found[0]
    return None
