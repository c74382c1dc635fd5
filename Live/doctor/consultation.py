"""From the command line to an exit code."""

from collections.abc import Mapping
from pathlib import Path

from Live.config import load_config
from Live.doctor.examination import examine, examine_without_settings
from Live.doctor.findings import Grade, worst
from Live.doctor.report import print_findings
from Live.errors import Misconfigured

CHECK_FAILED = 6


def consult(flags: Mapping[str, object], env_file: Path | None, environ: Mapping[str, str], *, as_json: bool) -> int:
    """Look at everything and print it; 0 when nothing is red, 6 when something is, 2 when it is the settings."""
    try:
        config = load_config(flags, env_file, environ)
    except Misconfigured as error:
        print_findings(examine_without_settings(error, environ), tuple, as_json=as_json)
        return Misconfigured.exit_code
    found = print_findings(examine(config, env_file, environ), config.secrets, as_json=as_json)
    return CHECK_FAILED if worst(found) is Grade.FAIL else 0
