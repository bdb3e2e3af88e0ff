"""A recipe as data: everything that can change a run's weights, with every default filled in."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, Lt
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from deo_bench.data.view_settings import Views
from deo_bench.declarations import Count, Fraction, NonNegative, Number, Positive, Whole
from deo_bench.normalisation import Named
from deo_bench.schedules import Schedule

Pairs = Literal["cross", "same", "all"]
Crops = Literal["global", "all"]
Aggregate = Literal["mean_loss", "mean_target", "concat_target"]
Beta = Annotated[Number, Ge(0), Lt(1)]
Grid = Literal["target", "student", "smaller"]
PIXELS = "pixels"
"""What a term goes toward that reconstructs: the student's own normalised input, each cell's pixels as its channels."""


INIT = "student.init"
"""What stands for the weights that a student starts from, where weights are told by the roles of teachers."""


class Table(BaseModel):
    """A table of a recipe: unknown keys are errors, and nothing changes once it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PartTable(Table):
    """A part by name with its options, every default filled in."""

    use: str
    options: dict[str, Any] = {}


class InitTable(Table):
    """What a student starts from where it is no draw.

    source (`from`): timm's published weights of `model` (`hub`), a `file` in timm's names (of `model`, where it has to
    be converted), the network of a frozen teacher (`teacher`), or a `run`'s student, said as the teacher of that name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    source: Literal["hub", "file", "teacher", "run"] = Field(alias="from")
    model: str | None = None
    file: str | None = None
    teacher: PartTable | None = None

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told = {name: value for name, value in dump(self).items() if value is not None}
        told.pop("source", None)
        return {**told, "from": self.source}


class StudentTable(PartTable):
    """The student: a family, the band sets that it is fed, its stem, and how its pixels are normalised.

    teacher: the frozen teacher that is handed to a student that injects one's maps; init: what the weights start from,
    none where they are drawn.
    """

    bands: tuple[str, ...]
    stem: PartTable
    teacher: PartTable | None = None
    normalise: Named = "dataset_zscore"
    init: InitTable | None = None

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A student that is drawn is called what it was called before there was anything else."""
        told: dict[str, Any] = dump(self)
        if told.get("init") is None:
            told.pop("init", None)
        return told


class TeacherTable(PartTable):
    """A teacher: a part, which views it is shown, and how they are normalised for it.

    views: the student's own (`augmented`, colours included), or the same crops as they came (`clean`); normalise: the
    teacher's own way (`native`), or the student's of the same bands (`student`, as DEO's code has it).
    """

    views: Literal["augmented", "clean"] = "augmented"
    normalise: Literal["native", "student"] = "native"


class HeadTable(PartTable):
    """A head that terms share; `width` is the width that it projects to."""

    width: Count


class Term(Table):
    """A loss with a target, a place, a head and a weight.

    toward: roles of teachers, or `student` (another pass of the same student), `pixels` (its own input), or nothing;
    on, target_on: pooled names or levels, two by two, but for a head that takes all levels of `on` together; head: a
    name under [heads], a head of the term's own (an `mlp` where nothing is said and the loss needs one width), or none.
    """

    loss: str
    options: dict[str, Any] = {}
    toward: tuple[str, ...] = ()
    aggregate: Aggregate = "mean_loss"
    sees: str
    on: tuple[str, ...] = ("default",)
    target_sees: str | None = None
    target_on: tuple[str, ...] = ("default",)
    pairs: Pairs
    crops: Crops
    head: str | PartTable | None
    target: PartTable
    grid: Grid = "target"
    weight: Number | Schedule = 1.0


class Train(Table):
    """How a student is trained; the defaults are DEO's (the learning rate is for a global batch of 256).

    warmup: share of the steps in which the learning rate rises from 0; weight_decay: from and to, cosine, only on
    tensors of two dimensions or more; clip: of the gradient's norm, globally or a tensor at a time, none for no
    clipping; clusters: how many groups images that carry none are put into by their mean spectrum, for losses that
    need groups.
    """

    steps: Annotated[Whole, Ge(0), Le(10**9)] = 100_000
    batch: Annotated[Whole, Ge(2), Le(10**6)] = 256
    optimiser: Literal["adamw", "sgd"] = "adamw"
    lr: Positive = 5e-4
    lr_end: NonNegative = 1e-6
    warmup: Fraction = 0.1
    weight_decay: tuple[NonNegative, NonNegative] = (0.04, 0.4)
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    clip: Positive | None = 3.0
    clip_by: Literal["global", "tensor"] = "global"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    clusters: Annotated[Whole, Ge(2), Le(10**6)] | None = None


class Recipe(Table):
    """Everything that can change the weights of a run but its seed."""

    data: PartTable
    views: Views
    student: StudentTable
    teachers: dict[str, TeacherTable] = {}
    heads: dict[str, HeadTable] = {}
    objective: dict[str, Term] = {}
    balance: PartTable
    train: Train

    @property
    def every_teacher(self) -> dict[str, PartTable]:
        """Teachers by role; what the student holds as `student`, what it starts from as `student.init`, names that no
        role can have.
        """
        held = {} if self.student.teacher is None else {"student": self.student.teacher}
        start = self.student.init
        first = {} if start is None or start.teacher is None else {INIT: start.teacher}
        return {**self.teachers, **held, **first}

    @property
    def is_untrained(self) -> bool:
        """Whether the run is the student as it was initialised."""
        return not self.objective or self.train.steps == 0
