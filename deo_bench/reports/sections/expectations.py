"""What was expected, and what came of it: a line a comparison that the experiment declares."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from math import ceil
from typing import Any

from deo_bench.reports.answer import Answer
from deo_bench.reports.declared import FOLDER, Declared, row_key
from deo_bench.reports.expectations import POWER, Answered, Judged
from deo_bench.reports.grid import HOLE, Footnotes, Grid, Heading, Line, Slot
from deo_bench.reports.section import Section
from deo_bench.reports.wording import difference_text, p_text

_SHARED = {
    "protocol": "protocol {}",
    "probe": "probe {}",
    "bands": "bands {}",
    "weights": "{} weights",
    "partition": "partition {}",
}
_UNDER = {
    "protocol": "under {}",
    "probe": "by {}",
    "bands": "on bands {}",
    "weights": "with {} weights",
    "partition": "with partition {}",
}
FIELDS = (
    "expectation", "words", "why", "verdict_of_all", "ours", "theirs", "tasks", "protocol", "probe", "bands", "weights",
    "partition", "by", "within", "gain", "gain_low", "gain_high", "p", "p_holm", "verdict", "seeds", "pairing",
    "seeds_needed", "images_factor", "reason", "declared", "scores_there", "scores", "digest", "notes",
)  # fmt: skip
"""Columns of `expectations.csv`. Gains and margins are shares, not points, or in the metric's unit; a gain is better
where it is more."""


def sections(answer: Answer) -> list[Section]:
    """The section, where anything was declared."""
    answer.problems.extend([*answer.records.problems, *_withdrawn(answer)])
    if not answer.answered:
        return []
    return [Section("What was expected", (_grid(answer.answered),))]


def summary(answered: Sequence[Answered]) -> str:
    """`3 held, 1 refuted, 2 undecided`: of what was declared before it could be known; the rest is told apart."""
    counts = Counter(one.verdict for one in answered if one.is_prediction)
    told = [f"{counts[verdict]} {verdict}" for verdict in ("held", "refuted", "undecided")]
    told += [f"{counts['not tested']} not tested"] if counts["not tested"] else []
    others = sum(not one.is_prediction for one in answered)
    return ", ".join(told) + (f"; {others} not counted, since declared late or not on record" if others else "")


def comma_separated(answered: Sequence[Answered]) -> str:
    """A record a comparison."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    for number, one in enumerate(answered, 1):
        for judged in one.comparisons:
            record = {**_told(judged), "expectation": number, "verdict_of_all": one.verdict}
            record |= {"words": one.expectation.words, "why": one.expectation.why}
            writer.writerow({key: f"{x:.9g}" if isinstance(x, float) else x for key, x in record.items()})
    return text.getvalue()


def _told(one: Judged) -> dict[str, object]:
    declared, gain = one.declared, one.gain
    told: dict[str, object] = {
        key: getattr(declared, key)
        for key in ("ours", "theirs", "protocol", "probe", "bands", "weights", "partition", "within", "digest")
    }
    told |= {"tasks": " + ".join(declared.tasks), "by": None if declared.within is not None else declared.by}
    told |= {"p": one.p, "p_holm": one.corrected, "verdict": one.verdict, "reason": one.reason or None}
    told |= {"declared": one.standing, "notes": "; ".join(one.notes) or None}
    if gain is not None:
        told |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high, "pairing": gain.pairing}
        told |= {"seeds": gain.seeds if one.seeds else 0}
    if one.needed is not None:
        told |= {"seeds_needed": one.needed.seeds, "images_factor": one.needed.images_factor}
    if one.known is not None:
        told |= {"scores_there": one.known.scores, "scores": one.known.of}
    return told


def _grid(answered: Sequence[Answered]) -> Grid:
    number = Footnotes()
    comparisons = [one for each in answered for one in each.comparisons]
    varying = [key for key in _SHARED if len({getattr(one.declared, key) for one in comparisons}) > 1]
    blocks = []
    for place, one in enumerate(answered, 1):
        lines = tuple(_line(each, one.expectation.why, varying, number) for each in one.comparisons)
        counts = "" if one.is_prediction else ", not counted"
        blocks.append((f"expectation {place}: {one.verdict}{counts}", lines))
    if all(len(one.comparisons) == 1 for one in answered):
        blocks = [("", tuple(chain.from_iterable(lines for _, lines in blocks)))]
    headings: tuple[Heading, ...] = (
        Heading("difference", _unit(comparisons)),
        Heading("verdict", "corrected p"),
        Heading("seeds to decide", f"at {100 * POWER:.0f} % power"),
    )
    if not any(map(_needed_text, comparisons)):  # all is decided: an empty column is no news
        headings = headings[:2]
        blocks = [(name, tuple(replace(line, slots=line.slots[:2]) for line in lines)) for name, lines in blocks]
    words = _caption(comparisons, [key for key in _SHARED if key not in varying])
    return Grid("expectations", summary(answered), words, headings, tuple(blocks), tuple(number.notes), "expected")


def _unit(comparisons: Sequence[Judged]) -> str:
    """What differences are in."""
    are = {one.declared.is_share for one in comparisons}
    return "points" if are == {True} else "the metric's unit" if are == {False} else "points or the metric's unit"


def _line(one: Judged, why: str, varying: Sequence[str], number: Footnotes) -> Line:
    notes = [*_record_notes(one), *one.notes, *([why] if why else [])]
    reason = number([one.reason]) if one.reason else ()
    is_tested = one.gain is not None
    slots = (
        Slot(difference_text(one.gain)) if one.gain is not None else Slot(HOLE),
        Slot(one.verdict + _p_text(one.corrected), notes=() if is_tested else reason),
        Slot(_needed_text(one), notes=reason if is_tested else ()),
    )
    return Line(words(one.declared, varying), None, slots, number(notes))


def words(one: Declared, varying: Iterable[str] = ()) -> str:
    """A comparison's claim: `optical=tiny_optical better than untrained on scenes-parcels`, and what tells it apart."""
    on = f" on {'the mean of ' if len(one.tasks) > 1 else ''}{', '.join(one.tasks)}"
    apart = "".join(f", {getattr(one, key)}" for key in varying if getattr(one, key))
    if one.within is not None:
        claim = f"{one.ours} and {one.theirs} alike within {one.margin(one.within)}"
    elif one.by < 0:
        claim = f"{one.ours} not worse than {one.theirs} by more than {one.margin(-one.by)}"
    else:
        claim = f"{one.ours} better than {one.theirs}" + (f" by {one.margin(one.by)} or more" if one.by else "")
    return claim + on + apart


def _record_notes(one: Judged) -> list[str]:
    if one.declared.left_out:
        return []
    if one.known is None:
        return ["not on record: nothing says that it was declared before its scores were there"]
    known = one.known
    if one.standing == "late":
        return [f"declared late: {known.scores} of {known.of} scores were there, and a difference could be known"]
    told = [f"{known.scores} of {known.of} scores were there, all of one side"] if known.scores else []
    added = sorted(set(one.seeds) - set(known.seeds))
    return told + ([f"seeds added since it was declared: {', '.join(map(str, added))}"] if added else [])


def _p_text(p: float | None) -> str:
    """`, .012` beside a verdict: the corrected p value."""
    return "" if p is None else f", {p_text(p)}"


def _needed_text(one: Judged) -> str:
    if one.needed is not None and one.needed.seeds is not None:
        return f"{one.needed.seeds:,}"
    if one.needed is not None and one.needed.images_factor is not None:
        factor = one.needed.images_factor
        return f"{ceil(10 * factor) / 10:.1f} × images" if factor < 100 else f"{ceil(factor):,} × images"
    return HOLE if one.reason and one.gain is not None else ""


def _caption(comparisons: Sequence[Judged], shared: Sequence[str]) -> str:
    late = [one for one in comparisons if one.standing != "before" and not one.declared.left_out]
    count = len(comparisons) - len(late) or len(comparisons)
    family = f"the {count} declared comparisons" if count > 1 else "the one declared comparison"
    if 0 < len(late) < len(comparisons):
        family += f" in time (of those declared late: over all {len(comparisons)})"
    first = comparisons[0].declared
    where = ", ".join(
        _SHARED[key].format(getattr(first, key)) for key in shared if getattr(first, key) not in ("", "default")
    )
    sentences = [
        f"What the experiment declares that it expects{f' ({where})' if where else ''}.",
        f"Differences in {_unit(comparisons)}, the first row minus the second, the sign turned where less is "
        "better; 95 % intervals, each by itself.",
        f"Held: p < .05 after Holm's correction over {family} of this report, in the declared "
        "direction and past the margin where one is declared; refuted: likewise in the other; else undecided.",
    ]
    if any(one.declared.within is not None for one in comparisons):
        sentences.append("Alike: two one-sided tests against the margin; refuted: beyond it.")
    if any(one.needed for one in comparisons):
        sentences.append(
            f"Seeds to decide: in all, if the observed difference were the true one, at .05 / {count}; "
            "images: the least times as many test images that it takes, whatever the seeds."
        )
    return " ".join(sentences)


def _withdrawn(answer: Answer) -> list[str]:
    """What this experiment has on record about rows and tasks of the report, and no longer declares, or otherwise."""
    declared = {one.declared.digest for each in answer.answered for one in each.comparisons}
    rows = {row_key(subject) for entry in answer.entries for _, subject in entry.subjects}
    told: dict[str, None] = {}
    for record in answer.records.said:
        if record.get("experiment") != answer.scope.experiment:
            continue
        for one in record["comparisons"]:
            is_here = set(one["rows"]) <= rows and set(one["tasks"]) <= set(answer.scope.tasks)
            if is_here and one["digest"] not in declared:
                about = f"{record['words']} ({FOLDER}/{record['digest']}.json)"
                otherwise = _otherwise(one, answer)
                said = f"on record {otherwise}" if otherwise else "no longer declared, though on record"
                told[f"{said}: {about}"] = None
    return list(told)


def _otherwise(one: Mapping[str, Any], answer: Answer) -> str:
    """In what a comparison on record differs from the one of the same rows, tasks and claim that is declared now."""
    keys = {entry.label: row_key(subject) for entry in answer.entries for _, subject in entry.subjects}
    wanted = [*one["rows"], sorted(one["tasks"]), one.get("by"), one.get("within")]
    for now in (each for expectation in answer.expectations for each in expectation.comparisons):
        rows = [keys.get(now.ours), keys.get(now.theirs)]
        if [*rows, sorted(now.tasks), now.by, now.within] == wanted and all(key in one for key in _SHARED):
            differing = [key for key in _SHARED if one[key] != getattr(now, key)]
            before = ", ".join(_UNDER[key].format(one[key]) for key in differing)
            after = ", ".join(_UNDER[key].format(getattr(now, key)) for key in differing)
            return f"{before}, now declared {after}" if differing else ""
    return ""
