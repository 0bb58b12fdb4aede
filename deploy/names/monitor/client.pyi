from calwatch.client import *  # noqa: F403 - all of it, for type checkers
