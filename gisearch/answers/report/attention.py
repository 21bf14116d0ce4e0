"""How the best model weighs the gene networks, and what else only the data can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gisearch.errors import GisearchError
from gisearch.search.folders import BEST_FOLDER

if TYPE_CHECKING:
    from gisearch.data.dataset import Dataset
    from gisearch.models.base import Model
    from gisearch.search.results import SweepResults

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NetworkAttention:
    """What share of a gene's attention each network has.

    Attributes:
        networks: their names.
        mean: over the genes, [G]; sums to one.
        low: first quartile over the genes, [G].
        high: third quartile, [G].
        source: which part of the model it is read from.
    """

    networks: Sequence[str]
    mean: Floats
    low: Floats
    high: Floats
    source: str


@dataclass(frozen=True)
class BestModel:
    """What the best model and its data tell beyond the sweep's files.

    Attributes:
        attention: None where the model does not weigh networks, or could not be asked.
        measured_std: standard deviations of the validation split's measurements, [n], where known.
        reason: why something is missing, in a sentence.
    """

    attention: NetworkAttention | None = None
    measured_std: Floats | None = None
    reason: str = ""


def ask_best(results: SweepResults) -> BestModel:
    """Load the best model and its data; whatever is in the way becomes the reason, never an error."""
    from gisearch.data.load import load_dataset
    from gisearch.training.config import CONFIG_FILE, load_config
    from gisearch.training.experiment import load_trained

    folder = results.folder / BEST_FOLDER
    if not (folder / CONFIG_FILE).exists():
        return BestModel(reason="The sweep has not saved a best model: it has not ended yet, or was killed.")
    try:
        config = load_config(folder / CONFIG_FILE)
        dataset = load_dataset(config.data)
        # Other data than the sweep's has other rows.
        if results.facts.get("data") not in (None, dataset.digest()):
            return BestModel(reason="The data has changed since the sweep, so its model was not asked again.")
        std = _measured_std(dataset)
    except (GisearchError, OSError) as error:
        return BestModel(reason=f"The data could not be loaded: {_short(error)}")
    try:
        attention = network_attention(load_trained(folder, dataset).model)
    except (GisearchError, OSError) as error:
        return BestModel(None, std, f"The best model could not be loaded: {_short(error)}")
    if attention is None:
        how = getattr(getattr(config.model, "encoder", None), "graph_aggregation", None)
        combined = f" but takes their {how}" if how in ("sum", "mean") else ""
        reason = f"The best model ({config.model.name}) does not weigh networks by attention{combined}."
        return BestModel(None, std, reason)
    return BestModel(attention, std)


def network_attention(model: Model) -> NetworkAttention | None:
    """Return how a trained model weighs the networks, averaged over all genes; None where it does not.

    Read from the encoder's last aggregation (``cross_attention`` or ``pairwise_interaction``), or from
    DANGO's meta-embedding.
    """
    import torch

    from gisearch.models.dango import Dango
    from gisearch.models.layers.encoder import Encoder

    model.eval()
    shares, source = None, ""
    names: Sequence[str] = ()
    with torch.no_grad():
        encoder = getattr(model, "encoder", None)
        if isinstance(encoder, Encoder):
            weights = encoder(model.monitor).attention
            names, source = encoder.network_names, "the encoder's last layer"
            if weights is not None:
                shares = encoder.layers[-1].aggregation.network_shares(weights, len(names))
        elif isinstance(model, Dango):
            _, shares = model.meta_embedding(model.pretrain(model.monitor))
            names = model.network_names
            source = "the meta-embedding"
    if shares is None:
        return None
    table = shares.double().cpu().numpy()
    low, high = np.percentile(table, [25, 75], axis=0)
    return NetworkAttention(names, table.mean(0), low, high, source)


def _measured_std(dataset: Dataset) -> Floats | None:
    std: Any = dataset.genotypes.labels.get(f"{dataset.target.name}_std")
    if std is None:
        return None
    rows = np.asarray(std, float)[dataset.split.part("val")]
    return rows if np.isfinite(rows).all() and (rows > 0).any() else None


def _short(error: Exception) -> str:
    return (str(error).splitlines() or ["unknown."])[0]
