import hashlib
import io
import re
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gisearch.data.fetch import RELEASES, Release, checksum, fetch
from gisearch.errors import DataError

# The discard port: nothing listens there, and no test leaves this machine.
UNREACHABLE = "http://127.0.0.1:9/data.tsv"
CONTENT = b"gene1\tgene2\nA\tB\n"


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as built:
        built.writestr("yeast.tsv", CONTENT)
        built.writestr("other.tsv", b"")
    return stream.getvalue()


class _Handler(BaseHTTPRequestHandler):
    requests = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        body = {"/data.tsv": CONTENT, "/all.zip": archive()}.get(self.path)
        self.send_response(200 if body else 403)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Serve the upstream of these tests on the loopback interface."""
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def release(url: str, sha256: str | None = None, member: str | None = None) -> dict[str, Release]:
    return {"data": Release("a table", url, url.rpartition("/")[2], "CC0", "networks", sha256, member)}


def test_a_release_is_downloaded_once(tmp_path: Path, site: str) -> None:
    releases = release(f"{site}/data.tsv", hashlib.sha256(CONTENT).hexdigest())
    before = _Handler.requests
    for _ in range(2):
        path = fetch([], tmp_path / "new" / "folder", releases)["data"]
        assert path.read_bytes() == CONTENT
    assert path == tmp_path / "new" / "folder" / "data.tsv"
    assert checksum(path) == hashlib.sha256(CONTENT).hexdigest()
    assert _Handler.requests == before + 1


def test_one_member_of_an_archive_is_unpacked(tmp_path: Path, site: str) -> None:
    path = fetch(["data"], tmp_path, release(f"{site}/all.zip", member="yeast.tsv"))["data"]
    assert path.name == "yeast.tsv"
    assert path.read_bytes() == CONTENT
    with pytest.raises(DataError, match=r"all\.zip does not hold human\.tsv"):
        fetch(["data"], tmp_path, release(f"{site}/all.zip", member="human.tsv"))


def test_no_network_is_one_sentence_with_a_way_out(tmp_path: Path) -> None:
    message = (
        f"cannot fetch data: no connection to {UNREACHABLE}; connect to the network, or download it by "
        f"hand and put it at {tmp_path / 'data.tsv'}."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$") as error:
        fetch(["data"], tmp_path, release(UNREACHABLE))
    assert error.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_file_put_there_by_hand_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / "data.tsv").write_bytes(CONTENT)
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert fetch(["data"], tmp_path, release(UNREACHABLE, digest))["data"].read_bytes() == CONTENT


def test_a_refused_download(tmp_path: Path, site: str) -> None:
    with pytest.raises(DataError, match=r"cannot fetch data: http://127.* answered 403; download it by hand"):
        fetch(["data"], tmp_path, release(f"{site}/secret.tsv"))


def test_a_wrong_checksum(tmp_path: Path, site: str) -> None:
    with pytest.raises(
        DataError, match=r"the checksum of data\.tsv is not 0000.*damaged or was replaced upstream"
    ):
        fetch(["data"], tmp_path, release(f"{site}/data.tsv", "0" * 64))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path, site: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot fetch data into .*file/below: "):
        fetch(["data"], tmp_path / "file" / "below", release(f"{site}/data.tsv"))


def test_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing to fetch called 'bogrid'; .* Did you mean 'biogrid'\?"):
        fetch(["bogrid"], tmp_path)


def test_every_release_says_what_it_is() -> None:
    assert len({entry.file for entry in RELEASES.values()}) == len(RELEASES)
    for entry in RELEASES.values():
        assert entry.url.startswith(("https://", "http://string91.embl.de/"))
        assert entry.what
        assert entry.licence
        assert entry.read_as.startswith(("genes", "networks", "genotypes", "metabolism"))
    known = RELEASES["kuzmin2018"].sha256
    assert known == "c82b60f98590071fcb07b74b672958a5863b58e03b78631e6235cb664ee82afb"
