import dataclasses
import json

import numpy as np
import pytest

from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.config import DemoData
from gisearch.data.dataset import Dataset, LoadReport, Target
from gisearch.data.gene_features import GeneFeatures
from gisearch.data.gene_names import GeneNames
from gisearch.data.genotypes import Genotypes
from gisearch.data.inspect import show, summarise
from gisearch.data.load import load_dataset
from gisearch.data.splits import Split
from gisearch.data.synthetic import DemoCellConfig


@pytest.fixture
def small() -> Dataset:
    """Return six genes, two networks and five genotypes of which four are split."""
    names = GeneNames(tuple("ABCDEF"))
    networks = {
        "pairs": Network.from_pairs(
            "pairs", [[0, 1, 2], [1, 2, 0]], [0.5, 0.5, 1.0], directed=False, num_genes=6
        ),
        "regulation": Network.from_pairs("regulation", [[0, 0], [3, 4]], directed=True, num_genes=6),
    }
    genotypes = Genotypes.build(
        [[0], [1], [0, 1], [2, 3], [4, 5]],
        {"fitness": [1.0, 0.5, np.nan, np.nan, np.nan], "sick": [np.nan, 0, 1, 0, 1]},
        binary=frozenset({"sick"}),
        num_genes=6,
    )
    split = Split(
        train=np.array([1, 2]),
        val=np.array([2, 3]),
        test=np.array([3, 4]),
        unseen=np.array([0, 0, 0, 2, 2], np.int8),
    )
    report = LoadReport(
        sources=("a file",), unresolved={"network pairs": {"X": 2, "Y": 1}}, notes=("a note",)
    )
    return Dataset(CellGraph(names, networks), genotypes, split, Target("sick", "binary"), report=report)


def test_the_summary_counts_what_is_there(small: Dataset) -> None:
    summary = summarise(small)
    assert (summary["genes"], summary["genes_in_no_network"], summary["metabolism"]) == (6, 1, None)
    pairs, regulation = summary["networks"]
    assert pairs == {
        "name": "pairs",
        "edges": 6,
        "directed": False,
        "scores": True,
        "genes": 3,
        "isolated_genes": 3,
        "mean_degree": 1.0,
        "max_degree": 2,
    }
    assert (regulation["edges"], regulation["genes"], regulation["max_degree"]) == (2, 3, 2)
    assert summary["genotypes"] == {"total": 5, "by_order": {"1": 2, "2": 3}}
    fitness, sick = summary["labels"]
    assert (fitness["measured"], fitness["mean"], fitness["std"]) == (2, 0.75, 0.25)
    assert "positive" not in fitness
    assert (sick["kind"], sick["measured"], sick["positive"]) == ("binary", 4, 2)
    assert summary["target"] == {"name": "sick", "kind": "binary", "metric": "val/auroc", "measured": 4}
    assert summary["split"]["test"]["by_unseen_genes"] == {"2": 2}
    assert summary["split"]["val"]["by_order"] == {"2": 2}
    assert summary["unresolved"] == {"network pairs": {"X": 2, "Y": 1}}
    assert summary["noise_ceiling"] is None
    assert json.loads(json.dumps(summary)) == summary


def test_the_tables_show_what_the_summary_holds(small: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    show(summarise(small))
    shown = capsys.readouterr().out
    for text in (
        "Cell: 6 genes, 1 in no network",
        "regulation",
        "Split for sick (binary, searched by val/auroc)",
        "network pairs: X (in 2 rows), Y (in 1 rows)",
        "a note",
        "a file",
    ):
        assert text in shown


def test_gene_features_are_counted_by_genes_with_a_row(
    small: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    known = np.array([True, True, False, True, False, False])
    table = GeneFeatures.standardised("expression", np.arange(12.0).reshape(6, 2), known)
    assert summarise(small)["features"] == []
    data = dataclasses.replace(small, cell=small.cell.with_features(table))
    # The split's genotypes delete A, B, C, D and E, F; training those of the second and third row: A and B.
    assert summarise(data)["features"] == [
        {
            "name": "expression",
            "width": 2,
            "known": 3,
            "missing": 3,
            "known_deleted": 3,
            "missing_deleted": 3,
            "known_unseen": 1,
            "missing_unseen": 3,
        }
    ]
    show(summarise(data))
    shown = capsys.readouterr().out
    assert "Gene features" in shown
    assert "expression" in shown


def test_the_demo_shows_metabolism_and_noise_ceiling(capsys: pytest.CaptureFixture[str]) -> None:
    data = load_dataset(DemoData(cell=DemoCellConfig(size="tiny")))
    summary = summarise(data)
    assert summary["metabolism"]["reactions"] == 16
    assert summary["noise_ceiling"] == data.noise_ceiling
    show(summary)
    shown = capsys.readouterr().out
    assert "Metabolism: 16 reactions" in shown
    assert f"{summary['noise_ceiling']['test']:.3f}" in shown
