"""What a command does: it puts down, or takes away, the files that the trader looks for. Nothing else can be done from afar."""

from collections.abc import Mapping
from pathlib import Path

from Live.config import LiveConfig
from Live.errors import Misconfigured
from Live.kill_switch import KillSwitchFile
from Live.pause import PauseFile

# What is asked before: command: the question.
DANGEROUS: Mapping[str, str] = {
    "pause": "Keep new entries from being sent? Exits and stops go on.",
    "resume": "Let entries be sent again?",
    "stop": "Emergency stop: send nothing more, and end the trader? Positions stay as KILL_SWITCH_ACTION says. Only on the machine itself "
    "can it be lifted.",
    "flatten": "Emergency stop, and close all our positions at the market first?",
}


def act(command: str, config: LiveConfig, who: str) -> str:
    """Do it; what was done, in a sentence. Raises Misconfigured when the file cannot be made or removed."""
    if command == "pause":
        PauseFile.of(config).put(who)
        return "Paused: no entries are sent until /resume. Exits and stops go on."
    switch = KillSwitchFile.of(config)
    if command == "resume":
        lifted = PauseFile.of(config).lift()
        if (found := switch.found()) is not None:
            return f"The emergency stop stays: {found.name} can only be lifted on the machine itself."
        return "Entries are sent again." if lifted else "Nothing was paused."
    file = switch.flattening_path if command == "flatten" else switch.path
    if file is None:
        return "ENABLE_KILL_SWITCH=false: the trader does not look for a stop file. End it on its machine."
    _put(file, who)
    return f"{file.name} is there: nothing more is sent, and the trader ends" + (", its positions closed." if command == "flatten" else ".")


def _put(file: Path, who: str) -> None:
    try:
        file.write_text(f"{who}\n", encoding="utf-8")
    except OSError as error:
        if not file.exists():  # whatever it is, it counts
            raise Misconfigured(f"{file.name} cannot be made ({error.strerror}): end the trader on its machine") from error
