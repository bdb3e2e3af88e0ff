"""The machine as the real torch sees it."""

from __future__ import annotations

import os

import torch

from deo_bench.doctor.machine import machine


def test_the_real_torch_is_told_with_its_devices() -> None:
    found = {one.name: one for one in machine()}
    assert found["torch"].state == "ok" and found["torch"].text.startswith(f"{torch.__version__}, built ")
    assert found["CPU cores"].facts["cores"] == len(os.sched_getaffinity(0))
    assert found["memory"].facts["bytes"] > found["memory"].facts["free"] > 0
    assert ("GPU 0" in found) == torch.cuda.is_available()
    if "GPU 0" in found:
        assert found["GPU 0"].facts["native"] == torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        assert not found["GPU"].is_in_the_way and found["bf16"].state in ("ok", "missing")
