"""The commands without Flask."""

import subprocess
import sys

command = [sys.executable, "-m", "common.pyportal_common", "check"]
result = subprocess.run(command, capture_output=True, text=True, check=True)
assert result.stdout.endswith("can be used\n"), result.stdout
