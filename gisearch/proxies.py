"""Proxies are for other machines: what runs on this one is spoken to directly."""

from __future__ import annotations

import os
import socket

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")


def given_proxies() -> dict[str, str]:
    """Return the proxies that the environment names, by variable; they may hold credentials."""
    names = [spelling for name in _PROXIES for spelling in (name, name.upper())]
    return {name: value for name in names if (value := os.environ.get(name))}


def speak_directly_here() -> None:
    """Except this machine from the proxies of this process and those that it starts.

    Without that, where ``http_proxy`` is set and ``no_proxy`` is not, Ray's own state and a tracking server
    beside the sweep would be asked for through the proxy, which knows neither.
    """
    if not given_proxies():
        return
    import psutil

    own = ["localhost", "127.0.0.1", "::1", socket.gethostname()]
    for addresses in psutil.net_if_addrs().values():
        kinds = (socket.AF_INET, socket.AF_INET6)
        own += [a.address.partition("%")[0] for a in addresses if a.family in kinds]
    # Libraries read one spelling or the other, or the first that is there.
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    excepted = [entry.strip() for entry in given.split(",") if entry.strip()]
    if "*" not in excepted:
        excepted = list(dict.fromkeys([*excepted, *own]))
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(excepted)
