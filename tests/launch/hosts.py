"""Hosts of one machine's own, in namespaces: each has its network, processes, name, /tmp/ray and /dev/shm."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import psutil

_ALL = ("--net", "--pid", "--mount", "--uts", "--ipc")


@cache
def why_not(*programs: str) -> str | None:
    """Return why hosts cannot be made here, or what they lack; None where all is well."""
    if os.geteuid() != 0:
        return "hosts of one's own need a superuser"
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [p for p in ("unshare", "nsenter", "ip", *programs) if shutil.which(p, path=path) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (.ci/run installs them)"
    tried = subprocess.run(["unshare", *_ALL, "--fork", "--mount-proc", "true"], capture_output=True)
    return None if tried.returncode == 0 else "this machine allows no namespaces"


class Host:
    """A host that lives until :meth:`stop`.

    Args:
        name: its host name.
        folder: where its own files are kept.
        addresses: host names and addresses of its network's hosts, for /etc/hosts.
        mounts: folders of this machine by where the host sees them.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        addresses: Mapping[str, str],
        mounts: Mapping[Path, Path] | None = None,
    ) -> None:
        self.name, self.folder = name, folder
        own = folder / name
        for part in ("ray", "shm"):
            (own / part).mkdir(parents=True)
        Path("/tmp/ray").mkdir(exist_ok=True)
        lines = ["127.0.0.1 localhost", *(f"{address} {host}" for host, address in addresses.items())]
        (own / "hosts").write_text("\n".join(lines) + "\n")
        mounted = {own / "ray": Path("/tmp/ray"), own / "hosts": Path("/etc/hosts"), **(mounts or {})}
        script = [
            f"hostname {name}",
            *(f"mount --bind {shlex.quote(str(a))} {shlex.quote(str(b))}" for a, b in mounted.items()),
            "mount -t tmpfs -o size=2g tmpfs /dev/shm",
            "ip link set lo up",
            # The first process of a host takes in those whose parents died.
            f"touch {shlex.quote(str(own / 'up'))}; sleep infinity & wait",
        ]
        self._unshare = subprocess.Popen(
            ["unshare", *_ALL, "--fork", "--kill-child", "--mount-proc", "bash", "-ec", "\n".join(script)],
            stdin=subprocess.DEVNULL,
        )
        wait_until((own / "up").exists, 120, f"host {name} is up")
        self.pid = psutil.Process(self._unshare.pid).children()[0].pid

    def command(self, *command: str, namespaces: str = "-a") -> list[str]:
        """Return a command that runs another one on this host."""
        return ["nsenter", "-t", str(self.pid), namespaces, *command]

    def run(
        self,
        *command: str,
        check: bool = True,
        timeout: float = 200,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on this host and wait for it."""
        done = subprocess.run(
            self.command(*_within(cwd), *command),
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
        )
        assert not check or done.returncode == 0, (
            f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def start(
        self, *command: str, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command on this host; its output goes to a file."""
        with log.open("ab") as out:
            return subprocess.Popen(
                self.command(*_within(cwd), *command),
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(env or {})},
            )

    def stop(self) -> None:
        """End the host and everything that runs on it."""
        self._unshare.kill()
        self._unshare.wait(10)


def _within(folder: Path | None) -> tuple[str, ...]:
    """Return what a command begins with that runs in a folder: who enters a host starts at its root."""
    return () if folder is None else ("env", f"--chdir={folder}")


class Network:
    """A bridge with hosts on it, unreachable from outside.

    Args:
        folder: where the hosts keep their files.
        addresses: the hosts and their addresses in 10.77.0.0/24; the first one holds the bridge.
        mounts: for every host, folders of this machine by where it sees them.
    """

    def __init__(
        self,
        folder: Path,
        addresses: Mapping[str, str],
        mounts: Mapping[str, Mapping[Path, Path]] | None = None,
    ) -> None:
        self.hosts: dict[str, Host] = {}
        try:
            for name in addresses:
                self.hosts[name] = Host(name, folder, addresses, (mounts or {}).get(name))
            first, *others = addresses
            bridge = self.hosts[first]
            ip(bridge, f"link add br0 type bridge; addr add {addresses[first]}/24 dev br0; link set br0 up")
            for number, name in enumerate(others):
                host, wire = self.hosts[name], f"v{number}"
                ip(bridge, f"link add {wire} type veth peer name eth0 netns {host.pid}")
                ip(bridge, f"link set {wire} master br0 up")
                ip(host, f"addr add {addresses[name]}/24 dev eth0; link set eth0 up")
        except BaseException:
            self.stop()
            raise

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    def stop(self) -> None:
        """End all hosts."""
        for host in self.hosts.values():
            host.stop()


def ip(host: Host, commands: str) -> None:
    """Run `ip` on a host's network; processes are named as this machine names them."""
    for command in commands.split(";"):
        subprocess.run(host.command("ip", *command.split(), namespaces="-n"), check=True, capture_output=True)


def wait_until(true: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: it did not in time.
    """
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)
