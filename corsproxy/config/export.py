"""
Diagnostics for programs: JSON, and the annotations of GitHub's workflows.

It knows the formats and how they are escaped; it does not know what is wrong.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

from corsproxy.config.diagnostics import Diagnostic
from corsproxy.problems import Severity

_LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def to_json(diagnostics: Iterable[Diagnostic]) -> str:
    """
    Write diagnostics as a JSON array of objects; `null` stands for lines and columns where there are none.

    Pure. The end lies behind the last character. What the file holds beyond ASCII is written as escapes, so that
    the text can be shown anywhere.
    """
    return json.dumps(to_objects(diagnostics), indent=2) + "\n"


def to_objects(diagnostics: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    """Return diagnostics as `to_json` writes them, for what is written as JSON with other things. Pure."""
    return [_object(each) for each in diagnostics]


def to_github(diagnostics: Iterable[Diagnostic]) -> str:
    """
    Write diagnostics as workflow commands, one a line, which GitHub shows beside the lines of the file.

    Pure. Whatever the file holds, it cannot begin a command of its own.

    Spec: https://docs.github.com/actions/reference/workflow-commands-for-github-actions#setting-an-error-message;
    the escapes are those of actions/toolkit, packages/core/src/command.ts.
    """
    return "".join(map(_command, diagnostics))


def _object(each: Diagnostic) -> dict[str, Any]:
    return {
        "code": each.problem.code,
        "severity": each.severity.value,
        "title": each.problem.title,
        "message": each.message,
        "help": each.help,
        "note": each.note,
        "file": each.file,
        "line": each.line or None,
        "column": each.column or None,
        "end_line": each.end_line or None,
        "end_column": each.end_column or None,
        "url": each.problem.page,
    }


def _command(each: Diagnostic) -> str:
    properties: dict[str, str | int] = {"file": each.file}
    if each.line:
        properties |= {"line": each.line, "endLine": each.end_line}
        # GitHub takes columns for a stretch within one line only.
        if each.line == each.end_line:
            properties |= {"col": each.column, "endColumn": each.end_column}
    properties["title"] = each.problem.code
    written = ",".join(f"{name}={_escape_property(str(value))}" for name, value in properties.items())
    message = "\n".join([each.message, *(f"= {name}: {text}" for name, text in (("note", each.note), ("help", each.help)) if text)])
    return f"::{_LEVELS[each.severity]} {written}::{_escape_data(message)}\n"


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")
