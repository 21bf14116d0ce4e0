"""The folder of plain yeast tables, described as the files of a ``tables`` source."""

from __future__ import annotations

from pathlib import Path

from gisearch.data.config import YEAST_FILES, GenotypeFile, NetworkFile, TablesData, YeastData
from gisearch.errors import DataError, nearest_name

_NETWORKS = {
    "regulatory": NetworkFile(path="yeastract_regulatory", directed=True),
    "physical": NetworkFile(path="complexportal_physical", directed=False),
}
_STRING = "string*_*"
_GENOTYPES = ("kuzmin2018_significant", "costanzo2016_smf")
_ENDINGS = (".tsv.gz", ".tsv")


def yeast_tables(config: YeastData) -> TablesData:
    """Find the tables of a yeast folder.

    Networks: ``regulatory`` (yeastract_regulatory), ``physical`` (complexportal_physical) and every
    ``string<version>_<channel>``, each ``.tsv.gz`` or ``.tsv``.

    Raises:
        DataError: no such folder, or a table that is needed or asked for is not in it.
    """
    root = Path(config.root).expanduser()
    if not root.is_dir():
        beside = [entry.name for entry in root.parent.iterdir()] if root.parent.is_dir() else []
        raise DataError(
            f"data.root: no folder {config.root!r} (looked in {Path.cwd()}); expected one that holds "
            f"{YEAST_FILES}.{nearest_name(root.name, beside)}"
        )
    genes = _find(root, "genes")
    tables = {name: _find(root, name) for name in _GENOTYPES}
    found = {name: path for name, path in tables.items() if path}
    if genes is None or not found:
        missing = "genes.tsv" if genes is None else " or ".join(f"{name}.tsv.gz" for name in _GENOTYPES)
        raise DataError(f"data.root: the folder {config.root!r} holds no {missing}; expected {YEAST_FILES}.")
    networks = _networks(root)
    if not networks:
        raise DataError(f"data.root: the folder {config.root!r} holds no network; expected {YEAST_FILES}.")
    for name in config.networks or ():
        if name not in networks:
            raise DataError(
                f"data.networks: the folder {config.root!r} holds no network {name!r} (it holds: "
                f"{', '.join(networks)}).{nearest_name(name, networks)}"
            )
    model = _find(root, "yeast-GEM", (".yml.gz", ".yml", ".xml.gz", ".xml")) if config.metabolism else None
    if config.metabolism and model is None:
        raise DataError(
            f"data.metabolism: the folder {config.root!r} holds no yeast-GEM.yml.gz (or .yml, .xml.gz, .xml)."
        )
    return TablesData(
        target=config.target,
        labels=config.labels,
        max_p=config.max_p,
        orders=config.orders,
        split=config.split,
        seed=config.seed,
        genes=str(genes),
        networks={name: networks[name] for name in config.networks or networks},
        genotypes={name: GenotypeFile(path=str(path)) for name, path in found.items()},
        metabolism=str(model) if model else None,
        isolated_genes=config.isolated_genes,
        features=config.features,
        builtin_features=config.builtin_features,
        laplacian_vectors=config.laplacian_vectors,
        max_unknown=config.max_unknown,
    )


def _networks(root: Path) -> dict[str, NetworkFile]:
    networks = {}
    for name, network in _NETWORKS.items():
        if path := _find(root, network.path):
            networks[name] = NetworkFile(path=str(path), directed=network.directed)
    stems = {path.name.removesuffix(".gz").removesuffix(".tsv") for path in root.glob(_STRING + ".tsv*")}
    for stem in sorted(stems):
        if path := _find(root, stem):
            networks[stem] = NetworkFile(path=str(path), directed=False)
    return networks


def _find(root: Path, stem: str, endings: tuple[str, ...] = _ENDINGS) -> Path | None:
    return next((root / f"{stem}{end}" for end in endings if (root / f"{stem}{end}").is_file()), None)
