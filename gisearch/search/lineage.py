"""What a member of a population was before: whose training state it took over, and with which values.

Kept with the member's trial in the study, so that a sweep that was killed goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna

ADOPT, LINEAGE = "adopt", "lineage"
_ASSIGNMENT = "assignment"


def write_down(trial: optuna.Trial, donor: int, epoch: int, assignment: Mapping[str, Any]) -> None:
    """Write down that a trial is to go on from another's training state, and with which values.

    Args:
        trial: the running trial.
        donor: the number of the other.
        epoch: the trial's last epoch before.
        assignment: its values from then on.
    """
    leg = len(trial.user_attrs.get(LINEAGE, ())) + 1
    plan = {"leg": leg, "donor": donor, "epoch": epoch, _ASSIGNMENT: dict(assignment)}
    # In one piece: a process that is killed after it leaves enough to make up for the rest.
    trial.set_user_attr(ADOPT, plan)
    complete(trial)


def complete(trial: optuna.Trial) -> None:
    """Make lineage and values agree with what was written down, where something was."""
    attrs = trial.user_attrs
    plan = attrs.get(ADOPT)
    if plan is None:
        return
    lineage = attrs.get(LINEAGE, [])
    if len(lineage) < plan["leg"]:
        earlier = {"epoch": plan["epoch"], "donor": plan["donor"], _ASSIGNMENT: attrs[_ASSIGNMENT]}
        trial.set_user_attr(LINEAGE, [*lineage, earlier])
    trial.set_user_attr(_ASSIGNMENT, plan[_ASSIGNMENT])


def has_begun(trial: optuna.Trial) -> None:
    """Note that an epoch from the other's state on is known: it is not taken over again."""
    trial.set_user_attr(ADOPT, None)


def donor_of(attrs: Mapping[str, Any]) -> int | None:
    """Return whose state a trial is still to take over; None for one that goes on by itself."""
    plan = attrs.get(ADOPT)
    return None if plan is None else int(plan["donor"])
