"""What is made from the tables of the program is up to date."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_everything_that_is_made_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "tools" / "sync"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
