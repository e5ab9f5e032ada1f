"""`python -m corsproxy`."""

import sys

from corsproxy.cli.main import main

sys.exit(main())
