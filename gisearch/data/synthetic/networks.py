"""Networks of the demo cell: degree-corrected block models, each of which sees part of the modules.

Karrer and Newman, "Stochastic blockmodels and community structure in networks", Physical Review E 83,
2011: two genes of a module are linked in proportion to the product of their expected degrees.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gisearch.data.cell_graph import Network
from gisearch.data.synthetic.config import DemoCellConfig, DemoNetworkConfig
from gisearch.data.synthetic.structure import Structure
from gisearch.seeding import child_generator

Keys = npt.NDArray[np.int64]

# Beyond this part of the possible edges within modules, further edges fall outside them.
_MODULE_DENSITY = 0.35


def build_networks(config: DemoCellConfig, structure: Structure) -> dict[str, Network]:
    """Draw all networks; every module is seen by a sliding window of them."""
    rng = child_generator(config.seed, "demo_cell", "windows")
    order = rng.permutation(config.num_modules)
    networks = {}
    for i, (name, network) in enumerate(config.networks.items()):
        start = i * config.num_modules // len(config.networks)
        length = max(1, round(network.modules_seen * config.num_modules))
        seen = np.isin(np.arange(config.num_modules), np.roll(order, -start)[:length])
        generator = child_generator(config.seed, "demo_cell", "network", name)
        networks[name] = _build(name, network, seen, structure, generator)
    return networks


def _build(
    name: str,
    config: DemoNetworkConfig,
    seen: npt.NDArray[np.bool_],
    structure: Structure,
    rng: np.random.Generator,
) -> Network:
    num_genes = len(structure.module)
    ends = 1 if config.directed else 2
    total = round(num_genes * config.mean_degree / ends)
    sources = structure.regulators if config.directed else np.arange(num_genes)
    sources_seen = sources[seen[structure.module[sources]]]
    capacity = (np.bincount(structure.module)[structure.module[sources_seen]] - 1).sum() // ends
    num_true = min(round((1 - config.noise) * total), int(_MODULE_DENSITY * capacity))
    draw = _EdgeSampler(structure, config.directed, rng)
    keys = _cliques(structure.complex_of)[:total] if config.complexes else np.empty(0, dtype=np.int64)
    keys = draw.extend(keys, num_true, sources_seen, within_modules=True)
    num_true = len(keys)
    keys = draw.extend(keys, total, sources, within_modules=False)
    scores = None
    if config.scores:
        beta = np.where(np.arange(len(keys)) < num_true, 4.0, 2.0)
        scores = np.round(0.15 + 0.85 * rng.beta(beta, 6.0 - beta), 3).astype(np.float32)
    pairs = np.stack([keys // num_genes, keys % num_genes])
    return Network.from_pairs(name, pairs, scores, directed=config.directed, num_genes=num_genes)


def _cliques(complex_of: Keys) -> Keys:
    """Return the edges between all members of every complex."""
    keys = [np.empty(0, dtype=np.int64)]
    for index in range(complex_of.max() + 1):
        genes = np.flatnonzero(complex_of == index)
        first, second = np.triu_indices(len(genes), 1)
        keys.append(genes[first] * len(complex_of) + genes[second])
    return np.concatenate(keys)


class _EdgeSampler:
    """Draws distinct edges in proportion to the expected degrees of their ends.

    An edge is the key ``source * N + target``; an undirected one has the smaller gene first.
    """

    def __init__(self, structure: Structure, directed: bool, rng: np.random.Generator) -> None:
        self._structure, self._directed, self._rng = structure, directed, rng
        self._genes = np.argsort(structure.module, kind="stable")
        self._end = np.cumsum(structure.hub[self._genes])
        self._module_end = self._end[np.cumsum(np.bincount(structure.module)) - 1]
        self._module_start = np.concatenate([[0.0], self._module_end[:-1]])

    def extend(self, keys: Keys, total: int, sources: Keys, *, within_modules: bool) -> Keys:
        """Return ``keys`` followed by new ones, ``total`` of them together."""
        num_genes = len(self._genes)
        weight = np.cumsum(self._structure.hub[sources])
        while len(keys) < total:
            wanted = 2 * (total - len(keys)) + 16
            source = sources[np.searchsorted(weight, weight[-1] * self._rng.random(wanted), side="right")]
            target = self._partners(source, within_modules)
            if not self._directed:
                source, target = np.minimum(source, target), np.maximum(source, target)
            drawn = (source * num_genes + target)[source != target]
            drawn = drawn[np.sort(np.unique(drawn, return_index=True)[1])]
            keys = np.concatenate([keys, drawn[~np.isin(drawn, keys)]])[:total]
        return keys

    def _partners(self, source: Keys, within_modules: bool) -> Keys:
        low, high = np.zeros(len(source)), np.full(len(source), self._end[-1])
        if within_modules:
            module = self._structure.module[source]
            low, high = self._module_start[module], self._module_end[module]
        position = low + (high - low) * self._rng.random(len(source))
        found: Keys = self._genes[
            np.minimum(np.searchsorted(self._end, position, "right"), len(self._genes) - 1)
        ]
        return found
