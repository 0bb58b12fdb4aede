"""The client by the package's older name, for type checkers; at run time it is `calwatch.client` itself."""

from calwatch.client import *  # noqa: F403 - all of it
