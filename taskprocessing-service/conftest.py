"""Makes `app` importable in the tests: each service has a package of that name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
