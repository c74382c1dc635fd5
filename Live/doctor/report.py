"""Findings for people and for programs."""

import json
import textwrap
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.text import Text

from Live.doctor.findings import Finding, Grade
from Live.redaction import redacted

STYLES = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "bold red"}
GRADE_WIDTH, TOPIC_WIDTH = 6, 18
INDENT = GRADE_WIDTH + TOPIC_WIDTH
NARROWEST = 30  # characters


def print_findings(findings: Iterable[Finding], secrets: Callable[[], Iterable[str]], *, as_json: bool) -> list[Finding]:
    """Print each finding as it comes, without secrets, on the standard output; returns them all."""
    out = Console(highlight=False)
    shown: list[Finding] = []
    for finding in findings:
        # a broker's name may have letters that a pipe on Windows cannot carry
        texts = [text.encode(out.encoding, "replace").decode(out.encoding) for text in (finding.topic, finding.text, finding.remedy)]
        topic, text, remedy = redacted(texts, secrets())
        shown.append(Finding(topic, finding.grade, text, remedy))
        if not as_json:
            out.print(_lines(shown[-1], out.width), soft_wrap=True)
    if as_json:
        out.out(json.dumps({"ok": not _count(shown, Grade.FAIL), "findings": [_fields(finding) for finding in shown]}, indent=2))
    else:
        counts = ", ".join(f"{_count(shown, grade)} {grade.value}" for grade in Grade)
        out.print(f"\n{counts}. " + ("A start would fail." if _count(shown, Grade.FAIL) else "A start would not be refused."))
    return shown


def _lines(finding: Finding, width: int) -> Text:
    room = max(NARROWEST, width - INDENT)
    text, remedy = textwrap.wrap(finding.text, room), textwrap.wrap(f"-> {finding.remedy}", room) if finding.remedy else []
    lines = Text(no_wrap=True, overflow="ignore")
    lines.append(f"{finding.grade.value:<{GRADE_WIDTH}}", STYLES[finding.grade]).append(f"{finding.topic:<{TOPIC_WIDTH}}")
    margin = "\n" + " " * INDENT
    return lines.append(margin.join(text)).append("".join(margin + line for line in remedy), "bold")


def _fields(finding: Finding) -> dict[str, str]:
    return {"topic": finding.topic, "grade": finding.grade.value, "text": finding.text, "remedy": finding.remedy}


def _count(findings: Iterable[Finding], grade: Grade) -> int:
    return sum(finding.grade is grade for finding in findings)
