"""A folder of generated tables with the names, formats and sizes of the plain yeast tables."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

NUM_GENES = 6604
PAIRS = {
    "yeastract_regulatory": 190_053,
    "complexportal_physical": 11_189,
    "string9_1_neighborhood": 45_610,
    "string9_1_database": 33_486,
    "string9_1_cooccurence": 2_664,
    "string9_1_fusion": 1_361,
}
GENOTYPES, FITNESSES = 14_529, 5_654
REACTIONS, METABOLITES = 4_131, 2_805


def write_tables(folder: Path, share: float = 1.0) -> None:
    """Write the tables; ``share`` scales all of their sizes."""
    random = np.random.default_rng(0)
    num_genes = int(NUM_GENES * share)
    genes = np.array([f"Y{number:05d}W" for number in range(num_genes)])
    _write(folder / "genes.tsv", ["systematic_name\tstandard_name", *(f"{gene}\t" for gene in genes)])
    for name, count in PAIRS.items():
        first, second = genes[random.integers(num_genes, size=(2, int(count * share)))]
        if name == "yeastract_regulatory":
            rows = ["regulator\ttarget", *map("\t".join, zip(first, second, strict=True))]
        elif name == "complexportal_physical":
            rows = [
                "gene1\tgene2\tn_complexes",
                *(f"{a}\t{b}\t1" for a, b in zip(first, second, strict=True)),
            ]
        else:
            scores = random.uniform(0.15, 1.0, len(first))
            triples = zip(first, second, scores, strict=True)
            rows = ["gene1\tgene2\tscore", *(f"{a}\t{b}\t{score:.3f}" for a, b, score in triples)]
        _write(folder / f"{name}.tsv.gz", rows)
    ranks = random.choice(num_genes * (num_genes - 1) // 2, int(GENOTYPES * share), replace=False)
    high = ((1 + np.sqrt(8.0 * ranks + 1)) // 2).astype(np.int64)
    low = (ranks - high * (high - 1) // 2).clip(0, high - 1)
    rows = [f"{genes[a]}\t{genes[b]}\t\t2\t{rank % 2}" for a, b, rank in zip(low, high, ranks, strict=True)]
    _write(
        folder / "kuzmin2018_significant.tsv.gz",
        ["gene1\tgene2\tgene3\torder\tstrong_negative", *dict.fromkeys(rows)],
    )
    single = random.choice(num_genes, int(FITNESSES * share), replace=False)
    _write(folder / "costanzo2016_smf.tsv.gz", ["gene\tfitness", *(f"{genes[gene]}\t0.9" for gene in single)])
    _write(folder / "yeast-GEM.yml.gz", _model(genes, share, random))


def _model(
    genes: np.ndarray[tuple[int], np.dtype[np.str_]], share: float, random: np.random.Generator
) -> list[str]:
    """Return a metabolic model in cobra's YAML, with as many lines per entry as yeast-GEM has."""
    reactions, metabolites = int(REACTIONS * share), int(METABOLITES * share)
    annotation = ["      - annotation: !!omap", *(f'          - source{i}: "{i}"' for i in range(5))]
    lines = ["---", "!!omap", "- metabolites:"]
    for number in range(metabolites):
        lines += ["    - !!omap", f'      - id: "s_{number}"', '      - compartment: "c"', *annotation]
    lines.append("- reactions:")
    for number in range(reactions):
        lines += ["    - !!omap", f'      - id: "r_{number}"', "      - metabolites: !!omap"]
        lines += [f"          - s_{i}: {i % 2 * 2 - 1}" for i in random.choice(metabolites, 4, replace=False)]
        rule = " or ".join(random.choice(genes, random.integers(1, 4)))
        lines += ["      - lower_bound: 0", f'      - gene_reaction_rule: "{rule}"', *annotation]
    lines.append("- genes:")
    for gene in genes[: len(genes) // 6]:
        lines += ["    - !!omap", f'      - id: "{gene}"']
    return lines


def _write(path: Path, rows: list[str]) -> None:
    data = ("\n".join(rows) + "\n").encode()
    path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)
