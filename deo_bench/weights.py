"""Weights of parts: whether they are here, what their checksum is and how to get them; no torch."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deo_bench.declarations import Declaration
from deo_bench.errors import CannotWrite, MissingInput, StoreError, UserError
from deo_bench.files import checksum as digest_of
from deo_bench.files import code_checksum, read_json, write_json

HUB = "hub:"
FILENAME = "model.safetensors"
CHECKSUMS = "checksums.json"
GENERIC = ("model", "pytorch_model", "open_clip_model", "open_clip_pytorch_model")
"""Names of files that say nothing of their model: in a cache without folders they could be anyone's."""


@dataclass(frozen=True)
class Weights:
    """Where a part's weights stand.

    path: of the file, none where it is not here or none is needed; checksum: its sha256; remedy: how to get it, empty
    where nothing is missing; size: its bytes, or about how many there are to download, none where unknown; needed:
    false for a part that loads nothing (an untrained or hand-made one, or one that the engine hands a run to).
    """

    path: Path | None
    checksum: str | None
    remedy: str
    size: int | None
    needed: bool = True

    @property
    def missing(self) -> bool:
        """Whether the part cannot be built as things stand."""
        return self.needed and self.path is None


def locate(declaration: Declaration, options: Mapping[str, Any], cache: Path | None = None) -> Weights:
    """Where a part's weights are, without downloading and without importing torch.

    Read from the declaration: the fact `weights` (`"hub:OWNER/REPO"`, with `@REVISION` for one that is not main
    and `{option}` for an option's value;
    `"file"`: only a file of the user's; `"none"` or left out: nothing to load), `filename` in the hub's repository
    (`model.safetensors`; a list where a repository may keep one of several), `checksum` (sha256 or its first digits,
    where the source states one: any other file is refused), `gated` and `megabytes`. Read from the options: `file`,
    a path that comes before the hub. The hub's cache is looked up as huggingface_hub does (HF_HOME, HF_HUB_CACHE), then
    that of torch.hub (TORCH_HOME), where torchgeo keeps what it fetches. `cache` is a folder that remembers checksums
    by path, size and time of change.

    A part whose architecture is code of the user's own says so in the facts `code` (where it is published) and
    `requires` (an option that names the folder, and a file that has to be in it): without it the part cannot be
    built, and its checksum says which code it was.
    """
    who = f"{declaration.kind} {declaration.name}"
    if told := _lacks_code(declaration, options, who):
        return Weights(None, None, told, None)
    found = find(who, _filled(declaration, options), options.get("file"), cache)
    if found.checksum is None or "requires" not in declaration.facts:
        return found
    folders = [Path(options[name]) for name in declaration.facts["requires"]]
    return replace(found, checksum="+".join([found.checksum, *(code_checksum(folder)[:12] for folder in folders)]))


def look(declaration: Declaration, options: Mapping[str, Any] | None = None) -> Weights:
    """Where a part's weights are, without reading them: there is no checksum, however large they are."""
    options = options or {}
    who = f"{declaration.kind} {declaration.name}"
    if told := _lacks_code(declaration, options, who):
        return Weights(None, None, told, None)
    return find(who, _filled(declaration, options), options.get("file"), is_read=False)


def find(
    who: str, facts: Mapping[str, Any], file: Path | str | None, cache: Path | None = None, is_read: bool = True
) -> Weights:
    """`locate` from the facts and the option `file` alone; a file that is named and not there is an error."""
    if file is not None:
        path = in_folder(Path(file))
        if not path.is_file():
            raise MissingInput(f"{who}: file = {str(file)!r} is not there", "name a file of weights")
        return _here(path, cache) if is_read else Weights(path, None, "", path.stat().st_size)
    source = str(facts.get("weights", "none"))
    if source == "file":
        return Weights(None, None, "name its weights, file = PATH", None)
    if not source.startswith(HUB):
        return Weights(None, None, "", None, needed=False)
    cached = _cached(facts)
    if cached is not None and is_read:
        found = _here(cached, cache)
        _hold(found, facts, who)
        return found
    if cached is not None:
        return Weights(cached, None, "", cached.stat().st_size)
    size = int(facts["megabytes"] * 1e6) if "megabytes" in facts else None
    return Weights(None, None, _remedy(facts), size)


def fetch(who: str, facts: Mapping[str, Any], file: Path | str | None = None) -> Path:
    """The file of a part's weights, downloaded from the hub where it is not here yet.

    What cannot be had (offline, gated, no such file) is a MissingInput with the command that gets it.
    """
    is_stated = "checksum" in facts  # nobody else reads the whole file for its digest here
    found = find(who, facts, file, is_read=is_stated and file is None)
    if found.path is not None:
        return found.path
    if not str(facts.get("weights", "")).startswith(HUB):
        raise MissingInput(f"{who}: no weights are named", found.remedy)
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        repository = _hub_address(facts)[0]
        raise MissingInput(f"{who}: {repository} is not in the hub's cache, and HF_HUB_OFFLINE is set", found.remedy)
    path = _download(facts, who, found.remedy)
    if is_stated:
        _hold(_here(path, None), facts, who)
    return path


def recorded(path: Path, cache: Path) -> str:
    """A file's checksum as a folder remembers it from when the file was first loaded; empty where it does not."""
    return _known(cache).get(_key(path), "")


def checksum(path: Path, cache: Path | None = None) -> str:
    """sha256 of a file; remembered in a folder by path, size and time of change, where one is given."""
    key, known = _key(path), _known(cache)
    if key in known:
        return known[key]
    digest = digest_of(path)
    if cache is not None:
        with contextlib.suppress(CannotWrite):  # a store that is only read is answered from all the same
            write_json(cache / CHECKSUMS, {**_known(cache), key: digest})
    return digest


def _lacks_code(declaration: Declaration, options: Mapping[str, Any], who: str) -> str:
    """How to bring the code that a part's architecture is made of, empty where it is here or none is wanted."""
    for name, marker in declaration.facts.get("requires", {}).items():
        folder = options.get(name)
        if folder is None:
            return f"set {name} = a folder with a checkout of {declaration.facts['code']}, whose code is then run"
        if not (Path(folder) / marker).is_file():
            raise MissingInput(
                f"{who}: {name} = {str(folder)!r} holds no {marker}", f"check out {declaration.facts['code']}"
            )
    return ""


def in_folder(path: Path) -> Path:
    """The one file of weights in a folder as the hub's models are kept in; the path itself where it is no folder."""
    names = [f"{name}{ending}" for name in GENERIC for ending in (".safetensors", ".bin")] if path.is_dir() else []
    return next((path / name for name in names if (path / name).is_file()), path)


def _filled(declaration: Declaration, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The facts, with the values of options, or their defaults, where the address of the weights names them."""
    address = str(declaration.facts.get("weights", "none"))
    for name, option in declaration.options.items():
        address = address.replace(f"{{{name}}}", str(options.get(name, option.default)))
    return {**declaration.facts, "weights": address}


def _here(path: Path, cache: Path | None) -> Weights:
    return Weights(path, checksum(path, cache), "", path.stat().st_size)


def _hold(found: Weights, facts: Mapping[str, Any], who: str) -> None:
    """Refuse a file that is not the one whose checksum the source states."""
    stated = str(facts.get("checksum", ""))
    if not (found.checksum or "").startswith(stated):
        given = str(found.checksum)[: len(stated)]
        raise UserError(
            f"{who}: {found.path} has checksum {given}, its source states {stated}; delete it, fetch it again"
        )


def _cached(facts: Mapping[str, Any]) -> Path | None:
    """The file in the cache of the hub, else in that of torch.hub."""
    from huggingface_hub import try_to_load_from_cache

    repository, filenames, revision = _hub_address(facts)
    for filename in filenames:
        found = try_to_load_from_cache(repository, filename, revision=revision)
        if isinstance(found, str) and Path(found).is_file():
            return Path(found)
    own = [_torch_hub() / filename for filename in filenames if Path(filename).stem not in GENERIC]
    return next((path for path in own if path.is_file()), None)


def _torch_hub() -> Path:
    """Where torch.hub keeps checkpoints, by its own rules."""
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{caches}/torch")).expanduser() / "hub" / "checkpoints"


def _download(facts: Mapping[str, Any], who: str, remedy: str) -> Path:
    """The first of the file's possible names that the hub has."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    repository, filenames, revision = _hub_address(facts)
    for number, filename in enumerate(filenames, 1):
        try:
            return Path(hf_hub_download(repository, filename, revision=revision))
        except Exception as error:  # whatever the network, the hub or its client says, the user needs the same line
            if isinstance(error, EntryNotFoundError) and number < len(filenames):
                continue
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise MissingInput(f"{who}: {repository} cannot be downloaded ({reason[:160]})", remedy) from error
    raise MissingInput(f"{who}: {repository} has no file that is known", remedy)


def _hub_address(facts: Mapping[str, Any]) -> tuple[str, Sequence[str], str | None]:
    repository, _, revision = str(facts["weights"]).removeprefix(HUB).partition("@")
    if repository.count("/") != 1:
        raise UserError(f"weights = {facts['weights']!r}: expected hub:OWNER/REPO")
    named = facts.get("filename", FILENAME)
    return repository, [named] if isinstance(named, str) else list(named), revision or None


def _remedy(facts: Mapping[str, Any]) -> str:
    repository, (filename, *_), revision = _hub_address(facts)
    at = f" --revision {revision}" if revision else ""
    page = f"https://huggingface.co/{repository}"
    access = f"accept its licence at {page} and `hf auth login`, then " if facts.get("gated") else ""
    return f"{access}run `hf download {repository} {filename}{at}` where there is a network, or set file = PATH"


def _key(path: Path) -> str:
    status = path.stat()
    return f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"


def _known(cache: Path | None) -> dict[str, str]:
    if cache is None or not (cache / CHECKSUMS).is_file():
        return {}
    try:
        known = read_json(cache / CHECKSUMS)
    except StoreError:
        return {}  # everything in it can be computed again
    return known if isinstance(known, dict) else {}
