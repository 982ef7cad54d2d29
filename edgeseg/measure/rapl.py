"""The energy counters of x86 processors (RAPL), which Linux shows to root, and to others where it is told to."""

from __future__ import annotations

from pathlib import Path

from edgeseg.measure.sysfs import ROOT, number_at, paths_like, text_at


class Rapl:
    """The energy of all processor packages and of memory, where it has a counter of its own.

    denied: this process may not read them. The cores and the integrated GPU are part of their package. The counters
    wrap around, which takes from a minute to hours: call `joules` oftener than that.
    """

    def __init__(self, root: Path = ROOT) -> None:
        named = [
            domain
            for domain in paths_like("sys/class/powercap/intel-rapl:*", root)
            if text_at(domain / "name").startswith(("package", "dram"))
        ]
        self._latest = {domain: energy for domain in named if (energy := number_at(domain / "energy_uj")) is not None}
        self._domains = {domain: number_at(domain / "max_energy_range_uj") or 0 for domain in self._latest}
        self.denied = bool(named) and not self._domains
        self._microjoules = 0

    def __len__(self) -> int:
        return len(self._domains)

    def joules(self) -> float | None:
        """The energy since construction; None without a counter that can be read."""
        for domain, maximum in self._domains.items():
            latest, now = self._latest[domain], number_at(domain / "energy_uj")
            if now is None or (now < latest and not maximum):
                return None
            self._microjoules += now - latest if now >= latest else now - latest + maximum + 1
            self._latest[domain] = now
        return self._microjoules / 1e6 if self._domains else None
