"""The data behind a run as MLflow shows it: name, digest, columns and counts, never the data itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from gisearch.tracking.records import DatasetRecord
from gisearch.tracking.redact import redact_text

# Part of the split to MLflow's word for what it is used for.
_CONTEXTS = {"train": "training", "val": "validation"}
_DIGEST_LIMIT = 36  # characters, in MLflow


def describe_parts(dataset: DatasetRecord) -> list[dict[str, str]]:
    """Return the parts of the split that a search looks at, as text; the test part is not one of them.

    Both have the digest of the whole, by which the UI finds all runs on the same data. Of data without
    counted parts there is one entry.
    """
    parts = [part for part in _CONTEXTS if part in dataset.profile]
    shared = {key: value for key, value in dataset.profile.items() if key not in ("train", "val", "test")}
    columns = [{"name": name, "type": kind} for name, kind in dataset.columns.items()]
    base = {
        "digest": dataset.digest[:_DIGEST_LIMIT],
        "source": json.dumps({"tags": {"gisearch.source": redact_text(dataset.source)}}),
        "schema": json.dumps({"mlflow_colspec": columns}) if columns else "",
    }
    if not parts:
        return [{**base, "name": dataset.name, "profile": json.dumps(shared), "context": "training"}]
    return [
        {
            **base,
            "name": f"{dataset.name} {part}",
            "profile": json.dumps({"num_rows": dataset.profile[part], **shared}),
            "context": _CONTEXTS[part],
        }
        for part in parts
    ]


def dataset_inputs(parts: Sequence[Mapping[str, str]]) -> list[Any]:
    """Return what :func:`describe_parts` gave as MLflow's own entities."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    return [
        DatasetInput(
            Dataset(
                name=part["name"],
                digest=part["digest"],
                source_type="code",
                source=part["source"],
                schema=part["schema"] or None,
                profile=part["profile"],
            ),
            [InputTag("mlflow.data.context", part["context"])],
        )
        for part in parts
    ]
