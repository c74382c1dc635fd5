"""The emergency stop file: looked for before every send and at least four times a second while waiting."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

from Live.config import LiveConfig
from Live.errors import Interrupted, KillSwitch, LiveError

FLATTEN = "flatten"  # in the name of a stop file: our positions are to be closed first
LIFTED_BY = "python -m Live resume lets it trade again"


class KillSwitchFile:
    """Anything in the file's folder, or in the folder that the trader was started in, whose name begins with the file's name
    counts, in capitals or not: Explorer makes EMERGENCY_STOP.txt. A folder that cannot be read counts as the file itself
    (fail closed).
    """

    def __init__(self, file: Path, *, enabled: bool, started_in: Path | None = None) -> None:
        self._name = file.name
        folders = (file.parent, started_in or Path.cwd())
        self._folders = tuple(dict.fromkeys(folder.resolve() for folder in folders)) if enabled else ()

    @classmethod
    def of(cls, config: LiveConfig) -> Self:
        """The switch that the settings describe."""
        return cls(config.kill_switch_file, enabled=config.enable_kill_switch)

    @property
    def path(self) -> Path | None:
        """Where to put the file; None when the switch is off."""
        return self._folders[0] / self._name if self._folders else None

    @property
    def flattening_path(self) -> Path | None:
        """Where to put the file that asks for our positions to be closed, too; None when the switch is off."""
        return None if self.path is None else self.path.with_name(f"{self._name}_{FLATTEN.upper()}")

    def all_found(self) -> tuple[Path, ...]:
        """The files that are there; a folder that cannot be read stands for one."""
        return tuple(found for folder in self._folders for found in self._found_in(folder))

    def found(self) -> Path | None:
        """One of them, if there is any."""
        return next(iter(self.all_found()), None)

    def asks_to_flatten(self) -> bool:
        """Whether a file that is there says in its name that our positions are to be closed: EMERGENCY_STOP_FLATTEN."""
        rest = len(self._name)
        return any(FLATTEN in found.name[rest:].casefold() for found in self.all_found() if found not in self._folders)

    def is_on(self) -> bool:
        """Whether the emergency stop is on."""
        return self.found() is not None

    def is_asked(self) -> bool:
        """Whether anything asks the trader to leave."""
        return self.is_on()

    def check(self) -> None:
        """Raise KillSwitch when it is on."""
        found = self.found()
        if found in self._folders:
            raise KillSwitch(f"{found} cannot be read, so nobody can tell whether {self._name} is there: nothing more is sent")
        if found is not None:
            raise KillSwitch(f"{found} exists: nothing more is sent")

    def _found_in(self, folder: Path) -> list[Path]:
        beginning = self._name.casefold()
        try:
            with os.scandir(folder) as entries:
                return [folder / entry.name for entry in entries if entry.name.casefold().startswith(beginning)]
        except OSError:
            return [folder]


class StopSwitch(KillSwitchFile):
    """What may end one run: a file that was seen once stays seen, and a signal asks for the same way out."""

    _seen: tuple[Path, ...] = ()
    _interruption: Interrupted | None = None
    is_alone: Callable[[], bool] = staticmethod(lambda: False)  # whether the supervisor that should watch this run has gone

    def interrupt(self, why: Interrupted) -> None:
        """From now on nothing more is sent; the first reason is the one that counts."""
        self._interruption = self._interruption or why

    def all_found(self) -> tuple[Path, ...]:
        self._seen = tuple(dict.fromkeys((*self._seen, *super().all_found())))
        return self._seen

    def is_asked(self) -> bool:
        return self._interrupted() is not None or self.is_on()

    def check(self) -> None:
        super().check()
        if (why := self._interrupted()) is not None:
            raise why

    def _interrupted(self) -> Interrupted | None:
        if self._interruption is None and self.is_alone():
            self.interrupt(Interrupted("the supervisor has gone", LiveError.exit_code))
        return self._interruption
