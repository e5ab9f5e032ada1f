"""What the tests of the file have in common: the smallest good file, and diagnostics as one line each."""

from corsproxy.config.load import load_text
from corsproxy.config.schema import SECTIONS

U = "upstream: http://localhost:9000\n"
C = "cors: {allow_origins: [https://a.example]}\n"
UC = U + C


def said(text: str) -> list[str]:
    """Write each diagnostic in one line: code, place, message, help."""
    return [
        f"{each.problem.code} {each.line}:{each.column} {each.message}" + (f" | {each.help}" if each.help else "")
        for each in load_text(text, "f").diagnostics
    ]


def keys_of(section: str) -> str:
    """Write what a message says of the keys that a mapping has."""
    return "the keys here are " + ", ".join(f"`{name}`" for name in SECTIONS[section])
