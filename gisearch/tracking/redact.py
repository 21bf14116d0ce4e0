"""Secrets never reach the tracking store: parameters, files, messages and addresses are masked."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

MASK = "***"

_ALWAYS_SECRET = frozenset(
    {"password", "passwd", "passphrase", "secret", "secrets", "credential", "credentials", "apikey"}
)
# Words that name a secret only at the end of a name: `api_key` is one, `key_dim` is a layer's width.
_SECRET_LAST = frozenset({"key", "token"})
_KEY_WORDS = re.compile(r"(access|api|private|secret|signing)[_-]?key", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/\s@'\"]+@")
_QUERY_SECRET = re.compile(
    r"(?P<name>[?&][\w-]*(?:token|password|secret|key)[\w-]*=)[^&\s'\"]+", re.IGNORECASE
)
_BEARER = re.compile(r"\b(?P<scheme>Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}")


def is_secret(name: str, value: object) -> bool:
    """Return whether ``value`` under the (dotted) ``name`` looks like a secret.

    Numbers under a name like ``token`` are hyperparameters (``num_tokens``, ``key``), not secrets;
    whatever stands under ``password`` or ``secret`` is one.
    """
    if value is None or isinstance(value, bool) or value == "":
        return False
    words = [word for word in re.split(r"[^a-z0-9]+", _CAMEL.sub("_", name).lower()) if word]
    if any(word in _ALWAYS_SECRET for word in words):
        return True
    if isinstance(value, int | float):
        return False
    return bool(words and words[-1] in _SECRET_LAST) or bool(_KEY_WORDS.search(name))


def redact_text(text: str) -> str:
    """Return ``text`` without user names and passwords in URIs, and without authorisation headers."""
    text = _USERINFO.sub(r"\g<scheme>", text)
    text = _QUERY_SECRET.sub(rf"\g<name>{MASK}", text)
    return _BEARER.sub(rf"\g<scheme> {MASK}", text)


def redact_value(name: str, value: Any) -> Any:
    """Return ``value``, masked where its name or content is secret; nested values too."""
    if isinstance(value, Mapping):
        return {key: redact_value(f"{name}.{key}" if name else str(key), v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(name, item) for item in value]
    if is_secret(name, value):
        return MASK
    return redact_text(value) if isinstance(value, str) else value


def redact_yaml(text: str) -> str:
    """Return a YAML document with secrets masked; unchanged, comments included, where it holds none."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        return redact_text(text)
    clean = redact_value("", document)
    if clean == document:
        return text
    return yaml.safe_dump(clean, sort_keys=False, allow_unicode=True)


def redact_command(arguments: Sequence[str]) -> str:
    """Return a command line as one shell-quoted line, the values of secret options masked."""
    kept: list[str] = []
    mask_next = False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if mask_next:
            kept.append(MASK)
            mask_next = False
        elif equals and is_secret(name, value):
            kept.append(f"{name}={MASK}")
        else:
            mask_next = argument.startswith("-") and not equals and is_secret(argument, "value")
            kept.append(redact_text(argument))
    return shlex.join(kept)
