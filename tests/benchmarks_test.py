#!/usr/bin/env python3
"""Every benchmark still runs and finds its own results right. How fast it is, is no test's business."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

BUILD = pathlib.Path(os.environ["FERN_BUILD"])


class Benchmarks(unittest.TestCase):
    def test_each_runs_and_checks_itself(self):
        for program in sorted((BUILD / "bench").glob("*_bench")):
            with self.subTest(program.name), tempfile.NamedTemporaryFile(suffix=".json") as out:
                result = subprocess.run(
                    [program, "--benchmark_min_time=0.001", f"--benchmark_out={out.name}"],
                    capture_output=True, text=True, timeout=100)
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
                rows = json.loads(pathlib.Path(out.name).read_text())["benchmarks"]
                self.assertEqual([row["name"] for row in rows if row.get("error_occurred")], [])
                self.assertTrue(rows)


if __name__ == "__main__":
    unittest.main()
