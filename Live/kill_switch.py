"""The emergency stop file: looked for before every send and at least four times a second while waiting."""

import os
from pathlib import Path

from Live.config import LiveConfig
from Live.errors import KillSwitch


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
    def of(cls, config: LiveConfig) -> "KillSwitchFile":
        """The switch that the settings describe."""
        return cls(config.kill_switch_file, enabled=config.enable_kill_switch)

    @property
    def path(self) -> Path | None:
        """Where to put the file; None when the switch is off."""
        return self._folders[0] / self._name if self._folders else None

    def found(self) -> Path | None:
        """The file that is there, if any; a folder that cannot be read stands for it."""
        return next(filter(None, map(self._found_in, self._folders)), None)

    def is_on(self) -> bool:
        """Whether trading must stop."""
        return self.found() is not None

    def check(self) -> None:
        """Raise KillSwitch when it is on."""
        found = self.found()
        if found in self._folders:
            raise KillSwitch(f"{found} cannot be read, so nobody can tell whether {self._name} is there: nothing more is sent")
        if found is not None:
            raise KillSwitch(f"{found} exists: nothing more is sent; remove it to trade again")

    def _found_in(self, folder: Path) -> Path | None:
        try:
            with os.scandir(folder) as entries:
                beginning = self._name.casefold()
                found = next((entry.name for entry in entries if entry.name.casefold().startswith(beginning)), None)
        except OSError:
            return folder
        return None if found is None else folder / found
