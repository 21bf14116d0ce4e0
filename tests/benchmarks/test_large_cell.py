"""The benchmark of nine networks at a tiny size, and the bytes that a step moves at least."""

from __future__ import annotations

from benchmarks.large_cell import run_case, step_bytes
from benchmarks.report import Options


def test_a_step_is_measured_and_compared_with_its_floor() -> None:
    options = Options(repeats=1, threads=1)
    measured = run_case("index", options, num_genes=50, num_networks=3, num_edges=300)
    assert measured["steps_per_second"] == 1 / measured["seconds"]
    assert measured["times_the_floor"] == measured["seconds"] / measured["floor_seconds"]


def test_what_more_networks_edges_and_layers_move() -> None:
    small = step_bytes(num_genes=10, num_networks=1, num_edges=0, width=4, layers=1)
    genes = 10 * 4 * 4
    assert small == (8 + 4 + 8) * genes
    assert step_bytes(10, 2, 0, 4, 1) - small == 8 * genes
    assert step_bytes(10, 1, 7, 4, 1) - small == 7 * 16
    assert step_bytes(10, 1, 7, 4, 2) - small == 12 * genes + 2 * 7 * 16
