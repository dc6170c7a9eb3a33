#!/usr/bin/env python3
"""The fern command says its version and what the machine offers."""
import os
import pathlib
import subprocess
import unittest

COMMAND = pathlib.Path(os.environ["FERN_BUILD"]) / "fern"


def run(*arguments):
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True)


class Command(unittest.TestCase):
    def test_version_is_one_line(self):
        result = run("--version")
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stdout, r"\Afern \d+\.\d+\.\d+\n\Z")

    def test_info_tells_the_limits_that_the_system_tells(self):
        rows = dict(line.split(None, 1) for line in run("info").stdout.splitlines() if line.startswith(("page", "vm.")))
        self.assertEqual(rows["page"], f"{os.sysconf('SC_PAGE_SIZE')} bytes")
        self.assertEqual(int(rows["vm.max_map_count"]), int(pathlib.Path("/proc/sys/vm/max_map_count").read_text()))

    def test_info_says_how_stacks_are_guarded(self):
        self.assertRegex(run("info").stdout, r"(?m)^stack guards +(every|about \d+|none)")

    def test_an_unknown_command_is_an_error(self):
        self.assertNotEqual(run("frobnicate").returncode, 0)
        self.assertNotEqual(run().returncode, 0)


if __name__ == "__main__":
    unittest.main()
