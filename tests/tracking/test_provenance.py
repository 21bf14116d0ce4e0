from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gisearch
from gisearch.tracking import provenance
from gisearch.tracking.provenance import collect_provenance, command_line


def test_facts_are_complete_and_hold_no_secret_and_no_host() -> None:
    facts = collect_provenance(["gisearch", "sweep", "db.password=hunter2"])
    for key in ("version.gisearch", "version.torch", "version.ray", "version.optuna", "version.mlflow"):
        assert re.match(r"\d+\.\d+", facts[key]), key
    assert facts["version.gisearch"] == gisearch.__version__
    assert facts["version.python"] == platform.python_version()
    assert int(facts["machine.cores"]) >= 1
    assert float(facts["machine.memory_gb"]) > 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", facts["started"])
    assert facts["command"] == "gisearch sweep 'db.password=***'"
    host = platform.node()
    assert not host or all(host != value for value in facts.values())
    assert all(isinstance(value, str) for value in facts.values())


def test_no_library_is_imported_for_it() -> None:
    code = (
        "import sys; from gisearch.tracking.provenance import collect_provenance; collect_provenance();"
        "print([name for name in ('torch', 'ray', 'mlflow', 'optuna') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(gisearch.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "[]"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    package = tmp_path / "gisearch"
    package.mkdir()
    (package / "__init__.py").write_text("x = 1\n")
    monkeypatch.setattr(provenance.gisearch, "__file__", str(package / "__init__.py"))
    return package


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_commit_and_dirty_flag_of_a_checkout(checkout: Path) -> None:
    git(checkout.parent, "init", "-q")
    git(checkout.parent, "add", "gisearch/__init__.py")
    git(checkout.parent, "commit", "-q", "-m", "first")
    facts = collect_provenance()
    assert facts["git.commit"] == git(checkout, "rev-parse", "HEAD")
    assert facts["git.dirty"] == "false"
    (checkout / "__init__.py").write_text("x = 2\n")
    assert collect_provenance()["git.dirty"] == "true"


def test_a_wheel_inside_someone_elses_repository_has_no_commit(checkout: Path) -> None:
    git(checkout.parent, "init", "-q")
    git(checkout.parent, "commit", "-q", "--allow-empty", "-m", "not ours")
    assert "git.commit" not in collect_provenance()


def test_copied_code_has_the_commit_that_it_was_copied_from(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(checkout.parent, "init", "-q")
    git(checkout.parent, "add", "gisearch/__init__.py")
    git(checkout.parent, "commit", "-q", "-m", "first")
    commit = git(checkout, "rev-parse", "HEAD")
    assert provenance.known_commit() == commit
    (checkout / "__init__.py").write_text("x = 2\n")
    told = provenance.known_commit()
    assert told == f"{commit}+"
    monkeypatch.setenv(provenance.COMMIT_VARIABLE, told)
    assert provenance.known_commit() == told, "a checkout knows for itself"
    shutil.rmtree(checkout.parent / ".git")
    facts = collect_provenance()
    assert (facts["git.commit"], facts["git.dirty"]) == (commit, "true")
    monkeypatch.delenv(provenance.COMMIT_VARIABLE)
    assert provenance.known_commit() is None


def test_command_line_of_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/some/where/gisearch", "sweep", "x.yaml"])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    assert command_line() == ["gisearch", "sweep", "x.yaml"]


def test_gpus_are_known_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho Big GPU\necho Big GPU\necho Small GPU\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert collect_provenance()["machine.gpus"] == "2 x Big GPU, 1 x Small GPU"
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert "machine.gpus" not in collect_provenance()
