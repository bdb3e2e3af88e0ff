"""The commands and their options are promised: a change here is a change for everybody who wrote a script."""

from __future__ import annotations

import typer

from deo_bench.cli.app import app

RUN = {"experiment", "--store", "--data", "--set", "--seeds", "--skip-missing"}
SURFACE = {
    "run": RUN | {"--device", "--threads", "--format", "--out", "--plain", "--all"},
    "sweep": RUN - {"--skip-missing"}
    | {"--storage", "--trials", "--workers", "--device", "--threads", "--format", "--out", "--all", "--plain"},
    "plan": RUN | {"--storage"},
    "list": {"what", "--parts"},
    "show": {"name", "--parts", "--store", "--speed", "--device", "--batch", "--size"},
    "check": {"name", "--kind", "--parts", "--set"},
    "runs list": {"experiment", "--store", "--data", "--storage"},
    "runs prune": {
        *("--keep", "--unfinished", "--scores", "--cache", "--older-than", "--max-size", "--yes"),
        *("--store", "--data", "--storage"),
    },
    "score": {
        *("name", "--task", "--protocol", "--bands", "--weights", "--partition", "--set"),
        *("--store", "--data", "--parts", "--device", "--format"),
    },
    "compare": {"a", "b", "--store", "--data", "--json"},
    "export": {"run", "--to", "--weights", "--seed", "--force", "--store", "--data", "--parts"},
    "submission": {
        *(
            "experiment",
            "--to",
            "--frozen",
            "--task",
            "--partition",
            "--bands",
            "--weights",
            "--allow-fewer",
            "--force",
        ),
        *("--store", "--data"),
    },
    "doctor": {"--store", "--data", "--parts", "--json"},
    "report": {
        *("file", "--store", "--data", "--set", "--seeds", "--out", "--format", "--all", "--with", "--check"),
        "--storage",
    },
    "published": {"name", "--partition", "--task", "--format"},
    "data list": {"--store", "--data", "--parts"},
    "data check": {"names", "--store", "--data", "--parts"},
    "data download": {"names", "--store", "--data", "--parts"},
    "data pack": {"names", "--store", "--data", "--parts"},
    "new": {"kind", "name", "--into"},
    "catalogue": {"--check", "--root"},
}


def surface() -> dict[str, set[str]]:
    """Every command with its arguments and options, as the application has them."""
    found: dict[str, set[str]] = {}

    def walk(command: object, words: tuple[str, ...]) -> None:
        below = getattr(command, "commands", None)
        if below:
            for name, inner in below.items():
                walk(inner, (*words, name))
            return
        found[" ".join(words)] = {
            parameter.name if not any(word.startswith("-") for word in parameter.opts) else parameter.opts[0]
            for parameter in command.params  # type: ignore[attr-defined]
            if parameter.name != "help" and not getattr(parameter, "hidden", False)
        }

    walk(typer.main.get_command(app), ())
    return found


def test_the_surface_is_what_was_promised() -> None:
    assert surface() == SURFACE


def test_every_command_and_option_says_what_it_is() -> None:
    def walk(command: object, words: str) -> None:
        assert command.help, f"{words} says nothing"  # type: ignore[attr-defined]
        for inner in getattr(command, "commands", {}).values():
            walk(inner, f"{words} {inner.name}")
        for parameter in command.params:  # type: ignore[attr-defined]
            assert getattr(parameter, "help", ""), f"{words} {parameter.name} says nothing"

    walk(typer.main.get_command(app), "deo-bench")
