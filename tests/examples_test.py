#!/usr/bin/env python3
"""Runs every example and checks what it does. An example without a test here fails this one."""
import os
import pathlib
import re
import subprocess
import unittest

SOURCE = pathlib.Path(os.environ["FERN_SOURCE"])
BUILD = pathlib.Path(os.environ["FERN_BUILD"])

# Long enough for any example on a busy machine; they end by themselves.
PATIENCE = 100


def examples():
    return re.findall(r"^  '(\w+)'", (SOURCE / "examples" / "meson.build").read_text(), re.M)


def run(name, *arguments):
    """What the example printed; it must end well, and say nothing on stderr."""
    result = subprocess.run(
        [BUILD / "examples" / name, *arguments], capture_output=True, text=True, timeout=PATIENCE, cwd=BUILD)
    if result.returncode or result.stderr:
        raise AssertionError(f"{name}: exit {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result.stdout


class Examples(unittest.TestCase):
    def test_every_example_is_run_here(self):
        self.assertEqual([name for name in examples() if not hasattr(self, f"test_{name}")], [])


if __name__ == "__main__":
    unittest.main()
