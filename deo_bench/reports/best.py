"""What a sweep's finalists set, to the last digit: a record a row, and the best one as a cell to paste."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from deo_bench.recipe.naming import json_text
from deo_bench.reports.answer import Answer
from deo_bench.reports.found import Fresh, Held, beats, by_fresh_seeds, held
from deo_bench.reports.rows import rows_of
from deo_bench.reports.searched import Searched, Tried
from deo_bench.reports.trials import value_of
from deo_bench.reports.wording import number

PASTE = (
    "to run it: a copy of the sweep's file beside it, without its [sweep] tables and with these lines at the end,",
    "goes to `deo-bench run`; any experiment that has the same recipe takes them likewise",
)
"""How what follows is used; a table of its own at the end of a file is at odds with none that stands there."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def best_settings(answer: Answer) -> dict[str, str]:
    """By file name the settings of every study's best finalist by fresh seeds; of studies without any none."""
    made = {}
    for place, (study, rows) in enumerate(zip(answer.searched, held(answer), strict=True), 1):
        if told := _of_study(study, rows):
            made[f"best-{place}.toml" if len(answer.searched) > 1 else "best.toml"] = told
    return made


def _of_study(study: Searched, rows: Mapping[str, tuple[Held, ...]]) -> str:
    tried, base = by_fresh_seeds(study, rows)
    trial = next((one for one in study.trials if tried and one.number == tried[0].number), None)
    if trial is None:
        return ""
    aim = study.aims[0]
    told = [f"study {study.study}{f' ({study.cell})' if study.cell else ''}", *study.told]
    told.append(f"{aim.name}, mean of fresh seeds on select: {_values(study, tried, base)}")
    if base and not beats(aim, tried[0], base[0]):
        told.append("no trial beats the recipe as it stands: there is nothing to paste")
        return _commented(told)
    own = value_of(trial, 0)
    at_its_seed = "" if own is None else f", {number(own, is_share=aim.is_share)} at its seed"
    run = f", run {trial.run}" if trial.run else ""
    told.append(f"trial {trial.number}{at_its_seed}{run}")
    told += PASTE
    finalist = next(one for one in study.finalists if one.number == trial.number)
    return _commented(told) + as_cell(finalist.row, finalist.written or exact(trial))


def _values(study: Searched, tried: Sequence[Fresh], base: Sequence[Fresh]) -> str:
    share = study.aims[0].is_share
    told = f"trial {tried[0].number} {number(tried[0].value, is_share=share)}"
    return told + (f", the recipe as it stands {number(base[0].value, is_share=share)}" if base else "")


def _commented(lines: Sequence[str]) -> str:
    return "".join(f"# {' '.join(line.split())}\n" for line in lines)


def exact(trial: Tried) -> Mapping[str, Any]:
    """A trial's settings as they are written in a recipe; as figures show them where nothing else is known."""
    return trial.written or trial.settings


def as_cell(name: str, settings: Mapping[str, Any]) -> str:
    """Settings as a named cell of an experiment."""
    return f"[[cells]]\nname = {_string(name)}\n{toml(settings)}"


def toml(settings: Mapping[str, Any]) -> str:
    """Settings as dotted lines; a table or a name below which another path lies is opened, as TOML asks."""
    lines: dict[str, str] = {}
    for path, value in settings.items():
        is_opened = any(other.startswith(f"{path}.") for other in settings)
        opened = value if isinstance(value, Mapping) else {"use": value}
        told = {f"{path}.{key}": item for key, item in opened.items()} if is_opened else {path: value}
        lines |= {where: inline(item) for where, item in told.items() if where == path or where not in settings}
    return "".join(f"{'.'.join(map(_key, path.split('.')))} = {value}\n" for path, value in lines.items())


def inline(value: Any) -> str:
    """A value as TOML has it on one line."""
    if isinstance(value, Mapping):
        return (
            f"{{ {', '.join(f'{_key(str(key))} = {inline(item)}' for key, item in value.items())} }}" if value else "{}"
        )
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(inline, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else _string(str(value))


def _key(word: str) -> str:
    return word if _BARE.fullmatch(word) else _string(word)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def comma_separated(searched: Sequence[Searched]) -> str:
    """A record a row of the table of settings, to the last digit."""
    paths = list(dict.fromkeys(axis.path for study in searched for axis in study.axes))
    text = io.StringIO()
    writer = csv.DictWriter(text, ["study", "cell", "row", "trial", *paths], lineterminator="\n")
    writer.writeheader()
    for study in searched:
        for row, trial in rows_of(study):
            told = exact(trial) if trial else {}
            record = {
                path: each if isinstance(each, str | int | float) else json_text(each) for path, each in told.items()
            }
            place = {"study": study.study, "cell": study.cell, "row": row, "trial": trial.number if trial else None}
            writer.writerow(place | {path: record[path] for path in paths if path in record})
    return text.getvalue()
