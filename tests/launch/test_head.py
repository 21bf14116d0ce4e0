"""What the machines of a cloud's cluster do beside Ray, on a host of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gisearch.resources import resource_folder
from tests.launch.hosts import Host, ip, wait_until, why_not
from tests.launch.programs import load_program

CLUSTERS = resource_folder("clusters")
HEAD = CLUSTERS / "head.sh"
BIN = Path(sys.executable).parent
# Stands in for systemd, which is the first process of a machine or nothing: starts what a unit says, in the
# background, unless it runs.
SYSTEMCTL = """\
#!/bin/bash
echo "$*" >> "$UNITS/calls"
name=${@: -1} unit=$UNITS/${@: -1}.service
running() { [ -f "$UNITS/$name.pid" ] && kill -0 "$(cat "$UNITS/$name.pid")" 2>/dev/null; }
case $1 in
    restart) ! running || kill "$(cat "$UNITS/$name.pid")" ;&
    start)
        running && [ "$1" = start ] && exit
        command="env $(sed -n 's/^Environment=//p' "$unit") $(sed -n 's/^ExecStart=//p' "$unit")"
        setsid $command > "$UNITS/$name.log" 2>&1 < /dev/null &
        echo $! > "$UNITS/$name.pid"
        ;;
esac
"""


@pytest.mark.parametrize("script", sorted(CLUSTERS.glob("*.sh")), ids=lambda path: path.name)
def test_every_script_is_one(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)


def test_an_unknown_step() -> None:
    done = subprocess.run(["bash", HEAD, "storrage"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown step 'storrage'; expected images, storage,")


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Host]:
    """A host with services, and nothing of this machine's."""
    units = tmp_path / "units"
    units.mkdir()
    host = Host("head", tmp_path, {"head": "10.77.0.1"}, {units: Path("/etc/systemd/system")})
    try:
        yield host
    finally:
        host.stop()


def environment(tmp_path: Path) -> dict[str, str]:
    program = tmp_path / "programs" / "systemctl"
    if not program.exists():
        program.parent.mkdir()
        program.write_text(SYSTEMCTL)
        program.chmod(0o755)
    return {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "UNITS": str(tmp_path / "units"),
        "GISEARCH_BIN": str(BIN),
        "GISEARCH_SHARED": str(tmp_path / "shared"),
    }


@pytest.mark.hosts
@pytest.mark.slow
@pytest.mark.skipif(why_not("ss") is not None, reason=why_not("ss") or "")
class TestOnAHost:
    def test_mlflow_is_there_for_this_machine_alone(self, head: Host, tmp_path: Path) -> None:
        env = environment(tmp_path)
        head.run("bash", str(HEAD), "mlflow", env=env, timeout=300)
        listening = head.run("ss", "-Hltn").stdout.split()
        assert [word for word in listening if word.endswith(":5000")] == ["127.0.0.1:5000"]
        version = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:5000/health').read())"
        assert "OK" in head.run(str(BIN / "python"), "-c", version).stdout
        assert (tmp_path / "shared" / "mlflow" / "mlflow.db").exists()
        # Again, as `ray up` does: the server goes on.
        pid = (tmp_path / "units" / "gisearch-mlflow.pid").read_text()
        head.run("bash", str(HEAD), "mlflow", env=env)
        assert (tmp_path / "units" / "gisearch-mlflow.pid").read_text() == pid
        calls = (tmp_path / "units" / "calls").read_text().splitlines()
        assert calls.count("restart gisearch-mlflow") == 1
        checked = subprocess.run(
            ["systemd-analyze", "verify", tmp_path / "units" / "gisearch-mlflow.service"],
            capture_output=True,
            text=True,
        )
        assert "gisearch-mlflow" not in checked.stderr, checked.stderr

    def test_workers_start_from_the_image_that_the_head_says_it_has(self, head: Host, tmp_path: Path) -> None:
        # AWS tells every machine about itself at this address, which only the machine reaches.
        ip(head, "addr add 169.254.169.254/32 dev lo")
        server = tmp_path / "metadata.py"
        server.write_text(METADATA)
        log = tmp_path / "metadata.log"
        head.start(sys.executable, str(server), log=log)
        wait_until(lambda: log.exists() and "ready" in log.read_text(), 120, "the metadata are there")
        config = tmp_path / "ray_bootstrap_config.yaml"
        # As Ray leaves it on the head.
        config.write_text(json.dumps(yaml.safe_load((CLUSTERS / "gpu.yaml").read_text())))
        config.chmod(0o600)
        for _ in range(2):
            head.run("bash", str(HEAD), "images", env=environment(tmp_path))
            types = json.loads(config.read_text())["available_node_types"]
            assert types["gpu_worker"]["node_config"]["ImageId"] == "ami-0123456789abcdef0"
        assert config.stat().st_mode & 0o777 == 0o600

    def test_a_worker_whose_head_is_gone_ends_itself(self, head: Host, tmp_path: Path) -> None:
        env = environment(tmp_path) | {"GISEARCH_MINUTE": "0.1"}
        calls, log = tmp_path / "units" / "calls", tmp_path / "watch.log"
        # Ray's own process, by its name.
        ray = tmp_path / "raylet"
        shutil.copy("/bin/sleep", ray)
        head.start(str(ray), "2", log=log)
        start = time.monotonic()
        head.start("bash", str(CLUSTERS / "worker.sh"), "watch", log=log, env=env)
        wait_until(lambda: calls.exists() and calls.read_text(), 120, "the machine is told to end")
        assert calls.read_text() == "poweroff\n"
        # Two seconds with Ray, and fifteen of its minutes without.
        assert time.monotonic() - start > 2 + 15 * 0.1 - 0.5


METADATA = """\
import http.server

class Metadata(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        self.say("secret") if self.path == "/latest/api/token" else self.send_error(404)

    def do_GET(self):
        if self.headers.get("X-aws-ec2-metadata-token") != "secret":
            self.send_error(401)
        elif self.path == "/latest/meta-data/ami-id":
            self.say("ami-0123456789abcdef0")
        else:
            self.send_error(404)

    def say(self, text):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

server = http.server.HTTPServer(("169.254.169.254", 80), Metadata)
print("ready", flush=True)
server.serve_forever()
"""


@pytest.mark.ray
@pytest.mark.slow
def test_a_sweep_learns_which_machines_may_come() -> None:
    import ray

    from gisearch.search.cluster import ray_session

    machines = load_program("machines")
    config = {
        "head_node_type": "head",
        "max_workers": 3,
        "available_node_types": {
            "head": {"resources": {"CPU": 0}, "max_workers": 0},
            "gpu_worker": {"resources": {"CPU": 4, "GPU": 1, "memory": 16_000_000_000}, "max_workers": 8},
        },
    }
    ray.init("local", num_cpus=0, num_gpus=0, include_dashboard=False, logging_level="ERROR")
    try:
        with ray_session() as nodes:
            assert [node for node in nodes if node.get("GPU")] == []
        machines.announce(config, ray.get_runtime_context().gcs_address)
        with ray_session() as nodes:
            found: list[Any] = [node for node in nodes if node.get("GPU")]
        assert [(node["CPU"], node["GPU"]) for node in found] == [(4, 1)] * 3
    finally:
        ray.shutdown()
