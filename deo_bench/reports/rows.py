"""Which trials of a sweep have rows in its tables, and what they are called there."""

from __future__ import annotations

from deo_bench.reports.searched import Searched, Tried
from deo_bench.reports.trials import best

_MOST_BEST = 3


def row_name(study: Searched, row: str, finalist: int | None) -> str:
    """What a finalist is called where its cell stands above it or before it."""
    if not study.cell:
        return row
    return "default" if finalist is None else f"trial {finalist}"


def is_held(study: Searched) -> bool:
    """Whether anything is held against fresh seeds yet; the recipe as it stands is planned from the start."""
    return has_final(study) or any(seeds for finalist in study.finalists for seeds in finalist.fresh)


def has_final(study: Searched) -> bool:
    """Whether any of a study's trials were chosen to be run with fresh seeds."""
    return any(finalist.number is not None for finalist in study.finalists)


def unheld(study: Searched, has_default: bool) -> list[Tried]:
    """The recipe as it stands, where it has no row yet, and the best so far."""
    default = [trial for trial in study.trials if trial.is_default and not has_default]
    others = [trial for trial in best(study, most=_MOST_BEST) if not (trial.is_default and has_default)]
    return list({trial.number: trial for trial in [*default, *others]}.values())


def trial_name(trial: Tried) -> str:
    """What a trial is called that is no finalist."""
    return "default" if trial.is_default else f"trial {trial.number}"


def rows_of(study: Searched) -> list[tuple[str, Tried | None]]:
    """The rows of the table of finalists, each with its trial; none of a recipe as it stands that is no trial."""
    made: list[tuple[str, Tried | None]] = []
    if is_held(study):
        by_number = {trial.number: trial for trial in study.trials}
        default = next((trial for trial in study.trials if trial.is_default), None)
        made = [
            (
                row_name(study, one.row, one.number),
                default if one.number is None else by_number.get(one.number),
            )
            for one in study.finalists
        ]
    if has_final(study):
        return made
    return made + [(trial_name(trial), trial) for trial in unheld(study, bool(made))]
