"""The plain script runs as it is; the others have tests of their own beside them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "script.py"


def test_the_script_hashes_what_is_there_and_tells_what_failed(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "one.py"
    file.parent.mkdir()
    file.write_text("print('one')\n")
    environment = {name: value for name, value in os.environ.items() if name != "JOBCORE_URL"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(file)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    succeeded, failed = done.stdout.splitlines()
    assert digest in succeeded
    assert failed.startswith("failed: FileNotFoundError")
