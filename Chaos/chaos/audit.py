"""The audit: what the three servers say, what stands in their databases, and whether the two agree with each other."""

import asyncio
import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from chaos.api import Unreachable
from chaos.federation import Federation
from chaos.findings import Findings
from chaos.players import Player
from chaos.servers import DATABASE, OPEN_STATES, Server

# A player who is one of these at a server is kept there.
_KEPT = ("playable", "departing", "left")
_PER_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Kept:
    """What one server holds of one player."""

    server: str
    presence: str
    epoch: int
    revision: int
    world: str
    digest: str


@dataclass(frozen=True, slots=True)
class Handoff:
    """One handoff in one ledger."""

    id: str
    server: str
    role: str
    state: str
    player: str
    peer: str
    epoch: int
    revision: int
    digest: str


@dataclass(slots=True)
class Books:
    """Everything that the servers hold, from one source: their API or their databases."""

    players: dict[str, dict[str, Kept]]
    handoffs: list[Handoff]


@dataclass(frozen=True, slots=True)
class Totals:
    crossings: int
    aborted: int
    recovered: int


async def come_to_rest(federation: Federation, seconds: float) -> float | None:
    """Waits until no handoff is open and everybody trusts everybody; the seconds it took, or None when it did not."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() - began < seconds:
        if await federation.open_count() == 0 and await federation.trusting():
            return loop.time() - began
        await asyncio.sleep(0.2)
    return None


async def read_through_api(federation: Federation, players: Sequence[Player]) -> Books:
    """What the servers say. Each player's state is compared with what was promised about it."""
    books = Books(defaultdict(dict), [])
    for server in federation.servers.values():
        for player in players:
            answer = await server.api.get(server.players_path(player.name))
            if answer.status == 404:
                continue
            if answer.status != 200:
                federation.findings.add(
                    "unread", player.name, f"{server.name} does not show {player.name}: {answer.code}"
                )
                continue
            record = answer.json
            if record["presence"] in _KEPT:
                player.check_state(record, server.name)
            books.players[player.name][server.name] = Kept(
                server.name, record["presence"], record["epoch"], record["revision"], record["world"], record["sha256"]
            )
        for state in (*OPEN_STATES, "admitted", "completed", "aborted"):
            books.handoffs += await _list(server, state)
    return books


async def _list(server: Server, state: str) -> list[Handoff]:
    """The newest handoffs in a state; there is no page behind the first."""
    answer = await server.api.get(f"/v1/handoffs?state={state}&limit={_PER_PAGE}")
    if answer.status != 200:
        raise Unreachable(f"{server.name} does not list its handoffs: {answer.code}")
    return [
        Handoff(
            entry["id"],
            server.name,
            entry["role"],
            entry["phase"],
            entry["player"],
            entry["peer"],
            entry["epoch"],
            0,
            "",
        )
        # Crossings that never got as far as the ledger have no epoch.
        for entry in answer.json["handoffs"]
        if "epoch" in entry
    ]


def read_databases(federation: Federation) -> Books:
    """What stands in the databases of servers that have stopped; they are opened for reading only."""
    books = Books(defaultdict(dict), [])
    for server in federation.servers.values():
        try:
            _read_database(server, books, federation.findings)
        except sqlite3.Error as error:
            federation.findings.add("damaged", server.name, f"the database of {server.name}: {error}")
    return books


def _read_database(server: Server, books: Books, findings: Findings) -> None:
    with closing(sqlite3.connect(f"file:{server.data / DATABASE}?mode=ro", uri=True)) as database:
        verdict = database.execute("PRAGMA integrity_check").fetchone()[0]
        if verdict != "ok":
            findings.add("damaged", server.name, f"the database of {server.name}: {verdict}")
        for row in database.execute("SELECT player, presence, epoch, revision, world, state FROM players"):
            books.players[row[0]][server.name] = Kept(
                server.name, row[1], row[2], row[3], row[4], hashlib.sha256(row[5]).hexdigest()
            )
        columns = "id, role, state, player, peer, epoch, revision, snapshot_hash"
        for row in database.execute(f"SELECT {columns} FROM handoffs"):
            books.handoffs.append(Handoff(row[0], server.name, *row[1:]))


class Audit:
    """Judges one set of books."""

    def __init__(self, books: Books, players: Sequence[Player], findings: Findings, source: str) -> None:
        self._books, self._players, self._findings, self._source = books, players, findings, source

    def judge_players(self) -> None:
        """Every player is kept by exactly one server, and is not frozen there."""
        for player in self._players:
            held = self._books.players.get(player.name, {})
            kept = [one for one in held.values() if one.presence in _KEPT]
            shown = ", ".join(f"{one.presence} at {one.server} (epoch {one.epoch})" for one in held.values())
            if not kept:
                self._add("lost", player.name, f"{player.name} is nowhere: {shown or 'nobody knows them'}")
            elif len(kept) > 1:
                self._add("doubled", player.name, f"{player.name} is {shown}")
            elif kept[0].presence == "departing":
                self._add("stuck", player.name, f"{player.name} cannot play: {shown}")
            elif any(one.epoch > kept[0].epoch for one in held.values() if one is not kept[0]):
                self._add("disagreements", player.name, f"another server has a higher epoch: {player.name} is {shown}")

    def judge_handoffs(self) -> None:
        """Nothing is open, the two ledgers say the same of each handoff, and each player's handoffs are one chain."""
        ends: dict[str, dict[str, Handoff]] = defaultdict(dict)
        for handoff in self._books.handoffs:
            ends[handoff.id][handoff.role] = handoff
            if handoff.state in OPEN_STATES:
                self._add(
                    "stuck",
                    handoff.player,
                    f"{handoff.id} of {handoff.player} is {handoff.state} at {handoff.server}",
                )
        chains: dict[str, list[Handoff]] = defaultdict(list)
        for identity, pair in ends.items():
            self._judge_pair(identity, pair.get("source"), pair.get("destination"))
            if (source := pair.get("source")) and source.state == "completed":
                chains[source.player].append(source)
        for player in self._players:
            self._judge_chain(player, sorted(chains[player.name], key=lambda hop: hop.epoch))

    def _judge_pair(self, identity: str, source: Handoff | None, destination: Handoff | None) -> None:
        states = (source.state if source else None, destination.state if destination else None)
        if states not in {
            ("completed", "admitted"),
            ("aborted", "aborted"),
            ("aborted", None),
            (None, "aborted"),
        } and not {"prepared", "reserved", "committed"} & set(states):
            text = f"{identity} is {states[0]} at its source and {states[1]} at its destination"
            self._add("disagreements", identity, text)
        if (
            source
            and destination
            and (
                (source.player, source.epoch, source.digest, source.peer, source.server)
                != (destination.player, destination.epoch, destination.digest, destination.server, destination.peer)
            )
        ):
            self._add("disagreements", identity, f"the ledgers differ on {identity}: {source} and {destination}")

    def _judge_chain(self, player: Player, hops: list[Handoff]) -> None:
        """Each crossing begins where the one before ended, and raises the epoch by one; the player is at the end."""
        home = player.name.partition("@")[2]
        place, epoch, revision = home, 1, 0
        for hop in hops:
            if (hop.server, hop.epoch) != (place, epoch + 1) or hop.revision < revision:
                self._add(
                    "disagreements",
                    player.name,
                    f"{player.name} was at {place} with epoch {epoch}, and {hop.id} leads from {hop.server} with epoch"
                    f" {hop.epoch} and revision {hop.revision} after {revision}",
                )
                return
            place, epoch, revision = hop.peer, hop.epoch, hop.revision
        kept = self._books.players.get(player.name, {}).get(place)
        if kept is None or kept.presence not in _KEPT or kept.epoch != epoch or kept.revision < revision:
            self._add(
                "disagreements",
                player.name,
                f"{player.name} should be at {place} with epoch {epoch} by the ledgers, and there is {kept}",
            )

    def _add(self, kind: str, concerned: str, text: str) -> None:
        self._findings.add(kind, concerned, f"{text} [{self._source}]")


def compare(said: Books, stored: Books, findings: Findings) -> None:
    """What the servers said before they stopped is what stands in their databases."""
    for name in said.players.keys() | stored.players.keys():
        if said.players.get(name) != stored.players.get(name):
            findings.add(
                "disagreements",
                name,
                f"{name} is {said.players.get(name)} by the API and {stored.players.get(name)} in the databases",
            )
    rows = {(handoff.id, handoff.server): handoff for handoff in stored.handoffs}
    for handoff in said.handoffs:
        row = rows.get((handoff.id, handoff.server))
        if row is None or (row.role, row.state, row.player, row.epoch) != (
            handoff.role,
            handoff.state,
            handoff.player,
            handoff.epoch,
        ):
            findings.add("disagreements", handoff.id, f"{handoff.id} is {handoff} by the API and {row} in the database")


def total(stored: Books, interrupted: set[str]) -> Totals:
    """Counts by the ledgers of the sources. Recovered is what a killed process had left open and is over now."""
    sources = [handoff for handoff in stored.handoffs if handoff.role == "source"]
    still_open = {handoff.id for handoff in stored.handoffs if handoff.state in OPEN_STATES}
    return Totals(
        crossings=sum(handoff.state == "completed" for handoff in sources),
        aborted=sum(handoff.state == "aborted" for handoff in sources),
        recovered=len(interrupted - still_open),
    )
