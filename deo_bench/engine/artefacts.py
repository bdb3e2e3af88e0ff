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
from deo_bench.engine.compute import compute_of
from deo_bench.engine.objective import Objective
from deo_bench.engine.training import Report, Training
from deo_bench.errors import StoreError
from deo_bench.files import cannot_write, checksum, write_bytes, write_json
from deo_bench.store import Lease, Run
from deo_bench.store.runs import PRUNED

LIBRARIES = ("deo-bench", "torch", "timm", "numpy", "lightning", "safetensors")


class Recorder:
    """Writes one run's files; every write first makes sure that the claim on the run still stands."""

    def __init__(self, run: Run, lease: Lease, contents: Mapping[str, Any]) -> None:
        self.run, self.lease = run, lease
        self.contents = dict(contents)
        self._log: list[str] = []
        self._threads: list[int] = []

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
        torch.save({**training.state(), "threads": self._all_threads()}, buffer)
        write_bytes(self.run.resume_path / "state.pt", buffer.getvalue())

    def resume(self, training: Training, steps: tuple[int, ...] = ()) -> str:
        """Go on from the last checkpoint; what there is to say of it, nothing where there is none.

        The log is cut back to its step. A checkpoint that is torn, or past one of `steps` whose weights were not kept,
        is removed and a StoreError: the run begins again, with a training that has to be built anew.
        """
        path = self.run.resume_path / "state.pt"
        if not path.is_file():
            self._cut_log(0)
            return ""
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")
            training.load(state)
            self._threads = [int(count) for count in state["threads"]]
        except Exception as error:
            # Whatever a torn checkpoint raises, the remedy is one: begin again, and say so.
            raise self._forgotten(f"{path}: torn or of other parts ({type(error).__name__})") from None
        for step in steps:
            if step <= training.step and not self.run.weights("student", step).is_file():
                raise self._forgotten(f"{path}: is past step {step}, whose weights are wanted and were not kept")
        self._cut_log(training.step)
        return f"goes on from step {training.step}{self._other_threads()}"

    def keep(self, training: Training, step: int | None = None) -> None:
        """The weights: of the student, and of a teacher that follows it."""
        self.lease.check()
        write_bytes(self.run.weights("student", step), tensors_of(training.student, training.recipe.student.use))
        following = {role: teacher for role, teacher in training.teachers.items() if teacher.follows}
        # Of several that follow, the moving average is the one that is meant by its name.
        named = [role for role in following if training.recipe.teachers[role].use == "ema"]
        for role in (named or list(following))[:1]:
            weights = tensors_of(following[role].backbone, training.recipe.student.use)
            write_bytes(self.run.weights("ema", step), weights)

    def finish(self, training: Training, statistics: Statistics, seconds: float, marks: list[str]) -> None:
        """Weights and fitted targets, then `run.json`: a run that has it is done. The state to resume from goes."""
        self.keep(training)
        if fitted := transforms_of(training.objective):
            write_bytes(self.run.path / "targets.safetensors", fitted)
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
            "compute": compute_of(training, statistics),
            "seconds": round(seconds, 2),
            **surroundings(),
        }
        if training.student.origin:
            info["start"] = training.student.origin
        if len(self._all_threads()) > 1:
            info["threads_before"] = self._all_threads()[:-1]
        self.lease.check()
        write_json(self.run.path / "run.json", info)
        shutil.rmtree(self.run.resume_path, ignore_errors=True)

    def prune(self, training: Training) -> None:
        """Stop the run where it is: its state to resume from, then a record that says so. Whoever wants it goes on."""
        self.checkpoint(training)
        self.lease.check()
        told = {"state": PRUNED, "seed": training.seed, "step": training.step, "steps": training.recipe.train.steps}
        write_json(self.run.path / "run.json", {**told, **surroundings()})

    def fail(self, reason: str) -> None:
        """Record why the run stopped; the same command tries it again."""
        with contextlib.suppress(StoreError):
            self.lease.check()
            self._flush()
            write_json(self.run.path / "run.json", {"state": "failed", "reason": reason, **surroundings()})

    def _flush(self) -> None:
        if not self._log:
            return
        path = self.run.path / "train.jsonl"
        try:
            with path.open("a", encoding="utf-8") as stream:
                stream.write("\n".join(self._log) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise cannot_write(path, error) from error
        self._log = []

    def _forgotten(self, reason: str) -> StoreError:
        shutil.rmtree(self.run.resume_path, ignore_errors=True)
        self._threads = []
        self._cut_log(0)
        return StoreError(f"{reason}; the run begins again")

    def _all_threads(self) -> list[int]:
        """The numbers of threads that the run has been trained on, the present one last."""
        present = torch.get_num_threads()
        return [*(count for count in self._threads if count != present), present]

    def _other_threads(self) -> str:
        *before, present = self._all_threads()
        if not before:
            return ""
        counts = " and ".join(map(str, before))
        return (
            f" on {present} thread{'s'[: present > 1]} where it began on {counts}: its weights may differ in the last "
            "bits from those of a run that was not stopped"
        )

    def _cut_log(self, step: int) -> None:
        path = self.run.path / "train.jsonl"
        if not path.is_file():
            return
        kept = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError, KeyError, TypeError):
                if json.loads(line)["step"] < step:
                    kept.append(line)
        write_bytes(path, "".join(f"{line}\n" for line in kept).encode())


def tensors_of(module: nn.Module, name: str) -> bytes:
    """A module's weights as safetensors; one metadata key, since several are written in random order."""
    state = {key: value.detach().cpu().contiguous().clone() for key, value in sorted(module.state_dict().items())}
    return save(state, metadata={"deo_bench": json.dumps({"student": name}, sort_keys=True)})


def transforms_of(objective: Objective) -> bytes:
    """What target transforms were fitted, as safetensors: `TERM:ROLE:PLACE.buffer`; nothing where nothing was."""
    state = {key: value.detach().cpu().contiguous().clone() for key, value in objective.transforms.state_dict().items()}
    if not state:
        return b""
    told = {
        key: objective.recipe.objective[key.partition(":")[0]].target.model_dump(mode="json")
        for key in objective.transforms
    }
    return save(dict(sorted(state.items())), metadata={"deo_bench": json.dumps({"targets": told}, sort_keys=True)})


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
