"""Why a worker was lost: what may be tried again, and what only would happen again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Literal

from gisearch.errors import GisearchError
from gisearch.search.config import SearchConfig

# How long Ray may take to notice that a machine is gone.
_NODE_SECONDS = 60.0

Loss = Literal["preempted", "died", "out_of_memory"]


def allowed_losses(config: SearchConfig, kind: Loss) -> int:
    """Return how often a trial may be lost and tried again; what ran out of memory would do so again."""
    return {"preempted": config.max_preemptions, "died": config.max_retries, "out_of_memory": 0}[kind]


class WorkersLostError(GisearchError):
    """A trial's process or processes ended without a result.

    Attributes:
        kind: ``preempted`` for a machine that was taken away, ``out_of_memory`` for a process that was ended
            for its memory, ``died`` for any other end.
    """

    def __init__(self, kind: Loss, reason: str) -> None:
        super().__init__(reason)
        self.kind: Loss = kind


def describe_crash(error: Exception) -> str:
    """Return in one line what an unexpected exception of a training process was."""
    if is_out_of_memory(error):
        return f"out of memory: {_first_line(error)}"
    return f"{type(error).__name__}: {_first_line(error)}"


def loss_of(error: BaseException | None) -> WorkersLostError:
    """Return what an error of Ray says about the loss of a process.

    Args:
        error: what Ray raised for an actor, a task or a group of workers; None where it said nothing.
    """
    import ray.exceptions as known
    from ray.train.v2.api.exceptions import PreemptionError

    chain = list(_chain(error))
    for one in chain:
        if isinstance(one, known.OutOfMemoryError) or is_out_of_memory(one):
            return WorkersLostError("out_of_memory", f"out of memory: {_first_line(one)}")
    for one in chain:
        if isinstance(one, known.NodeDiedError | PreemptionError) or getattr(one, "preempted", False):
            return WorkersLostError("preempted", "its machine was taken away or died.")
        if "node died" in str(one).lower() or "its node has died" in str(one).lower():
            return WorkersLostError("preempted", "its machine was taken away or died.")
    return WorkersLostError("died", "its process died.")


def loss_of_group(error: BaseException, actors: Sequence[str]) -> WorkersLostError:
    """Return why a group of workers was lost.

    The first sign is often that a worker cannot reach another one any more; what became of that one is
    known later, where its machine is gone.

    Args:
        error: what Ray Train raised.
        actors: the workers' actors, by identifier.
    """
    loss = loss_of(error)
    deadline = time.monotonic() + _NODE_SECONDS
    while loss.kind == "died" and time.monotonic() < deadline:
        states = [_state_of(actor) for actor in actors]
        reported = [loss_of(RuntimeError(text)) for text in states if text is not None]
        loss = next((one for one in reported if one.kind != "died"), loss)
        # Ray Train ends all workers of a group that lost one; who does not end is out of reach.
        if len(reported) == len(states):
            break
        time.sleep(0.5)
    return loss


def _state_of(actor: str) -> str | None:
    """Return what Ray says of a dead actor, or None for one that it takes for alive."""
    from ray.util.state import get_actor

    try:
        found = get_actor(actor)
    # Without the State API nothing more is known.
    except Exception:
        return ""
    return None if found is not None and found.state != "DEAD" else str(getattr(found, "death_cause", ""))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of a training process says that memory, of the machine or a GPU, ran out."""
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in text
        or "cannot allocate memory" in text
        or "memory pressure" in text
        or "running low on memory" in text
    )


def is_lost_connection(error: BaseException) -> bool:
    """Whether an exception of a training process says that it cannot reach another one any more."""
    text = str(error)
    return type(error).__name__.startswith("Dist") or "gloo/transport" in text or "NCCL" in text


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what it was raised from, and what it carries of workers."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, getattr(one, "cause", None)]
        waiting += list((getattr(one, "worker_failures", None) or {}).values())
        waiting += [getattr(one, "controller_failure", None), getattr(one, "failure", None)]
        waiting += [getattr(one, "health_check_failure", None)]


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
