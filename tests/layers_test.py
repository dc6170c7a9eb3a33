#!/usr/bin/env python3
"""The layers are a chain, and each foreign thing has one home.

    base < core < sync < io < pool < net | debug < monkey < cli
"""
import os
import pathlib
import re
import subprocess
import unittest

SOURCE = pathlib.Path(os.environ["FERN_SOURCE"])
BUILD = pathlib.Path(os.environ["FERN_BUILD"])

RANK = {"base": 0, "core": 1, "sync": 2, "io": 3, "pool": 4, "net": 5, "debug": 5, "monkey": 6, "cli": 7}

# A public header belongs to the layer that has a source of its stem. These have none of their own.
HEADER_LAYER = {
    "config": "base",
    "fern": "cli",  # the umbrella: no layer may include it
    "callback": "sync",
    "coroutine": "sync",
    "channel": "sync",
    "queue": "sync",
    "imap": "pool",
    "value": "core",
    "pile": "pool",
    "asio": "net",
    "debug": "debug",
    "monkey": "monkey",
}

# What stands in include/fern/detail serves core and all above it, unless it is named here.
DETAIL_LAYER = {
    "select_cases": "sync",
    "thread_task": "pool",
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+([<"])([^>"]+)[>"]', re.M)

# What the monkey may put itself in front of, and everything that makes or ends a file descriptor.
LIBC_IO = set("""
    accept accept4 bind close close_range connect creat creat64 dup dup2 dup3 epoll_create epoll_create1 epoll_ctl
    epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd_read eventfd_write fcntl fcntl64 flock getaddrinfo
    gethostbyaddr gethostbyaddr_r gethostbyname gethostbyname2 gethostbyname_r getnameinfo getpeername getsockname
    getsockopt ioctl listen nanosleep clock_nanosleep open open64 openat openat64 pipe pipe2 poll ppoll pread pread64
    preadv pselect pwrite pwrite64 pwritev read readv recv recvfrom recvmmsg recvmsg select send sendfile sendfile64
    sendmmsg sendmsg sendto setsockopt shutdown signalfd sleep socket socketpair splice timerfd_create
    timerfd_settime usleep waitpid wait wait4 waitid write writev
    __poll_chk __read_chk __recv_chk __recvfrom_chk __pread_chk __open_2
""".split())


def files(*patterns):
    return sorted(path for pattern in patterns for path in SOURCE.glob(pattern))


def layer_of_public_header(name):
    """The layer of fern/NAME, or None for one that nobody has placed."""
    stem = pathlib.PurePath(name).stem
    if stem in HEADER_LAYER:
        return HEADER_LAYER[stem]
    homes = [path.parent.name for path in files(f"src/*/{stem}.cpp", f"src/*/{stem}.hpp")]
    return min(homes, key=RANK.get) if homes else None


def layer_of_include(name):
    """The layer that #include "NAME" reaches, or None if it is not one of ours."""
    parts = pathlib.PurePath(name).parts
    if parts[0] == "fern":
        # What stands in detail/ serves whoever includes it, the lowest layer too.
        if parts[1] != "detail":
            return layer_of_public_header(name)
        return DETAIL_LAYER.get(pathlib.PurePath(name).stem, "base")
    return parts[0] if parts[0] in RANK else None


class Layers(unittest.TestCase):
    def includes(self, path):
        return [name for _, name in INCLUDE.findall(path.read_text())]

    def test_each_source_file_is_in_a_layer(self):
        for path in files("src/**/*.[ch]pp"):
            self.assertIn(path.parent.name, RANK, f"{path}: not a folder of the chain")

    def test_each_public_header_belongs_to_a_layer(self):
        for path in files("include/fern/*.hpp"):
            self.assertIsNotNone(
                layer_of_public_header(path.name),
                f"{path.name} has no source of its stem: place it in HEADER_LAYER")

    def test_no_source_file_includes_a_higher_layer(self):
        for path in files("src/**/*.[ch]pp"):
            layer = path.parent.name
            for name in self.includes(path):
                other = layer_of_include(name)
                if other is None or other == layer:
                    continue
                self.assertLess(RANK[other], RANK[layer], f"{path.relative_to(SOURCE)} includes {name}")
                self.assertFalse(layer == "monkey" and other == "net", f"{path}: monkey never uses net")

    def test_no_public_header_includes_a_higher_layer(self):
        for path in files("include/fern/*.hpp"):
            if path.name == "fern.hpp":
                continue
            layer = layer_of_public_header(path.name)
            for name in self.includes(path):
                other = layer_of_include(name)
                if other is not None and other != layer:
                    self.assertLess(RANK[other], RANK[layer], f"{path.name} includes {name}")

    def test_the_detail_headers_include_no_public_header_of_a_layer_above_their_own(self):
        for path in files("include/fern/detail/*.hpp"):
            layer = DETAIL_LAYER.get(path.stem, "core")
            for name in self.includes(path):
                other = layer_of_include(name)
                if other is not None:
                    self.assertLessEqual(RANK[other], RANK[layer], f"{path.name} includes {name}")


class Homes(unittest.TestCase):
    maxDiff = None

    def assert_home(self, pattern, homes):
        """Only the files named in homes include what matches pattern."""
        found = set()
        for path in files("src/**/*.[ch]pp", "include/**/*.hpp"):
            for _, name in INCLUDE.findall(path.read_text()):
                if re.match(pattern, name):
                    found.add(str(path.relative_to(SOURCE)))
        self.assertLessEqual(found, set(homes))

    def test_libuv_is_included_by_the_loop_alone(self):
        self.assert_home(r"uv(/|\.h)", ["src/core/loop.cpp"])

    def test_boost_is_included_by_the_context_and_the_asio_header_alone(self):
        self.assert_home(r"boost/", ["src/core/context.cpp", "include/fern/asio.hpp"])

    def test_public_headers_include_no_header_of_libc_io(self):
        self.assert_home(
            r"(unistd|fcntl|poll|netdb|sys/(socket|epoll|eventfd|timerfd|poll|select|ioctl|uio|un))\.h|netinet/|arpa/",
            [str(path.relative_to(SOURCE)) for path in files("src/**/*.[ch]pp")])

    def test_libc_io_is_called_by_base_real_alone(self):
        # The compiler's own account: which object refers to which symbol.
        archive = BUILD / "src" / "libfern_objects.a"
        symbols = subprocess.run(
            ["nm", "--undefined-only", "--print-file-name", archive], check=True, capture_output=True, text=True).stdout
        callers = {}
        for line in symbols.splitlines():
            place, symbol = line.rsplit(None, 1)
            if symbol in LIBC_IO:
                callers.setdefault(re.search(r"(\w+)\.cpp\.o", place)[1], []).append(symbol)
        callers.pop("base_real", None)
        self.assertEqual(callers, {}, "libc I/O is called as real:: outside base/real.cpp")


if __name__ == "__main__":
    unittest.main()
