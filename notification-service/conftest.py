"""Makes the package `app` of this service importable. Each service has a package of that name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
