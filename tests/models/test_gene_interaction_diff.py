"""What is particular to GeneInteractionDiff: samples, what they depend on, and that they can be learnt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gisearch.config import assign, build
from gisearch.data.cell_graph import CellGraph
from gisearch.data.dataset import Dataset, Target
from gisearch.errors import ConfigError, DataError
from gisearch.models.batch import GenotypeBatch
from gisearch.models.config.gene_interaction_diff import GeneInteractionDiffConfig
from gisearch.models.gene_interaction_diff import VALUES_AT_A_TIME, GeneInteractionDiff
from gisearch.models.targets import Targets

REGRESSION, BINARY = Target("gene_interaction", "regression"), Target("strong_negative", "binary")
BATCH = GenotypeBatch.from_table(np.array([[3, -1, -1], [3, 8, -1], [3, 8, 21], [0, 5, -1]]))
LABELS = Targets("gene_interaction", {"gene_interaction": torch.tensor([0.5, -1.0, 2.0, 0.0])})


def make(
    cell: CellGraph, changes: Mapping[str, Any] | None = None, target: Target = REGRESSION
) -> GeneInteractionDiff:
    torch.manual_seed(0)
    config = build(GeneInteractionDiffConfig, assign({"hidden_dim": 16}, changes or {}))
    return config.build(cell, target).eval()


def correlation(one: Tensor, other: Tensor) -> float:
    return torch.corrcoef(torch.stack([one, other]))[0, 1].item()


def three_batches(dataset: Dataset) -> tuple[GenotypeBatch, Targets]:
    """84 genotypes and their standardised fitness."""
    rows = dataset.split.train[:84]
    labels = torch.from_numpy(dataset.genotypes.labels["fitness"][rows])
    labels = (labels - labels.mean()) / labels.std()
    batch = GenotypeBatch.from_genotypes(dataset.genotypes.subset(rows))
    return batch, Targets("fitness", {"fitness": labels})


def learn(model: GeneInteractionDiff, batch: GenotypeBatch, targets: Targets, steps: int) -> None:
    """Train in batches of 28, the learning rate falling to zero."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    for _ in range(-(-steps // 3)):
        for part in torch.randperm(len(batch)).split(28):
            optimizer.zero_grad()
            model.training_loss(batch[part], targets[part]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    model.eval()


def make_it_know(model: GeneInteractionDiff, clean: Tensor) -> None:
    """Replace the denoiser by one that expects the clean values [B, 1] whatever it sees; for x0."""

    def output(x: Tensor, time: Tensor, _: object) -> Tensor:
        step = (time * model.config.process.steps).round().long()
        return clean - model.process.signal[step] * x

    model.denoiser.forward = output  # type: ignore[method-assign]


def test_score_and_std_are_those_of_the_samples(tiny_cell: CellGraph) -> None:
    prediction = make(tiny_cell, {"sampler.samples": 24})(BATCH)
    samples = prediction.details["samples"]
    assert samples.shape == (4, 24)
    assert prediction.std is not None
    torch.testing.assert_close(prediction.score, samples.mean(1))
    torch.testing.assert_close(prediction.std, samples.std(1, correction=0))


def test_the_context_holds_the_pooled_cells_and_the_deleted_genes(tiny_cell: CellGraph) -> None:
    model = make(tiny_cell)
    tokens, present = model.context_tokens(BATCH)
    assert tokens.shape == (4, 6, 16)
    assert present.tolist() == [[True] * 3 + row for row in BATCH.present.tolist()]
    cells = model.encode(model.encoder, model.pooling, BATCH, model.monitor)
    plain = tokens - model.tokens.types[torch.tensor([0, 1, 2, 3, 3, 3])]
    torch.testing.assert_close(plain[:, 0], cells.wild_type - cells.difference)
    torch.testing.assert_close(plain[:, 1], cells.wild_type.expand(4, -1))
    torch.testing.assert_close(plain[:, 2], cells.difference * tiny_cell.num_genes)
    torch.testing.assert_close(plain[:, 3:], cells.deleted)
    # The point of N: z_p is not drowned by the deleted genes' embeddings.
    assert plain[:, 2].norm(dim=-1).mean() > 0.1 * plain[:, 3].norm(dim=-1).mean()


@pytest.mark.parametrize("method", ["dpm", "ddim", "ddpm"])
def test_encoder_and_context_run_once_per_prediction(method: str, tiny_cell: CellGraph) -> None:
    model = make(tiny_cell, {"sampler.method": method, "sampler.steps": 5})
    calls: dict[str, int] = {}
    parts = {
        "encoder": model.encoder,
        "keys": model.denoiser.blocks[0].attention.key,
        "values": model.denoiser.blocks[0].attention.value,
        "denoiser": model.denoiser,
    }
    for name, module in parts.items():
        module.register_forward_hook(lambda *_, name=name: calls.update({name: calls.get(name, 0) + 1}))
    model(BATCH)
    assert calls == {"encoder": 1, "keys": 1, "values": 1, "denoiser": 5}


def test_training_denoises_once_and_samples_nothing(
    tiny_cell: CellGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(tiny_cell, {"process.draws": 6}).train()
    seen: list[torch.Size] = []
    model.denoiser.register_forward_hook(lambda _, arguments, __: seen.append(arguments[0].shape))

    def refuse(*_: object) -> None:
        raise AssertionError("nothing is sampled in training")

    monkeypatch.setattr(model.sampler, "forward", refuse)
    model.training_loss(BATCH, LABELS).backward()
    assert seen == [(4, 6)], "one pass, with every draw of a genotype in it"
    prediction = model(BATCH)
    assert prediction.std is None
    assert prediction.score.shape == (4,)


def test_the_loss_is_that_of_the_process(tiny_cell: CellGraph) -> None:
    """With a denoiser that knows the labels the loss is zero; with one that is off by one it is one."""
    model = make(tiny_cell, {"process.bandwidth": 0.0})
    for offset in (0.0, 1.0):
        make_it_know(model, LABELS.main.unsqueeze(1) + offset)
        assert model.training_loss(BATCH, LABELS).item() == pytest.approx(offset, abs=1e-6)


def test_chunks_of_genotypes_give_the_same_samples(
    tiny_cell: CellGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(tiny_cell, {"sampler.method": "ddpm"})
    whole = model(BATCH).details["samples"]
    monkeypatch.setitem(VALUES_AT_A_TIME, "cpu", 3 * 16)
    torch.testing.assert_close(model(BATCH).details["samples"], whole)


def test_a_binary_target_gives_logits_and_no_std(tiny_cell: CellGraph) -> None:
    model = make(tiny_cell, target=BINARY)
    prediction = model(BATCH)
    assert prediction.std is None
    # Untrained means lie anywhere; their order is kept even outside of -1 to 1.
    assert torch.equal(prediction.score.argsort(), prediction.details["samples"].mean(1).argsort())
    make_it_know(model, torch.tensor([[-0.5], [0.0], [0.9], [3.0]]))
    torch.testing.assert_close(torch.sigmoid(model(BATCH).score)[:3], torch.tensor([0.25, 0.5, 0.95]))
    assert torch.sigmoid(model(BATCH).score)[3] > 0.999
    labels = Targets(
        "strong_negative",
        {"strong_negative": torch.tensor([0.0, 1.0, 1.0, 0.0])},
        frozenset(["strong_negative"]),
    )
    model = make(tiny_cell, {"process.bandwidth": 0.0}, target=BINARY)
    known = torch.tensor([[-1.0], [1.0], [1.0], [-1.0]])
    make_it_know(model, known)
    assert model.training_loss(BATCH, labels) < 1e-12
    assert (model(BATCH).score.sign() == known.squeeze(1)).all()
    assert torch.isfinite(model(BATCH).score).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"sampler.steps": 51, "process.steps": 50},
            r"sampler\.steps: 51 steps of a process that has 50; expected at most process\.steps",
        ),
        (
            {"hidden_dim": 30, "denoiser.num_heads": 4, "encoder.num_heads": 5},
            r"denoiser\.num_heads: 4 heads",
        ),
        ({"hidden_dim": 30, "denoiser.num_heads": 5, "encoder.num_heads": 4}, r"encoder\.num_heads: 4 heads"),
        ({"process.schedule": "cosin"}, r"process\.schedule: .*Did you mean 'cosine'\?"),
    ],
)
def test_what_does_not_fit_is_an_error_before_anything_is_built(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(GeneInteractionDiffConfig, assign({}, changes), "model")


def test_a_network_that_the_data_lacks_is_an_error(tiny_cell: CellGraph) -> None:
    config = build(GeneInteractionDiffConfig, assign({}, {"encoder.networks": ["regulation"]}))
    with pytest.raises(DataError, match=r"no network 'regulation'.*Did you mean 'regulatory'\?"):
        config.check(tiny_cell, REGRESSION)


LEARNT: list[dict[str, Any]] = [
    {"process.parameterisation": "x0"},
    {"process.parameterisation": "epsilon"},
    {"process.parameterisation": "v"},
    {"process.schedule": "linear"},
    {"process.schedule": "scaled_linear"},
    {"process.schedule": "sigmoid"},
    {"sampler.method": "ddim", "sampler.steps": 20},
    {"sampler.method": "ddim", "sampler.eta": 0.5, "sampler.steps": 20},
    {"sampler.method": "ddpm", "sampler.steps": 50},
]


@pytest.mark.slow
@pytest.mark.parametrize("changes", LEARNT, ids=lambda changes: ",".join(map(str, changes.values())))
def test_every_variant_learns_three_batches_by_heart(
    changes: dict[str, Any], make_dataset: Callable[..., Dataset]
) -> None:
    dataset = make_dataset("data=demo_tiny", "data.target=fitness")
    batch, targets = three_batches(dataset)
    model = make(dataset.cell, {"hidden_dim": 32, "encoder.dropout": 0.0, **changes})
    # The loss of epsilon weighs high noise, where the context matters most, least.
    learn(model, batch, targets, 600 if model.config.process.parameterisation == "epsilon" else 360)
    with torch.no_grad():
        assert correlation(model(batch).score, targets.main) > 0.98


@pytest.mark.slow
def test_overfit_conditioning_and_uncertainty(make_dataset: Callable[..., Dataset]) -> None:
    """The three checks that a diffusion head works: docs/models/diffusion.md shows their figures."""
    dataset = make_dataset("data=demo_tiny", "data.target=fitness")
    batch, targets = three_batches(dataset)
    model = make(dataset.cell, {"hidden_dim": 32, "encoder.dropout": 0.0})
    with torch.no_grad():
        untrained = model(batch).details["samples"]
    learn(model, batch, targets, 24)
    with torch.no_grad():
        early = model(batch).details["samples"]
    learn(model, batch, targets, 420)
    with torch.no_grad():
        late = model(batch).details["samples"]
        tokens, present = model.context_tokens(batch)
        order = torch.randperm(len(batch))
        shuffled = model.sample(tokens[order], present[order])
    # Overfit: the mean of samples is what was learnt.
    assert correlation(late.mean(1), targets.main) > 0.99
    assert abs(correlation(untrained.mean(1), targets.main)) < 0.5
    # Conditioning: with another genotype's context the samples are that genotype's.
    assert (shuffled - late).abs().mean() > 0.5
    assert abs(correlation(shuffled.mean(1), targets.main)) < 0.3
    torch.testing.assert_close(shuffled, late[order], atol=1e-4, rtol=1e-4)
    # Uncertainty: samples vary, and less so the more is learnt.
    assert late.std(1).min() > 0.01
    assert late.std(1).mean() < 0.75 * early.std(1).mean()


@pytest.mark.slow
def test_on_the_demo_cell_it_predicts_like_the_deterministic_head_with_honest_intervals(
    make_dataset: Callable[..., Dataset],
) -> None:
    from gisearch.models.config.gene_interaction_dango import GeneInteractionDangoConfig
    from gisearch.training.config import OptimizerConfig, TrainerConfig
    from gisearch.training.loop import Trainer
    from gisearch.training.objective import Objective

    dataset = make_dataset("data=demo")

    def train(config: GeneInteractionDiffConfig | GeneInteractionDangoConfig) -> dict[str, float]:
        torch.manual_seed(0)
        trainer = Trainer(
            config.build(dataset.cell, dataset.target),
            dataset,
            trainer=TrainerConfig(max_epochs=8, batch_size=64),
            optimizer=OptimizerConfig(),
            objective=Objective("val/pearson", "max"),
            seed=0,
        )
        trainer.fit()
        return trainer.evaluate("val")

    sampled, deterministic = train(GeneInteractionDiffConfig()), train(GeneInteractionDangoConfig())
    assert "val/coverage_90" not in deterministic
    assert sampled["val/pearson"] > deterministic["val/pearson"] - 0.05
    assert 0.85 < sampled["val/coverage_90"] < 0.97
    assert 0.45 < sampled["val/coverage_50"] < 0.68
    assert sampled["val/mean_std"] < 0.95 * dataset.values("train").std()
