"""Libraries: there, absent, too old, or of use."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from deo_bench.doctor import Finding
from deo_bench.doctor.packages import USEFUL, packages, requirements, satisfies

Pretend = Callable[..., None]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Lets libraries have other versions than they have; None for one that is absent."""
    real = metadata.version

    def change(**versions: str | None) -> None:
        def version(name: str) -> str:
            key = name.replace("-", "_")
            if key not in versions:
                return real(name)
            if versions[key] is None:
                raise metadata.PackageNotFoundError(name)
            return str(versions[key])

        monkeypatch.setattr(metadata, "version", version)

    return change


def found() -> dict[str, Finding]:
    return {one.name: one for one in packages()}


def test_every_dependency_is_told_with_its_version() -> None:
    told = found()
    for name in ("torch", "timm", "numpy", "pydantic", "typer"):
        assert told[name].state == "ok" and told[name].text == metadata.version(name) and told[name].is_needed
    # The tests also run from a checkout that is not installed.
    installed = any(one.name == "deo-bench" for one in metadata.distributions())
    assert told["python"].state == "ok" and told["deo-bench"].state == ("ok" if installed else "missing")
    assert "pytest" not in told, "what only an extra brings is not needed"


def test_one_that_is_absent_or_too_old_is_in_the_way(pretend: Pretend) -> None:
    pretend(timm=None, pandas="1.5.3", torch="99.0+cu1")
    told = found()
    assert told["timm"].is_in_the_way and told["timm"].remedy.startswith("pip install 'timm>=")
    assert told["pandas"].is_in_the_way and told["pandas"].text.startswith("1.5.3, pandas>=")
    assert told["torch"].state == "ok"


@pytest.mark.parametrize("name", USEFUL)
def test_what_is_of_use_is_told_with_its_purpose_and_how_to_get_it(pretend: Pretend, name: str) -> None:
    pretend(**{name.replace("-", "_"): None})
    one = found()[name]
    if one.is_needed:
        assert one.is_in_the_way, "a dependency by now"
        return
    assert one.state == "missing" and not one.is_in_the_way and one.text.startswith("not installed; for ")
    assert one.remedy.startswith("pip install ")
    pretend(**{name.replace("-", "_"): "1.0.0"})
    assert (found()[name].state, found()[name].text) == ("ok", "1.0.0")


def test_geobench_is_installed_by_itself(pretend: Pretend) -> None:
    pretend(geobench=None)
    assert "pip install --no-deps geobench" in found()["geobench"].remedy


def test_an_extra_that_brings_a_useful_library_is_its_remedy(monkeypatch: pytest.MonkeyPatch, pretend: Pretend) -> None:
    lines = ["numpy>=1", "numpy>=1; extra == 'test'"]
    lines += ["optuna>=4; extra == 'sweep'", 'tomli>=2; python_version < "3.11"']
    monkeypatch.setattr(metadata, "requires", lambda name: lines)
    pretend(optuna=None)
    told = found()
    assert told["optuna"].remedy == "pip install 'deo-bench[sweep]'" and not told["optuna"].is_needed
    assert [one.name for one in requirements() if not one.extra] == ["numpy"] and told["numpy"].is_needed


@pytest.fixture
def uninstalled(monkeypatch: pytest.MonkeyPatch, pretend: Pretend) -> None:
    def requires(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    pretend(deo_bench=None)


def test_run_from_a_checkout_it_reads_what_the_checkout_declares(uninstalled: None) -> None:
    told = found()
    assert told["deo-bench"].state == "missing" and told["deo-bench"].text.endswith("run from a folder")
    assert told["torch"].is_needed and told["torch"].state == "ok"
    assert "pytest" not in told and any(one.name == "pytest" and one.extra == "test" for one in requirements())


def test_run_from_a_bare_folder_it_says_that_nothing_is_declared(
    uninstalled: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("deo_bench.doctor.packages.presets_root", lambda: tmp_path)
    assert "is not declared" in found()["deo-bench"].text and "torch" not in found()


@pytest.mark.parametrize(
    ("version", "specifier", "kept"),
    [
        ("2.10.0", ">=2.9", True),
        ("2.9", ">=2.9.0", True),
        ("2.6.0+cu124", ">=2.6", True),
        ("1.0.0rc1", ">=1.0.20", False),
        ("3.0.1", ">=1,<3", False),
        ("2.9.9", ">=1, <3", True),
        ("1.26", "", True),
        ("1.0.0", "==1.0", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, specifier: str, kept: bool) -> None:
    assert satisfies(version, specifier) is kept
