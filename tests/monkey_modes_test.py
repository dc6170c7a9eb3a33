#!/usr/bin/env python3
"""The ways in which the monkey comes into a program, and what it says where it cannot."""
import glob
import os
import pathlib
import shlex
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["FERN_SOURCE"])
BUILD = pathlib.Path(os.environ["FERN_BUILD"])
CXX = shlex.split(os.environ["CXX"])


def run(*command, **options):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=100, **options)
    if result.returncode:
        raise AssertionError(f"{command}: {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


class Modes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", cls.folder / "stage")
        (pc,) = cls.folder.rglob("fern_monkey.pc")
        cls.prefix = cls.folder / "stage" / "usr" / "local"
        cls.libraries = pc.parents[1]
        cls.environment = os.environ | {"PKG_CONFIG_PATH": str(pc.parent), "LD_LIBRARY_PATH": str(cls.libraries)}
        cls.monkey = cls.libraries / "libfern_monkey.so.0"
        cls.object = cls.compiled("consumer")

    @classmethod
    def compiled(cls, name, *flags):
        target = cls.folder / f"{name}.o"
        run(*CXX, "-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-address", *flags,
            *cls.pkg_config("fern_monkey", "--cflags"), "-c", SOURCE / "tests/install/monkey.cpp", "-o", target)
        return target

    @classmethod
    def pkg_config(cls, package, *questions):
        return shlex.split(run("pkg-config", f"--define-variable=prefix={cls.prefix}", *questions, package,
                               env=cls.environment))

    def linked(self, *parts):
        program = self.folder / self.id().split(".")[-1]
        run(*CXX, *parts, "-o", program)
        return program

    def says(self, program, **environment):
        return run(program, env=self.environment | {name: str(value) for name, value in environment.items()}).strip()

    def test_linked_by_pkg_config(self):
        program = self.linked(self.object, *self.pkg_config("fern_monkey", "--libs"))
        self.assertEqual(self.says(program), "recv is green")

    def test_it_is_linked_whatever_the_program_refers_to(self):
        program = self.linked(self.compiled("unaware", "-DMONKEY_MAY_BE_MISSING"), "-Wl,--as-needed",
                              *self.pkg_config("fern_monkey", "--libs"))
        self.assertEqual(self.says(program), "recv is green")

    def test_linked_behind_other_libraries(self):
        # The linker puts libc last by itself, whatever stands before the monkey.
        program = self.linked(self.object, "-lstdc++", "-lm", "-lpthread", *self.pkg_config("fern_monkey", "--libs"))
        self.assertEqual(self.says(program), "recv is green")

    def test_a_program_that_is_not_position_independent(self):
        thing = self.compiled("fixed", "-fno-pie")
        program = self.linked("-no-pie", thing, *self.pkg_config("fern_monkey", "--libs"))
        self.assertEqual(self.says(program), "recv is green")

    def test_bound_at_the_first_call(self):
        program = self.linked("-Wl,-z,lazy", self.object, *self.pkg_config("fern_monkey", "--libs"))
        self.assertEqual(self.says(program), "recv is green")

    def test_preloaded_into_a_program_that_knows_fern_only(self):
        thing = self.compiled("unaware", "-DMONKEY_MAY_BE_MISSING")
        program = self.linked(thing, *self.pkg_config("fern", "--libs"))
        self.assertEqual(self.says(program), "no monkey; recv is native")
        self.assertEqual(self.says(program, LD_PRELOAD=self.monkey), "recv is green")

    def test_preloaded_into_a_program_that_is_linked_with_it(self):
        program = self.linked(self.object, *self.pkg_config("fern_monkey", "--libs"))
        self.assertEqual(self.says(program, LD_PRELOAD=self.monkey), "recv is green")

    def test_preloaded_into_a_program_that_never_heard_of_fern(self):
        self.assertEqual(run("/bin/sh", "-c", "echo one | cat; sleep 0.01; echo two",
                             env=self.environment | {"LD_PRELOAD": str(self.monkey)}), "one\ntwo\n")

    def test_with_an_allocator_preloaded(self):
        allocators = glob.glob("/usr/lib/*/libjemalloc.so.2")
        if not allocators:
            self.skipTest("jemalloc is not installed")
        program = self.linked(self.object, *self.pkg_config("fern_monkey", "--libs"))
        self.assertEqual(self.says(program, LD_PRELOAD=allocators[0]), "recv is green")
        self.assertEqual(self.says(program, LD_PRELOAD=f"{allocators[0]}:{self.monkey}"), "recv is green")

    def test_in_a_program_with_a_sanitizer(self):
        thing = self.compiled("sanitized", "-fsanitize=address")
        program = self.linked("-fsanitize=address", thing, *self.pkg_config("fern_monkey", "--libs"))
        self.assertEqual(self.says(program), "recv is green")

    def test_behind_libc_it_says_so(self):
        libc = run(*CXX, "-print-file-name=libc.so.6").strip()
        program = self.linked(self.object, "-Wl,--no-as-needed", libc, *self.pkg_config("fern_monkey", "--libs"))
        self.assertRegex(self.says(program), "recv is that of .*libc.so.6: libfern_monkey has to come before it")

    def test_with_a_static_libc_it_does_not_link(self):
        # libc's own members, which call each other, come along with their names.
        archives = [*BUILD.glob("src/libfern_objects.a"), *BUILD.glob("src/libfern_monkey_objects.a")]
        with self.assertRaisesRegex(AssertionError, "multiple definition of"):
            self.linked("-static", self.object, "-Wl,--whole-archive", *archives, "-Wl,--no-whole-archive", "-luv_a",
                        "-lboost_context", "-w")


if __name__ == "__main__":
    unittest.main()
