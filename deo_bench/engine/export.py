"""A student outside its store: one safetensors file that says all that is needed to build it, read with suspicion."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from deo_bench import __version__
from deo_bench.engine.build import Statistics, build_student
from deo_bench.engine.stored import stored_student, without_files
from deo_bench.errors import StoreError, UserError, shown
from deo_bench.files import read_json
from deo_bench.recipe import StudentTable, canonical
from deo_bench.registry import Registry
from deo_bench.store import Run
from deo_bench.students import Student

FORMAT = 1
FILE = "student.safetensors"
KEY = "deo_bench"
"""The one key of metadata: several are written in random order."""

_AGAIN = "`deo-bench export RUN` writes one"


def exported(run: Run, registry: Registry, which: str = "student") -> tuple[bytes, dict[str, Any]]:
    """The file of a run's student, or of its EMA teacher's copy, and what its metadata tell; the same bytes each time.

    An unfinished run, weights that it has not, and a student that needs a teacher's weights beside its own are
    UserErrors.
    """
    contents, info = read_json(run.path / "recipe.json"), run.info
    if held := (contents["recipe"]["student"].get("teacher") or {}).get("use"):
        raise UserError(
            f"run {run.name}: its student looks at teacher {held!r}, whose weights are not its own, so it cannot leave "
            f"the store; load_student({str(run.path)!r}) loads it there"
        )
    student = stored_student(run, registry, which)
    state = {name: value.detach().cpu().contiguous().clone() for name, value in sorted(student.state_dict().items())}
    table = contents["recipe"]["student"]
    told: dict[str, Any] = {
        "format": FORMAT,
        "written_by": __version__,
        "run": run.name,
        "weights": which,
        "student": table,
        "statistics": info["statistics"],
        "parts": _versions(table, registry),
        "versions": info.get("versions", {}),
        **layout(student),
    }
    told["digest"] = _digest(told, state)
    return save(state, metadata={KEY: json.dumps(told, sort_keys=True)}), told


def layout(student: Student) -> dict[str, Any]:
    """What a student takes and gives: bands and normalisation by band set, widths, levels with channels and stride."""
    normalisations = {name: vars(one) for name, one in student.normalisations.items()}
    levels = {
        name: {"number": number, "channels": student.width(name), "stride": student.stride(name)}
        for name, number in student.levels.items()
    }
    told = {
        "bands": student.band_sets,
        "normalisation": normalisations,
        "pooled": student.pooled_dims,
        "default": student.default,
        "levels": levels,
    }
    plain: dict[str, Any] = json.loads(json.dumps(told))
    return plain


def read_export(path: Path, registry: Registry) -> tuple[Student, dict[str, Any]]:
    """The student of a file that `exported` made, in evaluation mode, and what its metadata tell.

    A file that is truncated, foreign, changed since, of another version of a part or of other shapes is a UserError.
    The digest finds damage and edits, not a forger, who can make another; nothing is unpickled or run either way.
    """
    told, state = _read(path)
    _check_versions(path, told, registry)
    try:
        with torch.device("meta"):  # a table that is not this file's own must not fill the memory
            _check_shapes(path, _built(told, registry).state_dict(), state)
        student = _built(told, registry)
    except UserError as error:
        raise StoreError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise StoreError(f"{path}: its metadata describe no student ({type(error).__name__})") from None
    student.load_state_dict(state)
    return student.eval(), told


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
            state = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (it is no mapping)
    except (OSError, SafetensorError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StoreError(f"{path}: not a whole safetensors file ({reason}); export it again") from None
    try:
        told = json.loads(metadata[KEY])
        number = told["format"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise StoreError(f"{path}: is no exported student; {_AGAIN}") from None
    if number != FORMAT:
        raise StoreError(f"{path}: has format {shown(number)}, this deo-bench reads {FORMAT}; export it again")
    if _digest(told, state) != told.get("digest"):
        raise StoreError(f"{path}: damaged, or changed since it was exported; export it again")
    return told, state


def _built(told: Mapping[str, Any], registry: Registry) -> Student:
    table = without_files(StudentTable.model_validate(told["student"]), registry)
    return build_student(table, Statistics.from_json(told["statistics"]), registry, seed=0)


def _check_versions(path: Path, told: Mapping[str, Any], registry: Registry) -> None:
    """Another version of a part would give other numbers from the same weights."""
    try:
        here, there = _versions(told["student"], registry), dict(told["parts"])
    except UserError as error:
        raise StoreError(f"{path}: {error}; name a part file of your own with parts") from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise StoreError(f"{path}: its metadata describe no student") from None
    for part, version in here.items():
        if there.get(part) != version:
            raise StoreError(
                f"{path}: was made by version {there.get(part)} of {part}, here is {version}; "
                f"install deo-bench {told.get('written_by')} to read it, or export the run again"
            )


def _check_shapes(path: Path, own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    for name in sorted(own.keys() | given.keys()):
        if name not in given or name not in own:
            raise StoreError(f"{path}: it {'lacks' if name in own else 'has'} {name}, against what it says it is")
        if own[name].shape != given[name].shape or own[name].dtype != given[name].dtype:
            told = [f"{tuple(one[name].shape)} {one[name].dtype}".replace("torch.", "") for one in (given, own)]
            raise StoreError(f"{path}: {name} is {told[0]}, the student that it says it is wants {told[1]}")


def _versions(table: Mapping[str, Any], registry: Registry) -> dict[str, str]:
    parts = (("student", table["use"]), ("stem", table["stem"]["use"]))
    return {f"{kind} {name}": registry.get(kind, name).identity for kind, name in parts}


def _digest(told: Mapping[str, Any], state: Mapping[str, Tensor]) -> str:
    """The sha256 of everything in the file: what is told, and the tensors by name."""
    found = hashlib.sha256(canonical({key: value for key, value in told.items() if key != "digest"}).encode())
    for name, value in sorted(state.items()):
        found.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        found.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
