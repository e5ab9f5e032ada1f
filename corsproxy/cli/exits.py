"""What an exit code says."""

from typing import Final

EXIT_OK: Final = 0
# `check` found problems.
EXIT_PROBLEMS: Final = 1
# Precedent: argparse, and every shell.
EXIT_USAGE: Final = 2
# Precedent: uvicorn.
EXIT_STARTUP: Final = 3
# `reload` found nobody to ask.
EXIT_NOT_REACHABLE: Final = 3
# sysexits.h EX_CONFIG: restart policies can tell a wrong file from a crash.
EXIT_CONFIG: Final = 78
# What shells say of a program that SIGINT or SIGPIPE ended: Ctrl-C before there is a proxy, `corsproxy --help | head -n 1`.
EXIT_INTERRUPTED: Final = 128 + 2
EXIT_CLOSED_PIPE: Final = 128 + 13
