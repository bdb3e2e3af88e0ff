"""Stored runs as teachers: any student that was trained here."""

from __future__ import annotations

from typing import Any, Literal

from deo_bench.backbone import Backbone
from deo_bench.errors import UserError
from deo_bench.teachers import teacher
from deo_bench.teachers._delegate import Delegate

ENTRIES: dict[str, dict[str, Any]] = {
    "run": {
        "summary": "A frozen student of a stored run, or of a recipe that is run first.",
    },
    "tiny_optical": {
        "summary": "A small RGB vision transformer, distilled from a hand-made shape descriptor on generated scenes.",
        "licence": "MIT",
        "trained_on": ["scenes (renderings of another seed, no labels)"],
        "recipe": "recipes/tiny-optical.toml",
    },
}


@teacher(ENTRIES, needs="run", weights="run", gated=False)
class Run(Delegate):
    """A run's student, frozen: its bands, its normalisation, its levels.

    The engine hands in the loaded student. Which one it is: `run`, a stored run's name (`3f9a1c2b7d04-s0`), or
    `recipe`, the file of a recipe that is trained first where that has not been done, with `seed`; the entry's fact
    `recipe` where neither is said. weights: the student's own, or those of its `ema` teacher; sees: the band set that
    is meant when none is named.

    `tiny_optical` is a distilled hand-made descriptor (`descriptors`: oriented gradients and the power spectrum), not
    a model of photographs: it knows shape and layout, and stands in for an optical teacher where no weights can be
    had. It learns without labels, but the descriptor's blocks were weighted by looking at scenes of known layout.
    """

    def __init__(
        self,
        name: str,
        student: Backbone,
        *,
        run: str | None = None,
        recipe: str | None = None,
        seed: int = 0,
        weights: Literal["student", "ema"] = "student",
        sees: str | None = None,
    ) -> None:
        own = ENTRIES[name].get("recipe")
        if (run and recipe) or not (run or recipe or own):
            raise UserError(f"teacher {name!r}: say run = a stored run's name, or recipe = a file, one of them")
        super().__init__(student, sees)
        self.name, self.run, self.recipe, self.seed, self.weights = name, run, recipe or own, seed, weights
