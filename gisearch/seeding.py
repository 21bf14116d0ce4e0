"""One master seed, named child seeds.

Every random stream derives its seed from the master seed and a name, so that adding a
stream never shifts another one, and the same seed gives the same numbers in any process.
"""

from __future__ import annotations

import hashlib

import numpy as np


def child_seed(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed for the stream ``names`` under the master ``seed`` (0 is valid)."""
    text = "/".join([str(seed), *map(str, names)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def child_generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a NumPy generator for the stream ``names`` under the master ``seed``."""
    return np.random.default_rng(child_seed(seed, *names))
