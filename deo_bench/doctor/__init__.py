"""What this installation can and cannot do, looked at without making, downloading or changing anything."""

from deo_bench.doctor.examine import examine
from deo_bench.doctor.findings import Finding, Section, State

__all__ = ["Finding", "Section", "State", "examine"]
