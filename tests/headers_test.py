#!/usr/bin/env python3
"""Every public header compiles alone, may be included twice, and pulls in neither libuv nor Boost."""
import concurrent.futures
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["FERN_SOURCE"])
INCLUDE = SOURCE / "include"
CXX = shlex.split(os.environ["CXX"])
FLAGS = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", str(INCLUDE)]

HEADERS = sorted(str(path.relative_to(INCLUDE)) for path in INCLUDE.glob("fern/**/*.hpp"))


def compile_alone(header):
    """(errors, the files that the compiler read) of a program that is nothing but this header, twice."""
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "alone.cpp"
        program.write_text(f'#include "{header}"\n#include "{header}"\n')
        listing = pathlib.Path(folder) / "alone.d"
        result = subprocess.run(
            CXX + FLAGS + ["-MD", "-MF", str(listing), "-MT", "alone", str(program)], capture_output=True, text=True)
        read = listing.read_text().replace("\\\n", " ").split()[1:] if listing.exists() else []
        return result.stderr, read


class Headers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            cls.results = dict(zip(HEADERS, pool.map(compile_alone, HEADERS)))

    def test_each_compiles_alone(self):
        for header, (errors, _) in self.results.items():
            with self.subTest(header):
                self.assertEqual(errors, "")

    def test_none_but_asio_reads_a_file_of_libuv_or_boost(self):
        for header, (_, read) in self.results.items():
            if header == "fern/asio.hpp":
                continue
            with self.subTest(header):
                self.assertTrue(read)
                self.assertEqual([path for path in read if re.search(r"/(boost|uv)/|/uv\.h$", path)], [])

    def test_the_umbrella_includes_all_but_asio_and_monkey(self):
        text = (INCLUDE / "fern" / "fern.hpp").read_text()
        public = {header for header in HEADERS if header.count("/") == 1}
        self.assertEqual(
            set(re.findall(r"#include <(.+)>", text)), public - {"fern/fern.hpp", "fern/asio.hpp", "fern/monkey.hpp"})

    def test_each_says_pragma_once(self):
        for header in HEADERS:
            with self.subTest(header):
                self.assertTrue((INCLUDE / header).read_text().startswith("#pragma once\n"))

    def test_each_is_installed(self):
        listed = set(re.findall(r"'(fern/[^']+)'", (INCLUDE / "meson.build").read_text()))
        self.assertEqual(set(HEADERS), listed - {"fern/detail"})


if __name__ == "__main__":
    unittest.main()
