"""The tiny experiment as a sweep, for tests of its commands and of what befalls its workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deo_bench.experiments.file import read_experiment
from deo_bench.experiments.plan import Plan
from deo_bench.experiments.sweep.final import final_plan, searched_of
from deo_bench.experiments.sweep.plan import SweepPlan, make_sweep
from deo_bench.reports.searched import Searched
from tests.tiny import EXPERIMENT, write_npz

SWEEP = (
    EXPERIMENT.partition("[grid]")[0]
    .replace("seeds = [0, 1]", "seeds = [0]")
    .replace('["image_stats", "majority", "untrained"]', '["majority"]')
    .replace('["scenes-v1"]', '[{ use = "scenes-v1", bootstrap = 10, probes = { linear = { num_c = 2 } } }]')
    + """
[sweep]
trials = 4
best = 1
sampler = { use = "tpe", n_startup_trials = 2 }

[sweep.space]
objective.expand.weight = { low = 0.1, high = 3.0, log = true }
train.lr = { low = 1e-4, high = 1e-2, log = true }
"""
)


class Place:
    """A folder with data, the file of a sweep and a store; url: of the studies, where they are no journal in it."""

    def __init__(self, folder: Path, text: str = SWEEP, url: str | None = None) -> None:
        self.url = url
        self.folder, self.data, self.store, self.file = folder, folder / "data", folder / "runs", folder / "tiny.toml"
        if not self.data.exists():
            write_npz(self.data)
        self.file.write_text(text)

    def sweep(self, *overrides: str) -> SweepPlan:
        """The sweep of the file as it stands."""
        return make_sweep(read_experiment(str(self.file), overrides), self.store, self.data, self.url)

    def searched(self, *overrides: str) -> list[Searched]:
        """What a report would be told now."""
        made = self.sweep(*overrides)
        studies = made.studies_there()
        return searched_of(made, studies, final_plan(made, studies))

    def final(self) -> Plan:
        """The plan of the finalists."""
        made = self.sweep()
        return final_plan(made, made.studies_there())

    def found(self) -> list[dict[str, Any]]:
        """Of every trial what must not depend on how it came about."""
        (study,) = self.searched()
        told = [
            [each.number, each.state, each.values, dict(each.settings), each.run, dict(each.measured)]
            for each in study.trials
        ]
        return json.loads(json.dumps([told, [(each.row, each.searched, each.fresh) for each in study.finalists]]))

    def trained(self) -> set[str]:
        """The names of all runs that are done."""
        done = set()
        for path in self.store.glob("*-s*/run.json"):
            if json.loads(path.read_text())["state"] == "done":
                done.add(path.parent.name)
        return done

    def written(self) -> dict[Path, int]:
        """When each file of the store was written, but for those that studies and processes share."""
        every = [path for path in self.store.rglob("*") if path.is_file() and path.suffix != ".lock"]
        return {path: path.stat().st_mtime_ns for path in every if "sweeps" not in path.parts}
