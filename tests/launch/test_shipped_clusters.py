"""What holds for every file that `ray up` is given."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from gisearch.launch.config import RayCluster, cluster_file, compose_cluster
from gisearch.resources import resource_folder

CLUSTERS = resource_folder("clusters")
FILES = sorted(CLUSTERS.glob("*.yaml"))
SECRETS = re.compile(
    r"AKIA[0-9A-Z]{16}|-----BEGIN|password *:|secret[\w-]* *:|\b[0-9a-f]{32,}\b", re.IGNORECASE
)

each = pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)


def commands(file: Path, key: str) -> list[str]:
    values: dict[str, Any] = yaml.safe_load(file.read_text())
    return [str(command) for command in values[key]]


@each
def test_rays_own_schema(file: Path) -> None:
    values = yaml.safe_load(file.read_text())
    if values["provider"]["type"] == "local":
        # Written in by who uses it.
        values["provider"] |= {"head_ip": "10.0.0.1", "worker_ips": ["10.0.0.2"]}
        values["auth"] = {"ssh_user": "ubuntu"}
    config = prepare_config(values)
    validate_config(config)
    config["nodes"] = 3
    with pytest.raises(Exception, match="'nodes' was unexpected"):
        validate_config(config)


@each
def test_no_secret_is_written_down(file: Path) -> None:
    assert not SECRETS.search(file.read_text())
    # Ray prints the token that it makes, and `ray up` keeps what is printed.
    (make,) = (c for c in commands(file, "head_setup_commands") if "get-auth-token" in c)
    assert "umask 077" in make
    assert "> /dev/null" in make
    assert "~/.ray/auth_token" in yaml.safe_load(file.read_text())["cluster_synced_files"]


@each
@pytest.mark.parametrize("key", ["head_start_ray_commands", "worker_start_ray_commands"])
def test_ray_asks_for_the_token(file: Path, key: str) -> None:
    """The variable is in force where Ray starts: in the command itself, or in every shell of the machine."""
    (start,) = (c for c in commands(file, key) if "ray start" in c)
    assert any("clusters/install.sh" in c for c in commands(file, "setup_commands"))
    shell = f"source {CLUSTERS / 'environment.sh'}; ray() {{ echo mode=$RAY_AUTH_MODE; }}; {start}"
    said = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert "mode=token" in said.stdout, said.stderr
    # Ray's wrapper sets it to 1, and a trial takes its threads from it.
    assert "unset OMP_NUM_THREADS" in start


@each
def test_the_dashboard_is_for_the_head_alone(file: Path) -> None:
    (start,) = (c for c in commands(file, "head_start_ray_commands") if "ray start" in c)
    assert "--dashboard-host=127.0.0.1" in start
    assert "0.0.0.0" not in start
    assert "--host 127.0.0.1" in (CLUSTERS / "head.sh").read_text()


@each
def test_what_is_copied_is_there(file: Path) -> None:
    mounts = yaml.safe_load(file.read_text())["file_mounts"]
    missing = [local for local in mounts.values() if not (CLUSTERS.parent / local).exists()]
    assert missing == []


@pytest.mark.parametrize("preset", ["onprem", "gpu", "gcp"])
def test_every_preset_has_its_file(preset: str) -> None:
    assert cluster_file(compose_cluster(RayCluster, [f"cluster={preset}"])) in FILES
