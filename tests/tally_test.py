#!/usr/bin/env python3
"""The count at the end of a test run: no failure goes missing, whichever way a program ends."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

from tally import count, failures

GTEST = "[==========] Running 3 tests from 1 test suite.\n"
PASS = "[       OK ] Suite.Passes (1 ms)\n"
FAIL = "[  FAILED  ] Suite.Fails (1 ms)\n"
SKIP = "[  SKIPPED ] Suite.Skips (0 ms)\n"
# GoogleTest repeats the names of failures at its end.
END = "[  PASSED  ] 1 test.\n[  FAILED  ] 1 test, listed below:\n[  FAILED  ] Suite.Fails\n"


class Tally(unittest.TestCase):
    def test_a_googletest_program_counts_its_cases(self):
        self.assertEqual(count({"result": "OK", "stdout": GTEST + PASS + PASS + SKIP}), (2, 0, 1))
        self.assertEqual(count({"result": "FAIL", "stdout": GTEST + PASS + FAIL + END}), (1, 1, 0))

    def test_a_program_that_dies_in_a_case_counts_one_failure(self):
        self.assertEqual(count({"result": "FAIL", "stdout": GTEST + PASS + "[ RUN      ] Suite.Dies\n"}), (1, 1, 0))
        self.assertEqual(count({"result": "TIMEOUT", "stdout": ""}), (0, 1, 0))

    def test_a_sanitizers_report_after_the_last_case_counts_one_failure(self):
        self.assertEqual(count({"result": "FAIL", "stdout": GTEST + PASS + "[  PASSED  ] 1 test.\n"}), (1, 1, 0))

    def test_a_unittest_program_counts_its_tests(self):
        self.assertEqual(count({"result": "OK", "stderr": "...\nRan 3 tests in 0.1s\n\nOK\n"}), (3, 0, 0))
        errors = "Ran 5 tests in 0.1s\n\nFAILED (failures=1, errors=2, skipped=1)\n"
        self.assertEqual(count({"result": "FAIL", "stderr": errors}), (1, 3, 1))

    def test_any_other_program_is_one_case(self):
        self.assertEqual(count({"result": "OK"}), (1, 0, 0))
        self.assertEqual(count({"result": "FAIL"}), (0, 1, 0))
        self.assertEqual(count({"result": "SKIP"}), (0, 0, 1))

    def test_each_failure_is_named(self):
        self.assertEqual(failures({"result": "FAIL", "stdout": GTEST + PASS + FAIL + END}), "Suite.Fails")
        self.assertEqual(failures({"result": "TIMEOUT", "stdout": GTEST + "[ RUN      ] Suite.Hangs\n"}), "TIMEOUT")
        parametrized = "[  FAILED  ] Rows/Suite.Fails/1, where GetParam() = 2 (1 ms)\n"
        self.assertEqual(failures({"result": "FAIL", "stdout": GTEST + parametrized}), "Rows/Suite.Fails/1")
        errors = "FAIL: test_a (t.T.test_a)\nERROR: test_b (t.T.test_b)\nRan 2 tests in 0.1s\n"
        self.assertEqual(failures({"result": "FAIL", "stderr": errors}), "test_a, test_b")

    def run_tally(self, *rows, broken=0):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as log:
            log.writelines(json.dumps(row) + "\n" for row in rows)
            log.flush()
            command = [sys.executable, pathlib.Path(__file__).with_name("tally.py"), "--broken", str(broken), log.name]
            result = subprocess.run(command, capture_output=True, text=True)
        return result.returncode, result.stdout.splitlines()

    def test_the_last_line_and_the_exit_status_tell_the_sum(self):
        good = {"name": "good", "result": "OK", "stdout": GTEST + PASS}
        bad = {"name": "bad", "result": "FAIL"}
        off = {"name": "off", "result": "SKIP"}
        self.assertEqual(self.run_tally(good), (0, ["1 passed, 0 failed"]))
        self.assertEqual(self.run_tally(good, broken=1), (1, ["1 passed, 1 failed"]))
        self.assertEqual(self.run_tally(good, off), (0, ["1 passed, 0 failed, 1 skipped"]))
        status, lines = self.run_tally(good, bad)
        self.assertEqual((status, lines[-1]), (1, "1 passed, 1 failed"))
        self.assertRegex(lines[0], r"^failed: \S+: bad: FAIL$")

    def test_a_run_without_tests_fails(self):
        self.assertEqual(self.run_tally(), (1, ["dev: no test ran", "0 passed, 1 failed"]))


if __name__ == "__main__":
    unittest.main()
