#!/usr/bin/env python3
"""Runs known programs natively and by `fern run`, in turn, and compares what they did and how fast.

    bench/accept_run.py BUILD [--rounds N]

Each has to end with the same exit code, do all its work, run in one OS thread (and the workers' for files), and reach
0.9 of its native throughput. Prints a table, and for the echo server with thousands of clients what its threads cost.
"""
import argparse
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import crawl
import echo

LEAST = 0.9
CLIENTS = 5000
PAGE = "x" * 4000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise RuntimeError(f"nobody serves on port {port}")


class Server:
    """A server in a folder that goes with it."""

    def __init__(self, command, port, folder):
        self.port, self.folder = port, folder
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(port)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.folder.cleanup()


def redis():
    folder, port = tempfile.TemporaryDirectory(prefix="fern-redis-"), free_port()
    return Server(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder.name], port, folder)


def nginx():
    folder, port = tempfile.TemporaryDirectory(prefix="fern-nginx-"), free_port()
    pathlib.Path(folder.name, "index.html").write_text(PAGE)
    os.chmod(folder.name, 0o755)
    conf = pathlib.Path(folder.name, "nginx.conf")
    conf.write_text(crawl.NGINX_CONF.format(folder=folder.name, port=port, root=folder.name))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    return Server([program, "-p", folder.name, "-c", conf, "-e", "stderr"], port, folder)


def mariadb():
    """Refuses root: as the user that its package makes."""
    folder, port = tempfile.TemporaryDirectory(prefix="fern-mariadb-"), free_port()
    user = ["setpriv", "--reuid=mysql", "--regid=mysql", "--clear-groups"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(folder.name, "mysql", "mysql")
    data = f"{folder.name}/data"
    subprocess.run([*user, "mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
                    "--skip-test-db"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Server([*user, "/usr/sbin/mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={folder.name}/socket",
                     f"--port={port}", "--bind-address=127.0.0.1", "--max-connections=400"], port, folder)
    return server


def number(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise RuntimeError(f"no {pattern} in: {text[-2000:]}")
    return float(found[1])


def redis_benchmark(port):
    # With threads it sees at each quarter of a second whether it is over: many requests, lest that is what is measured.
    command = ["redis-benchmark", "-p", str(port), "--threads", "4", "-c", "50", "-n", "600000", "-t", "get", "--csv"]
    return command, lambda text: number(r'"GET","([0-9.]+)"', text)


def mysqlslap(port):
    command = ["mariadb-slap", "--no-defaults", "-h", "127.0.0.1", "-P", str(port), "-u", "root", "--concurrency=200",
               "--number-of-queries=20000", "--create-schema=mysql", "--query=select 1"]
    return command, lambda text: 1 / number(r"Average number of seconds to run all queries: ([0-9.]+)", text)


def wrk(port):
    command = ["wrk", "-t4", "-c64", "-d2s", f"http://127.0.0.1:{port}/"]

    def result(text):
        if "Socket errors" in text or "Non-2xx" in text:
            raise RuntimeError(text)
        return number(r"Requests/sec: +([0-9.]+)", text)
    return command, result


def ab(port):
    command = ["ab", "-q", "-n", "20000", "-c", "64", f"http://127.0.0.1:{port}/"]

    def result(text):
        if int(number(r"Failed requests: +(\d+)", text)) or int(number(r"Complete requests: +(\d+)", text)) != 20000:
            raise RuntimeError(text)
        return number(r"Requests per second: +([0-9.]+)", text)
    return command, result


def curl(port):
    count = 10000  # of pages: a third of a second, which its start is no large part of
    command = ["curl", "-sS", "-Z", "--parallel-max", "50", f"http://127.0.0.1:{port}/?[1-{count}]"]

    def result(text):
        if text != PAGE * count:
            raise RuntimeError(f"{len(text)} bytes instead of {len(PAGE) * count}")
        return None  # by the clock
    return command, result


PROGRAMS = [("redis-benchmark", redis, redis_benchmark), ("mariadb-slap", mariadb, mysqlslap), ("wrk", nginx, wrk),
            ("ab", nginx, ab), ("curl", nginx, curl)]


def once(command, result):
    begin = time.monotonic()
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    took = time.monotonic() - begin
    if run.returncode:
        raise RuntimeError(f"{command[0]} ended with {run.returncode}: {run.stderr[-2000:]}")
    return result(run.stdout) or 1 / took, run.stderr


def compare(build, name, command, result, rounds):
    """True if it is kept."""
    native, green = [], []
    for _ in range(rounds):
        native.append(once(command, result)[0])
        value, said = once([build / "fern", "run", "--report", *command], result)
        green.append(value)
    threads = int(number(r"in (\d+) OS threads", said))
    ratio = statistics.median(green) / statistics.median(native)
    good = ratio >= LEAST and threads == 1
    print(f"{'kept  ' if good else 'MISSED'} {name:16} {statistics.median(native):12,.1f} {statistics.median(green):12,.1f} "
          f"{ratio:5.2f} x native  {re.search(r'fern: .*', said)[0]}", flush=True)
    return good


def status(pid, field):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return 0


def many_clients(build, command, clients):
    """What a server with a thread for each of so many clients does, has and takes."""
    with echo.Server(command, None) as server:
        with echo.Client(build, server.port, clients, 64, 3, None) as client:
            pid = server.process.pid
            threads, kib, tables = status(pid, "Threads"), status(pid, "VmRSS"), status(pid, "VmPTE")
            found = client.ask()
    return found["requests"] / found["seconds"], threads, kib, tables


def echo_server(build, rounds):
    program = build / "bench" / "echo_threads"
    kinds = {"native": [program], "green": [build / "fern", "run", program]}
    found = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, command in kinds.items():
            found[kind].append(many_clients(build, command, CLIENTS))
    print(f"\nechoing 64 bytes to {CLIENTS:,} clients, a thread each:")
    middle = {}
    for kind, each in found.items():
        rate, threads, kib, tables = (statistics.median(column) for column in zip(*each))
        middle[kind] = rate
        print(f"  {kind:8} {rate:10,.0f} requests/s, {threads:6,.0f} OS threads, {kib / 1024:8.1f} MiB resident, "
              f"{tables / 1024:6.1f} MiB of page tables", flush=True)
    ratio = middle["green"] / middle["native"]
    good = ratio >= LEAST
    print(f"{'kept  ' if good else 'MISSED'} echo server      {ratio:.2f} x native")
    return good


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("build", type=pathlib.Path)
    options.add_argument("--rounds", type=int, default=3)
    arguments = options.parse_args()
    build = arguments.build.resolve()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(f"       {'program':16} {'native':>12} {'green':>12}")
    good = True
    for name, start, how in PROGRAMS:
        server = start()
        try:
            command, result = how(server.port)
            if shutil.which(command[0]) is None:
                print(f"left out: {command[0]} is not installed")
                continue
            good &= compare(build, name, command, result, arguments.rounds)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"FAILED {name}: {error}")
            good = False
        finally:
            server.stop()
    good &= echo_server(build, arguments.rounds)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
