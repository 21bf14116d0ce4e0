"""The sweep's page in MLflow, in Markdown: what was asked, how to repeat it, and what came out."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gisearch.tracking.records import DatasetRecord, Scalar
from gisearch.tracking.registration import ALIAS, MODEL_TAG


@dataclass(frozen=True)
class SweepQuestion:
    """What a sweep is for.

    Attributes:
        question: one sentence in plain words.
        metric: the objective, for example ``val/pearson``.
        mode: whether a higher or a lower value is better: ``max`` or ``min``.
        trials: how many trials were asked for.
        dimensions: the searched parameters with their choices or ranges, as text.
        dataset: the data behind the sweep.
        command: the command line, arguments apart, that started it.
        resume_command: the command line that goes on after an interruption.
        commit: the code's version, where known.
        noise_ceiling: the best value of the metric that any model can reach, where the data knows it.
    """

    question: str
    metric: str
    mode: str
    trials: int
    dimensions: Mapping[str, str]
    dataset: DatasetRecord
    command: Sequence[str]
    resume_command: Sequence[str] | None = None
    commit: str | None = None
    noise_ceiling: float | None = None


@dataclass(frozen=True)
class BestTrial:
    """The winner.

    Attributes:
        number: its trial number.
        value: its objective.
        params: its searched parameters; inactive ones left out.
    """

    number: int
    value: float
    params: Mapping[str, Scalar]


def describe_trial(sweep: str, params: Mapping[str, Scalar]) -> str:
    """Return the page of a trial: its searched parameters, and how to train it again."""
    return "\n\n".join(
        [
            f"**A trial of the sweep {sweep}**",
            _table([(key, _shown(value)) for key, value in params.items()]),
            "Train it again from its file under *Artifacts*:\n\n" + _block((*_TRAIN[:-1], "config.yaml")),
        ]
    )


def describe_model(sweep: SweepQuestion, best: BestTrial, *, has_std: bool) -> str:
    """Return the page of the winner's registered version."""
    scores = "`score` and `std`" if has_std else "`score`"
    return "\n\n".join(
        [
            f"**{sweep.metric} {best.value:.4g}, trial {best.number}**",
            f"Genes in (`gene1`, `gene2`, `gene3`), {scores} out; trained on {sweep.dataset.name}, digest "
            f"`{sweep.dataset.digest}`. It needs the package gisearch, but not the data.",
            _table([(key, _shown(value)) for key, value in best.params.items()]),
        ]
    )


def describe_ensemble(
    metric: str, value: float, members: Sequence[tuple[str, str, float]], digest: str
) -> str:
    """Return the page of an ensemble's registered version.

    Args:
        metric: what it was selected by, such as ``val/auroc``.
        value: its value.
        members: their names, models and weights.
        digest: of the data.
    """
    head = f"**{metric} {value:.4g}, an ensemble of {len(members)} models**"
    what = (
        "Genes in (`gene1`, `gene2`, `gene3`), `score` and `std` out: the weighted mean of the members' "
        f"predictions, and how far they lie apart; trained on the data of digest `{digest}`. It needs the "
        "package gisearch, but not the data."
    )
    rows = [f"| {name} | {model} | {weight:.3f} |" for name, model, weight in members]
    return "\n\n".join([head, what, "\n".join(["| trial | model | weight |", "| --- | --- | --- |", *rows])])


def describe(
    sweep: SweepQuestion, best: BestTrial | None = None, outcome: str = "", *, registered: bool = False
) -> str:
    """Return the page of a sweep.

    Args:
        sweep: what it is for.
        best: the winner so far; its configuration becomes a table.
        outcome: one sentence, for example ``40 trials in 2 min 11 s, 21 of them stopped early.``
        registered: whether the winner is in the model registry.
    """
    parts = [f"**{sweep.question}**"]
    if outcome:
        parts.append(outcome)
    if best is not None:
        ceiling = "" if sweep.noise_ceiling is None else f" (noise ceiling {sweep.noise_ceiling:.3f})"
        parts.append(f"**Best: trial {best.number}, {sweep.metric} {best.value:.4g}**{ceiling}")
        parts.append(_table([(key, _shown(value)) for key, value in best.params.items()]))
        parts.append("Train it again from its file under *Artifacts*:\n\n" + _block(_TRAIN))
        if registered:
            parts.append(f"Score genotypes with it; the tag `{MODEL_TAG}` is its address:\n\n{_LOAD}")
    parts.append("**Set-up**\n\n" + _list(_setup(sweep)))
    parts.append("**Searched**\n\n" + _list([(f"`{key}`", text) for key, text in sweep.dimensions.items()]))
    parts.append("**The same sweep again**\n\n" + _block(sweep.command))
    if best is None and sweep.resume_command is not None:
        parts.append("**After an interruption**\n\n" + _block(sweep.resume_command))
    return "\n\n".join(parts)


_LOAD = f"""\
```python
model = mlflow.pyfunc.load_model("models:/...@{ALIAS}")
model.predict(pandas.DataFrame({{"gene1": ["YAL001C"], "gene2": ["YBR020W"]}}))
```"""
_TRAIN = ("python", "-m", "gisearch.train", "--config", "best/config.yaml")


def _setup(sweep: SweepQuestion) -> list[tuple[str, str]]:
    data = sweep.dataset
    counts = ", ".join(
        f"{value:,} {key}" if isinstance(value, int) else f"{key} {value}"
        for key, value in data.profile.items()
    )
    rows = [
        ("objective", f"{sweep.metric}, {'higher' if sweep.mode == 'max' else 'lower'} is better"),
        ("trials", str(sweep.trials)),
        (
            "data",
            f"{data.name} ({counts}), digest `{data.digest}`" if counts else f"{data.name}, `{data.digest}`",
        ),
        ("source of the data", data.source),
    ]
    if sweep.noise_ceiling is not None:
        rows.append(
            ("noise ceiling", f"{sweep.noise_ceiling:.3f}: no model can do better on these measurements")
        )
    if sweep.commit is not None:
        rows.append(("code", f"commit `{sweep.commit}`"))
    return rows


def _table(rows: Sequence[tuple[str, str]]) -> str:
    # MLflow's page gives table cells no padding and tables no margin: spaces stand in for both.
    lines = ["| parameter | value |", "| :--- | :--- |"]
    lines += [f"| `{_cell(left)}` | &emsp;{_cell(right)} |" for left, right in rows]
    return "\n".join([*lines, "| &nbsp; | |"])


def _list(rows: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"- {left}: {right}" for left, right in rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _block(command: Sequence[str]) -> str:
    return f"```\n{shlex.join(command)}\n```"


def _shown(value: Scalar) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
