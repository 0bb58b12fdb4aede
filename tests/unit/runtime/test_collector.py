"""What is loaded when a server has started is left out of every later collection."""

import subprocess
import sys

LOOK = """
import gc
from monitor.runtime import collector
import monitor.api.app
collector.settle()
print(gc.get_freeze_count() > 10 * len(gc.get_objects()), gc.get_threshold()[0] == collector.YOUNG)
"""


def test_what_is_loaded_is_not_looked_through_again() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
