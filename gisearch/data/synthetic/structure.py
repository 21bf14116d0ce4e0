"""The hidden structure of the demo cell: modules, complexes, hubs and gene names.

Shapes: N genes, K modules, C complexes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gisearch.data.gene_names import GeneNames
from gisearch.data.synthetic.config import DemoCellConfig
from gisearch.seeding import child_generator

_LETTERS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
_CHROMOSOMES = "ABCDEFGHIJKLMNOP"  # sixteen, as in yeast


@dataclass(frozen=True)
class Structure:
    """What a model would have to infer.

    Attributes:
        module: int64 [N], every gene's module.
        complex_of: int64 [N], every gene's complex, -1 for none.
        hub: float64 [N], expected degree relative to the average gene.
        dosage: float64 [N], how strongly a gene's deletion acts on others, about 1 on average;
            grows with ``hub``.
        regulators: int64 [n], the genes that edges of directed networks start from.
    """

    module: npt.NDArray[np.int64]
    complex_of: npt.NDArray[np.int64]
    hub: npt.NDArray[np.float64]
    dosage: npt.NDArray[np.float64]
    regulators: npt.NDArray[np.int64]


def build_structure(config: DemoCellConfig) -> Structure:
    """Draw modules, complexes and hubs."""
    rng = child_generator(config.seed, "demo_cell", "structure")
    num_genes, num_modules = config.num_genes, config.num_modules
    # Five genes in every module at least, the others by uneven module sizes.
    share = rng.gamma(10.0, size=num_modules)
    extra = rng.choice(num_modules, size=num_genes - 5 * num_modules, p=share / share.sum())
    module = rng.permutation(np.concatenate([np.repeat(np.arange(num_modules), 5), extra]))
    hub = rng.pareto(config.hub_exponent - 1, size=num_genes) + 1
    hub = np.minimum(hub / hub.mean(), np.sqrt(num_genes))
    # The log of the degree is what spreads evenly, so that dosage is not that of a few hubs alone.
    height = np.log(hub) - np.log(hub).mean()
    z = 0.9 * height / height.std() + 0.44 * rng.standard_normal(num_genes)
    dosage = np.exp(config.dosage_spread * np.clip(z, -2.5, 2.5))
    order = np.argsort(-hub, kind="stable")
    # The largest hub of every module regulates, and the largest of the rest.
    first = order[np.unique(module[order], return_index=True)[1]]
    rest = order[~np.isin(order, first)][: max(0, num_genes // 12 - num_modules)]
    return Structure(
        module=module,
        complex_of=_complexes(config.num_complexes, module, rng),
        hub=hub,
        dosage=dosage / dosage.mean(),
        regulators=np.sort(np.concatenate([first, rest])),
    )


def _complexes(
    num_complexes: int, module: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Cut complexes of 3 to 6 genes out of the modules, the fullest first."""
    complex_of = np.full(len(module), -1, dtype=np.int64)
    free = [rng.permutation(np.flatnonzero(module == k)) for k in range(module.max() + 1)]
    for index in range(num_complexes):
        size = int(rng.integers(3, 7))
        k = max(range(len(free)), key=lambda k: len(free[k]))
        complex_of[free[k][:size]] = index
        free[k] = free[k][size:]
    return complex_of


def gene_names(config: DemoCellConfig) -> GeneNames:
    """Name the genes as in yeast: ``YBR160W`` (chromosome, arm, number, strand) and ``CDC28``."""
    rng = child_generator(config.seed, "demo_cell", "names")
    arms = [f"Y{chromosome}{arm}" for chromosome in _CHROMOSOMES for arm in "LR"]
    per_arm = -(-config.num_genes // len(arms))
    strand = rng.choice(np.array(["W", "C"]), size=config.num_genes)
    systematic = [f"{arms[i // per_arm]}{i % per_arm + 1:03d}{strand[i]}" for i in range(config.num_genes)]
    families = _LETTERS[rng.integers(len(_LETTERS), size=(max(1, config.num_genes // 8), 3))]
    prefixes = np.unique(["".join(letters) for letters in families])
    member = rng.integers(len(prefixes), size=config.num_genes)
    named = rng.random(config.num_genes) < 0.75
    counter = np.zeros(len(prefixes), dtype=np.int64)
    standard = []
    for gene in range(config.num_genes):
        counter[member[gene]] += 1
        standard.append(f"{prefixes[member[gene]]}{counter[member[gene]]}" if named[gene] else "")
    return GeneNames(systematic=tuple(systematic), standard=tuple(standard))
