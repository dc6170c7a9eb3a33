#!/usr/bin/env python3
"""Every C++ block of the documentation compiles: as a program if it has a main, else inside of a function."""
import concurrent.futures
import os
import pathlib
import re
import shlex
import subprocess
import unittest

SOURCE = pathlib.Path(os.environ["FERN_SOURCE"])
CXX = shlex.split(os.environ["CXX"])
FLAGS = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-x", "c++", "-I", str(SOURCE / "include"), "-"]

BLOCK = re.compile(r"^```cpp\n(.*?)^```$", re.M | re.S)
INCLUDE = re.compile(r"^#include .*\n", re.M)


def documents():
    return sorted([*SOURCE.glob("*.md"), *SOURCE.glob("docs/**/*.md"), SOURCE / "src" / "README.md"])


def snippets():
    """{place: program} of every block."""
    found = {}
    for path in documents():
        text = path.read_text() if path.exists() else ""
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start()) + 2
            place = f"{path.relative_to(SOURCE)}:{line}"
            found[place] = program(block[1], place)
    return found


def program(code, place):
    mark = '#line {1} "{0}"\n'.format(*place.split(":"))
    if re.search(r"\bint main\(", code):
        return mark + code
    includes = "".join(INCLUDE.findall(code)) or "#include <fern/fern.hpp>\n"
    body = INCLUDE.sub("\n", code)
    return f"{includes}\nusing namespace std::chrono_literals;\nvoid snippet() {{\n{mark}{body}}}\n"


def compile_one(code):
    return subprocess.run(CXX + FLAGS, input=code, capture_output=True, text=True).stderr


class Snippets(unittest.TestCase):
    def test_each_compiles(self):
        found = snippets()
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for place, errors in zip(found, pool.map(compile_one, found.values())):
                with self.subTest(place):
                    self.assertEqual(errors, "")

    def test_the_readme_shows_a_program(self):
        self.assertTrue([place for place, code in snippets().items() if place.startswith("README") and "int main" in code])


if __name__ == "__main__":
    unittest.main()
