"""Two things that the head of a cluster settles about its workers.

python machines.py pin CONFIG        workers start from the image that this machine started from
python machines.py announce CONFIG   Ray is told which machines may still come

CONFIG is what ``ray up`` leaves on the head, ~/ray_bootstrap_config.yaml, or a file of that form.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

_ALIAS = "resolve:ssm:"
_METADATA = "http://169.254.169.254/latest"


class MachinesError(Exception):
    """What cannot be done, in one sentence."""


def pin(config: dict[str, Any], image: str) -> dict[str, Any]:
    """Give the workers the image that the head's alias stood for.

    Looking an alias up takes a permission (ssm:GetParameters) that you have and the role that Ray makes for
    the head has not. All machines of a cluster are alike, too, however long it lives.

    Args:
        config: the cluster's configuration; changed in place.
        image: the head's image, ``ami-...``.

    Raises:
        MachinesError: a worker has another alias.
    """
    types = config["available_node_types"]
    alias = types[config["head_node_type"]]["node_config"]["ImageId"]
    for name, node_type in types.items():
        given = node_type["node_config"]["ImageId"]
        if given in (alias, image) and alias.startswith(_ALIAS):
            node_type["node_config"]["ImageId"] = image
        elif given.startswith(_ALIAS):
            raise MachinesError(
                f"available_node_types.{name}: ImageId is another alias than the head's, which the head may "
                "not look up; expected the head's alias, or an image's own name (ami-...)."
            )
    return config


def own_image() -> str:
    """Return the image that this machine started from.

    Raises:
        MachinesError: nothing says so.
    """
    ask = urllib.request.Request(
        f"{_METADATA}/api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    )
    try:
        with urllib.request.urlopen(ask, timeout=5) as answer:
            token = answer.read().decode()
        ask = urllib.request.Request(
            f"{_METADATA}/meta-data/ami-id", headers={"X-aws-ec2-metadata-token": token}
        )
        with urllib.request.urlopen(ask, timeout=5) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError) as error:
        raise MachinesError(f"this machine's metadata does not name its image: {error}.") from None


def groups(config: dict[str, Any]) -> dict[str, tuple[dict[str, int], int]]:
    """Return, for each type of worker, what a machine of it has and the most of them at a time."""
    return {
        name: (
            {resource: int(amount) for resource, amount in node_type["resources"].items()},
            min(node_type.get("max_workers", config["max_workers"]), config["max_workers"]),
        )
        for name, node_type in config["available_node_types"].items()
        if name != config["head_node_type"]
    }


def message(workers: dict[str, tuple[dict[str, int], int]]) -> Any:
    """Return :func:`groups` as Ray keeps them."""
    from ray.core.generated.autoscaler_pb2 import ClusterConfig

    result = ClusterConfig()
    for name, (resources, most) in workers.items():
        group = result.node_group_configs.add(name=name, min_count=0, max_count=most)
        group.resources.update(resources)
    return result


def announce(config: dict[str, Any], address: str) -> None:
    """Tell Ray which machines its autoscaler may start.

    Ray has a place for that, which ``ray up`` and KubeRay (Ray 2.60) leave empty. A sweep reads it: a cluster
    that has started no worker yet would have no room for a trial.
    """
    from ray import _raylet

    _raylet.GcsClient(address=address).internal_kv_put(
        _raylet.GCS_AUTOSCALER_CLUSTER_CONFIG_KEY.encode(),
        message(groups(config)).SerializeToString(),
        True,
        _raylet.GCS_AUTOSCALER_STATE_NAMESPACE.encode(),
    )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["pin", "announce"])
    parser.add_argument("config", type=Path)
    here = os.environ.get("RAY_ADDRESS", "127.0.0.1:6379")
    parser.add_argument("--address", default=here, help="Ray's head (default: RAY_ADDRESS, or this machine)")
    given = parser.parse_args()
    config = json.loads(given.config.read_text())
    try:
        if given.what == "announce":
            return announce(config, given.address)
        # In one step: the autoscaler may be reading it.
        part = given.config.with_name(f".{given.config.name}.part")
        part.write_text(json.dumps(pin(config, own_image())))
        part.chmod(given.config.stat().st_mode)
        part.replace(given.config)
    except MachinesError as refused:
        sys.exit(f"error: {refused}")


if __name__ == "__main__":
    main()
