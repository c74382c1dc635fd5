"""What can go wrong in `Live`, grouped by what the caller must do next."""


class LiveError(Exception):
    """
    LiveError
    ├── Misconfigured      a person must act: do not start (exit code 2)
    ├── Unreachable        no terminal: watch and wait, or give up at the start (3)
    │   └── NotShownYet    its lists contradict each other: look again, at the start, too
    ├── WrongAccount       this is not the account that we may trade: do not start (4)
    ├── NeedsPerson        the record and the terminal disagree: a person must decide (5)
    ├── AnotherInstance    somebody else trades with this account or record: do not start (7)
    ├── RecordFailed       it cannot be recorded: send nothing more (1)
    ├── CrashLoop          the trader died again and again: a person must look (8)
    └── KillSwitch         the stop file is there: send nothing more, leave (10)
        └── Interrupted    a signal asks for it: the same, but the next start trades again (0, or 130 after Ctrl-C)
    """

    exit_code = 1


class Misconfigured(LiveError):
    """Settings, arguments or files that a person must put right. `mistakes` holds one sentence each."""

    exit_code = 2

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class Unreachable(LiveError):
    """The terminal does not answer, or is not there."""

    exit_code = 3


class NotShownYet(Unreachable):
    """Positions and deals do not fit together: one of both is late."""


class WrongAccount(LiveError):
    """The terminal is logged in to an account that this run may not trade."""

    exit_code = 4


class NeedsPerson(LiveError):
    """The record and the terminal cannot be brought together without a person."""

    exit_code = 5


class AnotherInstance(LiveError):
    """Another process holds the lock of this record, or of this account and magic number."""

    exit_code = 7


class CrashLoop(LiveError):
    """The supervised trader died again and again; it is not started any more."""

    exit_code = 8


class RecordFailed(LiveError):
    """The audit database cannot be written. What cannot be recorded is not sent."""

    exit_code = 1


class KillSwitch(LiveError):
    """The emergency stop file exists, or the stop is on record."""

    exit_code = 10


class Interrupted(KillSwitch):
    """Somebody asks this one run to end. `exit_code` is what it ends with."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code
