#!/usr/bin/env python3
"""A program that only knows pkg-config builds and runs against an installed Fern."""
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["FERN_SOURCE"])
BUILD = pathlib.Path(os.environ["FERN_BUILD"])
CXX = shlex.split(os.environ["CXX"])


def run(*command, **options):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if result.returncode:
        raise AssertionError(f"{command}: {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        stage = pathlib.Path(cls.folder.name) / "stage"
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", stage)
        (pc,) = stage.rglob("fern.pc")
        cls.prefix = stage / "usr" / "local"
        cls.libraries = pc.parents[1]
        cls.environment = os.environ | {
            "PKG_CONFIG_PATH": str(pc.parent),
            "LD_LIBRARY_PATH": str(cls.libraries),
        }

    def pkg_config(self, *questions):
        answer = run("pkg-config", f"--define-variable=prefix={self.prefix}", *questions, "fern", env=self.environment)
        return shlex.split(answer)

    def test_a_consumer_builds_by_pkg_config_and_runs(self):
        program = pathlib.Path(self.folder.name) / "consumer"
        source = SOURCE / "tests" / "install" / "consumer.cpp"
        run(*CXX, "-std=c++20", "-Wall", "-Wextra", "-Werror", source, "-o", program,
            *self.pkg_config("--cflags", "--libs"))
        version = run("pkg-config", "--modversion", "fern", env=self.environment).strip()
        self.assertEqual(run(program, env=self.environment), f"fern {version} says 42\n")

    def test_a_consumer_needs_no_library_but_fern(self):
        # What Fern itself is built on stays its own business: neither header nor library of it is asked for.
        self.assertEqual([flag for flag in self.pkg_config("--libs") if flag.startswith("-l")], ["-lfern"])

    def test_every_public_header_is_installed(self):
        source = SOURCE / "include"
        installed = self.prefix / "include"
        self.assertEqual(
            sorted(path.relative_to(source) for path in source.rglob("*.hpp")),
            sorted(path.relative_to(installed) for path in installed.rglob("*.hpp")))

    def test_the_library_exports_names_of_fern_alone(self):
        # Strong symbols: what templates of the standard library leave behind is weak.
        (library,) = self.libraries.glob("libfern.so.*.*.*")
        symbols = [line.split(None, 2) for line in run("nm", "-DC", "--defined-only", library).splitlines()]
        strong = [name for _, kind, name in symbols if kind in "TDBR"]
        self.assertTrue(strong)
        self.assertEqual([name for name in strong if "fern::" not in name], [])
        # What libfern_monkey needs of the inside is protected: nobody can put himself in front of it.
        table = run("readelf", "-sWC", "--dyn-syms", library)
        protected = set(re.findall(r" PROTECTED +\d+ (.+)$", table, re.M))
        inside = [name for name in strong if re.match(r"fern::(core|base|real|io|sync|net)::", name)]
        self.assertEqual([name for name in inside if name not in protected], [])

    def test_the_command_is_installed_and_runs(self):
        command = self.prefix / "bin" / "fern"
        self.assertTrue(run(command, "--version", env=self.environment).startswith("fern "))


if __name__ == "__main__":
    unittest.main()
