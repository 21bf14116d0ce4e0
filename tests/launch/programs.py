"""The programs in ``clusters/``, which belong to no package: loaded from their files."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from gisearch.resources import resource_folder


def load_program(name: str) -> ModuleType:
    """Load ``clusters/NAME.py`` as a module."""
    spec = importlib.util.spec_from_file_location(name, resource_folder("clusters") / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
