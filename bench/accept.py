#!/usr/bin/env python3
"""Measures what Fern promises about time, and says of each promise whether this machine saw it kept.

    bench/accept.py BUILD

Promises are ratios of runs taken in turn: a machine's speed does not count, its mood does; so a promise that is missed
is measured again, up to three times, and the best attempt decides.
"""
import pathlib
import sys

import suite

ATTEMPTS = 3
ROUNDS = 3
MICROSECOND = None  # a limit that needs no measuring

# (program, row, at most so many times, the limit's program and row)
PROMISES = [
    ("switch", "yield/2", 1.5, ("raw", "jump")),
    ("switch", "yield/1000", 2.0, ("raw", "jump")),
    ("switch", "raw_switch", 1.4, ("raw", "jump")),
    ("switch", "raw_switch_value", 1.5, ("raw", "jump")),
    ("spawn", "spawn_join", 15.0, ("raw", "jump")),
    # While the process has one thread, as queue_bench has.
    ("queue", "channel", 3.6, ("raw", "jump")),
    ("queue", "stream", 3.6, ("raw", "jump")),
    ("queue_threads", "lock_unlock", 1.35, ("raw", "cas_xchg")),
    # Lateness is the one promise in microseconds: of the median sleep on an idle hub.
    ("timer", "sleep_late/100", 200, MICROSECOND),
    ("timer", "sleep_late/1000", 200, MICROSECOND),
    ("timer", "sleep_late/7300", 200, MICROSECOND),
]


def attempt(build, program, row, limit):
    """The ratio of the medians."""
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(suite.start(build, program, row))
        theirs.append(1e3 if limit is MICROSECOND else suite.start(build, *limit))
    return suite.median_and_spread(ours)[0] / suite.median_and_spread(theirs)[0]


def best_ratio(build, program, row, most, limit):
    best = attempt(build, program, row, limit)
    for _ in range(ATTEMPTS - 1):
        if best <= most:
            break
        best = min(best, attempt(build, program, row, limit))
    return best


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    missed = 0
    for program, row, most, limit in PROMISES:
        best = best_ratio(build, program, row, most, limit)
        missed += best > most
        unit = "microsecond" if limit is MICROSECOND else limit[1]
        print(f"{'kept  ' if best <= most else 'MISSED'} {row}: {best:.2f} x {unit}, promised {most:g}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
