"""Training on derived networks and features: every genotype on the cell graph of its fold.

A model knows its cell graph from its construction. So there is one model per fold, built on the fold's cell
graph, and all have the same parameters: not equal ones, the same. A training step is taken with the model of
its batch's fold, and no model needs to know of any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gisearch.models.base import FittedModel, Model
from gisearch.models.batch import GenotypeBatch
from gisearch.models.targets import Targets
from gisearch.models.whole_batch import WholeBatch
from gisearch.seeding import child_seed


@dataclass(frozen=True)
class CrossFit:
    """How training genotypes are kept from their own labels.

    Attributes:
        fold: the fold of every training genotype, int64 [n_train].
        build: builds the model on a fold's cell graph.
        folds: how many folds there are.
    """

    fold: Tensor
    build: Callable[[int], Model]
    folds: int


@dataclass(frozen=True)
class Batch:
    """The genotypes of one training step.

    Attributes:
        rows: which of the training genotypes, int64 [b].
        fold: the fold that all of them are of.
        is_whole: whether it has the size of most batches of this fold.
    """

    rows: Tensor
    fold: int
    is_whole: bool


class StepModels(nn.Module):
    """The models that training steps are taken with: the one that is trained, or one per fold."""

    def __init__(self, model: Model, device: torch.device, cross_fit: CrossFit | None = None) -> None:
        """Prepare.

        Args:
            model: the model that is trained and evaluated, on ``device``.
            device: where the steps are computed.
            cross_fit: the folds; None takes all steps with ``model``.
        """
        super().__init__()
        siblings: list[Model] = [model]
        self.fold: Tensor | None = None
        if cross_fit is not None:
            self.fold = cross_fit.fold
            siblings = [_share(model, cross_fit.build(i).to(device)) for i in range(cross_fit.folds)]
            if isinstance(model, FittedModel):
                model.cross_fit(self.fold.to(device), siblings)
        self.models: Sequence[Model] = nn.ModuleList(siblings)  # type: ignore[assignment]
        # Not a module list: where there are siblings, no step is taken with the model itself.
        self._all = (model, *(sibling for sibling in siblings if sibling is not model))

    def forward(self, batch: GenotypeBatch, targets: Targets, fold: int) -> Tensor:
        """Return the training loss of genotypes of one fold; what DistributedDataParallel watches."""
        return self.models[fold].training_loss(batch, targets)

    def start_epoch(self, epoch: int) -> None:
        """Prepare every model for a training epoch, counted from 1."""
        for model in self._all:
            model.train()
            model.start_epoch(epoch)

    def share_batch(self, whole_batch: WholeBatch) -> None:
        """Tell every model how the next batch is shared out."""
        for model in self._all:
            model.whole_batch = whole_batch

    def batches(self, seed: int, epoch: int, size: int, batch_size: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, each of genotypes of one fold.

        The order is a function of seed and epoch alone, so that a continued run repeats it.

        Args:
            seed: the master seed.
            epoch: counted from 1.
            size: the number of training genotypes.
            batch_size: genotypes of a batch at most.
        """
        generator = torch.Generator().manual_seed(child_seed(seed, "order", epoch))
        order = torch.randperm(size, generator=generator)
        if self.fold is None:
            yield from (Batch(rows, 0, len(rows) == batch_size) for rows in order.split(batch_size))
            return
        batches = list[Batch]()
        for fold in range(len(self.models)):
            own = order[self.fold[order] == fold]
            # Equal sizes: a last batch of a few genotypes in every fold would weigh as much as whole ones.
            parts = own.tensor_split(-(-len(own) // batch_size))
            batches += (Batch(rows, fold, len(rows) == len(parts[0])) for rows in parts)
        for i in torch.randperm(len(batches), generator=generator).tolist():
            yield batches[i]

    def steps_per_epoch(self, size: int, batch_size: int) -> int:
        """Return how many batches an epoch has."""
        counts = [size] if self.fold is None else torch.bincount(self.fold).tolist()
        return sum(-(-count // batch_size) for count in counts)


def _share(model: Model, sibling: Model) -> Model:
    """Give a sibling the model's own parameters and monitor, and those of its buffers that are equal."""
    modules = dict(model.named_modules())
    for path, module in sibling.named_modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            own = modules[path].get_parameter(name)
            assert own.shape == parameter.shape, f"{path}.{name} depends on the labels"
            setattr(module, name, own)
        for name, buffer in list(module.named_buffers(recurse=False)):
            shared = modules[path].get_buffer(name)
            if torch.equal(shared, buffer):
                setattr(module, name, shared)
    sibling.monitor = model.monitor
    return sibling
