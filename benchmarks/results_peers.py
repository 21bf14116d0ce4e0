"""What a table of results is read against: peers of double deletions that are written down in a few lines.

- ``five_part_kernel``: ridge regression with a kernel over pairs of genes (Ben-Hur and Noble 2005,
  Bioinformatics 21, i38), whose kernel over genes has five parts: identity, two networks after diffusion, the
  interaction profile in the training part, and the profile smoothed by the networks. Dense, nothing tuned.
- ``one_hot_logistic``: logistic regression on which genes are deleted.
- ``measured_pairs``: a control. The same ridge, but all it knows of genes beside who they are is with which
  others they were *measured*, in whatever part, without a label: how much of a score is the screen's design.

They learn from the labels of the training part alone, and choose nothing by the validation part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gisearch.data.cell_graph import Network
from gisearch.data.dataset import Dataset
from gisearch.data.splits import PARTS
from gisearch.errors import DataError

Array = npt.NDArray[np.float64]
Pairs = npt.NDArray[np.int64]

DIFFUSION, STEPS, RIDGE, SINGLE = 0.5, 4, 1.0, 0.1
_ROWS = 500


@dataclass(frozen=True)
class PeerResult:
    """What a peer predicts for the test part: any increasing score, float64 [n], and its parameters."""

    predicted: Array
    parameters: int


@dataclass(frozen=True)
class PairTask:
    """Double deletions with labels, over the G genes that any part of the split deletes.

    Attributes:
        genes: int64 [G], indices in the cell graph.
        train: int64 [n, 2], positions in ``genes``.
        labels: float64 [n], of ``train``.
        val: int64 [k, 2], positions in ``genes``.
        test: int64 [m, 2], positions in ``genes``.
    """

    genes: npt.NDArray[np.int64]
    train: Pairs
    labels: Array
    val: Pairs
    test: Pairs

    @classmethod
    def of(cls, dataset: Dataset) -> PairTask:
        """Take the pairs of a dataset, and the labels of its training part.

        Raises:
            DataError: a genotype of theirs is no double deletion.
        """
        table = dataset.genotypes.padded()
        parts = [table[dataset.split.part(part)] for part in PARTS]
        for part in parts:
            if (part[:, 1] < 0).any() or (part[:, 2] >= 0).any():
                raise DataError("this peer scores double deletions; set data.orders=[2].")
        genes = np.unique(np.concatenate(parts)[:, :2])
        train, val, test = (np.searchsorted(genes, part[:, :2]) for part in parts)
        return cls(genes, train, dataset.values("train").astype(np.float64), val, test)

    def table(self, pairs: Pairs, values: Array | float) -> Array:
        """Return a symmetric table [G, G] that holds the values of pairs, 0 elsewhere."""
        filled = np.zeros((len(self.genes), len(self.genes)))
        filled[pairs[:, 0], pairs[:, 1]] = filled[pairs[:, 1], pairs[:, 0]] = values
        return filled


def five_part_kernel(dataset: Dataset) -> PeerResult:
    """Learn with identity, the physical and the database network, the profile and the smoothed profile.

    Raises:
        DataError: the data lacks one of the networks, or holds other genotypes than double deletions.
    """
    task = PairTask.of(dataset)
    identity = np.eye(len(task.genes))
    physical, database = (
        diffused(_network(dataset, name), dataset.cell.num_genes, task.genes)
        for name in ("physical", "database")
    )
    profile = task.table(task.train, task.labels - task.labels.mean())
    smoothing = (identity + physical + database) / 3
    kernel = (
        0.15 * identity
        + 0.15 * physical
        + 0.2 * database
        + 0.25 * scaled(profile @ profile.T)
        + 0.25 * scaled(profile @ smoothing @ profile.T)
    )
    return PeerResult(ridge_scores(task, kernel), len(task.train))


def measured_pairs(dataset: Dataset) -> PeerResult:
    """Learn with identity and the similarity of which partners were measured at all.

    Raises:
        DataError: the data holds other genotypes than double deletions.
    """
    task = PairTask.of(dataset)
    measured = task.table(np.concatenate([task.train, task.val, task.test]), 1.0)
    kernel = 0.5 * np.eye(len(task.genes)) + 0.5 * scaled(measured @ measured.T)
    return PeerResult(ridge_scores(task, kernel), len(task.train))


def one_hot_logistic(dataset: Dataset) -> PeerResult:
    """Learn a weight per gene.

    Raises:
        DataError: the target is not binary, or the data holds other genotypes than double deletions.
    """
    if dataset.target.kind != "binary":
        raise DataError(f"logistic regression learns a binary target; {dataset.target.name!r} is measured.")
    from scipy.sparse import csr_array
    from sklearn.linear_model import LogisticRegression

    task = PairTask.of(dataset)

    def one_hot(pairs: Pairs) -> csr_array:
        starts = np.arange(0, 2 * len(pairs) + 1, 2)
        return csr_array((np.ones(pairs.size), pairs.ravel(), starts), shape=(len(pairs), len(task.genes)))

    fitted = LogisticRegression(max_iter=1000).fit(one_hot(task.train), task.labels)
    return PeerResult(fitted.decision_function(one_hot(task.test)), len(task.genes) + 1)


PEERS: dict[str, Callable[[Dataset], PeerResult]] = {
    "five_part_kernel": five_part_kernel,
    "one_hot_logistic": one_hot_logistic,
    "measured_pairs": measured_pairs,
}


def _network(dataset: Dataset, name: str) -> Network:
    for network in dataset.cell.networks.values():
        if network.name == name or network.name.endswith(f"_{name}"):
            return network
    raise DataError(f"the data has no network {name!r} (it has: {', '.join(dataset.cell.networks)}).")


def diffused(network: Network, num_genes: int, genes: npt.NDArray[np.int64]) -> Array:
    """Return how alike genes are in where ``STEPS`` lazy steps through a network lead, [G, G].

    M = ((1 - a) I + a D^-1/2 A D^-1/2)^t with a = ``DIFFUSION``; K = M M^T, scaled.
    """
    from scipy.sparse import coo_array, diags_array

    adjacency = coo_array((np.ones(network.num_edges), network.edges), shape=(num_genes, num_genes)).tocsr()
    adjacency = ((adjacency + adjacency.T) > 0).astype(np.float64)
    degree = np.maximum(adjacency.sum(axis=1), 1.0)
    half = diags_array(degree**-0.5)
    step = (half @ adjacency @ half).T.tocsr()
    reached = np.zeros((len(genes), num_genes))
    reached[np.arange(len(genes)), genes] = 1.0
    for _ in range(STEPS):
        reached = (1 - DIFFUSION) * reached + DIFFUSION * (step @ reached.T).T
    return scaled(reached @ reached.T)


def scaled(kernel: Array) -> Array:
    """Return a kernel with a unit diagonal; a gene of which nothing is known is like no other, nor itself."""
    size = np.sqrt(np.diag(kernel))
    inverse = np.divide(1.0, size, out=np.zeros_like(size), where=size > 1e-12)
    found: Array = kernel * inverse * inverse[:, None]
    return found


def pair_kernel(kernel: Array, left: Pairs, right: Pairs) -> Array:
    """Return the kernel between two lists of pairs, [n, m].

    Products of both ways to match the genes, and a tenth of the sum of the four single similarities, which is
    what a gene does whatever its partner.
    """
    a, b = (kernel[left[:, side]] for side in (0, 1))
    c, d = right.T
    ac, bd, ad, bc = a[:, c], b[:, d], a[:, d], b[:, c]
    found: Array = ac * bd + ad * bc + SINGLE * (ac + bd + ad + bc)
    return found


def ridge_scores(task: PairTask, kernel: Array) -> Array:
    """Return the test scores of ridge regression on centred labels with a kernel over genes, [m]."""
    from scipy.linalg import solve

    gram = np.empty((len(task.train), len(task.train)))
    for start in range(0, len(gram), _ROWS):
        rows = slice(start, start + _ROWS)
        gram[rows] = pair_kernel(kernel, task.train[rows], task.train)
    gram[np.diag_indices_from(gram)] += RIDGE
    mean = task.labels.mean()
    weights = solve(gram, task.labels - mean, assume_a="pos", overwrite_a=True)
    parts = [
        pair_kernel(kernel, task.test[start : start + _ROWS], task.train) @ weights
        for start in range(0, len(task.test), _ROWS)
    ]
    scores: Array = np.concatenate(parts) + mean
    return scores
