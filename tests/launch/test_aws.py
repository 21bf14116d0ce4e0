"""What `ray up clusters/gpu.yaml` asks of AWS: Ray's own code against a stand-in for AWS."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws
from ray.autoscaler._private.aws import config as aws_config
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.aws.utils import client_cache, resource_cache
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.tags import (
    TAG_RAY_LAUNCH_CONFIG,
    TAG_RAY_NODE_KIND,
    TAG_RAY_NODE_NAME,
    TAG_RAY_NODE_STATUS,
    TAG_RAY_USER_NODE_TYPE,
)

from gisearch.resources import resource_folder
from gisearch.search.cluster import WorkerNeeds, concurrency, still_to_come
from gisearch.search.config import SearchConfig
from tests.launch.programs import load_program

FILE = resource_folder("clusters") / "gpu.yaml"
IMAGE = (
    "resolve:ssm:/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
)
EVERYWHERE = "0.0.0.0/0"

machines = load_program("machines")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty account, a home folder of one's own, and what takes Ray half a minute to make."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.setenv("HOME", str(folder))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            patch.setenv(name, "testing")
        patch.delenv("AWS_PROFILE", raising=False)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        forget()
        iam = boto3.client("iam")
        role = aws_config.DEFAULT_RAY_IAM_ROLE
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps({}))
        iam.create_instance_profile(InstanceProfileName=role)
        iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
        yield folder
    forget()


@pytest.fixture(scope="module")
def asked(home: Path) -> dict[str, dict[str, Any]]:
    """What Ray asks for when it starts a head and three workers, by type."""
    config = aws_config.bootstrap_aws(prepared())
    return {"head": request_of(config, "head", 1), "gpu_worker": request_of(config, "gpu_worker", 3)}


def forget() -> None:
    """Drop the clients that Ray keeps: they are bound to the account of another test."""
    for cached in (resource_cache, client_cache, aws_config._get_subnets_or_die):
        cached.cache_clear()


def prepared() -> dict[str, Any]:
    config: dict[str, Any] = prepare_config(yaml.safe_load(FILE.read_text()))
    validate_config(config)
    return config


def request_of(config: dict[str, Any], node_type: str, count: int) -> dict[str, Any]:
    """Have Ray start machines, and return what it asked AWS for."""
    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    asked: list[dict[str, Any]] = []
    create = provider.ec2_fail_fast.create_instances

    def record(**request: Any) -> Any:
        asked.append(copy.deepcopy(request))
        return create(**request)

    provider.ec2_fail_fast.create_instances = record
    tags = {
        TAG_RAY_NODE_KIND: "head" if node_type == config["head_node_type"] else "worker",
        TAG_RAY_USER_NODE_TYPE: node_type,
        TAG_RAY_NODE_NAME: f"ray-{config['cluster_name']}-{node_type}",
        TAG_RAY_NODE_STATUS: "uninitialized",
        TAG_RAY_LAUNCH_CONFIG: "hash",
    }
    node_config = config["available_node_types"][node_type]["node_config"]
    if node_type == config["head_node_type"]:
        node_config = config["head_node"] | node_config
    provider.create_node(node_config, tags, count)
    (request,) = asked
    return request


def test_rays_own_schema() -> None:
    config = yaml.safe_load(FILE.read_text())
    validate_config(prepare_config(copy.deepcopy(config)))
    config["available_node_types"]["gpu_worker"]["min_workers"] = 9
    with pytest.raises(ValueError, match=r"max_workers. is smaller than the sum of .min_workers."):
        validate_config(prepare_config(config))


class TestRequests:
    def test_the_head_stays_and_has_no_gpu(self, asked: dict[str, dict[str, Any]]) -> None:
        request = asked["head"]
        assert request["InstanceType"] == "m7i.xlarge"
        assert "InstanceMarketOptions" not in request
        assert request["IamInstanceProfile"]["Arn"].endswith("instance-profile/ray-autoscaler-v1")

    def test_workers_are_spot_machines_and_have_no_rights(self, asked: dict[str, dict[str, Any]]) -> None:
        request = asked["gpu_worker"]
        assert request["InstanceType"] == "g6.xlarge"
        assert request["InstanceMarketOptions"] == {"MarketType": "spot"}
        assert request["InstanceInitiatedShutdownBehavior"] == "terminate"
        assert request["MaxCount"] == 3
        assert "IamInstanceProfile" not in request

    @pytest.mark.parametrize("node_type", ["head", "gpu_worker"])
    def test_every_machine(self, asked: dict[str, dict[str, Any]], node_type: str, home: Path) -> None:
        request = asked[node_type]
        # AWS's own alias, not touched by Ray; true of any region and any time.
        assert request["ImageId"] == IMAGE
        (disk,) = request["BlockDeviceMappings"]
        assert disk["Ebs"]["Encrypted"] is True
        assert disk["Ebs"]["VolumeType"] == "gp3"
        assert disk["Ebs"]["DeleteOnTermination"] is True
        assert request["MetadataOptions"]["HttpTokens"] == "required"
        tags = {spec["ResourceType"]: spec["Tags"] for spec in request["TagSpecifications"]}
        assert {"Key": "project", "Value": "gisearch"} in tags["instance"]
        assert {"Key": "project", "Value": "gisearch"} in tags["volume"]
        assert {"Key": "ray-cluster-name", "Value": "gisearch"} in tags["instance"]
        key = home / ".ssh" / f"{request['KeyName']}.pem"
        assert key.stat().st_mode & 0o777 == 0o600

    def test_the_world_may_knock_at_ssh_and_nothing_else_until_that_is_narrowed(
        self, asked: dict[str, dict[str, Any]]
    ) -> None:
        group = group_of(asked["head"])
        assert asked["head"]["SecurityGroupIds"] == asked["gpu_worker"]["SecurityGroupIds"] == [group.id]
        assert [(rule["FromPort"], rule["ToPort"]) for rule in open_to_the_world(group)] == [(22, 22)]
        (inside,) = (rule for rule in group.ip_permissions if rule not in open_to_the_world(group))
        assert inside["UserIdGroupPairs"][0]["GroupId"] == group.id
        assert not inside["IpRanges"]
        # What docs/launch/aws.md has one do; Ray leaves it so.
        assert group.group_name == "ray-autoscaler-gisearch"
        ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
        group.revoke_ingress(IpPermissions=[{**ssh, "IpRanges": [{"CidrIp": EVERYWHERE}]}])
        group.authorize_ingress(IpPermissions=[{**ssh, "IpRanges": [{"CidrIp": "203.0.113.7/32"}]}])
        again = group_of(request_of(aws_config.bootstrap_aws(prepared()), "head", 1))
        assert again.id == group.id
        assert open_to_the_world(again) == []


def group_of(request: dict[str, Any]) -> Any:
    return boto3.resource("ec2", region_name="us-west-2").SecurityGroup(request["SecurityGroupIds"][0])


def open_to_the_world(group: Any) -> list[dict[str, Any]]:
    return [
        rule
        for rule in group.ip_permissions
        if any(r["CidrIp"] == EVERYWHERE for r in rule["IpRanges"]) or rule.get("Ipv6Ranges")
    ]


@pytest.mark.usefixtures("home")
def test_a_sweep_counts_workers_before_the_first_has_started() -> None:
    config = AWSNodeProvider.fillout_available_node_types_resources(prepared())
    workers = machines.groups(config)
    ((resources, most),) = workers.values()
    assert (resources["CPU"], resources["GPU"], most) == (4, 1, 8)
    told = machines.message(workers).node_group_configs
    head = {"CPU": 0.0, "memory": 1e10}
    search = SearchConfig(trials=40, gpus_per_worker=1.0, cpus_per_worker=4.0)
    assert concurrency(search, WorkerNeeds.of(search, 1), [head, *still_to_come(told, [head])]) == 8
    # One is there by now: seven are still to come.
    assert len(still_to_come(told, [head, {"CPU": 4.0, "GPU": 1.0}])) == 7


class TestImages:
    def test_workers_get_the_heads_image(self) -> None:
        config = machines.pin(prepared(), "ami-0123456789abcdef0")
        types = config["available_node_types"].values()
        assert [t["node_config"]["ImageId"] for t in types] == ["ami-0123456789abcdef0"] * 2
        assert machines.pin(copy.deepcopy(config), "ami-0123456789abcdef0") == config

    def test_an_image_of_ones_own_is_left_alone(self) -> None:
        config = prepared()
        config["available_node_types"]["gpu_worker"]["node_config"]["ImageId"] = "ami-own"
        pinned = machines.pin(config, "ami-head")
        assert pinned["available_node_types"]["gpu_worker"]["node_config"]["ImageId"] == "ami-own"

    def test_an_alias_that_the_head_may_not_look_up(self) -> None:
        config = prepared()
        config["available_node_types"]["gpu_worker"]["node_config"]["ImageId"] = "resolve:ssm:/another"
        with pytest.raises(
            machines.MachinesError, match="gpu_worker: ImageId is another alias than the head's"
        ):
            machines.pin(config, "ami-head")
