#!/usr/bin/env python3
"""Programs that were compiled without Fern do the same under `fern run` as natively.

    programs_test.py FERN PROGRAM...

Same exit code, same standard output, with one hub and with two, with and without thread-local storage of their own.
"""
import subprocess
import sys
import unittest

MODES = [[], ["--tls"], ["--hubs", "2"], ["--tls", "--hubs", "2"]]
SECONDS = 60
# What natively need not end.
ONLY_GREEN = {"permits": "permits\n"}
# What is also run with arguments.
ARGUMENTS = {"process": [["exit"], ["leave"], ["return"]]}


def run(command):
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)


def commands():
    for program in PROGRAMS:
        yield [program]
        for name, lists in ARGUMENTS.items():
            if f"program_{name}_" in program:
                yield from ([program, *arguments] for arguments in lists)


class Programs(unittest.TestCase):
    maxDiff = None

    def test_each_does_the_same_green_as_natively(self):
        for command in commands():
            only = [text for name, text in ONLY_GREEN.items() if f"program_{name}_" in command[0]]
            native = subprocess.CompletedProcess(command, 0, only[0], "") if only else run(command)
            for mode in MODES:
                # Without it they share their thread_locals.
                if "thread_locals" in command[0] and "--tls" not in mode:
                    continue
                with self.subTest(command=command, mode=mode):
                    green = run([FERN, "run", *mode, *command])
                    self.assertEqual((green.returncode, green.stdout), (native.returncode, native.stdout), green.stderr)

    def test_each_is_right_natively(self):
        for program in PROGRAMS:
            if not any(f"program_{name}_" in program for name in ONLY_GREEN):
                self.assertEqual(run([program]).returncode, 0, program)

    def test_one_that_spins_on_a_flag_is_named_in_whichever_hub(self):
        program = next(program for program in PROGRAMS if "program_spins_" in program)
        for arguments in (
            [program, "flag"],
            ["--hubs", "2", program, "for-ever"],
            ["--hubs", "2", "--tls", program, "for-ever"],
        ):
            with subprocess.Popen([FERN, "run", *arguments], stderr=subprocess.PIPE, text=True) as spinning:
                line = spinning.stderr.readline()
                frame = spinning.stderr.readline()
                spinning.kill()
            self.assertIn("has run for a second and let no other green thread run", line, arguments)
            self.assertIn("program_spins", frame, arguments)

    def test_all_threads_run_in_as_many_os_threads_as_there_are_hubs(self):
        program = next(program for program in PROGRAMS if "program_c11_" in program)
        for hubs in (1, 2):
            text = run([FERN, "run", "--report", "--hubs", str(hubs), program]).stderr
            self.assertRegex(text, rf"fern: \d+ green threads, at most \d+ at once, in {hubs} OS threads")

    def test_the_threads_that_work_on_files_are_ferns_own_and_not_counted(self):
        program = next(program for program in PROGRAMS if "program_files_" in program)
        for mode in MODES:
            self.assertRegex(run([FERN, "run", "--report", *mode, program]).stderr, r"fern: 3 green threads, at most 3")

    def test_what_cannot_be_green_runs_natively_and_is_told(self):
        for name, sentence in {
            "static": "is linked statically: it runs natively",
            "openmp": "libgomp.so.1 stay OS threads",
        }.items():
            program = next(program for program in PROGRAMS if f"program_{name}_" in program)
            self.assertIn(sentence, run([FERN, "run", program]).stderr)

    def test_queues_of_the_kernel_are_refused_and_that_is_told_once(self):
        script = "import ctypes; c = ctypes.CDLL(None); print(c.io_setup(1, None), c.io_uring_queue_init(1, None, 0))"
        result = run([FERN, "run", sys.executable, "-c", script])
        self.assertEqual(result.stdout, "-38 -38\n")
        self.assertEqual(result.stderr.count("io_uring and Linux AIO are refused"), 1)

    def test_thread_locals_that_are_loaded_before_the_first_thread_are_named(self):
        script = (
            "import ctypes, threading; ctypes.CDLL('libgomp.so.1'); t = threading.Thread(target=int); t.start(); t.join()"
        )
        text = run([FERN, "run", sys.executable, "-c", script]).stderr
        self.assertRegex(text, "share the thread_local variables of .*libgomp")

    def test_the_report_comes_though_the_program_closes_its_stderr(self):
        self.assertIn("green threads, at most", run([FERN, "run", "--report", "sort", "/dev/null"]).stderr)


class Command(unittest.TestCase):
    def test_what_follows_the_program_is_its_own(self):
        self.assertEqual(run([FERN, "run", "echo", "--hubs", "2", "-x"]).stdout, "--hubs 2 -x\n")

    def test_the_exit_code_is_the_programs(self):
        self.assertEqual(run([FERN, "run", "sh", "-c", "exit 7"]).returncode, 7)

    def test_a_program_that_is_not_there_is_127(self):
        result = run([FERN, "run", "no-such-program"])
        self.assertEqual(result.returncode, 127)
        self.assertIn("no-such-program", result.stderr)

    def test_no_hub_is_refused(self):
        self.assertNotEqual(run([FERN, "run", "--hubs", "0", "true"]).returncode, 0)

    def test_children_of_the_program_are_as_they_always_were(self):
        text = run([FERN, "run", "sh", "-c", "env"]).stdout
        self.assertNotIn("FERN_RUN", text)
        self.assertNotIn("libfern_monkey", text)


if __name__ == "__main__":
    FERN, *PROGRAMS = sys.argv[1:]
    unittest.main(argv=sys.argv[:1])
