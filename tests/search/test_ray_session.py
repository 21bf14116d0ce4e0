"""The Ray that a sweep starts: who can reach it."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.slow]

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = """
import json, os, psutil
from gisearch.search.cluster import ray_session

with ray_session(state_api=True) as nodes:
    import ray

    @ray.remote
    def mode():
        return os.environ.get("RAY_AUTH_MODE")

    inside = ray.get(mode.remote())
    own = psutil.Process()
    heard = [
        connection.laddr.ip
        for process in [own, *own.children(recursive=True)]
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
print(json.dumps({"heard": heard, "mode": inside, "cpus": nodes[0]["CPU"], "left": dict(os.environ)}))
"""


# Of the processes that Ray starts beside its server and the node's own.
HELPERS = """
import json, os, psutil, sys, time
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
os.environ["HOME"] = "/proc/nonexistent"
from ray._private import node, utils
from gisearch.search.cluster import ray_session

def parts():
    return [getattr(node.Node, name) for name in ("start_monitor", "start_log_monitor", "start_api_server")]

class Trial:
    def about(self):
        return os.getpid(), "wave" in sys.modules

before = [*parts(), utils.get_dashboard_dependency_error]
with ray_session(ahead=("wave",)) as nodes:
    import ray
    from ray.tune.execution.class_cache import _ActorClassCache
    from ray.util import placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    # As Tune starts a trial: its processor is reserved first, which leaves none for a worker that waits.
    cores = int(nodes[0]["CPU"])
    waiting = set()
    while len(waiting) < cores:
        waiting = {p.pid for p in psutil.Process().children(recursive=True) if p.name() == "ray::IDLE"}
    place = placement_group([{"CPU": cores}])
    ray.get(place.ready())
    time.sleep(2)
    there = PlacementGroupSchedulingStrategy(place)
    trial = _ActorClassCache().get(Trial).options(num_cpus=cores, scheduling_strategy=there).remote()
    pid, imported = ray.get(trial.about.remote())
    arenas = psutil.Process(pid).environ()["MALLOC_ARENA_MAX"]
    apart = all(os.getpgid(p.pid) != os.getpgid(0) for p in psutil.Process().children(recursive=True))
    lines = [" ".join(process.cmdline()) for process in psutil.Process().children(recursive=True)]
after = [*parts(), utils.get_dashboard_dependency_error]
facts = {"apart": apart, "cpus": nodes[0]["CPU"], "allowed": len(os.sched_getaffinity(0))}
facts |= {"lines": lines, "arenas": arenas, "as_before": before == after}
facts |= {"waited": pid in waiting, "imported": imported}
print(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process saw that started Ray as a sweep does, as a user with a new home."""
    return run_as_new_user(SCRIPT, tmp_path_factory.mktemp("home"))


def run_as_new_user(script: str, home: Path) -> dict[str, Any]:
    """Run a script in a process of its own; return the facts that it prints last."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "HOME": str(home), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**seen, "home": home}


def test_it_listens_on_this_machine_alone(session: dict[str, Any]) -> None:
    assert len(session["heard"]) >= 5, "Ray's server, its agents, the dashboard, the driver"
    for address in session["heard"]:
        found = ipaddress.ip_address(address)
        mapped = getattr(found, "ipv4_mapped", None) or found
        assert mapped.is_loopback, address
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in session["left"], "a later session is free to choose"


def test_token_authentication_stays_on_and_reaches_the_workers(session: dict[str, Any]) -> None:
    assert session["mode"] == "token"
    token = session["home"] / ".ray" / "auth_token"
    assert token.stat().st_size > 0
    assert token.stat().st_mode & 0o077 == 0, "nobody else reads it"


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process saw that started Ray with workers that import ahead."""
    return run_as_new_user(HELPERS, tmp_path_factory.mktemp("home"))


def test_a_trial_takes_a_worker_that_imported_ahead(warm: dict[str, Any]) -> None:
    assert warm["waited"], "started before the trial was"
    assert warm["imported"]
    assert warm["arenas"] == "1", "threads share the memory that trials keep"


def test_it_stands_apart_and_counts_what_it_may_use(warm: dict[str, Any]) -> None:
    assert warm["apart"], "a signal to the driver's group must not reach Ray"
    assert warm["cpus"] == warm["allowed"] == 1


def test_what_trials_do_not_need_is_not_started(warm: dict[str, Any]) -> None:
    started = "\n".join(warm["lines"])
    assert "gcs_server" in started
    assert "raylet" in started
    for helper in ("monitor.py", "log_monitor.py", "dashboard.py"):
        assert helper not in started
    assert warm["as_before"], "another session of this process may want them"
