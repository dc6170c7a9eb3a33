#!/usr/bin/env python3
"""Measures what Fern promises about time, and says of each promise whether this machine saw it kept.

    bench/accept.py BUILD

Promises are ratios within one run: a machine's speed does not count, its mood does; so a promise that is missed is
measured again, up to three times, and the best run decides.
"""
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ATTEMPTS = 3

# (benchmark, row, at most so many times, the row of the same run)
RATIOS = [
    ("switch", "yield/2", 1.5, "raw_jump"),
    ("switch", "yield/1000", 2.0, "raw_jump"),
    ("switch", "raw_switch", 1.4, "raw_jump"),
    ("switch", "raw_switch_value", 1.5, "raw_jump"),
    ("switch", "spawn_join", 15.0, "raw_jump"),
    # While the process has one thread, as queue_bench has.
    ("queue", "hand_off", 3.6, "raw_jump"),
    ("queue", "stream", 3.6, "raw_jump"),
    ("queue_threads", "lock_unlock", 1.35, "compare_exchange"),
    # Lateness is the one promise in microseconds: of the median sleep on an idle hub.
    ("timer", "sleep_late/100", 200, "microsecond"),
    ("timer", "sleep_late/1000", 200, "microsecond"),
    ("timer", "sleep_late/7300", 200, "microsecond"),
]


def measure(build, noun):
    """{row: ns} of one run."""
    subprocess.run([sys.executable, HERE / "report.py", build, noun], check=True, stdout=subprocess.DEVNULL)
    results = json.loads((build / "bench.json").read_text())
    return {"microsecond": 1e3} | {row["name"]: row["ns"] for row in results["benchmarks"][noun]}


def best_ratios(build, noun):
    """{(row, limit): ratio}, each the best of the runs that it took."""
    best = {}
    wanted = [(row, most, limit) for name, row, most, limit in RATIOS if name == noun]
    for _ in range(ATTEMPTS):
        times = measure(build, noun)
        for row, _, limit in wanted:
            ratio = times[row] / times[limit]
            best[row, limit] = min(ratio, best.get((row, limit), ratio))
        if all(best[row, limit] <= most for row, most, limit in wanted):
            break
    return best


def main():
    build = pathlib.Path(sys.argv[1])
    missed = 0
    for noun in dict.fromkeys(name for name, *_ in RATIOS):
        best = best_ratios(build, noun)
        for name, row, most, limit in RATIOS:
            if name != noun:
                continue
            ratio = best[row, limit]
            missed += ratio > most
            print(f"{'kept  ' if ratio <= most else 'MISSED'} {row}: {ratio:.2f} x {limit}, promised {most:g}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
