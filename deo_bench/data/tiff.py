"""Folders of GeoTIFF files as images to pre-train on, cut into patches; patches with missing pixels are left out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from deo_bench.bands import BAND_SETS, canonical, check_unit, select
from deo_bench.data import Data, Pack, Places, data
from deo_bench.data.join import common_bands
from deo_bench.data.pack import input_key, pack_once, write_pack
from deo_bench.data.pack_checks import skipped_note
from deo_bench.declarations import Count, Fraction
from deo_bench.errors import MissingInput, UserError

READER = 1
"""Bumped when the same files would be packed to other content."""

_RATIO = 5000


@dataclass(frozen=True)
class Scene:
    """One file: bands by canonical name, size in pixels, number type, and the value that marks missing pixels."""

    path: Path
    bands: tuple[str, ...]
    height: int
    width: int
    dtype: np.dtype
    nodata: float | None

    def patches(self, size: int, stride: int) -> Iterator[np.ndarray]:
        """Every whole patch [C, size, size], row by row; memory for one strip at a time."""
        from rasterio.windows import Window

        with _opened(self.path) as file:
            for top in range(0, self.height - size + 1, stride):
                strip = _read(file, Window(0, top, self.width, size), self.path)
                for left in range(0, self.width - size + 1, stride):
                    yield strip[:, :, left : left + size]

    def missing(self, patch: np.ndarray) -> np.ndarray:
        """Which pixels [H, W] lack a value in some band."""
        lacking = np.zeros(patch.shape, dtype=bool)
        if patch.dtype.kind == "f":
            lacking |= ~np.isfinite(patch)
        if self.nodata is not None and np.isfinite(self.nodata):
            lacking |= patch == self.nodata
        return np.asarray(lacking.any(axis=0))


def read_scene(path: Path, bands: Sequence[str] = (), nodata: float | None = None) -> Scene:
    """What a GeoTIFF says of itself; bands are its band descriptions where none are given.

    A file that is truncated, claims far more than it stores, or has bands without a known name is a UserError.
    """
    with _opened(path) as file:
        labels = [BAND_SETS.get(label, (label,)) for label in bands]
        named = [label for group in labels for label in group] or list(file.descriptions)
        if not bands and not all(named):
            raise UserError(f"{path}: its {file.count} bands have no descriptions; say bands = [their names in order]")
        if len(named) != file.count:
            raise UserError(f"{path}: has {file.count} bands, {len(named)} are named: {', '.join(map(str, named))}")
        return Scene(
            path=path,
            bands=_canonical(named, path),
            height=file.height,
            width=file.width,
            dtype=_type_of(file, path),
            nodata=file.nodata if nodata is None else nodata,
        )


def read_layers(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """All pixels [C, H, W] of a GeoTIFF, by whatever names; one that claims more than it has is an error.

    size: height and width to bring them to, by the nearest pixel.
    """
    with _opened(path) as file:
        dtype = _type_of(file, path)
        return _read(file, None, path, size and (file.count, *size)).astype(dtype, copy=False)


def _type_of(file: Any, path: Path) -> np.dtype:
    """The numbers that a file's pixels are, once it has the bytes for what it claims."""
    dtypes = {np.dtype(kind) for kind in file.dtypes}
    claimed = file.count * file.height * file.width * max(dtype.itemsize for dtype in dtypes)
    if claimed > _RATIO * path.stat().st_size:
        raise UserError(f"{path}: claims {claimed} bytes of pixels and has {path.stat().st_size}; made up")
    dtype = np.result_type(*dtypes)
    if dtype.kind not in "iuf":
        raise UserError(f"{path}: pixels are {dtype}, expected whole or real numbers")
    return np.dtype(np.float32) if dtype == np.float64 else dtype


def _canonical(labels: Sequence[str], path: Path) -> tuple[str, ...]:
    try:
        names = tuple(canonical(label) for label in labels)
    except UserError as error:
        raise UserError(f"{path}: {error}; say bands = [their names in order]") from None
    if len(set(names)) != len(names):
        raise UserError(f"{path}: a band is there twice: {', '.join(names)}")
    return names


def _opened(path: Path) -> Any:
    """The file through GDAL's GeoTIFF driver alone: others would follow what a file points to."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            return rasterio.open(path, driver="GTiff")
        except (RasterioError, OSError) as error:
            raise UserError(f"{path}: truncated, or no GeoTIFF: {' '.join(str(error).split())[:120]}") from None


def _read(file: Any, window: Any, path: Path, shape: tuple[int, ...] | None = None) -> np.ndarray:
    from rasterio.errors import RasterioError

    try:
        return np.asarray(file.read(window=window, out_shape=shape))
    except (RasterioError, OSError) as error:
        raise UserError(f"{path}: truncated or damaged: {' '.join(str(error).split())[:120]}") from None


@data("folder")
class FolderImages(Data):
    """A folder of GeoTIFF files, cut into patches to pre-train on; those with missing pixels are dropped and counted.

    path: the folder, under the root of data or absolute. unit: what the pixels are in, which GeoTIFF does not say.
    bands: names of the files' bands in order (or a band set's name), where their descriptions do not say. patch,
    stride: pixels. missing: the share of pixels without a value that a patch may have (those pixels become 0). nodata:
    the value of a missing pixel, where the files do not say. unreadable: `skip` leaves out files that cannot be read
    through, and says how many.
    """

    version = 1

    def __init__(
        self,
        *,
        path: str,
        unit: str | None = None,
        bands: list[str] | None = None,
        patch: Count = 64,
        stride: Count | None = None,
        pattern: str = "**/*.tif*",
        nodata: float | None = None,
        missing: Fraction = 0.0,
        unreadable: Literal["refuse", "skip"] = "refuse",
    ) -> None:
        self.path, self.pattern, self.unreadable = path, pattern, unreadable
        self.unit = check_unit(unit, f"data folder, {path}")
        self.bands, self.nodata, self.missing = tuple(bands or ()), nodata, missing
        self.patch, self.stride = patch, stride or patch

    @property
    def data_sets(self) -> tuple[str, ...]:
        """The names of the folder and of those that it lies in."""
        return Path(self.path).parts

    def inputs(self, places: Places) -> tuple[Path, ...]:
        """The folder."""
        return (places.find(self.path, f"folder {self.path!r}"),)

    def pack(self, places: Places) -> Pack:
        """The patches of all files, in the order of their paths."""
        folder = places.find(self.path, f"folder {self.path!r}")
        paths = sorted(path for path in folder.glob(self.pattern) if path.is_file())
        if not paths:
            raise MissingInput(
                f"{folder}: no file matches {self.pattern!r}", "say pattern = …, or point --data elsewhere"
            )
        options = {key: value for key, value in vars(self).items() if key not in ("path", "unreadable")}
        key = input_key(folder.name, paths, {**options, "unreadable": self.unreadable}, READER)
        return pack_once(places, key, lambda target: self._build(target, folder, paths))

    def _build(self, target: Path, folder: Path, paths: Sequence[Path]) -> Pack:
        scenes, skipped = self._scenes(paths)
        bands = common_bands([(str(scene.path), scene.bands) for scene in scenes])
        dtype = np.result_type(*(scene.dtype for scene in scenes))
        good = [self._whole(scene) for scene in scenes]
        count, cut = sum(int(chosen.sum()) for chosen in good), sum(len(chosen) for chosen in good)
        notes = skipped_note(str(folder), "files", skipped, len(paths))
        if count < cut:
            notes.append(f"{folder}: {cut - count} of {cut} patches dropped for missing pixels")
        if not count:
            raise UserError(
                f"{folder}: no whole patch of {self.patch} pixels is left of {cut}; say patch or missing = …"
            )
        return write_pack(
            target,
            name=folder.name,
            images=self._patches(scenes, good, bands, dtype),
            count=count,
            bands=bands,
            unit=self.unit,
            splits={"fit": np.arange(count)},
            groups=np.repeat(np.arange(len(scenes)), [int(chosen.sum()) for chosen in good]),
            notes=notes,
        )

    def _scenes(self, paths: Sequence[Path]) -> tuple[list[Scene], list[str]]:
        """The files that can be read through, and why the others were skipped."""
        scenes: list[Scene] = []
        skipped: list[str] = []
        for path in paths:
            try:
                scene = read_scene(path, self.bands, self.nodata)
                if self.unreadable == "skip":
                    self._whole(scene)
                scenes.append(scene)
            except UserError as error:
                if self.unreadable == "refuse":
                    raise
                skipped.append(str(error))
        if not scenes:
            raise UserError(f"none of {len(paths)} files can be read; the first: {skipped[0]}")
        return scenes, skipped

    def _whole(self, scene: Scene) -> np.ndarray:
        """Which patches have few enough missing pixels."""
        shares = [scene.missing(patch).mean() for patch in scene.patches(self.patch, self.stride)]
        return np.asarray(shares, dtype=np.float64) <= self.missing

    def _patches(
        self, scenes: Sequence[Scene], good: Sequence[np.ndarray], bands: Sequence[str], dtype: np.dtype
    ) -> Iterator[np.ndarray]:
        for scene, chosen in zip(scenes, good, strict=True):
            places = select(scene.bands, bands, str(scene.path))
            for keep, patch in zip(chosen, scene.patches(self.patch, self.stride), strict=True):
                if keep:
                    lacking = scene.missing(patch)
                    filled = np.where(lacking, 0, patch) if lacking.any() else patch
                    yield filled[places].astype(dtype, copy=False)
