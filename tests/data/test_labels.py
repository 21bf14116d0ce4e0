from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gisearch.config import build
from gisearch.data.config import DataConfig
from gisearch.data.dataset import Dataset
from gisearch.data.genotypes import Genotypes
from gisearch.data.labels import LabelRule, confident, make_labels
from gisearch.data.load import load_dataset, load_tables
from gisearch.errors import DataError

NAN = float("nan")
SCORE = [-0.2, -0.08, -0.2, 0.01, 0.3, NAN, -0.2, 0.0]
P = [0.01, 0.01, 0.1, 0.5, 0.01, 0.9, NAN, 0.04]
FIELD = {"score_below": -0.08, "p_below": 0.05, "zero_if": {"p_above": 0.25}}


@pytest.fixture
def genotypes() -> Genotypes:
    pairs = [[i, i + 1] for i in range(len(SCORE))]
    labels = {"gene_interaction": SCORE, "gene_interaction_p": P, "lethal": [0, 1, 0, 1, 0, 1, 0, 1]}
    return Genotypes.build(pairs, labels, binary=frozenset({"lethal"}), num_genes=20)


def rule(**values: Any) -> LabelRule:
    return build(LabelRule, values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # The limits are strict, in the precision of the labels: -0.08 is not below -0.08.
        (FIELD, [1, NAN, NAN, 0, NAN, 0, NAN, NAN]),
        ({"score_below": -0.08, "p_below": 0.05}, [1, 0, 0, 0, 0, NAN, NAN, 0]),
        ({"score_below": -0.08}, [1, 0, 1, 0, 0, NAN, 1, 0]),
        ({"score_above": 0.08}, [0, 0, 0, 0, 1, NAN, 0, 0]),
        ({"score_beyond": 0.1, "zero_if": {"score_within": 0.05}}, [1, NAN, 1, 0, 1, NAN, 1, 0]),
        ({"score_below": 0.1, "score_above": -0.1}, [0, 1, 0, 1, 0, NAN, 0, 1]),
        ({"p_above": 0.25}, [0, 0, 0, 1, 0, 1, NAN, 0]),
        ({"score": "gene_interaction_p", "score_above": 0.25}, [0, 0, 0, 1, 0, 1, NAN, 0]),
    ],
)
def test_limits_make_ones_zeros_and_nothing(
    genotypes: Genotypes, values: dict[str, Any], expected: list[float]
) -> None:
    made, _ = make_labels(genotypes, {"made": rule(**values)})
    np.testing.assert_array_equal(made.labels["made"], expected)
    assert made.labels["made"].dtype == np.float32
    assert made.binary == {"made", "lethal"}
    assert list(made.labels) == [*genotypes.labels, "made"]


def test_what_is_neither_is_counted(genotypes: Genotypes) -> None:
    _, notes = make_labels(genotypes, {"negative": rule(**FIELD), "low": rule(score_below=-0.1)})
    assert notes == [
        "label negative: 1 where gene_interaction < -0.08 and gene_interaction_p < 0.05 (1 genotypes), "
        "0 where gene_interaction_p > 0.25 (2); 4 measured ones are neither",
        "label low: 1 where gene_interaction < -0.1 (3 genotypes), 0 otherwise (4); 0 measured ones "
        "are neither",
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"score": "gene_interacton", "score_below": 0.0},
            "data.labels.made: 'gene_interacton' is not measured in this data (it has: gene_interaction, "
            "gene_interaction_p). Did you mean 'gene_interaction'?",
        ),
        ({"p": "p", "p_below": 0.5}, "data.labels.made: 'p' is not measured in this data"),
        ({"score": "lethal", "score_above": 0.5}, "'lethal' is 0 or 1; expected a label of numbers"),
        (
            {"score_below": -0.08, "zero_if": {"p_above": 0.05}},
            "data.labels.made: 1 genotypes are 1 (gene_interaction < -0.08) and 0 (gene_interaction_p > 0.05)"
            " at once; expected limits that exclude one another",
        ),
        (
            {"score_below": -3.0},
            "no genotype is 1 (gene_interaction < -3) where the data has gene_interaction from -0.2 to 0.3",
        ),
        (
            {"score_below": -0.1, "zero_if": {"p_above": 0.95}},
            "no genotype is 0 (gene_interaction_p > 0.95) where the data has gene_interaction from -0.2 to "
            "0.3 and gene_interaction_p from 0.01 to 0.9",
        ),
    ],
)
def test_rules_that_do_not_fit_the_data(genotypes: Genotypes, values: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as error:
        make_labels(genotypes, {"made": rule(**values)})
    assert message in str(error.value)


def test_a_measured_label_is_not_made_again(genotypes: Genotypes) -> None:
    with pytest.raises(DataError, match=r"data\.labels\.lethal: a label of that name is in the data"):
        make_labels(genotypes, {"lethal": rule(score_below=-0.1)})


class TestMaxP:
    def test_leaves_out_what_is_above_and_keeps_what_has_none(self, genotypes: Genotypes) -> None:
        kept, notes = confident(genotypes, "gene_interaction", None, 0.05)
        np.testing.assert_array_equal(kept, [1, 1, 0, 0, 1, 0, 1, 1])
        # The sixth has a P, but no score to leave out.
        assert notes == [
            "target gene_interaction: 2 of 7 genotypes left out: gene_interaction_p > 0.05; 1 without "
            "gene_interaction_p were kept"
        ]
        assert confident(genotypes, "gene_interaction", None, None)[0].all()

    def test_of_a_made_label_is_the_p_of_its_rule(self, genotypes: Genotypes) -> None:
        made, _ = make_labels(genotypes, {"low": rule(score_below=-0.1)})
        kept, _ = confident(made, "low", rule(score_below=-0.1), 0.05)
        np.testing.assert_array_equal(kept, [1, 1, 0, 0, 1, 0, 1, 1])

    def test_a_target_without_p(self, genotypes: Genotypes) -> None:
        with pytest.raises(DataError, match=r"data\.max_p: 'lethal_p' is not measured in this data"):
            confident(genotypes, "lethal", None, 0.05)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GISEARCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Any]:
    """Write a screen of all pairs of ten genes, a quarter of them negative, half without effect."""
    pairs = [(i, j) for i in range(10) for j in range(i)]
    effect = [("-0.2", "0.001"), ("-0.05", "0.1"), ("0.01", "0.6"), ("0.02", "0.7")]
    rows = [f"G{i},G{j},{','.join(effect[n % 4])}" for n, (i, j) in enumerate(pairs)]
    (tmp_path / "screen.csv").write_text(
        "\n".join(["gene1,gene2,gene_interaction,gene_interaction_p", *rows]) + "\n"
    )
    (tmp_path / "net.csv").write_text("gene1,gene2\nG0,G1\n")
    return {
        "source": "tables",
        "networks": {"net": {"path": str(tmp_path / "net.csv")}},
        "genotypes": {"screen": {"path": str(tmp_path / "screen.csv")}},
    }


def load(values: dict[str, Any], **more: Any) -> Dataset:
    return load_dataset(build(DataConfig, {**values, **more}, "data"))  # type: ignore[arg-type]


def test_a_made_label_of_files_is_a_target_and_in_the_digest(tables: dict[str, Any]) -> None:
    data = load(tables, labels={"negative": FIELD}, target="negative")
    assert (data.target.kind, data.target.metric) == ("binary", "val/auroc")
    used = np.concatenate([data.split.train, data.split.val, data.split.test])
    # Of 45: 12 are negative, 22 have no effect, and 11 are neither, so in no part.
    assert (len(used), data.genotypes.labels["negative"][used].sum()) == (34, 12)
    assert any(note.startswith("label negative: 1 where") for note in data.report.notes)
    again = load(tables, labels={"negative": FIELD}, target="negative")
    assert again.digest() == data.digest()
    # What the cache holds was read before the label was made: other limits count at once.
    wider = load(
        tables, labels={"negative": {**FIELD, "score_below": -0.01, "p_below": 0.2}}, target="negative"
    )
    assert np.nansum(wider.genotypes.labels["negative"]) == 23
    assert wider.digest() != data.digest()
    assert "negative" not in load(tables).genotypes.labels


def test_the_yeast_folder_makes_labels_of_what_it_measures(tmp_path: Path) -> None:
    root = tmp_path / "yeast"
    root.mkdir()
    genes = [f"YAL{i:03d}W" for i in range(12)]
    (root / "genes.tsv").write_text("\n".join(["systematic_name", *genes]) + "\n")
    (root / "yeastract_regulatory.tsv").write_text(f"regulator\ttarget\n{genes[0]}\t{genes[1]}\n")
    rows = [f"{gene}\t0.{i:02d}" for i, gene in enumerate(genes)]
    (root / "costanzo2016_smf.tsv").write_text("\n".join(["gene\tfitness", *rows]) + "\n")
    yeast = {"source": "yeast", "root": str(root)}
    data = load(yeast, labels={"sick": {"score": "fitness", "score_below": 0.06}}, target="sick")
    np.testing.assert_array_equal(data.genotypes.labels["sick"], [1] * 6 + [0] * 6)
    with pytest.raises(DataError, match=r"data\.labels\.x: 'gene_interaction' is not measured .* fitness"):
        load(yeast, labels={"x": {"score_below": 0.0}})
    with pytest.raises(DataError, match=r"data\.max_p: 'fitness_p' is not measured in this data"):
        load(yeast, target="fitness", max_p=0.05)


def test_max_p_leaves_rows_out_of_the_split(tables: dict[str, Any]) -> None:
    data = load(tables, max_p=0.05)
    used = np.concatenate([data.split.train, data.split.val, data.split.test])
    np.testing.assert_array_equal(np.unique(data.values("train")), np.float32([-0.2]))
    assert len(used) == 12
    assert (
        "target gene_interaction: 33 of 45 genotypes left out: gene_interaction_p > 0.05" in data.report.notes
    )
    assert data.digest() != load(tables).digest()


def test_load_tables_holds_the_made_labels(tables: dict[str, Any]) -> None:
    config: Any = build(DataConfig, {**tables, "labels": {"negative": FIELD}}, "data")  # type: ignore[arg-type]
    _, genotypes, report = load_tables(config)
    assert "negative" in genotypes.binary
    assert report.notes[-1].startswith("label negative: ")


def test_the_demo_has_score_and_p() -> None:
    tiny = {"source": "demo", "cell": {"size": "tiny"}}
    data = load(tiny, labels={"negative": FIELD}, target="negative")
    score, p, made = (
        data.genotypes.labels[name] for name in ("gene_interaction", "gene_interaction_p", "negative")
    )
    for part in ("train", "val", "test"):
        rows = data.split.part(part)
        assert set(made[rows]) == {0.0, 1.0}
        assert (score[rows][made[rows] == 1] < -0.08).all()
        assert (p[rows][made[rows] == 0] > 0.25).all()
    assert data.noise_ceiling is None
