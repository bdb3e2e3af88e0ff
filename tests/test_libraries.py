from __future__ import annotations

import pytest

from deo_bench import libraries
from deo_bench.errors import MissingInput


def test_a_library_that_is_here_is_imported():
    assert libraries.import_library("torch.nn", "anyone").__name__ == "torch.nn"


def test_one_that_is_not_says_what_brings_it(monkeypatch):
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    with pytest.raises(MissingInput, match=r"clip_b: needs open_clip.*pip install 'deo-bench\[clip\]'"):
        libraries.import_library("open_clip.model", "clip_b")
    assert libraries.remedy("torchgeo") == "pip install 'deo-bench[geo]'"


def test_one_that_fails_on_import_says_why(monkeypatch, tmp_path):
    (tmp_path / "broken_library.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(libraries.EXTRAS, "broken_library", "geo")
    with pytest.raises(MissingInput, match=r"nowhere_to_be_found.*deo-bench\[geo\]"):
        libraries.import_library("broken_library", "anyone")
