#!/usr/bin/env python3
"""Runs the benchmarks, prints a table with ratios to the raw jump, and writes BUILD/bench.json.

    bench/report.py BUILD [--repetitions N] [--filter REGEX] [NOUN...]

Rows of one program run interleaved, so that a machine that changes its speed changes all of them. A row that
found its own result wrong makes the run fail.
"""
import argparse
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile

# Ratios are to this row of the same program, if it has it.
LIMIT = "raw_jump"
UNIT_NS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


def machine():
    model = "unknown processor"
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{model}, {len(os.sched_getaffinity(0))} cores, Linux {platform.release()}"


def run(program, arguments):
    """The raw rows of one program, as Google Benchmark writes them."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [
            program, f"--benchmark_out={out.name}", "--benchmark_out_format=json",
            f"--benchmark_repetitions={arguments.repetitions}", "--benchmark_enable_random_interleaving=true",
            f"--benchmark_filter={arguments.filter}",
        ]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        text = pathlib.Path(out.name).read_text()
    if result.returncode or not text:
        print(result.stdout)
        sys.exit(f"{program.name}: exit {result.returncode}")
    return [row for row in json.loads(text)["benchmarks"] if row["run_type"] == "iteration"]


def place(row):
    """Where a row stands in its program, whose runs are interleaved."""
    return row["family_index"], row["per_family_instance_index"]


def summarise(rows):
    """[{name, ns, mad, error}] in the program's order: the median over repetitions and its deviation.

    A row with items counts the time of an item; one without, that of an iteration.
    """
    by_name = {}
    for row in rows:
        by_name.setdefault(row["run_name"], []).append(row)
    summary = []
    for name, repetitions in sorted(by_name.items(), key=lambda item: place(item[1][0])):
        errors = [row["error_message"] for row in repetitions if row.get("error_occurred")]
        times = [
            1e9 / row["items_per_second"] if "items_per_second" in row
            else row["real_time"] * UNIT_NS[row["time_unit"]]
            for row in repetitions if not row.get("error_occurred")
        ]
        median = statistics.median(times) if times else None
        summary.append({
            "name": re.sub(r"/(real_time|manual_time|process_time|iterations:\d+|threads:1)", "", name),
            "ns": median,
            "mad": statistics.median(abs(t - median) for t in times) if times else None,
            "error": errors[0] if errors else None,
        })
    return summary


def table(noun, rows):
    limit = next((row["ns"] for row in rows if row["name"].split("/")[0] == LIMIT), None)
    print(f"\n| {noun} | ns | ± | × raw jump |\n|---|---:|---:|---:|")
    for row in rows:
        if row["error"]:
            print(f"| {row['name']} | wrong: {row['error']} | | |")
            continue
        row["ratio"] = row["ns"] / limit if limit else None
        ratio = f"{row['ratio']:,.2f}" if limit else ""
        print(f"| {row['name']} | {row['ns']:,.1f} | {row['mad']:,.1f} | {ratio} |")


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("build", type=pathlib.Path)
    options.add_argument("nouns", nargs="*")
    options.add_argument("--repetitions", type=int, default=7)
    options.add_argument("--filter", default=".")
    arguments = options.parse_args()

    programs = sorted((arguments.build / "bench").glob("*_bench"))
    nouns = {program.name.removesuffix("_bench"): program for program in programs}
    chosen = arguments.nouns or list(nouns)
    results = {}
    print(machine())
    for noun in chosen:
        if noun not in nouns:
            sys.exit(f"no benchmark of {noun}: there are {', '.join(nouns)}")
        results[noun] = summarise(run(nouns[noun].resolve(), arguments))
        table(noun, results[noun])
    (arguments.build / "bench.json").write_text(json.dumps({"machine": machine(), "benchmarks": results}, indent=1))
    wrong = [row["name"] for rows in results.values() for row in rows if row["error"]]
    return f"wrong results: {', '.join(wrong)}" if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
