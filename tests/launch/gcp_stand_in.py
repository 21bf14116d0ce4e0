"""A stand-in for Google Cloud: the few calls that Ray makes, checked against Google's own description."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import googleapiclient
import httplib2
import pytest

_DOCUMENTS = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
_DONE = {"name": "operation-1", "status": "DONE"}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "boolean": bool,
    "string": (str, int),
    "integer": int,
    "number": (int, float),
}


class GoogleStandIn:
    """Answers instead of Google.

    Attributes:
        project: the only project.
        instances: the bodies of the machines that were asked for, which Google would have taken.
        roles: the roles that were given, by member.
    """

    def __init__(self, project: str) -> None:
        self.project = project
        self.instances: list[dict[str, Any]] = []
        self.roles: dict[str, set[str]] = {}
        self._keys: dict[str, Any] = {"fingerprint": "f", "items": []}
        self._account: dict[str, Any] | None = None
        schemas = json.loads((_DOCUMENTS / "compute.v1.json").read_text())["schemas"]
        self._mistakes: Callable[[Any, str], list[str]] = lambda value, name: list(
            mistakes(value, {"$ref": name}, name, schemas)
        )

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Answer all of this process's requests to Google."""

        def request(
            _: httplib2.Http, uri: str, method: str = "GET", body: str | None = None, **__: Any
        ) -> tuple[httplib2.Response, bytes]:
            status, answer = self.answer(method, uri, json.loads(body) if body else {})
            response = httplib2.Response({"status": str(status), "content-type": "application/json"})
            return response, json.dumps(answer).encode()

        monkeypatch.setattr(httplib2.Http, "request", request)

    def answer(self, method: str, uri: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return the status and body of an answer."""
        parts = urlsplit(uri)
        service, path = parts.netloc.partition(".")[0], parts.path
        if service == "cloudresourcemanager":
            return self._project(path, body)
        if service == "iam":
            return self._accounts(method, body)
        return self._compute(method, path, body)

    def _project(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if path.endswith(":getIamPolicy"):
            return 200, {"bindings": []}
        if path.endswith(":setIamPolicy"):
            for binding in body["policy"]["bindings"]:
                for member in binding["members"]:
                    self.roles.setdefault(member, set()).add(binding["role"])
            return 200, body["policy"]
        return 200, {"projectId": self.project, "lifecycleState": "ACTIVE"}

    def _accounts(self, method: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if method == "POST":
            email = f"{body['accountId']}@{self.project}.iam.gserviceaccount.com"
            self._account = {"email": email, "projectId": self.project}
        return (200, self._account) if self._account else (404, _error(404, "no such account"))

    def _compute(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if path.endswith("/setCommonInstanceMetadata"):
            self._keys = body
            return 200, _DONE
        if "/operations/" in path:
            return 200, _DONE
        if path.endswith("/subnetworks"):
            return 200, {"items": [{"selfLink": f"projects/{self.project}/subnetworks/default"}]}
        if path.endswith("/instances"):
            if method == "POST":
                if found := self._mistakes(body, "Instance"):
                    return 400, _error(400, "; ".join(found))
                self.instances.append(body)
                return 200, _DONE
            # None is stopped, none runs.
            return 200, {"items": []}
        if path.endswith(f"/projects/{self.project}"):
            return 200, {"name": self.project, "commonInstanceMetadata": self._keys}
        raise AssertionError(f"the stand-in knows no {method} {path}")


def mistakes(value: Any, schema: Mapping[str, Any], where: str, schemas: Mapping[str, Any]) -> Iterator[str]:
    """Yield where a value differs from Google's schema: unknown fields, other types, unknown names."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"]]
    kind = schema.get("type", "any")
    if kind in _TYPES and not isinstance(value, _TYPES[kind]):
        yield f"{where}: expected {kind}, got {type(value).__name__}"
    elif kind == "object":
        for key, inner in value.items():
            known = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
            if known:
                yield from mistakes(inner, known, f"{where}.{key}", schemas)
            else:
                yield f"{where}.{key}: unknown field"
    elif kind == "array":
        for number, inner in enumerate(value):
            yield from mistakes(inner, schema["items"], f"{where}[{number}]", schemas)
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{where}: expected one of {', '.join(schema['enum'])}, got {value!r}"


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}
