"""Another interpreter that has the packages to compare with: a request per line, an answer per line."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from tests.benchmarks import peer_answers

SCRIPT: Final = peer_answers.__file__


class Peer:
    """Other packages, as one of our modules uses them, in a process of their own."""

    def __init__(self, interpreter: str, module: str) -> None:
        self.process = subprocess.Popen(
            [interpreter, SCRIPT, module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, name: str, rows: Path) -> dict[str, Any]:
        """Return what a peer makes of stored rows, or what is missing."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, str(rows)]) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> None:
        """End it."""
        self.process.communicate(timeout=60)
