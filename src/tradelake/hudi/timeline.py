"""The timeline: the files in `.hoodie` that say which actions were begun and which are complete."""

import re
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tradelake.errors import DamagedTable, ObjectMissing, UnsupportedTable
from tradelake.hudi import avro
from tradelake.hudi.layout import PROPERTIES, TableFolder

REQUESTED = "requested"
INFLIGHT = "inflight"
COMPLETED = "completed"
STATES = (REQUESTED, INFLIGHT, COMPLETED)

COMMIT = "commit"
REPLACE = "replacecommit"
WRITES = (COMMIT, REPLACE)
CLEAN = "clean"
ROLLBACK = "rollback"
RESTORE = "restore"
SAVEPOINT = "savepoint"
_ACTIONS = (*WRITES, CLEAN, ROLLBACK, RESTORE, SAVEPOINT)

_TIME = re.compile(r"\d{17}|\d{14}")
_NAME = re.compile(
    r"(?P<time>\d{17}|\d{14})\.(?:(?P<action>[a-z]+)(?:\.(?P<state>requested|inflight))?)"
)
_LATER_NAME = re.compile(r"\d{17}_\d{17}\.")
"""With the time of completion, as of table version 8."""


@dataclass(frozen=True, order=True)
class Instant:
    """An action on the timeline, in the state that it has reached."""

    time: str
    action: str
    state: str

    @classmethod
    def named(cls, write: Any, state: str, where: str) -> "Instant":
        """The write that a plan names (`commitTime`, `action`), said to be in that state.

        Raises DamagedTable naming `where` for what is none: files are deleted by its name.
        """
        time, action = (write.get("commitTime"), write.get("action")) if write else (None, None)
        if not (isinstance(time, str) and _TIME.fullmatch(time) and action in WRITES):
            raise DamagedTable(
                f"{where} is a plan for {action!r} of {time!r}, which is no write of a table; "
                "let Hudi on Spark finish or repair it"
            )
        return cls(time, action, state)


def state_name(time: str, action: str, state: str) -> str:
    """The name of the file that says an action has reached a state."""
    if state == COMPLETED:
        return f"{time}.{action}"
    if state == INFLIGHT and action == COMMIT:
        return f"{time}.inflight"
    return f"{time}.{action}.{state}"


@dataclass(frozen=True)
class RestorePlan:
    """What a restore undoes: the writes after its target."""

    target: str
    undone: tuple[Instant, ...]
    """Newest first."""

    @classmethod
    def read(cls, folder: TableFolder, at: str) -> "RestorePlan | None":
        """The plan of the restore of this instant; None if it died before the plan was written."""
        key = folder.meta(state_name(at, RESTORE, REQUESTED))
        try:
            data = folder.storage.get(key)
        except ObjectMissing:
            return None
        if not data:  # of a file system on which a file is there before its content
            return None
        plan = avro.decode(data, key)
        try:
            target = plan["savepointToRestoreTimestamp"]
            undone = tuple(
                Instant.named(found, COMPLETED, key) for found in plan["instantsToRollback"]
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise DamagedTable(f"{key} does not hold the plan of a restore: {error!r}") from error
        if target is None:
            raise UnsupportedTable(f"{key} does not say what it restores; let Hudi finish it first")
        if not (isinstance(target, str) and _TIME.fullmatch(target)):
            raise DamagedTable(f"{key} is a plan to go back to {target!r}, which is no instant")
        return cls(target, undone)


@dataclass(frozen=True)
class Timeline:
    """All actions of a table that are not archived, oldest first."""

    instants: tuple[Instant, ...]

    @classmethod
    def load(cls, folder: TableFolder) -> "Timeline":
        """The timeline as it counts; raises UnsupportedTable on an action COPY_ON_WRITE lacks.

        What a restore undoes is not complete any more from the moment that its plan is there, with
        the commit to go back to: the files that still say so are about to go. So are those of
        writes before one that is promoted.
        """
        timeline = cls.listed(folder)._from_promoted()
        for restore in timeline.pending(RESTORE):
            plan = RestorePlan.read(folder, restore.time)
            if plan and not timeline.goes_on_after(restore.time):
                timeline = timeline._without(plan)
        return timeline

    @classmethod
    def listed(cls, folder: TableFolder) -> "Timeline":
        """The timeline by the names of its files alone; raises TableError if the table is gone."""
        reached: dict[tuple[str, str], str] = {}
        names = folder.storage.children(folder.meta("")[:-1])
        if PROPERTIES not in names:
            folder.check_there()
        for name in names:
            match = _NAME.fullmatch(name)
            if not match:
                if _LATER_NAME.match(name):
                    raise UnsupportedTable(
                        f"{folder.meta(name)}: an instant of Hudi 1's timeline in a table of "
                        "version 6"
                    )
                continue
            action, state = match["action"], match["state"] or COMPLETED
            if action == INFLIGHT:
                action, state = COMMIT, INFLIGHT
            if action not in _ACTIONS:
                raise UnsupportedTable(f"{folder.meta(name)}: an action that we do not handle")
            key = (match["time"], action)
            reached[key] = max(reached.get(key, REQUESTED), state, key=STATES.index)
        return cls(tuple(sorted(Instant(*key, state) for key, state in reached.items())))

    def completed(self, *actions: str) -> list[Instant]:
        """The completed instants of these actions."""
        return [i for i in self.instants if i.action in actions and i.state == COMPLETED]

    def pending(self, *actions: str) -> list[Instant]:
        """The instants of these actions that are not complete."""
        return [i for i in self.instants if i.action in actions and i.state != COMPLETED]

    @cached_property
    def writes(self) -> tuple[Instant, ...]:
        """The completed commits and replacecommits."""
        return tuple(self.completed(*WRITES))

    def goes_on_after(self, time: str) -> bool:
        """Whether a write completed that began after this instant."""
        return any(write.time > time for write in self.writes)

    @cached_property
    def promoted(self) -> str | None:
        """The commit that archiving is promoting: it is there as a replacecommit, too."""
        commits = {write.time for write in self.writes if write.action == COMMIT}
        both = (w.time for w in self.writes if w.action == REPLACE and w.time in commits)
        return max(both, default=None)

    def _from_promoted(self) -> "Timeline":
        if self.promoted is None:
            return self
        gone = {w for w in self.writes if (w.time, w.action) <= (self.promoted, COMMIT)}
        return Timeline(tuple(instant for instant in self.instants if instant not in gone))

    def _without(self, plan: RestorePlan) -> "Timeline":
        if plan.target not in self._write_times:
            return self
        undone = {(i.time, i.action) for i in plan.undone}
        return Timeline(
            tuple(
                replace(i, state=INFLIGHT) if (i.time, i.action) in undone else i
                for i in self.instants
            )
        )

    @property
    def last(self) -> str | None:
        """The newest instant of any action and state."""
        return self.instants[-1].time if self.instants else None

    @cached_property
    def savepoints(self) -> frozenset[str]:
        """The instants that are saved, or about to be."""
        return frozenset(i.time for i in self.instants if i.action == SAVEPOINT)

    @cached_property
    def start(self) -> str | None:
        """The first completed write that is not there only because it is saved.

        Files of earlier instants were committed by what has been archived since.
        """
        times = [i.time for i in self.writes]
        return next((t for t in times if t not in self.savepoints), times[0] if times else None)

    def shows(self, time: str) -> bool:
        """Whether files written at this instant are committed."""
        return time in self._write_times or (self.start is not None and time < self.start)

    @cached_property
    def _write_times(self) -> frozenset[str]:
        return frozenset(i.time for i in self.writes)
