import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from gisearch.data.gene_names import GeneNames
from gisearch.data.metabolism import Metabolism
from gisearch.data.sources.gem import read_gem
from gisearch.errors import DataError

NAMES = GeneNames(("YAL001C", "YAL002W", "YAL003W-A"), standard=("TFC3", "VPS8", ""))

# The layout of yeast-GEM: ordered maps, a number that YAML 1.1 takes for text, and a reaction called NO.
YAML = """---
!!omap
- metaData:
    id: "tinyGEM"
    version: "1.0"
- metabolites:
    - !!omap
      - id: "s_0001"
      - name: "glucose"
      - compartment: "c"
      - charge: 0
    - !!omap
      - id: "s_0002"
      - name: "nitric oxide"
      - compartment: "c"
- reactions:
    - !!omap
      - id: "r_0001"
      - name: "conversion"
      - metabolites: !!omap
          - s_0001: -1
          - s_0002: 2.5
      - lower_bound: 0
      - upper_bound: 1000
      - gene_reaction_rule: "(YAL001C and YAL002W) or YAL003W-A"
    - !!omap
      - id: NO
      - name: "growth"
      - metabolites: !!omap
          - s_0002: -1e-05
      - lower_bound: -1000
      - upper_bound: 1000
      - gene_reaction_rule: ""
    - !!omap
      - id: "r_0003"
      - metabolites: !!omap
          - s_0001: -1
      - lower_bound: 0
      - upper_bound: 1000
      - gene_reaction_rule: "YAL001C and Q0045"
- genes:
    - !!omap
      - id: "YAL001C"
      - name: "TFC3"
    - !!omap
      - id: "YAL002W"
    - !!omap
      - id: "YAL003W-A"
    - !!omap
      - id: "Q0045"
- compartments: !!omap
    - c: "cytoplasm"
"""


def metabolism(path: Path) -> Metabolism:
    return read_gem(path).resolve(NAMES)[0]


def check(built: Metabolism) -> None:
    """Check the metabolism of the model above."""
    assert built.reactions == ("r_0001", "NO", "r_0003")
    assert built.metabolites == ("s_0001", "s_0002")
    entries = {
        (built.metabolites[m], built.reactions[r]): float(value)
        for m, r, value in zip(*built.incidence.tolist(), built.stoichiometry, strict=True)
    }
    assert entries == pytest.approx(
        {
            ("s_0001", "r_0001"): -1,
            ("s_0002", "r_0001"): 2.5,
            ("s_0002", "NO"): -1e-5,
            ("s_0001", "r_0003"): -1,
        }
    )
    # r_0001 needs genes 0 and 1, or gene 2; the unknown gene of r_0003 is never deleted.
    assert built.disabled_reactions([0]).tolist() == [2]
    assert built.disabled_reactions([2]).tolist() == []
    assert built.disabled_reactions([1, 2]).tolist() == [0]
    assert built.disabled_reactions([0, 1, 2]).tolist() == [0, 2]


@pytest.mark.parametrize("name", ["model.yml", "model.yaml", "model.yml.gz"])
def test_yaml(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(YAML.encode()) if name.endswith(".gz") else YAML.encode())
    check(metabolism(path))


@pytest.mark.parametrize("name", ["model.xml", "model.xml.gz", "model.sbml", "model.json", "model.yml"])
def test_what_cobra_writes_is_read_alike(tmp_path: Path, name: str) -> None:
    import cobra.io

    source = tmp_path / "source.yml"
    source.write_text(YAML)
    model = cobra.io.load_yaml_model(str(source))
    path = tmp_path / name
    if name.endswith(".json"):
        cobra.io.save_json_model(model, str(path))
    elif name.endswith(".yml"):
        cobra.io.save_yaml_model(model, str(path))
    else:
        cobra.io.write_sbml_model(model, str(tmp_path / "plain.xml"))
        data = (tmp_path / "plain.xml").read_bytes()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    check(metabolism(path))


def test_unknown_genes_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "model.yml"
    path.write_text(YAML)
    _, unresolved, summary = read_gem(path).resolve(NAMES)
    assert unresolved == {"Q0045": 1}
    assert (
        summary
        == "metabolism: model.yml; 3 reactions, 2 of them with a gene rule; 2 metabolites; 4 incidences"
    )


@pytest.mark.parametrize("spelling", ["YAL003W_A", "YAL003W.A", "yal003w_a"])
def test_the_spelling_of_other_models_is_known(tmp_path: Path, spelling: str) -> None:
    """iMM904 writes YHR001W_A: taken for unknown, such genes lost their reactions."""
    path = tmp_path / "model.yml"
    path.write_text(YAML.replace("YAL003W-A", spelling))
    read = read_gem(path)
    built, unknown, _ = read.resolve(NAMES)
    assert 2 in built.complex_genes
    assert unknown == {"Q0045": 1}
    assert read.immortal(unknown) == (
        "metabolism: 1 genes of the rules of 1 reactions are unknown and can never be deleted ('Q0045')"
    )
    lost = read.left_out(unknown, NAMES)
    assert str(lost) == "1 of 4 genes of metabolism (25.0 %)"


def test_a_rule_that_would_blow_up_is_refused(tmp_path: Path) -> None:
    pairs = " and ".join(f"(a{i} or b{i})" for i in range(14))
    path = tmp_path / "model.yml"
    path.write_text(YAML.replace("YAL001C and Q0045", pairs))
    message = "reaction r_0003: the gene rule has more than 10,000 alternative enzyme complexes; simplify it."
    with pytest.raises(DataError, match=message):
        read_gem(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("model.mat", "", "unknown format; expected a name that ends in .yml, .yaml, .json, .xml, .sbml"),
        ("model.yml", "- just: text\n", "not a readable metabolic model (no list of metabolites)."),
        ("model.yml", "a: [", "not a readable metabolic model ("),
        ("model.json", "{", "not a readable metabolic model ("),
        ("model.xml", "<sbml/>", "not a readable metabolic model ("),
        (
            "model.yml",
            YAML.replace("YAL001C and Q0045", "YAL001C and and"),
            "reaction r_0003: malformed gene rule",
        ),
        ("model.yml", YAML.replace("2.5", "some"), "not a readable metabolic model (could not convert"),
        (
            "model.yml",
            YAML.replace("s_0002: 2.5", "s_0009: 2.5"),
            "model (reaction r_0001 refers to the metabolite 's_0009', which is not listed).",
        ),
        (
            "model.yml",
            YAML.replace("id: NO", 'id: "r_0001"'),
            "model (the reaction 'r_0001' is listed twice).",
        ),
        ("model.yml", YAML.replace('id: "s_0002"', 'id: "s_0001"'), "metabolite 's_0001' is listed twice)."),
        (
            "model.yml",
            YAML.replace("id: NO", "label: NO"),
            "not a readable metabolic model (a reaction has no id",
        ),
        (
            "model.yml",
            YAML.replace("\n          - s_0001: -1\n", " none\n", 1),
            "not a readable metabolic model (",
        ),
        ("model.yml", "", "not a readable metabolic model (no list of metabolites)."),
        ("model.json", '{"metabolites": [], "reactions": [], "genes": []}', "the model has no reactions."),
    ],
)
def test_bad_models(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(DataError, match=re.escape(message)) as error:
        read_gem(path)
    assert str(error.value).startswith(str(path))


def test_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file; expected a metabolic model \(YAML, SBML or JSON\)"):
        read_gem(tmp_path / "yeast-GEM.yml")


def test_a_rule_of_unknown_genes_never_disables(tmp_path: Path) -> None:
    path = tmp_path / "model.yml"
    path.write_text(YAML.replace("YAL001C and Q0045", "Q0045"))
    built = metabolism(path)
    assert built.disabled_reactions(np.arange(3)).tolist() == [0]
