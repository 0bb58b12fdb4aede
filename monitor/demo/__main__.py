"""Run the demo as `python -m monitor.demo`."""

import sys

try:
    from .play import main
except ModuleNotFoundError as error:
    sys.exit(f"the demo needs {error.name}: pip install 'calwatch[server,demo]'")

sys.exit(main())
