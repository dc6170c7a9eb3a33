#!/usr/bin/env python3
"""Counts test cases in the logs of `meson test`, and prints the whole output of those that failed.

A log has one JSON object per program. GoogleTest and unittest say how many cases they ran; any other
program is one case. A program that dies counts as at least one failure. The lines before the count name
each failure once more: the end of a log is what is left of it where somebody cuts it.
"""
import argparse
import json
import pathlib
import re
import sys

GTEST_CASE = re.compile(r"^\[ *(OK|FAILED|SKIPPED) *\] .*\(\d+ ms\)$", re.M)
GTEST_FAILURE = re.compile(r"^\[ *FAILED *\] ([^\s,]+).* \(\d+ ms\)$", re.M)
UNITTEST_FAILURE = re.compile(r"^(?:FAIL|ERROR): (\S+)", re.M)
UNITTEST_RAN = re.compile(r"^Ran (\d+) tests? in", re.M)
UNITTEST_OUTCOME = re.compile(r"(failures|errors|skipped)=(\d+)")


def count(row):
    """(passed, failed, skipped) of one program."""
    output = row.get("stdout") or ""
    errors = row.get("stderr") or ""
    result = row["result"]
    if result == "SKIP":
        return 0, 0, 1
    passed = failed = skipped = 0
    ran = UNITTEST_RAN.search(errors)
    if "[==========] Running" in output:
        outcomes = GTEST_CASE.findall(output)
        passed, failed, skipped = (outcomes.count(o) for o in ("OK", "FAILED", "SKIPPED"))
    elif ran:
        found = {name: int(n) for name, n in UNITTEST_OUTCOME.findall(errors[ran.end():])}
        failed = found.get("failures", 0) + found.get("errors", 0)
        skipped = found.get("skipped", 0)
        passed = int(ran.group(1)) - failed - skipped
    else:
        passed = 1 if result == "OK" else 0
    if result != "OK" and failed == 0:
        failed = 1
    return passed, failed, skipped


def failures(row):
    """The names of the cases that failed; of a program that died outside of a case, how it ended."""
    names = GTEST_FAILURE.findall(row.get("stdout") or "") + UNITTEST_FAILURE.findall(row.get("stderr") or "")
    return ", ".join(names) or row["result"]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--failures", action="store_true", help="print the output of failures, and no count")
    options.add_argument("--broken", type=int, default=0, help="flavours that did not even run")
    options.add_argument("logs", nargs="*")
    arguments = options.parse_args()

    total = [0, arguments.broken, 0]
    for name in arguments.logs:
        with open(name) as log:
            for row in map(json.loads, log):
                counts = count(row)
                total = [a + b for a, b in zip(total, counts)]
                if arguments.failures and counts[1]:
                    print(f"==== {row['name']}: {row['result']}")
                    for stream in ("stdout", "stderr"):
                        print(row.get(stream) or "", end="")
                    print(f"==== end of {row['name']}")
                elif counts[1]:
                    print(f"failed: {pathlib.Path(name).stem}: {row['name']}: {failures(row)}")
    if arguments.failures:
        return 0
    passed, failed, skipped = total
    if passed + failed == 0:
        print("dev: no test ran")
        failed = 1
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
