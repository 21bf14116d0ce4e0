from __future__ import annotations

import pickle
from typing import Any

import pytest
import ray.exceptions as known
import torch
from ray.core.generated.common_pb2 import ActorDiedErrorContext, NodeDeathInfo
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from ray.train.v2.api.exceptions import ControllerError, PreemptionError, WorkerGroupError
from ray.train.v2.api.preemption import PreemptionInfo

from gisearch.search.failures import describe_crash, loss_of

LOW_MEMORY = "Task was killed due to the node running low on memory.\nMemory on the node was 15.9 GB / 16 GB."


def died(message: str = "Worker exits with an exit code None.", **more: Any) -> known.ActorDiedError:
    context = ActorDiedErrorContext(
        error_message=message, class_name="Trial", actor_id=b"\0" * 16, owner_id=b"\0" * 28, **more
    )
    return known.ActorDiedError(cause=context)


def preempted() -> known.ActorDiedError:
    info = NodeDeathInfo(reason=NodeDeathInfo.AUTOSCALER_DRAIN_PREEMPTED, reason_message="spot")
    return died("The actor died because its node was drained.", node_death_info=info)


def group(**failures: BaseException) -> WorkerGroupError:
    return WorkerGroupError("[Rank 0]\n...", dict(enumerate(failures.values())))


def raised_from(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


DIED = [
    None,
    RuntimeError("anything"),
    known.WorkerCrashedError(),
    known.LocalRayletDiedError(),
    known.ActorDiedError(),
    known.ActorUnavailableError("network", None),
    died(),
    group(one=died(), two=known.WorkerCrashedError()),
    ControllerError(RuntimeError("x")),
]
PREEMPTED = [
    known.NodeDiedError("Task failed because the node it was running on is dead or unavailable."),
    preempted(),
    died("The actor died because its node has died. Node Id: 0123"),
    RuntimeError("The actor died because its node has died."),
    PreemptionError(PreemptionInfo(None, {"node": [0, 1]})),
    group(one=died(), two=preempted()),
    group(one=WorkerHealthCheckFailedError("health check", died("its node has died."))),
    ControllerError(PreemptionError(PreemptionInfo(5, {"node": [1]}))),
    raised_from(RuntimeError("x"), raised_from(known.WorkerCrashedError(), preempted())),
]
OUT_OF_MEMORY = [
    known.OutOfMemoryError(LOW_MEMORY),
    died(LOW_MEMORY),
    MemoryError("cannot grow"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    RuntimeError(LOW_MEMORY),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
    group(one=preempted(), two=known.OutOfMemoryError(LOW_MEMORY)),
    group(one=WorkerHealthCheckFailedError("health check", known.OutOfMemoryError(LOW_MEMORY))),
    raised_from(known.WorkerCrashedError(), known.OutOfMemoryError(LOW_MEMORY)),
]


@pytest.mark.parametrize("error", DIED, ids=repr)
def test_died(error: BaseException | None) -> None:
    assert (loss_of(error).kind, str(loss_of(error))) == ("died", "its process died.")


@pytest.mark.parametrize("error", PREEMPTED, ids=repr)
def test_preempted(error: BaseException) -> None:
    assert loss_of(error).kind == "preempted"
    assert str(loss_of(error)) == "its machine was taken away or died."


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=repr)
def test_out_of_memory(error: BaseException) -> None:
    assert loss_of(error).kind == "out_of_memory"
    assert str(loss_of(error)).startswith("out of memory: ")
    assert "\n" not in str(loss_of(error))


@pytest.mark.parametrize("error", [*PREEMPTED[:-1], known.OutOfMemoryError(LOW_MEMORY)], ids=repr)
def test_the_same_after_a_way_between_processes(error: BaseException) -> None:
    assert loss_of(pickle.loads(pickle.dumps(error))).kind == loss_of(error).kind


def test_an_error_that_is_its_own_cause() -> None:
    error = RuntimeError("x")
    error.__cause__, error.__context__ = RuntimeError("y"), error
    error.__cause__.__cause__ = error
    assert loss_of(error).kind == "died"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("x must be\n  positive"), "ValueError: x must be"),
        (KeyError(), "KeyError: KeyError"),
        (MemoryError("too large"), "out of memory: too large"),
        (torch.OutOfMemoryError("CUDA out of memory.\nTried"), "out of memory: CUDA out of memory."),
    ],
    ids=repr,
)
def test_a_crash_in_one_line(error: Exception, expected: str) -> None:
    assert describe_crash(error) == expected
