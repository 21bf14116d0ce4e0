"""What `ray up clusters/gcp.yaml` asks of Google Cloud: Ray's own code against a stand-in."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from googleapiclient.errors import HttpError
from ray.autoscaler._private.gcp.config import bootstrap_gcp
from ray.autoscaler._private.gcp.node_provider import GCPNodeProvider
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.tags import TAG_RAY_NODE_KIND, TAG_RAY_NODE_NAME, TAG_RAY_USER_NODE_TYPE

from gisearch.launch.config import RayCluster, compose_cluster
from gisearch.resources import resource_folder
from tests.launch.gcp_stand_in import GoogleStandIn
from tests.launch.programs import load_program

FILE = resource_folder("clusters") / "gcp.yaml"
PROJECT = "demo-project"


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GoogleStandIn:
    """An empty project, and a home folder of one's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    stand_in = GoogleStandIn(PROJECT)
    stand_in.install(monkeypatch)
    return stand_in


def prepared() -> dict[str, Any]:
    config: dict[str, Any] = prepare_config(yaml.safe_load(FILE.read_text()))
    config["provider"]["project_id"] = PROJECT
    config["provider"]["gcp_credentials"] = {"type": "credentials_token", "credentials": "none"}
    validate_config(config)
    return config


def request_of(google: GoogleStandIn, config: dict[str, Any], node_type: str) -> dict[str, Any]:
    """Have Ray start a machine, and return what it asked Google for."""
    provider = GCPNodeProvider(config["provider"], config["cluster_name"])
    head = node_type == config["head_node_type"]
    node_config = config["available_node_types"][node_type]["node_config"]
    if head:
        node_config = config["head_node"] | node_config
    tags = {
        TAG_RAY_NODE_KIND: "head" if head else "worker",
        TAG_RAY_USER_NODE_TYPE: node_type,
        TAG_RAY_NODE_NAME: f"ray-{config['cluster_name']}-{'head' if head else 'worker'}",
    }
    provider.create_node(copy.deepcopy(node_config), tags, 1)
    return google.instances[-1]


def test_rays_own_schema_and_the_one_line_to_edit() -> None:
    config = yaml.safe_load(FILE.read_text())
    validate_config(prepare_config(copy.deepcopy(config)))
    with pytest.raises(AssertionError, match="'project_id' must be set"):
        bootstrap_gcp(
            prepare_config(config)
            | {
                "provider": config["provider"]
                | {"gcp_credentials": {"type": "credentials_token", "credentials": "none"}}
            }
        )


class TestRequests:
    def test_the_head_stays_and_has_no_gpu(self, google: GoogleStandIn) -> None:
        request = request_of(google, bootstrap_gcp(prepared()), "head")
        assert request["machineType"] == "zones/us-central1-a/machineTypes/e2-standard-4"
        assert "guestAccelerators" not in request
        assert "scheduling" not in request
        (account,) = request["serviceAccounts"]
        assert account["email"] == f"ray-autoscaler-sa-v1@{PROJECT}.iam.gserviceaccount.com"
        assert "roles/compute.admin" in google.roles[f"serviceAccount:{account['email']}"]

    def test_workers_are_spot_machines_with_a_gpu_and_no_rights(self, google: GoogleStandIn) -> None:
        request = request_of(google, bootstrap_gcp(prepared()), "gpu_worker")
        assert request["machineType"] == "zones/us-central1-a/machineTypes/g2-standard-8"
        (gpu,) = request["guestAccelerators"]
        assert gpu["acceleratorType"].endswith("/acceleratorTypes/nvidia-l4")
        assert gpu["acceleratorCount"] == 1
        assert request["scheduling"]["provisioningModel"] == "SPOT"
        assert request["scheduling"]["onHostMaintenance"] == "TERMINATE"
        assert "serviceAccounts" not in request

    @pytest.mark.parametrize("node_type", ["head", "gpu_worker"])
    def test_every_machine(self, google: GoogleStandIn, node_type: str, tmp_path: Path) -> None:
        config = bootstrap_gcp(prepared())
        request = request_of(google, config, node_type)
        assert request["labels"]["project"] == "gisearch"
        assert request["labels"]["ray-cluster-name"] == "gisearch"
        (disk,) = request["disks"]
        assert disk["initializeParams"]["labels"] == {"project": "gisearch"}
        assert "2404" in disk["initializeParams"]["sourceImage"]
        key = Path(config["auth"]["ssh_private_key"])
        assert key.parent == tmp_path / ".ssh"
        assert key.stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize(
        ("scheduling", "mistake"),
        [
            ([{"provisioningModel": "SPOT"}], "Instance.scheduling: expected object, got list"),
            ({"provisioningModel": "SPOTTED"}, "Instance.scheduling.provisioningModel: expected one of"),
            ({"provisioning": "SPOT"}, "Instance.scheduling.provisioning: unknown field"),
        ],
    )
    def test_what_google_would_refuse_is_refused(
        self, google: GoogleStandIn, scheduling: Any, mistake: str
    ) -> None:
        config = bootstrap_gcp(prepared())
        config["available_node_types"]["gpu_worker"]["node_config"]["scheduling"] = scheduling
        with pytest.raises(HttpError) as refused:
            request_of(google, config, "gpu_worker")
        assert mistake in str(refused.value)
        assert google.instances == []


def test_the_preset_takes_a_whole_machine_for_each_trial() -> None:
    ((resources, most),) = load_program("machines").groups(prepared()).values()
    assert most == 8
    sweep = compose_cluster(RayCluster, ["cluster=gcp"]).sweep
    assert sweep == [
        f"search.gpus_per_worker={resources['GPU']}",
        f"search.cpus_per_worker={resources['CPU']}",
    ]
