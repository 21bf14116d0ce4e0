"""A sweep on machines of one's own: real SSH servers on two hosts, and the shipped file with their addresses.

Everything runs as it does for a user, except that the machines need not install gigabytes: their .venv is
that of this test, so that clusters/install.sh finds nothing to do but its line in ~/.bashrc.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from gisearch.resources import resource_folder
from gisearch.search.study import load_study
from tests.faults.sweeps import ONE_RATE, SMALL
from tests.launch.hosts import Host, Network, wait_until, why_not

pytestmark = [pytest.mark.hosts, pytest.mark.slow, pytest.mark.timeout(1200)]

REPOSITORY = Path(__file__).resolve().parents[2]
ADDRESSES = {"n1": "10.77.0.1", "n2": "10.77.0.2", "ctl": "10.77.0.9"}
HOME = Path.home()
SSHD = """
HostKey {folder}/hostkey
AuthorizedKeysFile {folder}/key.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
Subsystem sftp internal-sftp
"""


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Network]:
    """Two machines that SSH opens, and one to launch from; each with a home folder of its own."""
    if reason := why_not("sshd", "ssh", "ssh-keygen", "rsync", "make"):
        pytest.skip(reason)
    for name in ("key", "hostkey"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    (tmp_path / "sshd_config").write_text(SSHD.format(folder=tmp_path))
    (tmp_path / "shared").mkdir()
    # sshd insists on it, whether it is used or not.
    Path("/run/sshd").mkdir(exist_ok=True)
    network = Network(tmp_path, ADDRESSES, {name: mounts(tmp_path / name) for name in ADDRESSES})
    try:
        for name in ("n1", "n2"):
            command = ["/usr/sbin/sshd", "-D", "-e", "-f", str(tmp_path / "sshd_config")]
            network[name].start(*command, log=tmp_path / f"{name}.sshd")
            wait_until(partial(answers, network["ctl"], tmp_path, name), 120, f"sshd on {name}")
        yield network
    finally:
        network.stop()


def mounts(own: Path) -> dict[Path, Path]:
    """Return a host's own home folder, in which this environment's files are where they were."""
    home, sockets = own / "home", own / "sockets"
    environment = home / "gisearch" / ".venv"
    for folder in (environment, sockets):
        folder.mkdir(parents=True)
    (home / ".bashrc").touch()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (environment / part).symlink_to(Path(sys.prefix) / part)
    # As new as what it was made from, or newer.
    (environment / ".installed").touch()
    # Where Ray keeps SSH's connections, outside its own folder.
    kept = Path(f"/tmp/ray_ssh_{hashlib.sha256(b'root').hexdigest()[:10]}")
    kept.mkdir(exist_ok=True)
    found: dict[Path, Path] = {sockets: kept}
    inside = {path for path in (Path(sys.base_prefix), Path(sys.prefix), REPOSITORY) if HOME in path.parents}
    for number, path in enumerate(sorted(inside)):
        there = own / f"kept{number}"
        there.mkdir()
        (home / path.relative_to(HOME)).mkdir(parents=True, exist_ok=True)
        found[path] = there
    found[home] = HOME
    return found | {there: path for path, there in found.items() if there.parent == own}


def answers(control: Host, folder: Path, name: str) -> bool:
    options = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    done = control.run(
        "ssh", "-i", str(folder / "key"), *options, f"root@{ADDRESSES[name]}", "true", check=False
    )
    return done.returncode == 0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project's folder of a user: what is copied to machines, and the shipped file, filled in."""
    folder = tmp_path / "project"
    folder.mkdir()
    shipped = (resource_folder("clusters") / "onprem.yaml").read_text()
    for source in yaml.safe_load(shipped)["file_mounts"].values():
        path = REPOSITORY / source
        if path.is_dir():
            (folder / source).symlink_to(path)
        else:
            (folder / source).write_bytes(path.read_bytes())
            os.utime(folder / source, (0, 0))
    changes = {
        "# head_ip: 192.168.1.10": f"head_ip: {ADDRESSES['n1']}",
        "# worker_ips: [192.168.1.11, 192.168.1.12]": f"worker_ips: [{ADDRESSES['n2']}]",
        "# ssh_user: ubuntu": "ssh_user: root",
        "# ssh_private_key: ~/.ssh/gisearch": f"ssh_private_key: {tmp_path / 'key'}",
        # A folder at the root of this machine would not go away with the test.
        "/shared": str(tmp_path / "shared"),
    }
    for before, after in changes.items():
        assert before in shipped
        shipped = shipped.replace(before, after)
    (folder / "mine.yaml").write_text(shipped)
    (folder / "space.yaml").write_text(ONE_RATE.format(name="hunt", trials=4, concurrency=4))
    return folder


def training(host: Host) -> bool:
    """Whether a trial runs on a host."""
    return "ray::ImplicitFunc.train" in host.run("ps", "-eo", "args").stdout


def of_ray(host: Host) -> list[str]:
    """Return the processes that Ray has on a host."""
    lines = host.run("ps", "-eo", "args").stdout.splitlines()
    return [line for line in lines if "ray::" in line or "/ray/" in line]


def test_a_sweep_is_sent_to_two_machines_followed_and_fetched(
    machines: Network, project: Path, tmp_path: Path
) -> None:
    control = machines["ctl"]
    programs = Path(sys.executable).parent
    environment = {
        "HOME": str(HOME),
        "TMPDIR": str(tmp_path / "ctl"),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "RAY_USAGE_STATS_ENABLED": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }

    def gisearch_launch(*arguments: str) -> str:
        command = (sys.executable, "-m", "gisearch.launch", *arguments)
        done = control.run(*command, env=environment, timeout=400, cwd=project)
        assert "Traceback" not in done.stdout + done.stderr
        return done.stdout

    cluster = ("cluster=onprem", "cluster.file=mine.yaml", f"cluster.results={tmp_path}/shared/results")
    said = gisearch_launch("ray", "space.yaml", *cluster, *SMALL, "trainer.max_epochs=25")
    assert "Running setup commands ..." in said
    assert "hunt runs as hunt-1" in said

    log = tmp_path / "follow.log"
    command = (sys.executable, "-m", "gisearch.launch", "follow", "hunt")
    following = control.start(*command, log=log, env=environment, cwd=project)
    seen: set[str] = set()
    end = time.monotonic() + 240
    while following.poll() is None and time.monotonic() < end:
        seen |= {name for name in ("n1", "n2") if training(machines[name])}
        time.sleep(0.2)
    assert following.poll() == 0, log.read_text()
    assert seen == {"n1", "n2"}
    shown = log.read_text()
    assert "4/4 trials" in shown
    assert "note: " not in shown
    assert "cli.py" not in shown

    assert gisearch_launch("fetch", "hunt") == "results: results/hunt\n"
    trials = load_study(project / "results" / "hunt").get_trials(deepcopy=False)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 4
    assert (project / "results" / "hunt" / "mlflow.db").is_file()
    tokens = [(tmp_path / name / "home" / ".ray" / "auth_token") for name in ("n1", "n2")]
    assert tokens[0].read_text() == tokens[1].read_text()
    assert {path.stat().st_mode & 0o777 for path in tokens} == {0o600}
    token = tokens[0].read_text().strip()
    written = [log, *(project / "launches").rglob("*.log"), *(project / "launches").rglob("*.json")]
    assert not [path for path in written if token in path.read_text()]
    assert json.loads((project / "launches" / "hunt" / "launch.json").read_text())["job"] == "hunt-1"

    control.run(str(programs / "ray"), "down", "-y", "mine.yaml", env=environment, timeout=300, cwd=project)
    end = time.monotonic() + 90
    while (left := of_ray(machines["n1"]) + of_ray(machines["n2"])) and time.monotonic() < end:
        time.sleep(1)
    assert left == []
