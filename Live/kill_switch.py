"""The emergency stop file: looked for before every send and at least four times a second while waiting."""

import os
from pathlib import Path

from Live.config import LiveConfig
from Live.errors import KillSwitch


class KillSwitchFile:
    """Anything in the file's folder, or in the folder that the trader was started in, whose name begins with the file's name
    counts: Explorer makes EMERGENCY_STOP.txt. A folder that cannot be read counts as the file itself (fail closed).
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
        """The file that is there, if any."""
        for folder in self._folders:
            try:
                with os.scandir(folder) as entries:
                    found = next((folder / entry.name for entry in entries if entry.name.startswith(self._name)), None)
            except OSError:
                return folder
            if found is not None:
                return found
        return None

    def is_on(self) -> bool:
        """Whether trading must stop."""
        return self.found() is not None

    def check(self) -> None:
        """Raise KillSwitch when it is on."""
        if (file := self.found()) is not None:
            raise KillSwitch(f"{file} exists: nothing more is sent; remove it to trade again")
