"""What Ray knows of machines of one's own, kept over a reboot."""

from __future__ import annotations

import json
from pathlib import Path

from gisearch.launch.config import RayCluster
from gisearch.launch.local_state import keep_state, restore_state
from gisearch.launch.ray import RayLauncher
from tests.launch.fake_ray import Fake


class TestState:
    """Ray keeps what it knows of machines of one's own in /tmp."""

    def test_a_copy_is_put_back_after_a_reboot_and_only_then(self, fake: Fake, tmp_path: Path) -> None:
        file = RayLauncher(RayCluster(file="mine.yaml")).file
        state = tmp_path / "tmp" / "ray" / "cluster-gisearch-onprem.state"
        state.parent.mkdir(parents=True)
        state.write_text('{"10.77.0.1": {"state": "running"}}')
        keep_state(file, Path("launches/hunt"))
        state.unlink()
        restore_state(file)
        assert json.loads(state.read_text()) == {"10.77.0.1": {"state": "running"}}
        state.write_text("{}")
        restore_state(file)
        assert state.read_text() == "{}"

    def test_that_of_other_machines_is_not(self, fake: Fake, tmp_path: Path) -> None:
        file = RayLauncher(RayCluster(file="mine.yaml")).file
        kept = Path("launches/hunt/cluster.state")
        kept.parent.mkdir(parents=True)
        kept.write_text('{"10.77.0.99": {"state": "running"}}')
        restore_state(file)
        assert not (tmp_path / "tmp" / "ray").exists()
