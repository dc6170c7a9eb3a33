"""The million rows: what a parked task and a pending sleep take when there are a million of them."""
import json
import os
import pathlib
import subprocess

import suite

HERE = pathlib.Path(__file__).resolve().parent

COUNT = 1_000_000
NAMES = {"boost_fiber": "Boost.Fiber", "go": "Go", "raw": "bare stacks", "uv": "libuv"}

# {row: (what the programs are told, which of their figures, unit, limit's program, bar)}
ROWS = {
    "parked_bytes": ("parked", "resident", "bytes", None, 4400),
    "parked_tables": ("parked", "page_tables", "bytes", None, 550),
    "parked_mappings": ("parked", "mappings", "mappings", None, 24),
    "sleepers": ("sleepers", "cpu_ns", "ns", "uv", 2.0),
    "sleepers_late_p99": ("sleepers", "late_p99_ms", "ms", None, 100),
}


def programs(build):
    """{name: command} of those that were built, and the script."""
    found = {path.name.removeprefix("million_"): [path] for path in sorted((build / "bench").glob("million_*"))
             if path.is_file() and os.access(path, os.X_OK)}
    if subprocess.run([suite.PYTHON, "-c", "import gevent"], capture_output=True).returncode == 0:
        found["gevent"] = [suite.PYTHON, HERE / "million" / "gevent_million.py"]
    return found


def ask(program, what, count):
    """The program's figures; None if it has no such row or cannot do it."""
    result = subprocess.run([*program, what, str(count)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            preexec_fn=lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))}))
    return json.loads(result.stdout) if result.returncode == 0 else None


def samples(build, rounds, chosen, say):
    """{(what, program): {figure: [values]}}, the programs in turn."""
    found = {}
    for what in ("parked", "sleepers"):
        for _ in range(rounds):
            for name, program in chosen.items():
                if found.get((what, name), {}) is None:
                    continue
                figures = ask(program, what, COUNT)
                if figures is None:
                    found[what, name] = None
                    continue
                for figure, value in figures.items():
                    found.setdefault((what, name), {}).setdefault(figure, []).append(value)
    for key in [key for key, value in found.items() if value is None]:
        if key[1] not in ("uv", "raw", "gevent"):  # these have one of the two
            say(f"left out of {key[0]}: {key[1]}")
        del found[key]
    return found


def rows(build, rounds, with_peers, say, only):
    """Rows of bench.json. Where nothing is measured as the limit, the bar itself is."""
    if not any(only.search(row) for row in ROWS):
        return
    chosen = {name: program for name, program in programs(build).items() if with_peers or name in ("fern", "uv")}
    found = samples(build, rounds, chosen, say)
    for row, (what, figure, unit, limit, bar) in ROWS.items():
        of_row = {NAMES.get(name, name): figures[figure] for (kind, name), figures in found.items() if kind == what}
        if "fern" not in of_row:
            raise suite.Wrong(f"{row}: Fern's program failed")
        of_row["limit"] = of_row.pop(NAMES[limit]) if limit else [bar]
        yield suite.conclude(row, unit, "lower", bar if limit else 1.0, of_row)
