"""The pause: a file that keeps entries from being sent while it is there; exits and protection go on."""

from pathlib import Path

from Live.config import LiveConfig
from Live.errors import Misconfigured

NAME = "PAUSE_ENTRIES"


class PauseFile:
    """Beside the emergency stop file. A folder that cannot be read counts as the file itself (fail closed)."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    @classmethod
    def of(cls, config: LiveConfig) -> "PauseFile":
        """The one that the trader of these settings looks for."""
        return cls(config.kill_switch_file.parent)

    def is_on(self) -> bool:
        """Whether entries wait."""
        try:
            self.path.lstat()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def put(self, who: str) -> None:
        """Let entries wait. Raises Misconfigured when the file cannot be made."""
        try:
            self.path.write_text(f"{who}\n", encoding="utf-8")
        except OSError as error:
            raise Misconfigured(f"{self.path} cannot be made ({error.strerror}): entries go on; stop the trader instead") from error

    def lift(self) -> bool:
        """Let them be sent again; False when they were not waiting. Raises Misconfigured when the file cannot be removed."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise Misconfigured(f"{self.path} cannot be removed ({error.strerror}): remove it by hand") from error
        return True
