"""Download the upstream releases that the readers understand, each from where its makers publish it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gisearch.data.cache import cache_folder
from gisearch.errors import DataError, nearest_name

_TIMEOUT_S = 30


@dataclass(frozen=True)
class Release:
    """One upstream file.

    Attributes:
        what: what it is.
        url: where its makers publish it.
        file: the name to keep it under.
        licence: under which terms.
        read_as: how to name it in a ``tables`` configuration.
        sha256: its checksum, None where its makers publish none and it may change.
        member: the only file to unpack where the release is a zip archive of many.
    """

    what: str
    url: str
    file: str
    licence: str
    read_as: str
    sha256: str | None = None
    member: str | None = None


def _string(version: str, url: str) -> Release:
    return Release(
        what=f"STRING v{version}, S. cerevisiae, scores per channel",
        url=f"{url}/4932.protein.links.detailed.v{version}.txt.gz",
        file=f"4932.protein.links.detailed.v{version}.txt.gz",
        licence="CC BY 4.0",
        read_as="networks, format: string",
    )


_BIOGRID = "4.4.244"
_YEAST_GEM = "https://raw.githubusercontent.com/SysBioChalmers/yeast-GEM/v9.0.2/model"
_SCIENCE = "https://www.science.org/doi/suppl/10.1126"

RELEASES: Mapping[str, Release] = {
    "sgd_features": Release(
        what="SGD, systematic and standard names and aliases",
        url="https://sgd-archive.yeastgenome.org/curation/chromosomal_feature/SGD_features.tab",
        file="SGD_features.tab",
        licence="CC BY 4.0",
        read_as="genes",
    ),
    "string9_1": _string("9.1", "http://string91.embl.de/newstring_download/protein.links.detailed.v9.1"),
    "string11_0": _string("11.0", "https://stringdb-static.org/download/protein.links.detailed.v11.0"),
    "string12_0": _string("12.0", "https://stringdb-downloads.org/download/protein.links.detailed.v12.0"),
    "kuzmin2018": Release(
        what="Kuzmin et al., Science 2018, Data S1: double and triple mutants",
        url=f"{_SCIENCE}/science.aao1729/suppl_file/aao1729_data_s1.tsv",
        file="aao1729_data_s1.tsv",
        licence="free for academic use, name the source",
        read_as="genotypes, format: kuzmin2018",
        sha256="c82b60f98590071fcb07b74b672958a5863b58e03b78631e6235cb664ee82afb",
    ),
    "kuzmin2020": Release(
        what="Kuzmin et al., Science 2020, Tables S1 to S13 (a zip of spreadsheets)",
        url=f"{_SCIENCE}/science.aaz5667/suppl_file/aaz5667-tables_s1_to_s13.zip",
        file="aaz5667-tables_s1_to_s13.zip",
        licence="free for academic use, name the source",
        read_as="genotypes, format: kuzmin2020, once Table S1 is saved as tab-separated text",
    ),
    "costanzo2016_smf": Release(
        what="Costanzo et al., Science 2016, with single-mutant fitness (a zip with a spreadsheet)",
        url="https://thecellmap.org/costanzo2016/data_files/"
        "Raw%20genetic%20interaction%20datasets:%20Pair-wise%20interaction%20format.zip",
        file="costanzo2016_pairwise.zip",
        licence="free for academic use, name the source",
        read_as="genotypes, once strain_ids_and_single_mutant_fitness is saved as tab-separated text",
    ),
    "biogrid": Release(
        what=f"BioGRID {_BIOGRID}, S. cerevisiae, physical and genetic interactions",
        url=f"https://downloads.thebiogrid.org/Download/BioGRID/Release-Archive/BIOGRID-{_BIOGRID}/"
        f"BIOGRID-ORGANISM-{_BIOGRID}.tab3.zip",
        file=f"BIOGRID-ORGANISM-{_BIOGRID}.tab3.zip",
        licence="MIT",
        read_as="networks, format: biogrid",
        member=f"BIOGRID-ORGANISM-Saccharomyces_cerevisiae_S288c-{_BIOGRID}.tab3.txt",
    ),
    "yeast_gem": Release(
        what="yeast-GEM 9.0.2: reactions, metabolites, gene rules",
        url=f"{_YEAST_GEM}/yeast-GEM.yml",
        file="yeast-GEM-9.0.2.yml",
        licence="CC BY 4.0",
        read_as="metabolism",
    ),
}


def fetch(
    names: Iterable[str], folder: Path | None = None, releases: Mapping[str, Release] | None = None
) -> dict[str, Path]:
    """Download releases that are not there yet; what is there is checked where its checksum is known.

    Args:
        names: keys of ``releases``; all of them if empty.
        folder: where to; ``upstream`` in the cache folder by default.
        releases: what can be fetched; :data:`RELEASES` by default.

    Returns:
        The file of each release.

    Raises:
        DataError: an unknown name, no network, a refused download, a wrong checksum, or a folder that cannot
            be written.
    """
    releases = RELEASES if releases is None else releases
    names = list(names) or list(releases)
    for name in names:
        if name not in releases:
            raise DataError(
                f"nothing to fetch called {name!r}; expected {', '.join(releases)}."
                f"{nearest_name(name, releases)}"
            )
    folder = folder or cache_folder() / "upstream"
    return {name: _fetch_one(name, releases[name], folder) for name in names}


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    import pooch

    return str(pooch.file_hash(str(path), alg="sha256"))


def _fetch_one(name: str, release: Release, folder: Path) -> Path:
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    by_hand = f"download it by hand and put it at {folder / release.file}"
    processor = pooch.Unzip(members=[release.member]) if release.member else None
    try:
        found = pooch.retrieve(
            url=release.url,
            known_hash=release.sha256,
            fname=release.file,
            path=folder,
            processor=processor,
            downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_S),
        )
    except (requests.ConnectionError, requests.Timeout):
        raise DataError(
            f"cannot fetch {name}: no connection to {release.url}; connect to the network, or {by_hand}."
        ) from None
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "an HTTP error"
        raise DataError(f"cannot fetch {name}: {release.url} answered {status}; {by_hand}.") from None
    except requests.RequestException as error:
        raise DataError(f"cannot fetch {name}: {type(error).__name__} at {release.url}; {by_hand}.") from None
    except ValueError:
        raise DataError(
            f"cannot fetch {name}: the checksum of {release.file} is not {release.sha256}, so it is damaged "
            f"or was replaced upstream; delete it, or {by_hand}."
        ) from None
    except OSError as error:
        raise DataError(f"cannot fetch {name} into {folder}: {error.strerror or error}.") from None
    if not found:
        raise DataError(f"cannot fetch {name}: {release.file} does not hold {release.member}.")
    return Path(found if isinstance(found, str) else found[0])
