#!/usr/bin/env python3
"""What is counted instead of timed: system calls for each request of an echo and each receive by a wrapper,
instructions for each yield and each wrapped call."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

BUILD = pathlib.Path(os.environ["FERN_BUILD"])
SOURCE = pathlib.Path(os.environ["FERN_SOURCE"])
sys.path.insert(0, str(SOURCE / "bench"))

import echo  # noqa: E402

YIELDS = BUILD / "tests" / "count_yields"
RECEIVES = BUILD / "tests" / "count_receives"


def can_trace():
    return shutil.which("strace") and subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0


class Counts(unittest.TestCase):
    @unittest.skipUnless(can_trace(), "strace is missing, or may not trace here")
    def test_an_echo_takes_two_system_calls_and_little_more(self):
        # The difference of two runs: starting and accepting are nobody's request.
        for size in 64, 16 * 1024:  # the larger fills the server's buffer each time
            with self.subTest(size=size):
                self.check_calls(size)

    def check_calls(self, size):
        (few_calls, few), (many_calls, many) = self.echo_calls(size, 0.1), self.echo_calls(size, 1.5)
        requests = many - few
        self.assertGreater(requests, 1000)
        each = {name: (count - few_calls.get(name, 0)) / requests for name, count in many_calls.items()}
        self.assertGreater(sum(each.values()), 1.9, "a recv and a send are the least")
        self.assertLessEqual(sum(each.values()), 2.1, {name: share for name, share in each.items() if share > 0.001})

    def echo_calls(self, size, seconds):
        """({system call: how often}, requests) of a server with 50 connections."""
        with tempfile.TemporaryDirectory() as folder:
            table = pathlib.Path(folder, "calls")
            command = ["strace", "-f", "-c", "-U", "name,calls", "-o", table, BUILD / "bench" / "echo_fern"]
            at_server, at_client = echo.processors()
            with echo.Server(command, at_server) as server:
                requests = echo.ask(BUILD, server.port, 50, size, seconds, at_client)["requests"]
                # strace writes its table when what it traces has ended.
                children = pathlib.Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
                os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
                server.process.wait(timeout=20)
            calls = re.findall(r"^ *([a-z_0-9]+) +([0-9]+)$", table.read_text(), re.MULTILINE)
        return {name: int(count) for name, count in calls if name != "total"}, requests

    @unittest.skipUnless(shutil.which("valgrind"), "valgrind is missing")
    def test_a_yield_takes_few_instructions(self):
        few, many = self.instructions(YIELDS, 100_000), self.instructions(YIELDS, 200_000)
        each = (many - few) / 100_000
        self.assertGreater(each, 10, "a switch saves and restores more than that")
        self.assertLessEqual(each, 120)

    @unittest.skipUnless(shutil.which("valgrind"), "valgrind is missing")
    def test_a_wrapped_call_that_is_not_green_takes_few_instructions(self):
        raw = self.receiving("raw")
        for where, most in (("off", 25), ("thread", 30)):
            with self.subTest(where):
                more = self.receiving(where) - raw
                self.assertGreater(more, 0, "the wrapper is not there")
                self.assertLessEqual(more, most)

    @unittest.skipUnless(shutil.which("valgrind"), "valgrind is missing")
    def test_a_wrapped_call_that_is_ready_takes_few_instructions(self):
        self.assertLessEqual(self.receiving("green") - self.receiving("raw"), 150)

    def receiving(self, where):
        """The instructions of one receive."""
        few, many = (self.instructions(RECEIVES, where, count) for count in (10_000, 20_000))
        return (many - few) / 10_000

    def instructions(self, *command):
        run = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *map(str, command)],
                             capture_output=True, text=True, timeout=100)
        self.assertEqual(run.returncode, 0, run.stderr)
        return int(re.search(r"Collected : ([0-9]+)", run.stderr)[1])

    @unittest.skipUnless(can_trace(), "strace is missing, or may not trace here")
    def test_a_wrapped_recv_that_is_ready_takes_one_system_call(self):
        for where in ("raw", "off", "thread", "green"):
            with self.subTest(where):
                few, many = (self.system_calls(where, count) for count in (1000, 3000))
                self.assertEqual(many["recvfrom"] - few["recvfrom"], 2000)
                more = sum(many.values()) - sum(few.values())
                # A greenlet lets the hub look at its loop now and then.
                self.assertLessEqual(more, 2000 * (1.2 if where == "green" else 1.01))

    def system_calls(self, where, count):
        with tempfile.TemporaryDirectory() as folder:
            table = pathlib.Path(folder, "calls")
            command = ["strace", "-f", "-c", "-U", "name,calls", "-o", table, RECEIVES, where, str(count)]
            subprocess.run(command, check=True, timeout=60)
            calls = re.findall(r"^ *([a-z_0-9]+) +([0-9]+)$", table.read_text(), re.MULTILINE)
        return {name: int(count) for name, count in calls if name != "total"}


if __name__ == "__main__":
    unittest.main()
