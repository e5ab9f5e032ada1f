"""
One value of a file, without loading the rest of it.

A probe runs every few seconds, also while the file is being edited: it must be cheap, and must not mind what else is wrong.
"""

from collections.abc import Mapping as Given

from corsproxy.config.diagnostics import Report, Source
from corsproxy.config.interpolate import interpolate
from corsproxy.config.nodes import Mapping, Scalar, Unreadable, read_nodes


def admin_address(text: str, environ: Given[str, str]) -> str:
    """Return what a file writes for `admin.listen`, references replaced; "" where it writes nothing, or nothing that can be read. Never raises."""
    source = Source("", ())
    report = Report(source)
    try:
        root = read_nodes(text, source, report)
    except Unreadable:
        return ""
    entry = root.entries.get("admin") if isinstance(root, Mapping) else None
    if entry is None:
        return ""
    # Only this part: the others may have secrets that a probe is not given.
    admin, _ = interpolate(entry.value, environ, report)
    value = admin
    if isinstance(admin, Mapping) and "listen" in admin.entries:
        value = admin.entries["listen"].value
    return value.text if isinstance(value, Scalar) and not value.is_null else ""
