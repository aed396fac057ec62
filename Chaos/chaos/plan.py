"""What will go wrong, and when: all of it from one seed, before anything has begun."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

QUIET_SECONDS = 4.0
_PAUSE_SECONDS = 1.6

# How often each kind comes, relative to the others.
_WEIGHTS = {"kill": 8, "blackout": 1, "restart": 2, "stop": 4, "cut": 4, "delay": 3, "stall": 4, "disk": 3, "clock": 3, "rotate": 2}
KINDS = tuple(_WEIGHTS)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    `kill` and `blackout` end processes with SIGKILL, `amount` seconds after a player has set out, and start them again
    after `seconds`; `restart` is SIGTERM and a start; `stop` is SIGSTOP until SIGCONT; `cut` resets the connections
    between two servers and refuses new ones; `delay` makes everything between them slow by `amount` seconds; `stall`
    holds back what goes from the first to the second; `disk` fills the disk; `clock` adds `amount` seconds to the wall
    clock; `rotate` makes a server go over to its next key.
    """

    at: float
    kind: str
    servers: tuple[str, ...]
    seconds: float
    amount: float = 0.0

    def __str__(self) -> str:
        joint = {"cut": " and ", "delay": " and ", "stall": " to "}.get(self.kind, ", ")
        moment = self.kind in ("kill", "blackout")
        amount = f" {'after' if moment else 'by'} {self.amount:g} s" if self.amount else ""
        return f"{self.at:7.2f} s  {self.kind:<8} {joint.join(self.servers)}{amount}, for {self.seconds:.2f} s"


def make_plan(seed: int, seconds: float, servers: Sequence[str]) -> list[Fault]:
    """The faults of a run, by their time; the last of them is over when `seconds` are."""
    chance = random.Random(f"plan {seed}")
    faults: list[Fault] = []
    now = QUIET_SECONDS
    while now < seconds - 1:
        kind = chance.choices(KINDS, list(_WEIGHTS.values()))[0]
        fault = _make(chance, kind, now, servers)
        faults.append(Fault(fault.at, kind, fault.servers, min(fault.seconds, seconds - now), fault.amount))
        now = round(now + min(chance.expovariate(1 / _PAUSE_SECONDS), 6 * _PAUSE_SECONDS), 3)
    return faults


def _make(chance: random.Random, kind: str, at: float, servers: Sequence[str]) -> Fault:
    def lasting(least: float, most: float) -> float:
        # Short ones are the more frequent.
        return round(least + (most - least) * chance.random() ** 2, 3)

    one = (chance.choice(servers),)
    # A crossing on a healthy link takes some hundredths of a second.
    moment = round(chance.uniform(0, 0.05), 4)
    two = tuple(chance.sample(servers, 2))
    match kind:
        case "kill":
            return Fault(at, kind, one, lasting(0, 3), moment)
        case "blackout":
            return Fault(at, kind, tuple(servers) if chance.random() < 0.5 else two, lasting(0, 3), moment)
        case "restart":
            return Fault(at, kind, one, lasting(0, 1))
        case "rotate":
            return Fault(at, kind, one, 0.0)
        case "stop":
            return Fault(at, kind, one, lasting(0.1, 8))
        case "cut":
            return Fault(at, kind, two, lasting(0, 6))
        case "delay":
            return Fault(at, kind, two, lasting(2, 10), round(chance.uniform(0.005, 0.4), 3))
        case "stall":
            return Fault(at, kind, two, lasting(0.3, 12))
        case "disk":
            return Fault(at, kind, one, lasting(0.3, 5))
        case _:
            return Fault(at, "clock", one, lasting(1, 8), chance.choice((-1, 1)) * chance.randint(1, 11) * 3600.0)
