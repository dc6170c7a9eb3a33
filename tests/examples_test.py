#!/usr/bin/env python3
"""Runs every example and checks what it does.

What an example prints stands in the comment at its end, "..." for what varies; or it has a test here. One that has
neither fails.
"""
import contextlib
import http.server
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import threading
import unittest

SOURCE = pathlib.Path(os.environ["FERN_SOURCE"])
BUILD = pathlib.Path(os.environ["FERN_BUILD"])

# Long enough for any example on a busy machine; they end by themselves.
PATIENCE = 100

PRINTS = re.compile(r"^// Prints.*:\n((?://.*\n)+)\Z", re.M)


def examples():
    return re.findall(r"^  '(\w+)'", (SOURCE / "examples" / "meson.build").read_text(), re.M)


def promised():
    """{name: what the example says that it prints}."""
    found = {path.stem: PRINTS.search(path.read_text()) for path in sorted((SOURCE / "examples").glob("*.cpp"))}
    return {name: re.sub("^// {0,3}", "", match[1], flags=re.M) for name, match in found.items() if match}


def run(name, *arguments):
    """What the example printed; it must end well, and say nothing on stderr."""
    result = subprocess.run(
        [BUILD / "examples" / name, *arguments], capture_output=True, text=True, timeout=PATIENCE, cwd=BUILD)
    if result.returncode or result.stderr:
        raise AssertionError(f"{name}: exit {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result.stdout


@contextlib.contextmanager
def server(name, *arguments):
    """The address of a server that runs meanwhile. It must end well at SIGINT, and say nothing on stderr."""
    process = subprocess.Popen(
        [BUILD / "examples" / name, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=BUILD)
    try:
        line = process.stdout.readline()
        address, port = line.removeprefix("listening on ").strip().rsplit(":", 1)
        yield address, int(port)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
        if process.returncode or errors:
            raise AssertionError(f"{name}: exit {process.returncode}\n{errors}")
    finally:
        process.kill()
        process.communicate()


def connect(address):
    return socket.create_connection(address, timeout=PATIENCE)


def exchange(connection, data):
    """What comes back for the data, up to the peer's end."""
    sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
    sender.start()
    answer = connection.makefile("rb").read()
    sender.join()
    return answer


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"x" * int(self.path[1:])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Tree(Pages):
    """A page /N links to /2N and /2N+1, up to 63; there are no rules for robots."""

    def do_GET(self):
        found = self.path[1:].isdigit()
        number = int(self.path[1:]) if found else 0
        children = [child for child in (2 * number, 2 * number + 1) if child < 64]
        body = "".join(f'<a href="/{child}">child</a>' for child in children).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def pages(handler=Pages):
    """The address of a web server that runs meanwhile."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        yield f"http://localhost:{pages.server_port}"
        pages.shutdown()


class Examples(unittest.TestCase):
    def test_every_example_is_run_here(self):
        tested = {name.removeprefix("test_") for name in dir(self)} | promised().keys()
        self.assertEqual([name for name in examples() if name not in tested], [])

    def test_every_example_has_a_row_in_the_table(self):
        table = (SOURCE / "examples" / "README.md").read_text()
        self.assertEqual([name for name in examples() if f"`{name}" not in table], [])

    def test_each_prints_what_it_says(self):
        for name, text in promised().items():
            with self.subTest(name):
                pattern = re.escape(text).replace(re.escape("..."), ".*")
                output = run(name)
                if not re.fullmatch(pattern, output, re.S):
                    self.assertEqual(output, text)

    def test_crawler(self):
        lines = run("crawler", "--demo-pages", "200", "--demo-latency", "10").splitlines()
        self.assertEqual(lines[-1], "Pages: 200 counted here, 200 by the server.")

    def test_hello(self):
        lines = run("hello").splitlines()
        self.assertEqual((lines[0], lines[-1]), ("both are ready; neither has run", "6 in all"))
        # Whose turn it is depends on the clock; the order of each one's ticks does not.
        for sound in ("tick", "tock"):
            self.assertEqual([line for line in lines if line.startswith(sound)], [f"{sound} {i}" for i in (1, 2, 3)])
        self.assertEqual(len(lines), 8)

    def test_traffic_light(self):
        light, gone = None, []
        for line in run("traffic_light").splitlines():
            match line.split():
                case [colour]:
                    light = colour
                case ["car", _, "stops"]:
                    self.assertEqual(light, "red")
                case ["car", car, "goes"]:
                    self.assertEqual(light, "green")
                    gone.append(int(car))
        self.assertEqual(sorted(gone), list(range(1, 11)))

    def test_io_models(self):
        lines = run("io_models", "20", "50").splitlines()
        self.assertEqual(lines[0].split(), "model messages messages/s CPU us each CPU idle resets".split())
        models = ["blocking, a thread each", "polling", "epoll, level", "epoll, edge", "callbacks of libuv", "green"]
        self.assertEqual([line[:24].strip() for line in lines[1:]], models)
        for line in lines[1:]:
            messages, *_, resets = line[24:].split()
            self.assertEqual((messages, resets), ("1000", "1"), line)

    def test_raw_greenlet(self):
        rounds = [(f"ping {i}", f"pong {i}", f"  and heard pong {i}") for i in (1, 2, 3)]
        self.assertEqual(
            run("raw_greenlet").splitlines(),
            [line for lines in rounds for line in lines]
            + ["3 rounds; ping has ended: true, pong has: false", "unwound", "bye"])

    def test_echo_server(self):
        data = os.urandom(3_000_000)
        with server("echo_server") as address, connect(address) as one, connect(address) as other:
            self.assertEqual(exchange(one, data), data)
            self.assertEqual(exchange(other, b"hello"), b"hello")

    def test_selector_server(self):
        data = os.urandom(3_000_000)
        with server("selector_server") as address, connect(address) as polite:
            with connect(address) as rude:
                rude.sendall(b"hello")
                self.assertEqual(rude.recv(5), b"hello")
                rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.assertEqual(exchange(polite, data), data)

    def test_request_handler(self):
        with server("request_handler") as address, connect(address) as one, connect(address) as other:
            other.sendall(b"hello\nwor")
            self.assertEqual(exchange(one, b"x\n" * 1000), b"X\n" * 1000)
            self.assertEqual(exchange(other, b"ld\n"), b"HELLO\nWORLD\n")
        with server("request_handler", "%s:%d" % address) as again, connect(again) as one:
            self.assertEqual(again, address, "the address is free at once")
            self.assertEqual(exchange(one, b"y\n"), b"Y\n")

    def test_forking_server(self):
        process = subprocess.Popen(
            [BUILD / "examples" / "forking_server"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            address, port = process.stdout.readline().removeprefix("listening on ").strip().rsplit(":", 1)
            with connect((address, int(port))) as one, connect((address, int(port))) as other:
                answers = []
                for connection in (one, other, one):
                    connection.sendall(b"hello\n")
                    answers.append(connection.makefile("r").readline().split(" in process "))
                self.assertEqual([line for line, _ in answers], ["line 1", "line 1", "line 2"])
                self.assertEqual(answers[0][1], answers[2][1])
                self.assertEqual(len({answers[0][1], answers[1][1], f"{process.pid}\n"}), 3)
                self.assertEqual(exchange(one, b"crash"), b"")
                self.assertIn("signal 6", process.stderr.readline())
                self.assertRegex(exchange(other, b"still here").decode(), "^line 2 in process")
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.communicate(timeout=PATIENCE), ("handled here: 0\n", ""))
            self.assertEqual(process.returncode, 0)
        finally:
            process.kill()
            process.communicate()

    def test_udp_server(self):
        with server("udp_server") as address, socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE)
            for question in (b"200 slow", b"0 quick", b"what?"):
                client.sendto(question, address)
            answers = [client.recv(1000) for _ in range(3)]
            self.assertEqual(sorted(answers[:2]), [b"MILLISECONDS TEXT, please", b"quick"])
            self.assertEqual(answers[2], b"slow")

    def test_udp_client(self):
        with server("udp_server") as address:
            self.assertEqual(run("udp_client", "%s:%d" % address, "5 hello there"), "hello there\n")
        result = subprocess.run(
            [BUILD / "examples" / "udp_client", "%s:%d" % address, "x"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 1)
        self.assertIn("Connection refused", result.stderr)

    def test_framed_messages(self):
        lines = run("framed_messages").splitlines()
        dots = "." * 20
        self.assertEqual(lines[1], f'  the first piece: "hellohow are you?{"." * 3}..." (16384 bytes)')
        self.assertRegex(lines[2], r"^  3 messages came in \d+ pieces$")
        self.assertEqual(lines[4:7], ['  "hello"', '  "how are you?"', f'  "{dots}..." (200000 bytes)'])
        self.assertIn("a frame of 16 bytes, where 10 are allowed", lines[8])
        self.assertEqual(lines[9:], ['  with room for 100: "this one is long"'])

    def test_port_forwarder(self):
        data = os.urandom(3_000_000)
        with server("echo_server") as target:
            with server("port_forwarder", "127.0.0.1:0", "%s:%d" % target) as address, connect(address) as connection:
                self.assertEqual(exchange(connection, data), data)
        with server("port_forwarder", "127.0.0.1:0", "%s:%d" % target) as address, connect(address) as connection:
            self.assertEqual(connection.recv(1), b"", "nobody listens there any more")

    def test_chat(self):
        with server("chat") as address:
            with connect(address) as ann, connect(address) as bob:
                ann_hears, bob_hears = ann.makefile("r"), bob.makefile("r")
                ann.sendall(b"ann\n")
                self.assertEqual(ann_hears.readline(), "* 1 here\n")
                bob.sendall(b"bob\nhi ")
                self.assertEqual(bob_hears.readline(), "* 2 here\n")
                self.assertEqual(ann_hears.readline(), "* bob is here\n")
                bob.sendall(b"ann\nhow are you?\n")
                self.assertEqual(ann_hears.readline(), "bob: hi ann\n")
                self.assertEqual(ann_hears.readline(), "bob: how are you?\n")
                bob.shutdown(socket.SHUT_WR)
                self.assertEqual(ann_hears.readline(), "* bob has left\n")
                self.assertEqual(bob_hears.readline(), "")

    def test_chat_client(self):
        with server("chat") as address:
            start = [BUILD / "examples" / "chat_client", "%s:%d" % address]
            pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            ann = subprocess.Popen([*start, "ann"], **pipes)
            self.assertEqual(ann.stdout.readline(), "* 1 here\n")
            bob = subprocess.Popen([*start, "bob"], **pipes)
            self.assertEqual(ann.stdout.readline(), "* bob is here\n")
            self.assertEqual(bob.communicate("hi ann\n", timeout=PATIENCE), ("* 2 here\n", ""))
            self.assertEqual(ann.communicate("hi bob\n", timeout=PATIENCE), ("bob: hi ann\n* bob has left\n", ""))
            self.assertEqual((ann.returncode, bob.returncode), (0, 0))

    @unittest.skipUnless((BUILD / "examples" / "three_downloads").exists(), "libcurl is not installed")
    def test_three_downloads(self):
        with pages() as base:
            lines = run("three_downloads", f"{base}/100", f"{base}/200", f"{base}/300").splitlines()
        self.assertRegex("\n".join(lines), r"\Aone by one: 600 bytes in \d+ ms\nall at once: 600 bytes in \d+ ms\Z")

    @unittest.skipUnless((BUILD / "examples" / "crawler_curl").exists(), "libcurl is not installed")
    def test_crawler_curl(self):
        with pages(Tree) as base:
            lines = run("crawler_curl", f"{base}/1").splitlines()
        self.assertRegex(lines[-1], "^63 pages, 0 redirects, 0 failed;")

    def test_concurrent_download(self):
        with pages() as base:
            sizes = [i * 1000 for i in range(30)]
            urls = [f"{base}/{size}" for size in sizes]
            lines = run("concurrent_download", *urls).splitlines()
        self.assertEqual(lines, [f"{url}: HTTP/1.0 200 OK, {size} bytes" for url, size in zip(urls, sizes)])
        result = subprocess.run(
            [BUILD / "examples" / "concurrent_download", "ftp://x/", urls[0]], capture_output=True, text=True)
        self.assertEqual(result.returncode, 1)
        bad, refused = result.stdout.splitlines()
        self.assertEqual(bad, "ftp://x/: not an http URL")
        self.assertIn("Connection refused", refused)


if __name__ == "__main__":
    unittest.main()
