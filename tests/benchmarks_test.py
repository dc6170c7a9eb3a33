#!/usr/bin/env python3
"""Every benchmark still runs and finds its own results right. How fast it is, is no test's business."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

BUILD = pathlib.Path(os.environ["FERN_BUILD"])
SOURCE = pathlib.Path(os.environ["FERN_SOURCE"])
sys.path.insert(0, str(SOURCE / "bench"))

import crawl  # noqa: E402
import echo  # noqa: E402
import growth  # noqa: E402
import suite  # noqa: E402

SMALL = "--benchmark_filter=-(00000|skynet)"  # nothing with 100,000 or more


def programs(pattern):
    """Those that are built: the peers may not be."""
    return sorted(path for path in (BUILD / "bench").glob(pattern) if path.is_file())


class Benchmarks(unittest.TestCase):
    def test_each_runs_and_checks_itself(self):
        for program in programs("*_bench") + [each for each in programs("*_peer") if each.name != "go_peer"]:
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

    def test_each_server_answers_the_client(self):
        self.assertIn("fern", echo.servers(BUILD))
        hubs = {"hubs": [BUILD / "bench" / "hubs_echo", "2"]}
        for name, command in (echo.servers(BUILD) | hubs).items():
            with self.subTest(name):
                sample = echo.measure(BUILD, command, 5, 1000, 0.05)
                self.assertGreater(sample["per_second"], 0)

    def test_each_program_of_the_million_does_a_thousand(self):
        for program in programs("million_*"):
            for what in ("parked", "sleepers"):
                with self.subTest(program.name, what=what):
                    result = subprocess.run([program, what, "1000"], capture_output=True, text=True, timeout=60)
                    if result.returncode == 2:  # has no such row
                        continue
                    self.assertEqual(result.returncode, 0, result.stderr)
                    self.assertTrue(json.loads(result.stdout))

    def test_a_ratio_is_the_median_of_the_rounds_ratios(self):
        # The machine is twice as fast in the first round, and Fern in none.
        row = suite.conclude("row", "ns", "lower", 1.5, {"fern": [1, 2, 2.2], "limit": [1, 2, 2], "peer": [4]})
        self.assertEqual((row["ratio_to_limit"], row["fern"], row["limit"]), (1, 2, 2))
        self.assertEqual(row["ratio_to_best_peer"], 0.5)
        self.assertTrue(suite.kept(row))
        slow_once = suite.conclude("row", "ns", "lower", 1.5, {"fern": [1, 2, 4], "limit": [2, 4, 2]})
        self.assertEqual(slow_once["ratio_to_limit"], 0.5)
        fixed = suite.conclude("row", "bytes", "lower", 1, {"fern": [5, 6, 7], "limit": [4]})
        self.assertEqual(fixed["ratio_to_limit"], 1.5)
        with self.assertRaises(ValueError):
            suite.conclude("row", "ns", "lower", None, {"fern": [1, 2], "limit": [1, 2, 3]})

    def test_each_row_is_known_to_its_program(self):
        for row in suite.MICRO + suite.HUBS:
            for program, name in (row.fern, row.limit):
                listed = subprocess.run([suite.PROGRAMS[program][0].format(build=BUILD), "--benchmark_list_tests"],
                                        capture_output=True, text=True, check=True).stdout.splitlines()
                self.assertTrue([each for each in listed if re.match(suite.pattern(name), each)], (program, name))

    def test_peers_in_other_languages_do_a_row(self):
        for name in ("Go", "greenlet", "gevent", "eventlet"):
            with self.subTest(name):
                try:
                    self.assertGreater(suite.start(BUILD, name, "switch" if name == "greenlet" else "spawn_join"), 0)
                except suite.Missing as missing:
                    print(f"left out: {missing}")

    def test_each_crawler_finds_the_links_of_a_page(self):
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder, "page.html")
            page.write_text("<html><body><a href=1>one</a><a href=2>two</a><p>none</p></body></html>")
            names = pathlib.Path(folder, "list")
            names.write_text(str(page))
            for name, command in crawl.crawlers(BUILD, with_peers=True).items():
                if not pathlib.Path(command[0]).exists():
                    continue
                with self.subTest(name):
                    found = json.loads(crawl.run([*command, "parse", "1", names], name))
                    self.assertEqual((found["pages"], found["links"]), (1, 2))

    def test_a_curve_has_its_points(self):
        curve = growth.connections(BUILD, 1, print, counts=[1, 10], seconds=0.05)
        for points in curve["lines"].values():
            self.assertEqual([point["x"] for point in points], [1, 10])

    def test_the_command_writes_a_page_and_compare_finds_it_equal_to_itself(self):
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.run(
                [sys.executable, SOURCE / "bench" / "run.py", BUILD, "--rounds", "1", "--kinds", "micro",
                 "--only", "^(switch|os_threads)$", "--out", folder], capture_output=True, text=True, timeout=100)
            self.assertEqual(run.returncode, 0, run.stderr)
            rows = json.loads(pathlib.Path(folder, "bench.json").read_text())["rows"]
            self.assertEqual([row["row"] for row in rows], ["switch", "os_threads"])
            for row in rows:
                self.assertLessEqual({"row", "unit", "better", "limit", "fern", "peers", "ratio_to_limit",
                                      "ratio_to_best_peer", "bar", "spread"}, set(row))
            self.assertIn("Fern, measured", pathlib.Path(folder, "bench.html").read_text())
            self.assertEqual(self.compare(folder, rows, rows), 0)
            worse = [row | {"ratio_to_limit": row["ratio_to_limit"] * 2, "spread": {}} for row in rows]
            still = [row | {"spread": {}} for row in rows]
            self.assertEqual(self.compare(folder, still, worse), 1)
            self.assertEqual(self.compare(folder, worse, still), 0)

    def compare(self, folder, old, new):
        paths = []
        for name, rows in (("old", old), ("new", new)):
            paths.append(pathlib.Path(folder, f"{name}.json"))
            paths[-1].write_text(json.dumps({"rows": rows}))
        return subprocess.run([sys.executable, SOURCE / "bench" / "compare.py", *paths], capture_output=True).returncode


if __name__ == "__main__":
    unittest.main()
