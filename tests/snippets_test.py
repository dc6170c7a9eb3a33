#!/usr/bin/env python3
"""Every C++ block of the documentation compiles, and so does every example in the comments of a public header.

A block is a program if it has a main. It stands outside of functions if it defines one, else inside of one. What a
header's example takes for granted is declared in snippets/NAME.hpp.
"""
import concurrent.futures
import os
import pathlib
import re
import shlex
import subprocess
import unittest

SOURCE = pathlib.Path(os.environ["FERN_SOURCE"])
PRELUDES = SOURCE / "tests" / "snippets"
CXX = shlex.split(os.environ["CXX"])
# An example may make what it does not use.
FLAGS = "-std=c++20 -fsyntax-only -Wall -Wextra -Wno-unused -I".split() + [str(SOURCE / "include"), "-x", "c++", "-"]

BLOCK = re.compile(r"^```cpp\n(.*?)^```$", re.M | re.S)
COMMENT = re.compile(r"(?:^//.*\n)+", re.M)
# In a comment, what is indented is an example or a table; empty lines may part it.
INDENTED = re.compile(r"(?:^//   .*\n(?:^//\n(?=//   ))?)+", re.M)
INCLUDE = re.compile(r"^#include .*\n", re.M)
FUNCTION = re.compile(r"^(?:[\w:<>]+ )?[\w:~]+\([^;\[]*\) \{$", re.M)


def documents():
    return sorted([*SOURCE.glob("*.md"), *SOURCE.glob("docs/**/*.md"), SOURCE / "src" / "README.md"])


def headers():
    """The public headers, but for the one that is nothing but all of them."""
    return sorted({*(SOURCE / "include" / "fern").glob("*.hpp")} - {SOURCE / "include" / "fern" / "fern.hpp"})


def place(path, text, offset):
    return f"{path.relative_to(SOURCE)}:{text.count(chr(10), 0, offset) + 1}"


def snippets():
    """{place: program} of every block of the documentation."""
    found = {}
    for path in documents():
        text = path.read_text() if path.exists() else ""
        for block in BLOCK.finditer(text):
            at = place(path, text, block.start(1))
            found[at] = program(block[1], at)
    return found


def examples(header):
    """{place: program} of every example of a header."""
    prelude = PRELUDES / header.name
    given = f"#include <fern/{header.name}>\n#include <fern/fern.hpp>\n"
    if prelude.exists():
        given += prelude.read_text()
    found = {}
    text = header.read_text()
    for comment in COMMENT.finditer(text):
        for block in INDENTED.finditer(comment[0]):
            code = code_of(block[0])
            if code.strip():
                at = place(header, text, comment.start() + block.start())
                found[at] = program(code, at, given)
    return found


def code_of(comment):
    """The comment's text, with tables (paragraphs without a semicolon) left empty."""
    paragraphs = re.sub("^// {0,3}", "", comment, flags=re.M).split("\n\n")
    return "\n\n".join(each if ";" in each else "\n" * each.count("\n") for each in paragraphs)


def program(code, at, given=""):
    mark = '#line {1} "{0}"\n'.format(*at.split(":"))
    if re.search(r"\bint main\(", code):
        return given + mark + code
    includes = given + "".join(INCLUDE.findall(code)) or "#include <fern/fern.hpp>\n"
    head = f"{includes}\nusing namespace std::chrono_literals;\n"
    body = mark + INCLUDE.sub("\n", code)
    return head + (body if FUNCTION.search(code) else f"void snippet() {{\n{body}}}\n")


def compile_one(code):
    return subprocess.run(CXX + FLAGS, input=code, capture_output=True, text=True).stderr


class Snippets(unittest.TestCase):
    maxDiff = None

    def assert_each_compiles(self, found):
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for at, errors in zip(found, pool.map(compile_one, found.values())):
                with self.subTest(at):
                    self.assertEqual(errors, "")

    def test_each_of_the_documentation_compiles(self):
        self.assert_each_compiles(snippets())

    def test_the_readme_shows_a_program(self):
        self.assertTrue([at for at, code in snippets().items() if at.startswith("README") and "int main" in code])

    def test_each_of_a_header_compiles(self):
        self.assert_each_compiles({at: code for header in headers() for at, code in examples(header).items()})

    def test_each_header_has_an_example(self):
        self.assertEqual([header.name for header in headers() if not examples(header)], [])

    def test_each_prelude_is_some_header_s(self):
        self.assertEqual({path.name for path in PRELUDES.iterdir()} - {header.name for header in headers()}, set())


if __name__ == "__main__":
    unittest.main()
