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

    def test_crawler(self):
        lines = run("crawler", "--demo-pages", "200", "--demo-latency", "10").splitlines()
        self.assertEqual(lines[-1], "Pages: 200 counted here, 200 by the server.")

    def test_hello(self):
        lines = run("hello").splitlines()
        self.assertEqual((lines[0], lines[-1]), ("both are ready; neither has run", "6 in all"))
        # Whose turn it is depends on the clock; the order of each one's ticks does not.
        for sound in ("tick", "tock"):
            self.assertEqual([line for line in lines if line.startswith(sound)], [f"{sound} {i}" for i in (1, 2, 3)])
        self.assertEqual(len(lines), 8)


if __name__ == "__main__":
    unittest.main()
