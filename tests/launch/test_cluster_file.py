"""A cluster's file: what is checked before Ray reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from gisearch.errors import ConfigError
from gisearch.launch.config import RayCluster, compose_cluster
from tests.launch.fake_ray import FILLED, SHIPPED, Fake, launch, values_with


class TestFile:
    def test_ray_accepts_the_shipped_file_once_it_is_filled_in(self, fake: Fake) -> None:
        config = prepare_config(yaml.safe_load(Path("mine.yaml").read_text()))
        validate_config(config)
        assert config["available_node_types"]["local.cluster.node"]["min_workers"] == 1
        assert config["head_setup_commands"][:2] == config["worker_setup_commands"]

    def test_everything_that_is_copied_is_there_and_no_folder_of_results_or_packages(self) -> None:
        sources = yaml.safe_load(SHIPPED.read_text())["file_mounts"].values()
        assert all((SHIPPED.parents[1] / source).exists() for source in sources)
        assert not {".", "results", ".venv", ".git"} & set(sources)

    @pytest.mark.parametrize("placeholder", list(FILLED)[:3])
    def test_what_is_not_filled_in_is_named(self, fake: Fake, placeholder: str) -> None:
        text = Path("mine.yaml").read_text().replace(FILLED[placeholder], placeholder)
        Path("mine.yaml").write_text(text)
        with pytest.raises(ConfigError, match=r"mine\.yaml: (provider|auth)\.\w+ is not filled in; expected"):
            launch()
        assert fake.calls == []

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a: [1,\nb: 2", "mine.yaml, line 2: not YAML"),
            ("- 1", "expected a file for `ray up`, with cluster_name and provider.type"),
            ("cluster_name: x\nprovider: {type: aws, region: null}", "provider.region is not filled in"),
        ],
    )
    def test_a_file_that_is_none(self, fake: Fake, text: str, message: str) -> None:
        Path("mine.yaml").write_text(text)
        with pytest.raises(ConfigError, match=message):
            launch()

    def test_what_it_needs_here(self, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = Path("mine.yaml").read_text()
        Path("mine.yaml").write_text(values_with(auth__ssh_private_key="~/no/key"))
        with pytest.raises(ConfigError, match=r"auth\.ssh_private_key: no file '~/no/key' here"):
            launch()
        Path("mine.yaml").write_text(whole)
        Path("mine.yaml").write_text(values_with(file_mounts={"~/x": "nowhere"}))
        with pytest.raises(ConfigError, match=r"file_mounts: no 'nowhere' in .*the folder of the project"):
            launch()
        Path("mine.yaml").write_text(values_with(provider={"type": "aws", "region": "us-west-2"}))
        monkeypatch.setattr("gisearch.launch.cluster_file.find_spec", lambda name: None)
        with pytest.raises(ConfigError, match=r"needs boto3, which is not installed; .*'gisearch\[aws\]'"):
            launch()

    def test_a_password_stays_out_of_records_and_relative_results_out_of_jobs(self) -> None:
        with pytest.raises(ConfigError, match="without a password"):
            compose_cluster(RayCluster, ["cluster.tracking_uri='http://me:secret@host:5000'"])
        with pytest.raises(ConfigError, match="results"):
            compose_cluster(RayCluster, ["cluster.results=results"])
