"""Clients in other languages: a small script of theirs that does what each line of JSON tells it and answers with one."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import program

PATIENCE = 20.0


class Obedient:
    """A process that holds one client. `close` it."""

    def __init__(self, *command: str, home: Path, env: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=program.environment(home, **(env or {})),
        )
        self._answers: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(b"")

    def tell(self, *words: Any) -> dict[str, Any]:
        """Its answer, be it an error."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words).encode() + b"\n")
        self._process.stdin.flush()
        line = self._answers.get(timeout=PATIENCE)
        if not line:
            assert self._process.stderr is not None
            raise AssertionError(self._process.stderr.read().decode())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __call__(self, *words: Any) -> Any:
        """What it gave, which was no error."""
        answer = self.tell(*words)
        assert "error" not in answer, (words, answer)
        return answer["value"]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
