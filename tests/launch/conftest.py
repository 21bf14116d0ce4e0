"""What tests of launching share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from tests.launch.fake_ray import FAKE, FILLED, NOT_UP, SHIPPED, SPACE, Fake


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A project's folder with a filled-in cluster file as the working directory, and a stand-in for `ray`."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ray").write_text(FAKE.format(python=sys.executable, folder=str(programs)))
    (programs / "ray").chmod(0o755)
    # The launcher takes the `ray` beside the interpreter.
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "tmp"))
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    text = SHIPPED.read_text()
    for placeholder, value in FILLED.items():
        assert placeholder in text
        text = text.replace(placeholder, value)
    (project / "mine.yaml").write_text(text)
    (project / "space.yaml").write_text(SPACE)
    (project / "key").write_text("")
    for source in yaml.safe_load(text)["file_mounts"].values():
        (project / source).symlink_to(SHIPPED.parents[1] / source)
    fake = Fake(programs)
    fake.answer("ray job list", NOT_UP, 1)
    return fake
