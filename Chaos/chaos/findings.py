"""What was found wrong while it ran and in the audit, and what the servers have promised."""

from collections import Counter
from dataclasses import dataclass, field

_SHOWN = 40


@dataclass(slots=True)
class Findings:
    """Broken promises by kind, with the players they concern."""

    texts: list[str] = field(default_factory=list)
    players: dict[str, set[str]] = field(default_factory=dict)

    def add(self, kind: str, concerned: str, text: str) -> None:
        """`kind` is `lost`, `doubled`, `stuck`, or another one that fails the run as well."""
        before = self.players.setdefault(kind, set())
        if concerned in before:
            return
        before.add(concerned)
        if len(self.texts) < _SHOWN:
            self.texts.append(f"{kind}: {text}")

    def count(self, kind: str) -> int:
        return len(self.players.get(kind, ()))

    @property
    def any(self) -> bool:
        return bool(self.players)


@dataclass(slots=True)
class Tally:
    """What happened, for the report."""

    events: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    # Handoffs that were not over on the disk of a process that had been killed.
    interrupted: set[str] = field(default_factory=set)
    # The longest that a player could play nowhere, in seconds.
    longest_limbo: float = 0.0


@dataclass(slots=True)
class Redemptions:
    """Which handoffs' tokens the servers have said yes to, and how often."""

    findings: Findings
    accepted: Counter[str] = field(default_factory=Counter)

    def accept(self, handoff: str, where: str) -> None:
        self.accepted[handoff] += 1
        if self.accepted[handoff] > 1:
            self.findings.add("tokensTwice", handoff, f"{where} accepted the token of {handoff} more than once")
