"""The rows of the suite: which program does a row's work for whom, what its limit is, and how near Fern must come.

A program prints Google Benchmark's JSON for the rows that a pattern names. Rounds go in turn (A B A B ...), so that a
machine that changes its speed changes all of them: a ratio is the median of the rounds' ratios, each of two runs that
stood side by side, and never of single runs.
"""
import dataclasses
import json
import os
import pathlib
import re
import statistics
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's gevent
ROUNDS = 7

# {name: how it is started}: {build} and {here} are filled in, {row} is the pattern of one row.
GOOGLE = ["--benchmark_filter={row}", "--benchmark_format=json", "--benchmark_min_time=0.1"]
PROGRAMS = {
    "switch": ["{build}/bench/switch_bench", *GOOGLE],
    "spawn": ["{build}/bench/spawn_bench", *GOOGLE],
    "queue_threads": ["{build}/bench/queue_threads_bench", *GOOGLE],
    "threads": ["{build}/bench/threads_bench", *GOOGLE],
    "hubs": ["{build}/bench/hubs_bench", *GOOGLE],
    "queue": ["{build}/bench/queue_bench", *GOOGLE],
    "timer": ["{build}/bench/timer_bench", *GOOGLE],
    "monkey": ["{build}/bench/monkey_bench", *GOOGLE],
    "raw": ["{build}/bench/raw_peer", *GOOGLE],
    "Boost.Fiber": ["{build}/bench/boost_fiber_peer", *GOOGLE],
    "state-threads": ["{build}/bench/st_peer", *GOOGLE],
    "Go": ["{build}/bench/go_peer", "-filter={row}"],
    "greenlet": [PYTHON, "{here}/peers/python_rows.py", "greenlet", "--filter={row}"],
    "gevent": [PYTHON, "{here}/peers/python_rows.py", "gevent", "--filter={row}"],
    "eventlet": [PYTHON, "{here}/peers/python_rows.py", "eventlet", "--filter={row}"],
}
# These bind their threads themselves.
FREE = {"threads", "hubs"}
TOO_FEW = "too few processors"


@dataclasses.dataclass
class Row:
    """One line of the table. `bar` is the most that Fern may take, in units of the limit; None: only shown."""
    name: str
    fern: tuple  # (program, row)
    limit: tuple
    bar: float | None
    peers: dict  # {peer: row}
    unit: str = "ns"
    better: str = "lower"


EVERYBODY = ("Boost.Fiber", "state-threads", "Go", "gevent", "eventlet")

MICRO = [
    Row("switch", ("switch", "raw_switch"), ("raw", "jump"), 1.3, {"boost::context": ("raw", "fiber"), "greenlet": "switch"}),
    Row("yield/2", ("switch", "yield/2"), ("raw", "jump"), 1.3, dict.fromkeys(EVERYBODY, "yield/2")),
    Row("yield/1000", ("switch", "yield/1000"), ("raw", "jump"), 1.6, dict.fromkeys(EVERYBODY, "yield/1000")),
    Row("yield/10000", ("switch", "yield/10000"), ("raw", "jump_round/10000/0"), 2.0,
        dict.fromkeys(("Boost.Fiber", "state-threads", "Go"), "yield/10000")),
    Row("yield/100000", ("switch", "yield/100000"), ("raw", "jump_round/100000/0"), 2.4,
        dict.fromkeys(("Boost.Fiber", "Go"), "yield/100000")),
    Row("yield_random/10000", ("switch", "yield_random/10000"), ("raw", "jump_round/10000/1"), 2.4, {}),
    Row("yield_random/100000", ("switch", "yield_random/100000"), ("raw", "jump_round/100000/1"), 2.4, {}),
    Row("channel", ("queue", "channel"), ("raw", "jump"), 3.6,
        dict.fromkeys(("Boost.Fiber", "Go", "gevent", "eventlet"), "channel")),
    Row("lock_unlock", ("queue_threads", "lock_unlock"), ("raw", "cas_xchg"), 1.35, dict.fromkeys(EVERYBODY, "lock_unlock")),
    Row("spawn_join", ("spawn", "spawn_join"), ("raw", "jump"), 7.3, dict.fromkeys(EVERYBODY, "spawn_join") | {"std::thread": ("threads", "thread_spawn_join/1")}),
    Row("spawn_batch/10000", ("spawn", "spawn_batch/10000"), ("raw", "jump"), 8.2,
        dict.fromkeys(EVERYBODY, "spawn_batch/10000")),
    Row("alive/100000", ("spawn", "alive/100000"), ("raw", "jump"), 45, dict.fromkeys(("Boost.Fiber", "Go"), "alive/100000")),
    Row("alive_cold/100000", ("spawn", "alive_cold/100000"), ("raw", "fresh_stack/100000"), 1.3, {}),
    Row("skynet", ("spawn", "skynet"), ("raw", "jump"), 36, dict.fromkeys(("Boost.Fiber", "Go"), "skynet")),
    Row("os_threads", ("queue", "channel"), ("raw", "jump"), None, {
        "condvar": ("threads", "thread_condvar/1"), "condvar, two cores": ("threads", "thread_condvar/2"),
        "futex": ("threads", "thread_futex/1"), "futex, two cores": ("threads", "thread_futex/2"),
        "pipe": ("threads", "thread_pipe/1"), "pipe, two cores": ("threads", "thread_pipe/2"),
        "sched_yield": ("threads", "thread_sched_yield/1")}),
    Row("recv_off", ("monkey", "recv_off"), ("monkey", "recv_raw"), 1.1, {}),
    Row("recv_thread", ("monkey", "recv_thread"), ("monkey", "recv_raw_thread"), 1.1, {}),
    Row("recv_green", ("monkey", "recv_green"), ("monkey", "recv_raw"), 1.3, {"Socket::recv": ("monkey", "recv_socket")}),
    Row("timeout/1000000", ("timer", "timeout_start_cancel/1000000"), ("raw", "uv_timer_start_stop/1000000"), 0.5, {}),
]

# Two hubs on two processors: shown, beside what a condition variable and a single hub take.
HUBS = [
    Row("hub_wake", ("hubs", "hub_wake"), ("threads", "thread_condvar/2"), None, {}),
    Row("hub_spawn/1", ("hubs", "hub_spawn/1"), ("threads", "thread_condvar/2"), None, {}),
    Row("hub_spawn/1000", ("hubs", "hub_spawn/1000"), ("spawn", "spawn_batch/1000"), None, {}),
]


class Missing(Exception):
    """The row cannot be had: a program was not built, its package is not installed, or the machine is too small."""


class Wrong(Exception):
    """A program found its own result wrong, or has not the row that it must have."""


class Failed(Wrong):
    """A program ended with an error."""


def bound():
    """What a program is started with: one processor, the same for all."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def pattern(row):
    """What Google Benchmark makes of the row's name."""
    return f"^{re.escape(row)}(/iterations:[0-9]+)?(/(manual|real)_time)?$"


def start(build, program, row):
    """The nanoseconds that an item of the row takes."""
    command = [part.format(build=build, here=HERE, row=pattern(row)) for part in PROGRAMS[program]]
    if not pathlib.Path(command[0]).exists():
        raise Missing(f"{program} is not there")
    result = subprocess.run(command, capture_output=True, text=True, preexec_fn=None if program in FREE else bound)
    if result.returncode:
        if "ModuleNotFoundError" in result.stderr:
            raise Missing(f"{program} is not installed")
        raise Failed(f"{program}, {row}: {result.stderr.strip() or result.returncode}")
    if not result.stdout.strip():  # what Google Benchmark prints when no row matches
        raise Wrong(f"{program} has no row {row}")
    rows = [each for each in json.loads(result.stdout)["benchmarks"] if each.get("run_type") == "iteration"]
    if not rows:
        raise Wrong(f"{program} has no row {row}")
    if rows[0].get("error_occurred"):
        error = Missing if rows[0]["error_message"] == TOO_FEW else Wrong
        raise error(f"{program}, {row}: {rows[0]['error_message']}")
    return 1e9 / rows[0]["items_per_second"]


def median_and_spread(samples):
    middle = statistics.median(samples)
    return middle, statistics.median(abs(sample - middle) for sample in samples)


def measure(build, row, rounds, with_peers, say):
    """The row as bench.json has it; None if it is Fern or the limit that is missing."""
    who = {"fern": row.fern, "limit": row.limit}
    if with_peers:
        who |= {name: peer if isinstance(peer, tuple) else (name, peer) for name, peer in row.peers.items()}
    samples = {name: [] for name in who}
    for _ in range(rounds):
        for name in list(who):
            try:
                samples[name].append(start(build, *who[name]))
            except (Missing, Failed) as error:
                # A peer may not be able to, say for want of memory: that is its result.
                if isinstance(error, Failed) and name in ("fern", "limit"):
                    raise
                say(f"left out of {row.name}: {error}")
                del who[name], samples[name]
                if name in ("fern", "limit"):
                    return None
    return conclude(row.name, row.unit, row.better, row.bar, samples)


def conclude(name, unit, better, bar, samples):
    """A row of bench.json from {fern, limit, peer...: samples}, those of Fern and the limit of the same rounds. A limit
    that is no measurement is a list of one."""
    values = {who: median_and_spread(each) for who, each in samples.items()}
    fern = values["fern"][0]
    limit = values["limit"][0]
    limits = samples["limit"] * len(samples["fern"]) if len(samples["limit"]) == 1 else samples["limit"]
    ratio = statistics.median(mine / theirs for mine, theirs in zip(samples["fern"], limits, strict=True))
    peers = {peer: value for peer, (value, _) in values.items() if peer not in ("fern", "limit")}
    best = (min if better == "lower" else max)(peers.values(), default=None)
    return {
        "row": name, "unit": unit, "better": better, "limit": limit, "fern": fern, "peers": peers,
        "ratio_to_limit": ratio, "ratio_to_best_peer": fern / best if best else None,
        "bar": bar, "spread": {who: spread for who, (_, spread) in values.items()},
    }


def kept(result):
    """Whether a row of bench.json meets its bar; None if it has none."""
    if result["bar"] is None:
        return None
    return result["ratio_to_limit"] <= result["bar"] if result["better"] == "lower" else \
        result["ratio_to_limit"] >= result["bar"]


def run(table, build, rounds, with_peers, say, only):
    """Rows of bench.json, of MICRO or HUBS."""
    for row in table:
        if only.search(row.name):
            result = measure(build, row, rounds, with_peers, say)
            if result is not None:
                yield result


def line(result):
    mark = {True: "met   ", False: "MISSED", None: "      "}[kept(result)]
    bar = "" if result["bar"] is None else f" (bar {result['bar']:g})"
    peers = ", ".join(f"{name} {value:,.1f}" for name, value in sorted(result["peers"].items(), key=lambda item: item[1]))
    return (f"{mark} {result['row']:20} {result['fern']:12,.1f} {result['unit']}  {result['ratio_to_limit']:6.2f} x limit"
            f"{bar}  {peers}")
