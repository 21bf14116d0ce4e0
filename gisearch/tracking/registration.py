"""The models of a sweep in MLflow's model registry: a version per winner or ensemble, found by an alias."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gisearch.tracking.model_package import weights_digest
from gisearch.tracking.records import Scalar
from gisearch.tracking.store import Store

ALIAS, ENSEMBLE = "best", "ensemble"
MODEL_TAG, SWEEP_TAG, WEIGHTS_TAG = "gisearch.model", "gisearch.sweep", "gisearch.weights"
# Where the sweep's run has the addresses of its models, by alias.
ADDRESS_TAGS = {ALIAS: MODEL_TAG, ENSEMBLE: "gisearch.ensemble"}
_NAME = re.compile(r"[^\w\-]+")


@dataclass(frozen=True)
class Winner:
    """What is registered.

    Attributes:
        name: the sweep's name.
        weights: from :func:`gisearch.tracking.model_package.package_model`.
        description: Markdown, shown on the version's page.
        params: the searched parameters.
        tags: for example the trial and the digest of the data.
        alias: what finds it in the registry, of ``ADDRESS_TAGS``.
        metric: the metric of its run that is its score.
    """

    name: str
    weights: str
    description: str
    params: Mapping[str, Scalar]
    tags: Mapping[str, str]
    alias: str = ALIAS
    metric: str = "objective"


def register(store: Store, parent: str, run_id: str, package: Path, winner: Winner) -> str:
    """Register a packaged model and point the alias at it. May be repeated without harm.

    A model that has a version already, because an earlier attempt or an earlier end of the sweep registered
    it, gets no second one. A name that belongs to another sweep is left to it: this one's gets the first
    characters of its run's id at its end. The sweep's run gets the address as a tag, ``gisearch.model`` or
    ``gisearch.ensemble``.

    Args:
        store: the open store.
        parent: the sweep's run.
        run_id: the winner's run; of an ensemble the sweep's.
        package: the model's folder.
        winner: what to say about it.

    Returns:
        The model's address for ``mlflow.pyfunc.load_model``.

    Raises:
        FileNotFoundError: the folder is not there, or holds a later winner by now.
        Exception: whatever MLflow raises.
    """
    if not package.is_dir() or weights_digest(package) != winner.weights:
        raise FileNotFoundError(f"{package} no longer holds the model of this trial")
    client = store.client
    name = _claim_name(client, registered_name(winner.name), parent)
    tags = {SWEEP_TAG: parent, WEIGHTS_TAG: winner.weights, **winner.tags}
    versions = client.search_model_versions(f"name = '{name}'")
    version = next((v for v in versions if v.tags.get(WEIGHTS_TAG) == winner.weights), None)
    if version is None:
        model = _upload(store, run_id, package, winner, tags)
        version = client.create_model_version(
            name,
            # Its address, models:/..., a database store would look up in the process-wide store.
            model.artifact_location,
            run_id,
            tags,
            description=winner.description,
            model_id=model.model_id,
        )
    client.set_registered_model_alias(name, winner.alias, version.version)
    address = f"models:/{name}@{winner.alias}"
    client.set_tag(parent, ADDRESS_TAGS[winner.alias], address)
    return address


def registered_name(sweep: str) -> str:
    """Return a sweep's name with what the registry does not allow in names replaced."""
    return _NAME.sub("_", sweep) or "sweep"


def _claim_name(client: Any, name: str, parent: str) -> str:
    """Return ``name``, or one made from it where another sweep has it; create it where nobody has."""
    for candidate in (name, f"{name}-{parent[:8]}"):
        found = client.search_registered_models(f"name = '{candidate}'", max_results=1)
        if not found:
            client.create_registered_model(candidate, {SWEEP_TAG: parent}, _ABOUT)
        if not found or found[0].tags.get(SWEEP_TAG) == parent:
            break
    return candidate


_ABOUT = f"""\
**The best model of a sweep: genes in, scores out.** The alias `{ALIAS}` is the sweep's winner,
`{ENSEMBLE}` an ensemble of its models where one was made; earlier versions won before the sweep went on.

Columns in: `gene1`, `gene2`, `gene3` (systematic or standard names, empty for fewer deletions). Columns out:
`score`, and `std` where the model has one.
"""


def _upload(store: Store, run_id: str, package: Path, winner: Winner, tags: Mapping[str, str]) -> Any:
    """Return the model as MLflow's own entity, with its files, its parameters and its score."""
    from mlflow.entities import LoggedModelOutput, Metric

    client = store.client
    known = client.search_logged_models(
        [store.experiment_id], f"tags.`{WEIGHTS_TAG}` = '{winner.weights}' AND source_run_id = '{run_id}'"
    )
    # One that an earlier attempt left unfinished is gone on with.
    model = known[0] if known else None
    if model is None:
        name, kind = registered_name(winner.name), "gisearch"
        params = {key: str(value) for key, value in winner.params.items()}
        model = client.create_logged_model(store.experiment_id, name, run_id, dict(tags), params, kind)
    if str(model.status) != "READY":
        client.log_model_artifacts(model.model_id, str(package))
        if model.model_id not in (output.model_id for output in client.get_run(run_id).outputs.model_outputs):
            client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
        # The run's own point once more: MLflow keeps it once there, and shows it beside the model.
        for point in client.get_metric_history(run_id, winner.metric)[-1:]:
            metric = Metric(winner.metric, point.value, point.timestamp, point.step, model_id=model.model_id)
            client.log_batch(run_id, [metric])
        client.finalize_logged_model(model.model_id, "READY")
    return model
