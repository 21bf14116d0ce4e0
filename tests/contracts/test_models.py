"""What holds for every model in every variant."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gisearch.config import assign, build
from gisearch.data.cell_graph import CellGraph, Network
from gisearch.data.dataset import Dataset
from gisearch.data.gene_features import GeneFeatures
from gisearch.data.gene_names import GeneNames
from gisearch.errors import NonFiniteError
from gisearch.models.base import FittedModel, Model
from gisearch.models.batch import GenotypeBatch
from gisearch.models.registry import MODELS
from gisearch.models.targets import Targets
from gisearch.training import metrics
from gisearch.training.checkpoint import CheckpointStore
from tests.contracts.case import case_of

MakeModel = Callable[[Any], Model]


def test_scores_and_gradients_of_one_two_and_three_deletions(
    variant: Any, make_model: MakeModel, batch: GenotypeBatch, unread_parameters: Callable[..., list[str]]
) -> None:
    model = make_model(variant)
    prediction = model(batch)
    assert prediction.score.shape == (len(batch),)
    assert torch.isfinite(prediction.score).all()
    assert prediction.score.unique().numel() == len(batch), "genotypes are told apart"
    model.monitor.check()
    assert unread_parameters(variant) == []


def test_training_loss_is_a_finite_scalar_with_gradients(
    variant: Any, make_model: MakeModel, batch: GenotypeBatch, targets: Targets
) -> None:
    if not variant.case.needs_gradient:
        pytest.skip("its own algorithm fits it")
    model = make_model(variant).train()
    # A schedule may leave a loss out of some epochs: before and after it, all parameters are trained.
    for epoch in (1, 9):
        model.start_epoch(epoch)
        loss = model.training_loss(batch, targets)
        assert loss.shape == ()
        loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_order_of_deleted_genes_does_not_matter(
    variant: Any, make_model: MakeModel, batch: GenotypeBatch
) -> None:
    model = make_model(variant)
    columns = torch.stack([torch.randperm(3) for _ in range(len(batch))])
    shuffled = GenotypeBatch(batch.deleted.gather(1, columns), batch.present.gather(1, columns))
    assert not torch.equal(shuffled.present, batch.present)
    torch.testing.assert_close(model(shuffled).score, model(batch).score, rtol=1e-5, atol=1e-5)


def test_what_padding_holds_does_not_matter(
    variant: Any, make_model: MakeModel, batch: GenotypeBatch
) -> None:
    model = make_model(variant)
    other = GenotypeBatch(torch.where(batch.present, batch.deleted, 7), batch.present)
    torch.testing.assert_close(model(other).score, model(batch).score, rtol=1e-5, atol=1e-5)


def test_names_of_genes_do_not_matter(
    variant: Any, make_model: MakeModel, batch: GenotypeBatch, dataset: Dataset
) -> None:
    """Gene i of the cell is gene to[i] of the relabelled one, with the same embedding.

    In double precision: sums over neighbours come in another order, and what is left of the wild type's
    pooled genes beside a mutant's is small.
    """
    model, number = make_model(variant).double(), dataset.cell.num_genes
    to = np.random.default_rng(0).permutation(number)
    relabelled = variant.config().build(relabel(variant.cell(dataset), to), dataset.target)
    relabelled = relabelled.double().eval()
    state = model.state_dict()
    per_gene = [name for name, value in state.items() if value.ndim and value.shape[0] == number]
    # One without gradients, or with features for embeddings, may know genes by the cell graph alone.
    by_cell = not variant.case.needs_gradient or variant.reads_features
    assert per_gene or by_cell, "without gene embeddings genes are not told apart"
    back = torch.from_numpy(np.argsort(to))
    relabelled.load_state_dict({n: v[back] if n in per_gene else v for n, v in state.items()})
    renamed = GenotypeBatch(torch.from_numpy(to)[batch.deleted], batch.present)
    expected = model(batch).score
    torch.testing.assert_close(relabelled(renamed).score, expected, rtol=1e-9, atol=1e-9)
    # The test could tell: without renaming the genotypes the scores are others.
    assert (relabelled(batch).score - expected).abs().max() > 1e-4


def relabel(cell: CellGraph, to: np.ndarray[Any, np.dtype[np.int64]]) -> CellGraph:
    names = np.empty(cell.num_genes, dtype=object)
    names[to] = cell.names.systematic
    networks = {
        name: Network.from_pairs(
            name, to[network.edges], network.scores, directed=True, num_genes=cell.num_genes
        )
        for name, network in cell.networks.items()
    }
    metabolism = cell.metabolism
    if metabolism is not None:
        metabolism = dataclasses.replace(metabolism, complex_genes=to[metabolism.complex_genes])
    back = np.argsort(to)
    features = {
        name: GeneFeatures(name, table.values[back], table.known[back])
        for name, table in cell.features.items()
    }
    return CellGraph(GeneNames(tuple(names)), networks, metabolism, features)


def test_a_batch_of_one_equals_its_row(variant: Any, make_model: MakeModel, batch: GenotypeBatch) -> None:
    model = make_model(variant)
    together = model(batch).score
    alone = torch.cat([model(batch[i : i + 1]).score for i in range(len(batch))])
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-5)


def test_a_saved_model_predicts_the_same(
    variant: Any, make_model: MakeModel, batch: GenotypeBatch, tmp_path: Path
) -> None:
    model, store = make_model(variant), CheckpointStore(tmp_path)
    store.save("model.pt", {"model": model.state_dict()})
    loaded = make_model(variant)
    for parameter in loaded.parameters():
        nn.init.constant_(parameter, 0.5)
    loaded.load_state_dict(store.load("model.pt")["model"])
    assert torch.equal(loaded(batch).score, model(batch).score)


def test_the_cell_graph_is_not_in_the_state_dict(variant: Any, make_model: MakeModel) -> None:
    model = make_model(variant)
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}
    assert all(value.is_floating_point() for value in model.state_dict().values())


def test_bfloat16_is_close_to_single_precision(
    variant: Any, make_model: MakeModel, batch: GenotypeBatch, targets: Targets
) -> None:
    if not variant.case.needs_gradient:
        pytest.skip("its own algorithm fits it")
    model = make_model(variant)
    exact = model(batch).score
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(batch).score
        loss = model.training_loss(batch, targets)
    loss.backward()
    model.monitor.check()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert torch.corrcoef(torch.stack([rounded.float(), exact]))[0, 1] > 0.95
    rounds = variant.case.rounds or variant.reads_features
    assert torch.equal(rounded.float(), exact) != rounds, "autocast does something"


def test_parameters_are_counted_by_component(variant: Any, make_model: MakeModel) -> None:
    model = make_model(variant)
    counts = model.num_parameters()
    total = counts.pop("total")
    assert sum(counts.values()) == total > 0
    if not variant.case.needs_gradient:
        return  # what it counts, its own tests say
    assert total == sum(p.numel() for p in model.parameters())
    next(model.parameters()).requires_grad_(False)
    assert model.num_parameters()["total"] < total


def test_a_bad_weight_is_reported_by_its_stage(
    variant: Any, make_model: MakeModel, batch: GenotypeBatch
) -> None:
    model = make_model(variant)
    for name, parameter in model.named_parameters():
        first = parameter.data.view(-1)[:1]
        before = first.clone()
        first.fill_(float("nan"))
        model(batch)
        with pytest.raises(NonFiniteError) as caught:
            model.monitor.check()
        first.copy_(before)
        stages = [s for pattern, s in variant.case.stages.items() if re.fullmatch(pattern, name)]
        assert not variant.case.stages or stages, f"no stage is expected of {name}"
        if stages:
            assert f"stage {stages[0]!r} " in str(caught.value), name
    model(batch)
    model.monitor.check()


def without_dropout(config: Any, prefix: str = "") -> dict[str, float]:
    """Return the changes that turn every dropout of a configuration off."""
    changes: dict[str, float] = {}
    for option in dataclasses.fields(config):
        value = getattr(config, option.name)
        if dataclasses.is_dataclass(value):
            changes |= without_dropout(value, f"{prefix}{option.name}.")
        elif option.name.endswith("dropout"):
            changes[f"{prefix}{option.name}"] = 0.0
    return changes


@pytest.mark.slow
@pytest.mark.parametrize("target", ["fitness", "strong_negative"])
def test_learns_three_batches_by_heart(
    model_name: str, target: str, make_dataset: Callable[..., Dataset]
) -> None:
    dataset = make_dataset("data=demo_tiny", f"data.target={target}")
    rows = dataset.split.train[:84]
    batch = GenotypeBatch.from_genotypes(dataset.genotypes.subset(rows))
    labels = torch.from_numpy(dataset.genotypes.labels[target][rows])
    binary = dataset.target.kind == "binary"
    if not binary:
        labels = (labels - labels.mean()) / labels.std()
    targets = Targets(target, {target: labels}, frozenset({target} if binary else ()))
    cls, case = MODELS[model_name], case_of(model_name)
    torch.manual_seed(0)
    model = build(cls, assign({}, without_dropout(cls()))).build(dataset.cell, dataset.target)
    optimizer = None if isinstance(model, FittedModel) else torch.optim.AdamW(model.parameters(), lr=case.lr)
    wanted, reached = case.reaches.get(target, 0.99), 0.0
    for epoch in range(1, 81):
        model.train()
        model.start_epoch(epoch)
        if isinstance(model, FittedModel):
            model.fit_epoch(batch, targets)
        for part in torch.randperm(84).split(28) + torch.randperm(84).split(28) if optimizer else ():
            optimizer.zero_grad()
            model.training_loss(batch[part], targets[part]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        model.eval()
        with torch.no_grad():
            score = model(batch).score
        found = metrics.score(dataset.target.kind, score, labels)
        reached = found["auroc" if binary else "pearson"]
        if reached > wanted:
            return
    pytest.fail(f"{'AUROC' if binary else 'Pearson'} {reached:.3f} after 480 steps, expected above {wanted}")
