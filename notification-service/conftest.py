"""Lets the tests of this service import its `app`. Each service has a package of that name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
