"""Where the numbers come from: code, libraries, data, seeds, machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gisearch.answers.report.blocks import Block, Code, Section, Table, Text
from gisearch.answers.report.material import Material

_MACHINE = {
    "machine.cpu": "processor",
    "machine.cores": "cores",
    "machine.memory_gb": "memory in GiB",
    "machine.gpus": "GPUs",
    "machine.platform": "system",
}


def provenance_section(material: Material) -> Section:
    """Return what is needed to get the same numbers again."""
    facts = material.results.facts
    source: Mapping[str, Any] = facts.get("provenance") or {}
    rows: list[tuple[str, str]] = []
    if "git.commit" in source:
        dirty = " with changes that were not committed" if source.get("git.dirty") == "true" else ""
        rows.append(("commit", f"{source['git.commit']}{dirty}"))
    else:
        rows.append(("commit", "not known: gisearch was installed, not run from a checkout"))
    rows += [
        (f"{key.partition('.')[2]} version", str(value))
        for key, value in source.items()
        if key.startswith("version.")
    ]
    rows.append(("data hash", str(facts.get("data", "not recorded"))))
    left_out = facts.get("left_out", ["not recorded"])
    rows += [("left out of the data", str(line)) for line in left_out or ["nothing"]]
    rows += _seeds(material)
    rows += [(label, str(source[key])) for key, label in _MACHINE.items() if key in source]
    if "machine.gpus" not in source:
        rows.append(("GPUs", "none on the machine that led the sweep"))
    rows.append(("started", str(source.get("started", "not recorded"))))
    blocks: list[Block] = [Table("What produced these numbers.", ("what", "value"), rows)]
    if "command" in source:
        blocks += [Text("The command:"), Code(str(source["command"]))]
    return Section("provenance", "Provenance", blocks)


def _seeds(material: Material) -> Sequence[tuple[str, str]]:
    if material.plan is None:
        return [("seeds", f"not known: {material.plan_problem}")]
    config = material.plan.config
    split = config.data.split
    return [
        ("seed of the search", str(config.search.seed)),
        ("seed of weights, batches and dropout", str(config.seed)),
        ("split", split.path) if split.path else ("seed of the split", str(config.data.seed)),
    ]
