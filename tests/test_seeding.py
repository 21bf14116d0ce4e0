"""Named child seeds: independent, stable over processes and versions, zero included."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from gisearch.seeding import child_generator, child_seed


def test_a_seed_is_a_function_of_master_and_name_alone() -> None:
    assert child_seed(0, "weights") == child_seed(0, "weights")
    seeds = {
        child_seed(master, *name) for master in range(50) for name in (("a",), ("b",), ("a", 1), ("a", 2))
    }
    assert len(seeds) == 200


def test_known_seeds_stay_what_they_are() -> None:
    """Published results depend on them."""
    assert child_seed(0, "weights") == 4283426181684004966
    assert child_seed(1, "order", 3) == 566311224565714898


def test_seeds_fit_every_generator() -> None:
    import torch

    for master in (0, 1, 2**40):
        seed = child_seed(master, "order", 3)
        assert 0 <= seed < 2**63
        torch.manual_seed(seed)
        np.random.default_rng(seed)


def test_the_same_in_another_process() -> None:
    code = "from gisearch.seeding import child_seed; print(child_seed(0, 'order', 7))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "1"}
    )
    assert int(out.stdout) == child_seed(0, "order", 7)


def test_generators_of_different_names_are_independent() -> None:
    one, other = child_generator(0, "a").normal(size=1000), child_generator(0, "b").normal(size=1000)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1
    assert (child_generator(0, "a").normal(size=1000) == one).all()
