from __future__ import annotations

import copy
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from gisearch import __version__
from gisearch import sweep as sweep_command
from gisearch.command_line import run
from tests.launch.programs import load_program

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "clusters" / "kuberay"
KUBERNETES = "1.31"
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
POD = {"type": "object", "required": ["spec"]}


def of(required: list[str], **properties: Any) -> dict[str, Any]:
    """A schema of an object that has these properties alone."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": properties,
    }


# The outer fields of KubeRay's resources (ray.io/v1, operator 1.5 and 1.6); pods are Kubernetes's own.
COUNT = {"type": "integer", "minimum": 0}
RAY_CLUSTER = of(
    ["headGroupSpec"],
    rayVersion={"type": "string"},
    authOptions=of([], mode={"enum": ["disabled", "token"]}, secretName={"type": "string"}),
    enableInTreeAutoscaling={"type": "boolean"},
    autoscalerOptions=of(
        [],
        version={"enum": ["v1", "v2"]},
        idleTimeoutSeconds=COUNT,
        upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
        resources={"type": "object"},
        securityContext={"type": "object"},
    ),
    headGroupSpec=of(["template"], rayStartParams=TEXTS, serviceType={"type": "string"}, template=POD),
    workerGroupSpecs={
        "type": "array",
        "items": of(
            ["groupName", "minReplicas", "maxReplicas", "template"],
            groupName={"type": "string"},
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            idleTimeoutSeconds=COUNT,
            numOfHosts=COUNT,
            rayStartParams=TEXTS,
            template=POD,
        ),
    },
)
RAY_JOB = of(
    ["entrypoint", "rayClusterSpec"],
    entrypoint={"type": "string", "minLength": 1},
    backoffLimit=COUNT,
    shutdownAfterJobFinishes={"type": "boolean"},
    ttlSecondsAfterFinished=COUNT,
    activeDeadlineSeconds=COUNT,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
    runtimeEnvYAML={"type": "string"},
    rayClusterSpec=RAY_CLUSTER,
)


def resource(spec: dict[str, Any]) -> dict[str, Any]:
    return of(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "ray.io/v1"},
        kind={"type": "string"},
        metadata=of(["name"], name={"type": "string", "maxLength": 47}, labels=TEXTS),
        spec=spec,
    )


def read(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def pods(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pods of a RayCluster's specification, as Kubernetes would be given them."""
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = copy.deepcopy(group["template"])
        # The operator names them.
        pod.setdefault("metadata", {})["name"] = "pod"
        yield {"apiVersion": "v1", "kind": "Pod", **pod}


@pytest.fixture
def cluster() -> dict[str, Any]:
    [found] = read("cluster.yaml")
    return found


@pytest.fixture
def job() -> dict[str, Any]:
    [found] = read("job.yaml")
    return found


def everything() -> list[dict[str, Any]]:
    [listed] = read("kustomization.yaml")
    return [one for name in (*listed["resources"], "cluster.yaml", "job.yaml") for one in read(name)]


class TestSchema:
    @pytest.mark.parametrize("name", ["storage.yaml", "mlflow.yaml", "network.yaml"])
    def test_what_kubernetes_itself_knows(self, name: str) -> None:
        for one in read(name):
            kubernetes_validate.validate(one, KUBERNETES, strict=True)

    def test_pods(self, cluster: dict[str, Any]) -> None:
        assert len(list(pods(cluster["spec"]))) == 2
        for pod in pods(cluster["spec"]):
            kubernetes_validate.validate(pod, KUBERNETES, strict=True)

    def test_a_misspelt_field_of_a_pod_is_found(self, cluster: dict[str, Any]) -> None:
        pod = next(pods(cluster["spec"]))
        pod["spec"]["containers"][0]["imagePolicy"] = "Always"
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(pod, KUBERNETES, strict=True)

    def test_what_the_operator_knows(self, cluster: dict[str, Any], job: dict[str, Any]) -> None:
        jsonschema.validate(cluster, resource(RAY_CLUSTER))
        jsonschema.validate(job, resource(RAY_JOB))

    def test_a_misspelt_field_of_a_cluster_is_found(self, cluster: dict[str, Any]) -> None:
        cluster["spec"]["workerGroupSpecs"][0]["maxReplica"] = 3
        with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
            jsonschema.validate(cluster, resource(RAY_CLUSTER))

    def test_the_list_of_what_is_applied_together(self) -> None:
        [listed] = read("kustomization.yaml")
        assert all((FOLDER / name).is_file() for name in listed["resources"])


class TestWhatRayReads:
    def test_gpus_from_none_to_eight(self, cluster: dict[str, Any]) -> None:
        from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

        cluster["metadata"]["namespace"] = "default"
        # It checks what it made against Ray's own schema.
        found = _derive_autoscaling_config_from_ray_cr(cluster)
        head, gpu = found["available_node_types"]["headgroup"], found["available_node_types"]["gpu"]
        assert head["resources"]["CPU"] == 0, "trials run on workers"
        assert (gpu["min_workers"], gpu["max_workers"]) == (0, 8)
        assert (gpu["resources"]["CPU"], gpu["resources"]["GPU"]) == (4, 1)
        assert found["idle_timeout_minutes"] == 5

    def test_a_sweep_counts_the_machines_that_may_come(self, cluster: dict[str, Any]) -> None:
        from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

        from gisearch.search.cluster import WorkerNeeds, concurrency, still_to_come
        from gisearch.search.config import SearchConfig

        machines = load_program("machines")
        config = json.loads((FOLDER / "machines.json").read_text())
        cluster["metadata"]["namespace"] = "default"
        of_ray = machines.groups(_derive_autoscaling_config_from_ray_cr(cluster))
        told = machines.groups(config)
        assert told.keys() == of_ray.keys()
        for name, (resources, most) in told.items():
            assert most == of_ray[name][1]
            assert resources.items() <= of_ray[name][0].items()
        groups = machines.message(told).node_group_configs
        nodes = [{"CPU": 0.0}, *still_to_come(groups, [{"CPU": 0.0}])]
        search = SearchConfig(gpus_per_worker=1, cpus_per_worker=4, trials=100)
        assert concurrency(search, WorkerNeeds.of(search, 1), nodes) == 8


class TestJob:
    def test_its_cluster_is_that_of_the_other_file(
        self, cluster: dict[str, Any], job: dict[str, Any]
    ) -> None:
        assert job["spec"]["rayClusterSpec"] == cluster["spec"]

    def test_its_command_is_one_of_ours(
        self,
        job: dict[str, Any],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        announced, sweep = job["spec"]["entrypoint"].split(" && ")
        assert [Path(word).name for word in announced.split()] == [
            *("python", "machines.py", "announce", "machines.json")
        ]
        program, verb, *arguments = shlex.split(sweep)
        assert (program, verb) == ("gisearch", "sweep")
        assert "--continue" in arguments, "a job that is tried again goes on"
        here = [a.replace("/shared", str(tmp_path)) for a in arguments]
        assert run(sweep_command.main, [*here, "--dry-run"]) == 0
        assert "4 CPU and 1 GPU" in capsys.readouterr().out

    def test_every_retry_is_allowed_for(self, job: dict[str, Any]) -> None:
        assert job["spec"]["backoffLimit"] > 0
        assert job["spec"]["shutdownAfterJobFinishes"] is True


class TestSafety:
    def specifications(self) -> list[dict[str, Any]]:
        [cluster] = read("cluster.yaml")
        deployment = next(one for one in everything() if one["kind"] == "Deployment")
        return [*(pod["spec"] for pod in pods(cluster["spec"])), deployment["spec"]["template"]["spec"]]

    def test_nobody_is_root(self) -> None:
        for pod in self.specifications():
            assert pod["securityContext"]["runAsNonRoot"] is True
            for container in pod["containers"]:
                assert container["securityContext"]["allowPrivilegeEscalation"] is False
                assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert not any("hostPath" in volume for volume in pod["volumes"])

    def test_nothing_is_open_to_the_world(self, cluster: dict[str, Any]) -> None:
        services = [one for one in everything() if one["kind"] == "Service"]
        assert [one["spec"]["type"] for one in services] == ["ClusterIP"]
        assert "serviceType" not in cluster["spec"]["headGroupSpec"], "ClusterIP is the operator's default"
        assert cluster["spec"]["authOptions"] == {"mode": "token"}
        [policy] = read("network.yaml")
        assert policy["spec"]["policyTypes"] == ["Ingress"]
        selected = policy["spec"]["podSelector"]["matchLabels"].items()
        for one in (*pods(cluster["spec"]), read("mlflow.yaml")[0]["spec"]["template"]):
            assert selected <= one["metadata"]["labels"].items()

    def test_versions_are_those_of_the_tested_set(self, cluster: dict[str, Any]) -> None:
        pinned = dict(re.findall(r"^([\w-]+)==(.+)$", (REPOSITORY / "constraints.txt").read_text(), re.M))
        assert cluster["spec"]["rayVersion"] == pinned["ray"]
        images = {c["image"] for pod in self.specifications() for c in pod["containers"]}
        assert images == {f"gisearch:{__version__}"}


class TestContainerFile:
    TEXT = (REPOSITORY / "clusters" / "Containerfile").read_text()

    def instructions(self) -> list[tuple[str, str]]:
        joined = self.TEXT.replace("\\\n", " ")
        lines = [line.split(None, 1) for line in joined.splitlines() if line and not line.startswith("#")]
        return [(word, rest) for word, rest in lines]

    def test_copies_what_is_there_and_ends_without_rights(self) -> None:
        given = self.instructions()
        assert given[0][0] == "FROM"
        assert ":latest" not in given[0][1]
        assert ":" in given[0][1]
        users = [rest for word, rest in given if word == "USER"]
        assert users == ["gisearch"]
        for word, rest in given:
            if word == "COPY":
                *sources, _ = [part for part in rest.split() if not part.startswith("--")]
                assert all((REPOSITORY / source).exists() for source in sources)

    def test_installs_as_every_machine_does(self) -> None:
        runs = [rest for word, rest in self.instructions() if word == "RUN"]
        assert any("bash clusters/install.sh" in rest for rest in runs)
        assert any("--constraint constraints.txt torch" in rest for rest in runs)

    def test_results_and_environments_stay_outside(self) -> None:
        ignored = (REPOSITORY / ".dockerignore").read_text().split()
        assert {".venv", ".git", "results", "launches"} <= set(ignored)
