"""The figures of the real yeast tables; skipped where the folder is not there."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from gisearch.data.config import YeastData
from gisearch.data.dataset import Dataset
from gisearch.data.load import load_dataset, load_tables
from gisearch.data.metabolism import Metabolism
from gisearch.data.sources.gem import read_gem
from gisearch.data.sources.sgd_names import read_gene_names
from gisearch.data.splits import SplitConfig

REPOSITORY = Path(__file__).resolve().parents[2]
YEAST = Path(os.environ.get("GISEARCH_YEAST_DATA") or REPOSITORY.parent / "shared" / "data" / "yeast")

pytestmark = pytest.mark.skipif(
    not (YEAST / "genes.tsv").is_file(),
    reason="the real yeast tables are not here (set GISEARCH_YEAST_DATA to their folder)",
)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GISEARCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Return the default yeast dataset."""
    return load_dataset(YeastData(root=str(YEAST)), use_cache=False)


@pytest.fixture(scope="module")
def metabolism() -> Metabolism:
    """Return yeast-GEM 9.0.2."""
    names = read_gene_names(YEAST / "genes.tsv")
    built, unresolved, _ = read_gem(YEAST / "yeast-GEM.yml.gz").resolve(names)
    assert not unresolved
    return built


def test_genes_and_networks(data: Dataset) -> None:
    assert data.cell.num_genes == 6_604
    assert {name: (n.num_edges, n.directed) for name, n in data.cell.networks.items()} == {
        "regulatory": (189_910, True),  # 190,053 rows, 143 of them a regulator of itself
        "physical": (2 * 11_189, False),
        "string9_1_cooccurence": (2 * (2_664 - 5), False),
        "string9_1_database": (2 * 33_486, False),
        "string9_1_fusion": (2 * (1_361 - 3), False),
        "string9_1_neighborhood": (2 * (45_610 - 9), False),
    }
    assert {name for names in data.report.unresolved.values() for name in names} == {"YFL056C", "YFL057C"}
    assert data.cell.networks["string9_1_fusion"].scores is not None
    assert data.cell.networks["physical"].scores is None


def test_genotypes_and_labels(data: Dataset) -> None:
    order = data.genotypes.order
    labels = data.genotypes.labels
    assert np.bincount(order).tolist() == [0, 5_654, 11_846, 2_683]
    double = labels["strong_negative"][order == 2]
    assert (int((double == 1).sum()), int((double == 0).sum())) == (7_630, 4_216)
    assert (labels["strong_negative"][order == 3] == 1).all()
    assert int((~np.isnan(labels["fitness"])).sum()) == 5_654
    assert data.genotypes.binary == {"strong_negative"}


def test_the_default_target_uses_double_deletions(data: Dataset) -> None:
    rows = np.concatenate([data.split.part(part) for part in ("train", "val", "test")])
    assert len(rows) == 11_846
    assert (data.genotypes.order[rows] == 2).all()
    assert (data.target.name, data.target.kind, data.target.metric) == (
        "strong_negative",
        "binary",
        "val/auroc",
    )


def test_a_split_by_unseen_genes() -> None:
    config = YeastData(root=str(YEAST), split=SplitConfig(strategy="unseen_genes", unseen=1))
    data = load_dataset(config, use_cache=False)
    assert set(data.split.unseen[data.split.test].tolist()) == {1}


def test_builtin_features_of_genes_that_training_never_deletes() -> None:
    config = YeastData(
        root=str(YEAST),
        split=SplitConfig(strategy="unseen_genes", unseen=1),
        builtin_features=["degrees", "laplacian", "single_mutant_fitness"],
    )
    data = load_dataset(config)
    assert {name: (t.width, int(t.known.sum())) for name, t in data.cell.features.items()} == {
        "degrees": (7, 6_604),
        "laplacian": (16, 6_415),
        "single_mutant_fitness": (1, 5_654),  # an independent table, which no split takes from
    }


def test_yeast_gem(metabolism: Metabolism) -> None:
    assert len(metabolism.reactions) == 4_131
    assert len(metabolism.metabolites) == 2_806
    assert len(metabolism.stoichiometry) == 15_567
    assert len(np.unique(metabolism.complex_reaction)) == 2_709
    assert metabolism.gene_reaction.shape == (2, 4_054)


def test_disabled_reactions_agree_with_cobra_on_yeast_gem(metabolism: Metabolism) -> None:
    import gzip

    import yaml
    from cobra.core.gene import GPR

    names = read_gene_names(YEAST / "genes.tsv")
    text = gzip.decompress((YEAST / "yeast-GEM.yml.gz").read_bytes()).decode()
    lines = text[text.index("- reactions:") : text.index("- genes:")].splitlines()
    prefix = "      - gene_reaction_rule: "
    rules = [
        GPR.from_string(yaml.safe_load(line[len(prefix) :]) or "")
        for line in lines
        if line.startswith(prefix)
    ]
    ruled = np.unique(metabolism.complex_reaction)
    assert len(rules) == len(ruled)
    enzymes = np.unique(metabolism.complex_genes)
    generator = np.random.default_rng(0)
    for size in (1, 2, 3) * 15:
        gone = generator.choice(enzymes, size, replace=False)
        knocked = {names.systematic[gene] for gene in gone}
        expected = [int(ruled[i]) for i, rule in enumerate(rules) if not rule.eval(knocked)]
        assert metabolism.disabled_reactions(gone).tolist() == expected


def test_loading_is_fast_enough_to_wait_for(tmp_path: Path) -> None:
    config = YeastData(root=str(YEAST))
    start = time.perf_counter()
    read, *_ = load_tables(config)
    middle = time.perf_counter()
    recalled, *_ = load_tables(config)
    end = time.perf_counter()
    assert recalled.digest() == read.digest()
    # Measured: 0.7 s and 0.05 s; the limits leave room for a busy machine.
    assert middle - start < 10
    assert end - middle < 1
