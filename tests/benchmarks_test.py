#!/usr/bin/env python3
"""Every benchmark still runs and finds its own results right. How fast it is, is no test's business."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

BUILD = pathlib.Path(os.environ["FERN_BUILD"])
SMALL = "--benchmark_filter=-(00000|skynet)"  # nothing with 100,000 or more


class Benchmarks(unittest.TestCase):
    def test_each_runs_and_checks_itself(self):
        for program in sorted([*(BUILD / "bench").glob("*_bench"), *(BUILD / "bench").glob("raw_peer")]):
            with self.subTest(program.name), tempfile.NamedTemporaryFile(suffix=".json") as out:
                result = subprocess.run(
                    [program, "--benchmark_min_time=0.001", SMALL, f"--benchmark_out={out.name}"],
                    capture_output=True, text=True, timeout=100)
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
                rows = json.loads(pathlib.Path(out.name).read_text())["benchmarks"]
                errors = {row["name"]: row["error_message"] for row in rows if row.get("error_occurred")}
                self.assertEqual({name for name, error in errors.items() if error != "too few processors"}, set())
                self.assertTrue(rows)
                self.assertEqual([row["name"] for row in rows if row["name"] not in errors
                                  and "items_per_second" not in row], [], "the suite reads items_per_second")


if __name__ == "__main__":
    unittest.main()
