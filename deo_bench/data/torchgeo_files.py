"""Where the data sets that torchgeo reads are published: addresses and checksums, as torchgeo 0.8.1 states them."""

from __future__ import annotations

from collections.abc import Mapping

from deo_bench.data.download import Download, hub_file

_SPLITS = ("train", "val", "test")
_EUROSAT = ("torchgeo/eurosat", "1ce6f1bfb56db63fd91b6ecc466ea67f2509774c")
_BIGEARTHNET = (
    "https://git.tu-berlin.de/rsim/BigEarthNet-MM_19-classes_models/-/raw/9a5be07346ab0884b2d9517475c27ef9db9b5104"
)
_SPACENET = "https://spacenet-dataset.s3.amazonaws.com/spacenet/SN1_buildings/tarballs"

MD5: Mapping[str, str] = {
    "EuroSATallBands.zip": "5ac12b3b2557aa56e1826e981e8e200e",
    "eurosat-train.txt": "908f142e73d6acdf3f482c5e80d851b1",
    "eurosat-val.txt": "95de90f2aa998f70a3b2416bfe0687b4",
    "eurosat-test.txt": "7ae5ab94471417b6e315763121e67c5f",
    "eurosat-spatial-train.txt": "7be3254be39f23ce4d4d144290c93292",
    "eurosat-spatial-val.txt": "acf392290050bb3df790dc8fc0ebf193",
    "eurosat-spatial-test.txt": "5ec1733f9c16116bf0aa2d921fc613ef",
    "BigEarthNet-S2-v1.0.tar.gz": "5a64e9ce38deb036a435a7b59494924c",
    "bigearthnet-train.csv": "623e501b38ab7b12fe44f0083c00986d",
    "bigearthnet-val.csv": "22efe8ed9cbd71fa10742ff7df2b7978",
    "bigearthnet-test.csv": "697fb90677e30571b9ac7699b7e5b432",
    "Onera Satellite Change Detection dataset - Images": "c50d4a2941da64e03a47ac4dec63d915",
    "Onera Satellite Change Detection dataset - Train Labels": "4d2965af8170c705ebad3d6ee71b6990",
    "Onera Satellite Change Detection dataset - Test Labels": "8177d437793c522653c442aa4e66c617",
    "SN1_buildings_train_AOI_1_Rio_3band.tar.gz": "279e334a2120ecac70439ea246174516",
    "SN1_buildings_train_AOI_1_Rio_8band.tar.gz": "6440a9eedbd7c4fe9741875135362c8c",
    "SN1_buildings_train_AOI_1_Rio_geojson_buildings.tar.gz": "b6e02fbd727f252ea038abe4f77a77b3",
    "PASTIS-R.zip": "4887513d6c2d2b07fa935d325bd53e09",
}
"""By the file's name, or by the folder that an archive without a name becomes."""

_ONERA = {
    "Images": "https://partage.imt.fr/index.php/s/gKRaWgRnLMfwMGo/download",
    "Train Labels": "https://partage.mines-telecom.fr/index.php/s/2D6n03k58ygBSpu/download",
    "Test Labels": "https://partage.imt.fr/index.php/s/gpStKn4Mpgfnr63/download",
}


def eurosat_files(lists: str) -> tuple[Download, ...]:
    """EuroSAT's archive, and the lists of splits that are called `lists` (`eurosat`, `eurosat-spatial`)."""
    repository, revision = _EUROSAT
    page = f"https://huggingface.co/datasets/{repository}"
    archive = "EuroSATallBands.zip"
    address = hub_file(repository, archive, revision)
    found = [
        Download(address, to="eurosat/ds", unpack="zip", inside="ds", has=("images",), md5=MD5[archive], page=page)
    ]
    for name in (f"{lists}-{split}.txt" for split in _SPLITS):
        address = hub_file(repository, name, revision)
        found.append(Download(address, to=f"eurosat/{name}", md5=MD5[name], page=page))
    return tuple(found)


def bigearthnet_files() -> tuple[Download, ...]:
    """BigEarthNet v1's Sentinel-2 archive, and its lists of splits."""
    page, archive = "https://bigearth.net", "BigEarthNet-S2-v1.0.tar.gz"
    address = f"https://zenodo.org/records/12687186/files/{archive}"
    found = [Download(address, to="bigearthnet/BigEarthNet-v1.0", unpack="tar", md5=MD5[archive], page=page)]
    for split in _SPLITS:
        name, address = f"bigearthnet-{split}.csv", f"{_BIGEARTHNET}/splits/{split}.csv?inline=false"
        found.append(Download(address, to=f"bigearthnet/{name}", md5=MD5[name], page=page))
    return tuple(found)


def oscd_files() -> tuple[Download, ...]:
    """OSCD's three archives."""
    folders = {part: f"Onera Satellite Change Detection dataset - {part}" for part in _ONERA}
    page = "https://rcdaudt.github.io/oscd/"
    return tuple(
        Download(_ONERA[part], to=f"oscd/{folder}", unpack="zip", inside=folder, md5=MD5[folder], page=page)
        for part, folder in folders.items()
    )


def spacenet1_files(image: str) -> tuple[Download, ...]:
    """SpaceNet 1's labelled chips, of 3 or 8 bands, and their footprints."""
    names = {image: image, "geojson": "geojson_buildings"}
    archives = {folder: f"SN1_buildings_train_AOI_1_Rio_{name}.tar.gz" for folder, name in names.items()}
    return tuple(
        Download(
            f"{_SPACENET}/{archive}",
            to=f"spacenet1/SN1_buildings/train/{folder}",
            unpack="tar",
            md5=MD5[archive],
            page="https://spacenet.ai/spacenet-buildings-dataset-v1/",
        )
        for folder, archive in archives.items()
    )


def pastis_files() -> tuple[Download, ...]:
    """PASTIS-R's archive."""
    return (
        Download(
            "https://zenodo.org/records/5735646/files/PASTIS-R.zip?download=1",
            to="pastis/PASTIS-R",
            unpack="zip",
            has=("metadata.geojson", "DATA_S2", "ANNOTATIONS"),
            md5=MD5["PASTIS-R.zip"],
            page="https://github.com/VSainteuf/pastis-benchmark",
        ),
    )


def by_torchgeo(of: str, folder: object, options: str = "") -> str:
    """The command by which torchgeo's class fetches what is no single archive, checksums compared."""
    given = f"{str(folder)!r}, {options}download=True, checksum=True"
    return f'python -c "from torchgeo.datasets import {of}; {of}({given})"'
