#!/usr/bin/env python3
"""Runs the suite, prints its table, and writes BUILD/bench.json and the page BUILD/bench.html.

    bench/run.py BUILD [--peers] [--rounds N] [--only REGEX] [--kinds micro,echo,...] [--out FOLDER]

Kinds are micro, echo, hubs, million, growth and, with --peers, crawl. A row that finds
its own result wrong ends the run with an error.
"""
import argparse
import json
import os
import pathlib
import platform
import re
import resource
import sys
import time

import crawl
import echo
import growth
import million
import report
import suite

KINDS = ["micro", "echo", "hubs", "million", "growth"]  # and crawl, which is beside the peers only


def machine():
    model = "unknown processor"
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{model}, {len(os.sched_getaffinity(0))} cores, Linux {platform.release()}"


def say(line):
    print(line, flush=True)


def rows(arguments):
    """Rows of bench.json as they are found."""
    build, rounds, peers = arguments.build, arguments.rounds, arguments.peers
    only = re.compile(arguments.only)
    if "micro" in arguments.kinds:
        yield from suite.run(suite.MICRO, build, rounds, peers, say, only)
    if "echo" in arguments.kinds:
        yield from echo.rows(build, rounds, peers, say, only)
        yield from echo.held_rows(build, max(1, rounds // 2), peers, only)
    if "hubs" in arguments.kinds:
        yield from suite.run(suite.HUBS, build, rounds, peers, say, only)
        yield from echo.hub_rows(build, rounds, only)
    if "million" in arguments.kinds:
        yield from million.rows(build, max(1, rounds // 3), peers, say, only)
    if "crawl" in arguments.kinds:
        yield from crawl.rows(build, max(1, rounds // 2), peers, say, only)


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("build", type=pathlib.Path)
    options.add_argument("--peers", action="store_true")
    options.add_argument("--rounds", type=int, default=suite.ROUNDS)
    options.add_argument("--only", default=".")
    options.add_argument("--kinds", type=lambda text: text.split(","))
    options.add_argument("--out", type=pathlib.Path)
    arguments = options.parse_args()
    arguments.build = arguments.build.resolve()
    arguments.kinds = arguments.kinds or KINDS + ["crawl"] * arguments.peers
    # Thousands of connections need as many descriptors at both ends.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    begin = time.monotonic()
    say(machine())
    results = []
    for row in rows(arguments):
        results.append(row)
        say(suite.line(row))
    curves = growth.run(arguments.build, arguments.rounds, say) if "growth" in arguments.kinds else []
    kept = {"machine": machine(), "seconds": round(time.monotonic() - begin), "rows": results, "curves": curves}
    folder = arguments.out or arguments.build
    (folder / "bench.json").write_text(json.dumps(kept, indent=1))
    page = report.write(kept, folder)
    missed = [row["row"] for row in results if suite.kept(row) is False]
    say(f"{len(results)} rows in {kept['seconds']} s, {len(missed)} miss their bar{': ' if missed else ''}{', '.join(missed)}")
    say(f"written: {folder / 'bench.json'} and {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
