"""Target transforms in a run: fitted on its teacher, stored with it, and refused before it where they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from deo_bench.data import Places
from deo_bench.engine.artefacts import Recorder, transforms_of
from deo_bench.engine.build import Statistics
from deo_bench.engine.train import train
from deo_bench.engine.transforms import fit_transforms
from deo_bench.errors import UserError
from deo_bench.recipe import Identifier
from deo_bench.store import Lease, Store

Cohort = Callable[..., Any]
RANDOM = {"use": "random", "like": "vit_nano", "settings": {"width": 16, "depth": 2, "heads": 2, "size": 16}}


def changes(target: Any, **teacher: Any) -> dict[str, Any]:
    term = {"loss": "mse", "toward": "optical", "sees": "rgb", "head": {"use": "mlp", "hidden": 16}}
    return {
        "teachers": {"optical": {**RANDOM, **teacher}},
        "objective": {"maps": {**term, "on": "late", "target": target}, "plain": term},
    }


@pytest.fixture
def fitted(cohort: Cohort, registry: Any, pack: Any, tmp_path: Path) -> Callable[..., Any]:
    """A run whose transforms are fitted, with its source; the cache is the test's own."""

    def make(target: Any, **teacher: Any) -> Any:
        runs, source, frozen = cohort(a=changes(target, **teacher))
        identifier = Identifier(registry, Places(tmp_path, tmp_path / "cache"))
        fit_transforms(runs["a"], source, identifier, tmp_path / "cache")
        return runs["a"], source, frozen

    return make


@pytest.mark.parametrize("target", ["global_std", "channel_std", "pca_w", "zca", "hca", "phi_s"])
def test_the_target_that_a_term_sees_is_transformed_by_what_was_fitted(fitted: Any, target: str) -> None:
    run, source, frozen = fitted(target)
    (transform,) = [value for key, value in run.objective.transforms.items() if key.startswith("maps:")]
    seen = []
    transform.register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
    runs = {"a": run}
    for done in train(runs, source, frozen):
        assert done.reports, done.failed
    given, out = seen[0]
    assert out.shape == given.shape and out.dtype == given.dtype
    # Other crops than those that it was fitted on, so near 1 and not at it.
    assert 0.3 < out.movedim(1, -1).reshape(-1, 16).var(0).mean() < 3


@pytest.mark.parametrize("target", ["phi_s", {"use": "zca", "eps": 1e-3}])
def test_what_was_fitted_is_in_the_runs_folder_when_it_is_done(
    fitted: Any, pack: Any, tmp_path: Path, target: Any
) -> None:
    run, _, _ = fitted(target)
    stored = Store(tmp_path / "store").run("0123456789ab-s0")
    lease = Lease(stored.path / "lease")
    assert lease.take()
    Recorder(stored, lease, {}).finish(run, Statistics.of(pack), 1.0, [])
    lease.release()
    path = stored.path / "targets.safetensors"
    tensors = load_file(path)
    assert set(tensors) == {"maps:optical:late.mean", "maps:optical:late.matrix"}
    transform = run.objective.transforms["maps:optical:late"]
    assert tensors["maps:optical:late.matrix"].equal(transform.matrix)
    with safe_open(path, "pt") as opened:
        assert f'"use": "{target if isinstance(target, str) else "zca"}"' in opened.metadata()["deo_bench"]
    assert path.name in stored.info["checksums"] and path.name in stored.info["sizes"]
    assert path.read_bytes() == transforms_of(run.objective)


def test_a_run_without_anything_fitted_has_no_such_file(fitted: Any) -> None:
    assert transforms_of(fitted("none")[0].objective) == b""


def test_what_was_fitted_is_in_the_checkpoint(fitted: Any, cohort: Cohort) -> None:
    run, _, _ = fitted("phi_s")
    again, _, _ = cohort(a=changes("phi_s"))
    assert again["a"].objective.transforms["maps:optical:late"].matrix.isnan().all()
    again["a"].load(run.state())
    assert transforms_of(again["a"].objective) == transforms_of(run.objective)


def test_a_width_without_a_hadamard_matrix_is_refused_before_training(cohort: Cohort) -> None:
    odd = {"settings": {"width": 14, "depth": 2, "heads": 2, "size": 16}}
    with pytest.raises(UserError, match=r"target 'phi_s': no Hadamard matrix of width 14 is known.*\"zca\""):
        cohort(a=changes("phi_s", **odd))
    cohort(a=changes("zca", **odd))


def test_features_that_nothing_can_be_fitted_on_are_one_line(fitted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deo_bench.engine.transforms._stream", lambda *_: iter([torch.full((4, 16), torch.nan)]))
    with pytest.raises(UserError, match=r"objective.maps.target: 'zca' cannot be fitted: expected finite features"):
        fitted("zca")
