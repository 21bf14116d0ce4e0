"""A real SLURM of two machines with one processor each, on hosts of this machine's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.launch.hosts import Network, wait_until

ADDRESSES = {"ctl": "10.77.0.254", "n1": "10.77.0.1", "n2": "10.77.0.2"}
NODES = ("n1", "n2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
_CONFIGURATION = """
ClusterName=test
SlurmctldHost=ctl(10.77.0.254)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=5
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SlurmdParameters=config_overrides
SlurmdTimeout=10
ReturnToService=2
JobRequeue=1
KillWait=5
SlurmctldPidFile={folder}/ctl.pid
SlurmdPidFile={folder}/%n.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n.spool
SlurmctldLogFile={folder}/ctl.log
SlurmdLogFile={folder}/%n.log
GresTypes=gpu
NodeName=n[1-2] NodeAddr=n[1-2] CPUs=1 Sockets=1 CoresPerSocket=1 ThreadsPerCore=1 RealMemory=4000 Gres=gpu:1
PartitionName=all Nodes=ALL Default=YES MaxTime=60 State=UP
MailProg=/bin/true
"""


class SlurmHosts:
    """SLURM's daemons on three hosts, until :meth:`stop`.

    Args:
        folder: where everything is kept, on the file system that the hosts share.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "HOME": str(folder / "home"),
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        }
        for name in ("state", "home", "hosts"):
            (folder / name).mkdir()
        (folder / "slurm.conf").write_text(_CONFIGURATION.format(folder=folder))
        (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        (folder / "gres.conf").write_text("Name=gpu Count=1 File=/dev/null\n")
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self.network = Network(folder / "hosts", ADDRESSES)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        files = {
            "key-file": "key",
            "socket": "sock",
            "pid-file": "pid",
            "log-file": "log",
            "seed-file": "seed",
        }
        options = [f"--{option}={self.folder}/munge.{end}" for option, end in files.items()]
        self._daemon("ctl", "munged", "--foreground", "--force", *options)
        wait_until((self.folder / "munge.sock").exists, 120, "munge listens")
        self._daemon("ctl", "slurmctld", "-D")
        for node in NODES:
            self._daemon(node, "slurmd", "-D")
        wait_until(
            lambda: self.ask("sinfo", "-h", "-t", "idle", "-o", "%D") == "2", 30, "both nodes are idle"
        )

    def _daemon(self, host: str, *command: str) -> None:
        self.network[host].start(*command, log=self.folder / f"{host}-{command[0]}.out", env=self.environment)

    def run(
        self, *command: str, cwd: Path | None = None, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command where users of the cluster log in."""
        ctl = self.network["ctl"]
        return ctl.run(*command, check=check, timeout=timeout, env=self.environment, cwd=cwd)

    def ask(self, *command: str) -> str:
        """Return what a program of SLURM's says; nothing where it fails."""
        return self.run(*command, check=False).stdout.strip()

    def state(self, job: str) -> str:
        """Return a job's state."""
        return self.ask("squeue", "-h", "--states=all", "-j", job, "-o", "%T")

    def processes(self, host: str) -> list[psutil.Process]:
        """Return the processes of a host."""
        space = _host_of(self.network[host].pid)
        return [p for p in psutil.process_iter() if _host_of(p.pid) == space]

    def commands(self, host: str) -> Sequence[str]:
        """Return the command lines of a host's processes."""
        lines = []
        for process in self.processes(host):
            try:
                lines.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return lines

    def stop(self) -> None:
        """End the hosts with everything on them."""
        self.network.stop()


def _host_of(pid: int) -> Path | None:
    """Return the namespace of a process, by which hosts are told apart."""
    try:
        return Path(f"/proc/{pid}/ns/pid").readlink()
    except OSError:
        return None
