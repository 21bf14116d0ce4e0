"""A table of results: what is run, what is kept, what goes on, and that losers and failures stay in it."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks import results_settings
from benchmarks.__main__ import main as benchmarks
from benchmarks.generated_tables import write_tables
from benchmarks.results import NAMES, main, reachable
from benchmarks.results_peers import PEERS, PairTask, diffused, pair_kernel, ridge_scores, scaled
from benchmarks.results_picture import draw
from benchmarks.results_runs import Result, ResultFile, Splits, experiment_of, run_all, run_one
from benchmarks.results_settings import BEST_CONFIGURATIONS, TASKS, best_configurations, contenders_of
from benchmarks.results_table import BEGIN, END, Estimate, standings, table
from gisearch.command_line import run
from gisearch.data.cell_graph import Network
from gisearch.data.config import compose_data
from gisearch.data.dataset import Dataset
from gisearch.data.load import load_dataset
from gisearch.errors import ConfigError
from gisearch.models.registry import MODELS

TINY = TASKS["demo_tiny"]
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def yeast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of small generated tables."""
    folder = tmp_path_factory.mktemp("tables")
    write_tables(folder, share=0.02)
    return folder


def a_result(name: str, seed: int, score: float, **changes: object) -> Result:
    """Return a result on the random split of yeast."""
    scores = {"auroc": score, "average_precision": score}
    made = Result("random", name, seed, (), "tuned", scores, 2.0, 3.0, 1000)
    return dataclasses.replace(made, **changes)


def test_every_model_and_reference_has_a_row_on_every_split_it_can_learn() -> None:
    assert set(NAMES) == set(MODELS) | set(PEERS)
    for task in TASKS.values():
        found = [one.name for one in contenders_of(task, NAMES, {})]
        assert set(found) == set(MODELS) | set(task.peers)
        assert {one.kind for one in contenders_of(task, list(MODELS), {})} == {"preset"}


def test_the_shipped_configurations_are_valid(yeast: Path) -> None:
    configurations = best_configurations()
    tuned = 0
    for task in (TASKS[name] for name in results_settings.DEFAULT_TASKS):
        root = [f"data.root={yeast}"] if task.needs_folder else []
        for contender in contenders_of(task, list(MODELS), configurations):
            if contender.kind == "tuned":
                config = experiment_of(contender, 3, root)
                assert (config.seed, config.data.seed, config.model.name) == (3, 3, contender.name)
                tuned += 1
    assert tuned == sum(len(sections) for sections in configurations.values())


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("bilinar: {demo: []}", "unknown name 'bilinar'; expected one of .* Did you mean 'bilinear'"),
        ("bilinear: {yeast: []}", "bilinear: unknown name 'yeast'; expected one of yeast-random, "),
        ("bilinear: {demo: [data.split.val=0.3]}", "demo: data.split.val is the same for all models"),
        ("bilinear: {demo: [seed=1]}", "demo: seed is the same for all models"),
        ("bilinear: {demo: [model=dango]}", "demo: model is the same for all models"),
        (
            "bilinear: {demo: {optimizer.lr: 1}}",
            r"expected a list of overrides such as \[optimizer.lr=1e-2\]",
        ),
        ("bilinear: [", "cannot read .*: while parsing"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "best.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=error):
        best_configurations(path)


def test_an_unknown_key_is_known_before_anything_is_trained(tmp_path: Path) -> None:
    wrong = contenders_of(TINY, ["additive", "bilinear"], {"bilinear": {"demo": ("model.rnk=3",)}})
    file = tmp_path / "results.jsonl"
    with pytest.raises(ConfigError, match=r"best configuration of bilinear: .*rnk.* Did you mean 'rank'"):
        run_all({TINY: wrong}, 1, ResultFile(file), extra={}, say=lambda _: None)
    assert not file.exists()


def test_a_run_goes_on_where_it_was_and_gives_the_same_scores(tmp_path: Path) -> None:
    contenders = contenders_of(TINY, ["additive", "bilinear"], best_configurations())
    short = [dataclasses.replace(c, overrides=(*c.overrides, "trainer.max_epochs=2")) for c in contenders]
    path, said = tmp_path / "results.jsonl", list[str]()
    first = run_all({TINY: short}, 2, ResultFile(path), extra={}, say=said.append)
    assert [(one.name, one.seed) for one in first] == [
        (n, s) for s in (0, 1) for n in ("additive", "bilinear")
    ]
    assert all(-1 <= one.scores["pearson"] <= 1 and one.ceiling and one.parameters for one in first)
    # The seed draws the split, and the ceiling is that of its test part.
    assert first[0].ceiling == first[1].ceiling != first[2].ceiling
    lines = path.read_text().splitlines(keepends=True)
    assert len(lines) == len(said) == 4
    # Torn in the last line, as by a lost machine.
    path.write_text("".join(lines[:3]) + lines[3][:40])
    again = run_all({TINY: short}, 2, ResultFile(path), extra={}, say=said.append)
    assert len(said) == 5
    assert again[:3] == first[:3]
    assert again[3].scores == first[3].scores
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 4


def test_another_configuration_is_another_result_and_a_failure_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    (one,) = contenders_of(TASKS["random"], ["bilinear"], {})
    file = ResultFile(path)
    file.add(a_result("bilinear", 0, 0.7, overrides=one.overrides))
    file.add(a_result("bilinear", 1, 0.7, overrides=one.overrides, reason="diverged."))
    file = ResultFile(path)
    assert file.recall(one, TASKS["random"], 0) is not None
    assert file.recall(one, TASKS["random"], 1) is None
    assert file.recall(dataclasses.replace(one, overrides=("model.rank=3",)), TASKS["random"], 0) is None
    path.write_text('{"other": 1}\n')
    with pytest.raises(ConfigError, match="line 1: no result of this command; give another file to --resume"):
        ResultFile(path)


def test_what_fails_is_a_row_with_its_reason(yeast: Path) -> None:
    task = TASKS["random"]
    (hetero,) = contenders_of(task, ["hetero_cell"], {})
    failed = run_one(hetero, task, 0, Splits(), [f"data.root={yeast}"])
    assert failed.reason is not None
    assert failed.reason.startswith("the data has no metabolism")
    good = [a_result("additive", seed, 0.6) for seed in range(2)]
    bad = [a_result("diffusion", 0, 0.5), a_result("diffusion", 1, 0.0, scores={}, reason="a | b\nc")]
    text = table(task, [failed, *bad, *good])
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == ["additive", "diffusion", "hetero_cell"]
    assert "1 of 2 seeds failed: a \\| b c |" in rows[1]
    assert "| failed: the data has no metabolism" in rows[2]
    assert (
        len({line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("|")}) == 1
    )


def test_a_configuration_that_changes_the_split_is_refused() -> None:
    (one,) = contenders_of(TINY, ["additive"], {})
    sneaky = dataclasses.replace(one, overrides=(*one.overrides, "data.split.val=0.3"))
    result = run_one(sneaky, TINY, 0, Splits())
    assert result.reason == "the configuration changes the split, on which all models are compared."


def test_intervals_are_students_and_differences_are_paired() -> None:
    estimate = Estimate.of([0.1, 0.2, 0.3])
    # 4.303 is the 97.5 % quantile of two degrees of freedom.
    assert estimate.high - estimate.mean == pytest.approx(4.303 * 0.1 / math.sqrt(3), rel=1e-3)
    assert estimate.mean - estimate.low == pytest.approx(estimate.high - estimate.mean)
    assert Estimate.of([0.25]).text() == "0.250"
    results = [a_result("five_part_kernel", s, 0.8 + 0.05 * s, kind="peer") for s in range(3)]
    results += [a_result("bilinear", s, 0.7 + 0.05 * s) for s in range(3)]
    kernel, bilinear = standings(TASKS["random"], results)
    assert (kernel.name, kernel.difference, bilinear.name) == ("five_part_kernel", None, "bilinear")
    # Splits differ by far more than the models do on each.
    assert bilinear.difference is not None
    assert bilinear.difference.text("+.3f") == "-0.100 [-0.100, -0.100]"
    assert bilinear.scores["auroc"].high - bilinear.scores["auroc"].low > 0.2


def test_the_kernel_is_that_of_its_definition() -> None:
    random = np.random.default_rng(0)
    root = random.normal(size=(5, 5))
    kernel = scaled(root @ root.T)
    np.testing.assert_allclose(np.diag(kernel), 1.0)
    left, right = np.array([[0, 1], [2, 4]]), np.array([[1, 0], [3, 2], [1, 4]])
    found = pair_kernel(kernel, left, right)
    np.testing.assert_allclose(found[0, 0], pair_kernel(kernel, left, left)[0, 0])  # order within a pair
    for i, (a, b) in enumerate(left):
        for j, (c, d) in enumerate(right):
            products = kernel[a, c] * kernel[b, d] + kernel[a, d] * kernel[b, c]
            sums = kernel[a, c] + kernel[b, d] + kernel[a, d] + kernel[b, c]
            assert found[i, j] == pytest.approx(products + 0.1 * sums)
    task = PairTask(np.arange(5), left, np.array([0.0, 1.0]), right, right)
    weights = np.linalg.solve(pair_kernel(kernel, left, left) + np.eye(2), task.labels - 0.5)
    np.testing.assert_allclose(ridge_scores(task, kernel), pair_kernel(kernel, right, left) @ weights + 0.5)


def test_diffusion_spreads_over_a_network_and_leaves_others_alone() -> None:
    network = Network.from_pairs("path", [[0, 1], [1, 2]], directed=False, num_genes=4)
    adjacency = np.zeros((4, 4))
    adjacency[network.edges[0], network.edges[1]] = 1.0
    degree = np.array([1.0, 2.0, 1.0, 1.0])
    step = 0.5 * np.eye(4) + 0.5 * adjacency / np.sqrt(np.outer(degree, degree))
    reached = np.linalg.matrix_power(step, 4)
    expected = scaled(reached @ reached.T)
    np.testing.assert_allclose(diffused(network, 4, np.arange(4)), expected)
    np.testing.assert_allclose(diffused(network, 4, np.array([0, 3])), expected[np.ix_([0, 3], [0, 3])])


@pytest.fixture(scope="module")
def pairs(yeast: Path) -> Dataset:
    """Return generated double deletions."""
    return load_dataset(compose_data(["data=yeast", f"data.root={yeast}"]), use_cache=False)


@pytest.mark.parametrize("name", list(PEERS))
def test_a_reference_never_reads_labels_of_the_test_part(pairs: Dataset, name: str) -> None:
    target = pairs.target.name
    labels = pairs.genotypes.labels[target].copy()
    for part in ("val", "test"):
        rows = pairs.split.part(part)
        labels[rows] = labels[rows][::-1]
    genotypes = dataclasses.replace(pairs.genotypes, labels={**pairs.genotypes.labels, target: labels})
    permuted = dataclasses.replace(pairs, genotypes=genotypes)
    np.testing.assert_array_equal(PEERS[name](pairs).predicted, PEERS[name](permuted).predicted)
    assert len(PEERS[name](pairs).predicted) == len(pairs.split.test)


def test_a_reference_says_which_data_it_cannot_learn() -> None:
    demo = load_dataset(compose_data(["data=demo_tiny"]))
    for name, reason in (("measured_pairs", "double deletions"), ("one_hot_logistic", "a binary target")):
        with pytest.raises(Exception, match=reason):
            PEERS[name](demo)


def test_the_command_fills_the_page_between_its_markers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GISEARCH_YEAST_DATA", raising=False)
    page, picture = tmp_path / "results.md", tmp_path / "results.png"
    page.write_text(f"# Results\n\n{BEGIN}\nold\n{END}\n\nAfter.\n")
    command = ["results", "--models", "additive,bilinear", "--splits", "demo_tiny", "--seeds", "2"]
    command += ["--resume", str(tmp_path / "kept.jsonl"), "--threads", "1"]
    assert benchmarks([*command, "--out", str(page), "--picture", str(picture)]) == 0
    shown = capsys.readouterr()
    text = page.read_text()
    assert shown.out.strip() in text
    assert text.startswith(f"# Results\n\n{BEGIN}\n\n![Test scores: ")
    assert "](results.png)\n\nSeeds 0 to 1; " in text
    assert text.endswith(f"\n\n{END}\n\nAfter.\n")
    assert "old" not in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert benchmarks([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {row["case"] for row in report["rows"]} == {"demo_tiny additive", "demo_tiny bilinear"}
    assert set(report["rows"][0]["facts"]["by_seed"]) == {"0", "1"}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--seeds", "0"], "--seeds: expected a number above 0, got 0."),
        (["--models", "bilinar"], "--models: unknown name 'bilinar'; expected some of "),
        (["--splits", "radnom"], "--splits: unknown name 'radnom'; expected some of random, unseen_genes, "),
        (["--models", ","], "--models: expected some of "),
        (["--splits", "random"], "real yeast data needs the tables; give --data FOLDER."),
        (["--data", "nowhere"], "there is no folder 'nowhere' of yeast tables."),
        (["--out", "no_page.md"], "--out: cannot read no_page.md: "),
    ],
)
def test_wrong_arguments_are_one_sentence(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GISEARCH_YEAST_DATA", raising=False)
    assert run(main, arguments) == 2
    shown = capsys.readouterr().err
    assert error in shown
    assert shown.count("\n") == 1


def test_a_page_without_markers_is_refused_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n")
    assert run(main, ["--splits", "demo_tiny", "--out", str(page)]) == 2
    assert "has no lines '<!-- results: begin -->' and" in capsys.readouterr().err
    assert page.read_text() == "# A page\n"


def test_the_documentation_has_the_markers_and_names_the_configurations() -> None:
    text = (DOCS / "results.md").read_text()
    assert text.index(BEGIN) < text.index(END)
    assert BEST_CONFIGURATIONS.name in text
    assert all(f"`{name}`" in text for name in PEERS)


def test_without_tables_the_demo_cell_is_left() -> None:
    tasks, extra = reachable(results_settings.DEFAULT_TASKS, None)
    assert [task.name for task in tasks] == ["demo"]
    assert extra == {"demo": []}


def test_one_seed_has_a_dot_without_an_interval(tmp_path: Path) -> None:
    rows = standings(TASKS["random"], [a_result("bilinear", 0, 0.7), a_result("additive", 0, 0.6)])
    draw({TASKS["random"]: rows}, tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
