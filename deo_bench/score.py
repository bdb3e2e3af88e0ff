"""A score: one number with its interval, its n and everything that makes it comparable to another."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Score(BaseModel):
    """One number of one subject on one task under one protocol. Holds no time and no host, so files compare byte for
    byte.

    subject: a run's name, or `backbones/NAME-<hex>`; n: test images (num_groups: independent groups among them);
    low, high: 95 % interval over test images or groups, none where it was not computed; bands: the band set fed;
    weights: `student`, `ema` or `file`; step: of the weights, none for what has no steps; digest: 8 hex of what
    defines the score; chosen: settings that the probe selected; on_edge: the best lies on the edge of its grid; role:
    the split that it is on; one on *select* is what a sweep tunes by, lies in `select/` and is no result.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: str
    task: str
    probe: str
    protocol: str
    metric: str
    direction: Literal["max", "min"] = "max"
    value: float
    low: float | None
    high: float | None
    n: int
    num_groups: int | None = None
    bands: str
    weights: str = "student"
    step: int | None = None
    partition: str = "default"
    band_labels: str = "published"
    task_content: str
    chosen: dict[str, Any] = {}
    on_edge: bool = False
    role: Literal["report", "select"] = "report"
    digest: str

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A score on the report split is written as it was before there was any other."""
        told: dict[str, Any] = dump(self)
        if told.get("role") == "report":
            del told["role"]
        return told

    @property
    def stem(self) -> str:
        """The score's file name without its ending."""
        return f"{self.task}.{self.probe}.{self.digest}"
