from __future__ import annotations

import base64
import io
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from PIL import Image

from notebooks.execute import clean, execute, main, notebooks

PATHS = {path.stem: path for path in notebooks()}
# Folders of a machine, and addresses of its files.
MACHINE = re.compile(r"(?<![\w.])/(?:tmp|home|root|work|usr|var|Users|mnt|opt)/|file://|[A-Z]:\\\\", re.ASCII)


def texts(notebook: NotebookNode) -> Iterator[str]:
    """Yield every source and every output that is text."""
    for cell in notebook.cells:
        yield cell.source
        for output in cell.get("outputs", []):
            yield output.get("text", "")
            yield from (text for kind, text in output.get("data", {}).items() if kind.startswith("text/"))


def printed(notebook: NotebookNode) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def pictures(notebook: NotebookNode) -> list[bytes]:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [
        base64.b64decode(output.data["image/png"])
        for output in outputs
        if "image/png" in output.get("data", {})
    ]


def assert_sound(notebook: NotebookNode) -> None:
    """Check that every code cell was run in order, and that none failed or warned."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        for output in cell.outputs:
            assert output.output_type != "error", output
            assert output.get("name") != "stderr", output.text


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., NotebookNode]:
    for name in ("GISEARCH_YEAST_DATA", "MLFLOW_TRACKING_URI", "GISEARCH_EXPERIMENT", "GISEARCH_SWEEP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))

    def run(name: str, **variables: str) -> NotebookNode:
        notebook = execute(PATHS[name], variables, timeout=120)
        assert_sound(notebook)
        return notebook

    return run


def test_there_is_one_notebook_per_question() -> None:
    assert set(PATHS) == {"sweep_from_mlflow", "cell_and_genotypes", "diffusion_uncertainty"}


@pytest.mark.parametrize("name", PATHS)
def test_what_is_kept_is_small_and_names_no_machine(name: str) -> None:
    notebook = nbformat.read(PATHS[name], as_version=4)
    nbformat.validate(notebook)
    assert PATHS[name].stat().st_size < 300_000
    assert_sound(notebook)
    assert len(pictures(notebook)) >= 5
    for text in texts(notebook):
        assert not MACHINE.search(text), text
    # No times of execution, and nothing of an editor.
    assert all(cell.metadata == {} for cell in notebook.cells)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}
    links = re.findall(
        r"\]\(([^)#]+)", "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    )
    assert links
    for link in links:
        assert (PATHS[name].parent / link).exists(), link


@pytest.mark.slow
def test_a_sweep_is_read_from_mlflow_alone(run: Callable[..., NotebookNode], recorded_sweep: Path) -> None:
    database = recorded_sweep.parent / "mlflow.db"
    hidden = recorded_sweep.rename(recorded_sweep.parent / "away")  # the results folder is not needed
    try:
        notebook = run("sweep_from_mlflow", GISEARCH_TRACKING_URI=f"sqlite:///{database}")
    finally:
        hidden.rename(recorded_sweep)
    text = printed(notebook)
    assert "Sweep study: Is attention worth it?" in text
    assert "24 trials: 22 finished, 1 failed, 1 stopped early" in text
    assert "noise lets no model pass 0.900" in text
    # The scores are made up: attention adds 0.3, the learning rate a little.
    found = re.search(
        r"graph_aggregation: median val/pearson ([\d.]+) with (\w+) .*?; ([\d.]+) with sum", text
    )
    assert found is not None
    assert found[2] == "cross_attention"
    assert float(found[1]) - float(found[3]) == pytest.approx(0.3, abs=0.03)
    leaderboard = next(
        output.data["text/plain"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "execute_result"
    )
    assert "graph_aggregation" in leaderboard
    assert leaderboard.count("cross_attention") == 8  # the best eight all have it
    assert len(pictures(notebook)) == 5


@pytest.mark.slow
def test_the_cell_shows_what_is_kept(run: Callable[..., NotebookNode]) -> None:
    fresh = run("cell_and_genotypes")
    kept = nbformat.read(PATHS["cell_and_genotypes"], as_version=4)
    # Where the demo cell has changed: python notebooks/execute.py cell_and_genotypes
    assert printed(fresh) == printed(kept)
    assert len(pictures(fresh)) == len(pictures(kept))


@pytest.mark.slow
def test_uncertainty_is_measured_not_claimed(run: Callable[..., NotebookNode]) -> None:
    notebook = run("diffusion_uncertainty", GISEARCH_EPOCHS="2")
    text = printed(notebook)
    rank = float(re.search(r"rank correlation of spread and error: (-?[\d.]+)", text)[1])  # type: ignore[index]
    chance = float(re.search(r"chance alone stays within: \+-([\d.]+)", text)[1])  # type: ignore[index]
    assert ("does not rank the errors" in text) == (rank <= chance)
    rows = re.findall(r"^\s+(0\.\d+)\s+([01]\.\d+)\s+0\.\d+$", text, re.MULTILINE)
    assert [float(nominal) for nominal, _ in rows] == [0.5, 0.68, 0.8, 0.9, 0.95]
    shares = [float(share) for _, share in rows]
    assert shares == sorted(shares)
    before = float(re.search(r"90 % interval: ([\d.]+)% before", text)[1])  # type: ignore[index]
    assert before / 100 == pytest.approx(shares[3], abs=0.001)


def test_an_unknown_notebook_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: no notebook 'nothing'; expected one of cell_and_genotypes"
    )


def test_what_differs_between_runs_is_taken_off() -> None:
    raw = io.BytesIO()
    Image.new("RGB", (8, 5), "white").save(raw, format="PNG")
    cell = nbformat.v4.new_code_cell(
        "x", execution_count=1, metadata={"execution": {"iopub.status.idle": "now"}}
    )
    data = {"image/png": base64.b64encode(raw.getvalue()).decode(), "text/plain": "<Figure size 8x5>"}
    cell.outputs = [nbformat.v4.new_output("display_data", data, metadata={"image/png": {"width": 8}})]
    notebook = nbformat.v4.new_notebook(
        cells=[cell], metadata={"language_info": {"name": "python", "version": "3"}}
    )
    cleaned = clean(notebook).cells[0]
    assert cleaned.metadata == {}
    assert cleaned.outputs[0].metadata == {}
    assert cleaned.outputs[0].data["text/plain"] == "a figure"
    assert struct.unpack(">II", pictures(notebook)[0][16:24]) == (8, 5)
