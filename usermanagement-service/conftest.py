"""Put the service's `app` on the path of its tests. Each service has a package of that name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
