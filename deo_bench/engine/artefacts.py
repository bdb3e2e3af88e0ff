"""What a run leaves on disk: weights, recipe, log, and the state to resume from."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from deo_bench.engine.build import Statistics
from deo_bench.engine.training import Report, Training
from deo_bench.errors import StoreError
from deo_bench.files import checksum, write_bytes, write_json
from deo_bench.store import Lease, Run

LIBRARIES = ("deo-bench", "torch", "timm", "numpy", "lightning", "safetensors")


class Recorder:
    """Writes one run's files; every write first makes sure that the claim on the run still stands."""

    def __init__(self, run: Run, lease: Lease, contents: Mapping[str, Any]) -> None:
        self.run, self.lease = run, lease
        self.contents = dict(contents)
        self._log: list[str] = []

    def begin(self) -> None:
        """Write the recipe."""
        self.lease.check()
        write_json(self.run.path / "recipe.json", self.contents)

    def log(self, report: Report) -> None:
        """Remember a line for `train.jsonl`."""
        line: dict[str, Any] = {"step": report.step, "total": report.total, "lr": report.lr, "terms": report.terms}
        if report.spread is not None:
            line["spread"] = report.spread.__dict__
            line["collapsed"] = report.spread.is_collapsed
        self._log.append(json.dumps(line, sort_keys=True))

    def checkpoint(self, training: Training) -> None:
        """The log so far and the state to resume from; a state that is there is whole."""
        self.lease.check()
        self._flush()
        buffer = io.BytesIO()
        torch.save(training.state(), buffer)
        write_bytes(self.run.path / "resume" / "state.pt", buffer.getvalue())

    def resume(self, training: Training) -> bool:
        """Go on from the last checkpoint, if there is one that is whole; the log is cut back to its step."""
        path = self.run.path / "resume" / "state.pt"
        if not path.is_file():
            return False
        try:
            training.load(torch.load(path, weights_only=True, map_location="cpu"))
        except Exception as error:
            # Whatever a torn checkpoint raises, the remedy is one: begin again, and say so.
            shutil.rmtree(path.parent, ignore_errors=True)
            raise StoreError(f"{path}: torn or of other parts ({type(error).__name__}); the run begins again") from None
        self._cut_log(training.step)
        return True

    def keep(self, training: Training, step: int | None = None) -> None:
        """The weights: of the student, and of a teacher that follows it."""
        self.lease.check()
        write_bytes(self.run.weights("student", step), tensors_of(training.student, training.recipe.student.use))
        for teacher in training.teachers.values():
            if teacher.follows:
                write_bytes(self.run.weights("ema", step), tensors_of(teacher.backbone, training.recipe.student.use))
                break

    def finish(self, training: Training, statistics: Statistics, seconds: float, marks: list[str]) -> None:
        """Weights, then `run.json`: a run that has it is done. The state to resume from goes."""
        self.keep(training)
        self._flush()
        files = sorted(path for path in self.run.path.glob("*.safetensors"))
        info = {
            "state": "done",
            "seed": training.seed,
            "steps": training.step,
            "marks": marks,
            "statistics": statistics.as_json(),
            "checksums": {path.name: checksum(path) for path in files},
            "sizes": {path.name: path.stat().st_size for path in files},
            "seconds": round(seconds, 2),
            **surroundings(),
        }
        self.lease.check()
        write_json(self.run.path / "run.json", info)
        shutil.rmtree(self.run.path / "resume", ignore_errors=True)

    def fail(self, reason: str) -> None:
        """Record why the run stopped; the same command tries it again."""
        with contextlib.suppress(StoreError):
            self.lease.check()
            self._flush()
            write_json(self.run.path / "run.json", {"state": "failed", "reason": reason, **surroundings()})

    def _flush(self) -> None:
        if not self._log:
            return
        with (self.run.path / "train.jsonl").open("a", encoding="utf-8") as stream:
            stream.write("\n".join(self._log) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._log = []

    def _cut_log(self, step: int) -> None:
        path = self.run.path / "train.jsonl"
        if not path.is_file():
            return
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError, KeyError, TypeError):
                if json.loads(line)["step"] < step:
                    kept.append(line)
        write_bytes(path, "".join(f"{line}\n" for line in kept).encode())


def tensors_of(module: nn.Module, name: str) -> bytes:
    """A module's weights as safetensors; one metadata key, since several are written in random order."""
    state = {key: value.detach().cpu().contiguous().clone() for key, value in sorted(module.state_dict().items())}
    return save(state, metadata={"deo_bench": json.dumps({"student": name}, sort_keys=True)})


def surroundings() -> dict[str, Any]:
    """Where a run was made: beside its identity, never in it."""
    versions = {}
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "versions": versions,
        "commit": _commit(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _commit() -> str | None:
    """The commit of the working folder's repository, read without running git."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        head = folder / ".git" / "HEAD"
        if head.is_file():
            text = head.read_text(encoding="utf-8").strip()
            reference = folder / ".git" / text.removeprefix("ref: ")
            if text.startswith("ref: "):
                return reference.read_text(encoding="utf-8").strip() if reference.is_file() else None
            return text
    return None
