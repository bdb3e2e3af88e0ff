"""What an experiment expects, as written in its file.

An expectation is a table of the experiment file:

    [[expect]]
    better = "optical=tiny_optical"      # a row's label or a list of them; "optical=*" is every cell of such a label
    than = "untrained"                   # likewise; every pair is a comparison
    by = 0.5                             # points that it is better by at least; -1: not worse by more than one
    tasks = ["scenes-parcels"]           # else every task of the experiment; each is a comparison of its own
    together = true                      # instead one comparison, of the means over the tasks
    bands = "s2_10"                      # a band set or a list; needed where both rows are scored on several
    probe = "knn5_l2"                    # else the first of the protocol; weights, protocol, partition likewise
    why = "DEO's ablation, table 5"

    [[expect]]
    alike = ["same 01", "same 02"]       # every pair is within so many points of one another
    within = 1.0

`untrained` is also the cell that is the untrained student. Where less is better, better is less.
"""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import BeforeValidator, Field, model_validator

from deo_bench.declarations import Number, Positive
from deo_bench.recipe.checking import refuse_repeats
from deo_bench.recipe.models import Table
from deo_bench.reports.declared import points

Names = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    Field(min_length=1),
]


class Expect(Table):
    """One `[[expect]]` as written: `better` and `than`, or `alike` and `within`; by and within are in points."""

    better: Names | None = None
    than: Names | None = None
    by: Annotated[Number, Ge(-100), Le(100)] = 0.0
    alike: Names | None = None
    within: Annotated[Positive, Le(100)] | None = None
    tasks: Names | None = None
    together: Annotated[bool, Field(strict=True)] = False
    bands: Names | None = None
    weights: Literal["student", "ema"] | None = None
    protocol: str | None = None
    probe: str | None = None
    partition: str | None = None
    why: str = ""

    @model_validator(mode="after")
    def _one_form(self) -> Expect:
        given = self.model_fields_set
        is_order, is_alike = bool(given & {"better", "than", "by"}), bool(given & {"alike", "within"})
        if is_order and is_alike:
            raise ValueError(
                "says two things; `better` and `than`, or `alike` and `within`, in a table of its own each"
            )
        wanted = ("alike", "within") if is_alike else ("better", "than")
        for key, other in (wanted, wanted[::-1]):
            if getattr(self, key) is None:
                has = f"has {other!r} and lacks" if getattr(self, other) is not None else "lacks"
                raise ValueError(f"{has} {key!r}; say `better` and `than`, or `alike` and `within`")
        for key in ("better", "than", "alike", "tasks", "bands"):
            refuse_repeats(getattr(self, key) or (), key)
        return self

    @property
    def words(self) -> str:
        """What it says, in a line."""
        on = f" on {'the mean of ' if self.together else ''}{', '.join(self.tasks)}" if self.tasks else ""
        if self.alike:
            return f"{' and '.join(self.alike)} alike within {points(self.within or 0)}{on}"
        ours, theirs = " and ".join(self.better or ()), " and ".join(self.than or ())
        if self.by < 0:
            return f"{ours} not worse than {theirs} by more than {points(-self.by)}{on}"
        return f"{ours} better than {theirs}{f' by {points(self.by)} or more' if self.by else ''}{on}"
