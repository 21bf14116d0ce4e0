"""What a tracking store's failed answer means, in words, and what helps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata
from urllib.parse import urlsplit

from gisearch.tracking.database_version import installed_versions
from gisearch.tracking.redact import redact_text


@dataclass(frozen=True)
class Meaning:
    """Why a request failed.

    Attributes:
        reason: in a few words, with what the server itself said.
        help: what to do about it; empty where nothing in particular helps.
    """

    reason: str
    help: str = ""


_CODE = re.compile(r"failed with error code (\d+)|too many (\d+) error responses")
_BODY = re.compile(r"Response body: '(.*)'\s*$", re.DOTALL)
_SCHEMA = re.compile(r"found version (\w+), but expected (\w+)|Can't locate revision identified by '(\w+)'")

_START = "start the server"
_BY_SIGN = (
    ("ProxyError", "the proxy could not be used", "correct the proxy in http_proxy, or set no_proxy={host}"),
    ("Connection refused", "connection refused", _START),
    ("Name or service not known", "the host name is unknown", "correct the host in the address"),
    ("NameResolutionError", "the host name is unknown", "correct the host in the address"),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "its certificate is not trusted here",
        "set REQUESTS_CA_BUNDLE to its file",
    ),
    ("WRONG_VERSION_NUMBER", "it does not speak https", "begin the address with http://"),
    ("failed with timeout", "no answer in time", f"{_START}, or raise tracking.timeout"),
    ("timed out", "no answer in time", f"{_START}, or raise tracking.timeout"),
    (
        "Invalid Host header",
        "access is forbidden (403): it serves other host names only",
        "start the server with --allowed-hosts {netloc}",
    ),
    (
        "not in a valid JSON format",
        "its answer is not an MLflow server's",
        "correct the address: another server, a login page or a proxy answers there",
    ),
)
_BY_CODE = {
    401: (
        "it refuses the credentials (401)",
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    ),
    403: ("access is forbidden (403)", "ask who runs it for the permission to write"),
    404: (
        "it knows no such page (404)",
        "correct the address and its path: what answers there is no MLflow server, or serves it elsewhere",
    ),
    407: (
        "the proxy wants credentials (407)",
        "give them in http_proxy (http://USER:PASSWORD@HOST:PORT), or set no_proxy={host}",
    ),
    429: ("it has too many requests (429)", "try again later"),
}
_GATEWAY = "what stands before the server answers for it ({code})"
_GATEWAY_HELP = f"{_START} behind it, or set no_proxy={{host}} where a proxy of this machine answers"


def meaning_of(error: Exception, uri: str = "") -> Meaning:
    """Return what a failed request means; nothing of what was said is cut, credentials are left out.

    Args:
        error: what MLflow, its client or a database driver raised.
        uri: the store's, for advice.
    """
    text = redact_text(" ".join(str(error).split()))
    parts = urlsplit(uri)
    place = {"host": parts.hostname or "HOST", "netloc": parts.netloc.rpartition("@")[2] or "HOST"}
    for sign, reason, help in _BY_SIGN:
        if sign in text:
            return Meaning(reason, help.format(**place))
    if found := _SCHEMA.search(text):
        return of_schema(found[1] or found[3], redact_text(uri))
    if found := _CODE.search(text):
        code = int(found[1] or found[2])
        said = _said(text)
        if code in (502, 503, 504):
            return Meaning(_GATEWAY.format(code=code) + said, _GATEWAY_HELP.format(**place))
        if 300 <= code < 400:
            return Meaning(f"it sends elsewhere ({code}){said}", "give the address that it sends to")
        reason, help = _BY_CODE.get(
            code, (f"it has an error of its own ({code})", "look into the server's log")
        )
        return Meaning(reason + said, help.format(**place))
    return Meaning(text or type(error).__name__)


def _said(text: str) -> str:
    """Return the server's own words, without the tags of a page, to stand behind the reason."""
    found = _BODY.search(text)
    words = " ".join(re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", found[1]).split()) if found else ""
    return f": {words}" if words else ""


def of_schema(version: str, uri: str) -> Meaning:
    """Return what a database of another version means: of an older MLflow, or of a newer one."""
    installed = metadata.version("mlflow")
    if version in installed_versions()[0]:
        return Meaning(
            f"it was made by an older MLflow than {installed}",
            f"make a copy of it, then upgrade it with `mlflow db upgrade {uri or 'URI'}`",
        )
    return Meaning(
        f"it was made by a newer MLflow than {installed}, which is installed here",
        "upgrade MLflow here (pip install --upgrade mlflow), and leave the database as it is",
    )
