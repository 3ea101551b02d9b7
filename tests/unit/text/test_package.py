"""The package is cheap to import."""

from __future__ import annotations

import subprocess
import sys


def test_importing_the_package_leaves_heavy_libraries_alone() -> None:
    script = "import sys, magi_core.text; print({'transformers', 'bs4', 'ftfy', 'sentencepiece'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
