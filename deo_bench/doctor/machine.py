"""What there is to compute on: cores, torch, GPUs and their precisions."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deo_bench.doctor.findings import Finding, first_line
from deo_bench.store.disk import size_text

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_DRIVER = Path("/proc/driver/nvidia/version")
_FAST_ON_CPU = ("avx512_bf16", "amx_bf16")
_BF16 = 8
"""The compute capability from which NVIDIA's GPUs calculate in bfloat16."""


def machine() -> Iterator[Finding]:
    """Cores, memory, torch and GPUs. Imports torch, and says so in a line where it cannot be imported."""
    yield _cores()
    yield _memory()
    try:
        import torch
    except Exception as error:  # a broken build raises whatever its loader does
        text = f"cannot be imported: {first_line(error)}"
        yield Finding("torch", "problem", text, "pip install --force-reinstall torch", is_needed=True)
        return
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "for CPUs only"
    facts = {"version": torch.__version__, "cuda": torch.version.cuda, "threads": torch.get_num_threads()}
    yield Finding("torch", "ok", f"{torch.__version__}, built {build}", is_needed=True, facts=facts)
    yield from _devices(torch)


def _cores() -> Finding:
    """The cores that `deo-bench run` would use; a container may grant fewer."""
    count, quota = len(os.sched_getaffinity(0)), _granted()
    threads = os.environ.get("OMP_NUM_THREADS")
    told = f"{count} ({_processor()})" + (f"; OMP_NUM_THREADS is {threads}" if threads else "")
    facts = {"cores": count, "granted": quota, "omp_num_threads": threads}
    if quota is not None and quota < count - 0.5:
        remedy = f"deo-bench run --threads {max(int(quota), 1)}"
        return Finding("CPU cores", "problem", f"{told}; the container grants {quota:.1f} of them", remedy, facts=facts)
    return Finding("CPU cores", "ok", told, facts=facts)


def _granted() -> float | None:
    """How many cores the control group may use at once; none where it sets no limit."""
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = _QUOTA.read_text(encoding="utf-8").split()
        return int(quota) / int(period)
    return None


def _processor() -> str:
    for line in _lines(Path("/proc/cpuinfo")):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> Finding:
    found = {}
    for line in _lines(Path("/proc/meminfo")):
        name, _, rest = line.partition(":")
        if name in ("MemTotal", "MemAvailable") and rest.split()[:1]:
            found[name] = int(rest.split()[0]) * 1024
    if "MemTotal" not in found:
        return Finding("memory", "missing", "unknown on this system")
    free = found.get("MemAvailable", 0)
    text = f"{size_text(found['MemTotal'])}, {size_text(free)} of it free"
    return Finding("memory", "ok", text, facts={"bytes": found["MemTotal"], "free": free})


def _devices(torch: Any) -> Iterator[Finding]:
    if not torch.cuda.is_available():
        yield _no_gpu(torch.version.cuda)
        flags = next((line for line in _lines(Path("/proc/cpuinfo")) if line.startswith("flags")), "")
        fast = [flag for flag in _FAST_ON_CPU if flag in flags.split()]
        text = f"in hardware ({', '.join(fast)})" if fast else "only emulated on this CPU: slower than 32-true"
        yield Finding("bf16", "ok" if fast else "missing", text, facts={"device": "cpu", "native": bool(fast)})
        return
    for index in range(torch.cuda.device_count()):
        yield _gpu(torch, index)


def _gpu(torch: Any, index: int) -> Finding:
    properties = torch.cuda.get_device_properties(index)
    has_bf16 = bool(torch.version.hip) or properties.major >= _BF16
    told = "bf16" if has_bf16 else "no bf16: use 16-mixed or 32-true"
    facts = {"device": f"cuda:{index}", "name": properties.name, "bytes": properties.total_memory, "native": has_bf16}
    text = f"{properties.name}, {size_text(properties.total_memory)}, {told}"
    return Finding(f"GPU {index}", "ok", text, facts=facts)


def _no_gpu(built_for: str | None) -> Finding:
    """No GPU, and whether the machine has one that this torch does not see."""
    if not _DRIVER.exists():
        return Finding("GPU", "missing", "none; everything runs on the CPU", facts={"count": 0})
    if built_for is None:
        text, remedy = "there is one, but this torch is built for CPUs only", "pip install a CUDA build of torch"
    else:
        text, remedy = "there is one, but torch sees none", "look at nvidia-smi and CUDA_VISIBLE_DEVICES"
    return Finding("GPU", "problem", text, remedy, facts={"count": 0})


def _lines(path: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    return []
