"""
Print the completion of a shell.

  bash   corsproxy completion bash > ~/.local/share/bash-completion/completions/corsproxy
  zsh    corsproxy completion zsh > ~/.zfunc/_corsproxy     (any directory of $fpath)
  fish   corsproxy completion fish > ~/.config/fish/completions/corsproxy.fish
"""

import argparse
from pathlib import Path
from typing import Final

from corsproxy.cli.exits import EXIT_OK
from corsproxy.cli.term import write_out

# Written by `tools/write-completion`.
FILES: Final = {
    shell: Path(__file__).with_name("completions") / name
    for shell, name in (("bash", "corsproxy.bash"), ("zsh", "_corsproxy"), ("fish", "corsproxy.fish"))
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the argument of `completion`."""
    parser.add_argument("shell", metavar="SHELL", choices=tuple(FILES), help="bash, zsh or fish")


def run(arguments: argparse.Namespace) -> int:
    """Print the file; returns the exit code."""
    write_out(FILES[arguments.shell].read_text(encoding="utf-8"))
    return EXIT_OK
