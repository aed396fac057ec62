"""The command: reads the arguments, runs, and says how it ended."""

import argparse
import asyncio
import json
import os
import secrets
import sys
from pathlib import Path

from chaos.federation import NAMES
from chaos.lossy import NoCompiler
from chaos.plan import make_plan
from chaos.run import Order, run
from chaos.servers import CannotRun

_MOST_PLAYERS = 900


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="Chaos/run",
        description="Chaos on three real servers, and an audit that finds nobody lost, doubled or stuck.",
    )
    parser.add_argument("--minutes", type=float, default=2.0, help="how long things go wrong (2)")
    parser.add_argument("--seed", type=int, help="what goes wrong and when; a fresh one if left out")
    parser.add_argument("--players", type=int, default=240, help="how many are on their way (240)")
    parser.add_argument("--pause", type=float, default=4.0, help="seconds that a player stays, on average (4)")
    parser.add_argument(
        "--lossy-disk", action="store_true", help="a killed server also loses writes that it had not synchronised"
    )
    parser.add_argument(
        "--lie", action="store_true", help="with --lossy-disk: fsync does nothing, so that the audit has to fail"
    )
    parser.add_argument("--plan", action="store_true", help="only print what would go wrong")
    parser.add_argument("--json", action="store_true", help="print only the last line")
    arguments = parser.parse_args()
    if not 0 < arguments.minutes <= 24 * 60:
        parser.error("--minutes takes more than 0 and at most 1440")
    if not 1 <= arguments.players <= _MOST_PLAYERS:
        parser.error(f"--players takes 1 to {_MOST_PLAYERS}")
    if arguments.pause <= 0:
        parser.error("--pause takes more than 0")
    if arguments.lie and not arguments.lossy_disk:
        parser.error("--lie goes with --lossy-disk")
    return arguments


def main() -> int:
    """0 when every promise was kept, 1 when one was broken, 2 when the chaos could not run."""
    arguments = _arguments()
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    plan = make_plan(seed, arguments.minutes * 60, NAMES)
    # Before anything can go wrong: a run that hangs or is killed ends without its last line.
    flags = (" --lossy-disk" if arguments.lossy_disk else "") + (" --lie" if arguments.lie else "")
    command = f"Chaos/run --minutes {arguments.minutes:g} --seed {seed} --players {arguments.players}{flags}"
    print(f"seed {seed}: {command}", file=sys.stderr, flush=True)
    if not arguments.json:
        for fault in plan:
            print(fault)
        sys.stdout.flush()
    if arguments.plan:
        return 0
    order = Order(
        seed=seed,
        seconds=arguments.minutes * 60,
        players=arguments.players,
        pause=arguments.pause,
        lossy=arguments.lossy_disk,
        lies=arguments.lie,
        binary=Path(os.environ["AETHER_BINARY"]).absolute(),
    )
    try:
        report = asyncio.run(run(order, plan))
    except (CannotRun, NoCompiler) as problem:
        print(f"Chaos/run: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(json.dumps(report.members))
    return 0 if report.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
