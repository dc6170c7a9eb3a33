#!/usr/bin/env python3
"""The echo rows: the same client against each server in turn, server and client on processors of their own.

    bench/echo.py BUILD [--rounds N] [--seconds S] [--servers NAME,...]

Prints requests per second, the server's CPU time for each, and the median and the 99th percentile of a round trip. A
round asks every server once, and Fern and epoll twice more, in an order that turns, so that a machine that changes its
speed changes all of them.
"""
import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys

import suite

HERE = pathlib.Path(__file__).resolve().parent
ROWS = {f"echo_{size}_{count}": (count, size) for size in (64, 16384) for count in (50, 500)}
HELD, ACTIVE = 9_000, 100
BARS = {"echo_64_50": 0.99, "echo_64_500": 0.98, "echo_16384_50": 0.97, "echo_16384_500": 0.97}
NAMES = {"asio_spawn": "Asio spawn", "asio_coroutine": "Asio coroutines", "boost_fiber": "Boost.Fiber",
         "st": "state-threads", "go": "Go", "uv": "libuv"}


def servers(build):
    """{name: command} of those that were built, and the scripts."""
    found = {path.name.removeprefix("echo_"): [path] for path in sorted((build / "bench").glob("echo_*"))
             if path.is_file() and os.access(path, os.X_OK) and path.name != "echo_client"}
    if subprocess.run(["/usr/bin/python3", "-c", "import gevent"], capture_output=True).returncode == 0:
        found["gevent"] = ["/usr/bin/python3", HERE / "echo" / "gevent_echo.py"]
    return found


def processors():
    """(server's, client's): two that are apart if there are two."""
    own = sorted(os.sched_getaffinity(0))
    return own[0], own[-1]


def cpu_seconds(pid):
    """Of all its threads, to the nanosecond."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def resident(pid):
    """Bytes."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise suite.Wrong(f"process {pid} has ended")


def bind(processor):
    """What a child does before it runs: None leaves it free."""
    if processor is not None:
        os.sched_setaffinity(0, {processor})


class Server:
    def __init__(self, command, processor):
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            preexec_fn=lambda: bind(processor))
        port = self.process.stdout.readline()
        if not port:
            raise suite.Wrong(f"{command[-1]} does not serve")
        self.port = int(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


class Client:
    """Connections to a server that have each been answered once; bound to a processor unless that is None."""

    def __init__(self, build, port, connections, size, seconds, processor, active=None):
        command = [build / "bench" / "echo_client", str(port), str(connections), str(size), str(seconds)]
        self.process = subprocess.Popen(
            command + ([str(active)] if active else []), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: bind(processor))
        self.line()

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise suite.Wrong(f"the client of the echo rows fails with {self.process.wait()}")
        return line

    def ask(self):
        """What the client says of its requests."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.line())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def ask(build, port, connections, size, seconds, processor):
    """What a client says of its requests."""
    with Client(build, port, connections, size, seconds, processor) as client:
        return client.ask()


def measure(build, command, connections, size, seconds):
    at_server, at_client = processors()
    with (Server(command, at_server) as server,
          Client(build, server.port, connections, size, seconds, at_client) as client):
        before = cpu_seconds(server.process.pid)
        result = client.ask()
        spent = cpu_seconds(server.process.pid) - before
    return {"per_second": result["requests"] / result["seconds"], "cpu_us": spent * 1e6 / result["requests"],
            "p50_us": result["p50_us"], "p99_us": result["p99_us"]}


def run(build, rounds, seconds, chosen, row):
    """{server: {figure: samples}} of one row; `chosen` as servers() has them. Fern and its limit are within a percent of
    each other, and a run is not: they have two rounds of their own after each that they share with the peers."""
    connections, size = ROWS[row]
    samples = {name: {} for name in chosen}
    order = list(chosen)
    for turn in range(3 * rounds):
        rotated = order[turn % len(order):] + order[:turn % len(order)]
        for name in rotated if turn % 3 == 0 else [name for name in rotated if name in ("fern", "epoll")]:
            for figure, value in measure(build, chosen[name], connections, size, seconds).items():
                samples[name].setdefault(figure, []).append(value)
    return samples


def rows(build, rounds, with_peers, say, only):
    """Rows of bench.json: the limit is epoll by hand."""
    chosen = {name: command for name, command in servers(build).items() if with_peers or name in ("fern", "epoll")}
    for row, bar in BARS.items():
        if not only.search(row):
            continue
        found = run(build, rounds, 1.0, chosen, row)
        for figure, unit, better, least in (("per_second", "1/s", "higher", bar), ("cpu_us", "us", "lower", None),
                                            ("p50_us", "us", "lower", None), ("p99_us", "us", "lower", None)):
            samples = {NAMES.get(name, name): figures[figure] for name, figures in found.items()}
            samples["limit"] = samples.pop("epoll")
            yield suite.conclude(row if figure == "per_second" else f"{row}_{figure}", unit, better, least, samples)


def held(build, command):
    """Figures of a server that holds HELD connections of which ACTIVE ask."""
    at_server, at_client = processors()
    with Server(command, at_server) as server:
        before = resident(server.process.pid)
        with Client(build, server.port, HELD, 64, 1.0, at_client, ACTIVE) as client:
            each = (resident(server.process.pid) - before) / HELD
            result = client.ask()
    return {"bytes": each, "p50_us": result["p50_us"], "p99_us": result["p99_us"]}


def held_rows(build, rounds, with_peers, only):
    """Rows of bench.json: memory of a connection, and round trips while most of them are idle."""
    if not only.search("echo_held"):
        return
    chosen = {name: command for name, command in servers(build).items()
              if name in ("fern", "epoll") or (with_peers and name in ("go", "asio_spawn"))}
    samples = {name: [] for name in chosen}
    for _ in range(rounds):
        for name, command in chosen.items():
            samples[name].append(held(build, command))
    for figure, unit in (("bytes", "bytes"), ("p50_us", "us"), ("p99_us", "us")):
        of_figure = {NAMES.get(name, name): [sample[figure] for sample in each] for name, each in samples.items()}
        of_figure["limit"] = of_figure.pop("epoll")
        if figure == "bytes":
            # epoll's server keeps nothing for a connection, so there is no ratio to it: a page is the least.
            of_figure["limit"] = [4096]
        yield suite.conclude(f"echo_held_{figure}", unit, "lower", None, of_figure)


def hub_rows(build, rounds, only):
    """The same server on two hubs beside itself on one. Nobody is bound: there is no third processor for the client."""
    if not only.search("echo_two_hubs"):
        return
    samples = {1: [], 2: []}
    for _ in range(rounds):
        for hubs, found in samples.items():
            with Server([build / "bench" / "hubs_echo", str(hubs)], None) as server:
                result = ask(build, server.port, 50, 64, 1.0, None)
            found.append(result["requests"] / result["seconds"])
    yield suite.conclude("echo_two_hubs", "1/s", "higher", None, {"fern": samples[2], "limit": samples[1]})


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("build", type=pathlib.Path)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--seconds", type=float, default=1.0)
    options.add_argument("--servers", type=lambda text: text.split(","))
    arguments = options.parse_args()
    build = arguments.build.resolve()
    chosen = {name: command for name, command in servers(build).items()
              if not arguments.servers or name in arguments.servers}
    for row in ROWS:
        found = run(build, arguments.rounds, arguments.seconds, chosen, row)
        middles = {name: {figure: statistics.median(each) for figure, each in figures.items()}
                   for name, figures in found.items()}
        for name, middle in sorted(middles.items(), key=lambda item: -item[1]["per_second"]):
            print(f"{row:15} {name:15} {middle['per_second']:9,.0f}/s, {middle['cpu_us']:5.2f} us of CPU, "
                  f"p50 {middle['p50_us']:6.0f} us, p99 {middle['p99_us']:6.0f} us", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
