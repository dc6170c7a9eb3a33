#!/usr/bin/env python3
"""Runs a program that must die, and checks how it does.

The first comment of the program says it:

    // Dies by: SIGSEGV             the signal, or `exit 66`
    // Stderr: regular expression   each must be found; \\d, ^ and $ work by line
    // Stdout: regular expression
    // Stderr (address): ...        in place of the plain line, where a sanitizer takes the blame
"""
import re
import resource
import signal
import subprocess
import sys

FIELD = re.compile(r"^// (Dies by|Stderr|Stdout)(?: \((\w+)\))?: (.*)$")


def expectations(source, sanitizer):
    """{field: [values]} from the first comment; a line for this sanitizer replaces the plain ones."""
    plain, special = {}, {}
    for line in open(source):
        if not line.startswith("//"):
            break
        field = FIELD.match(line.rstrip("\n"))
        if not field:
            continue
        name, flavour, value = field.groups()
        if flavour is None:
            plain.setdefault(name, []).append(value)
        elif flavour in sanitizer.split(","):
            special.setdefault(name, []).append(value)
    return plain | special


def death(status):
    return signal.Signals(-status).name if status < 0 else f"exit {status}"


def main():
    source, program, sanitizer = sys.argv[1:4]
    expected = expectations(source, sanitizer)
    if "Dies by" not in expected:
        sys.exit(f"{source}: no `// Dies by:` in its first comment")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        run = subprocess.run([program], capture_output=True, text=True, errors="replace", timeout=50)
    except subprocess.TimeoutExpired as late:
        sys.exit(f"it did not die: {late}\n{late.stderr}")
    problems = []
    if death(run.returncode) != expected["Dies by"][0]:
        problems.append(f"died by {death(run.returncode)}, not by {expected['Dies by'][0]}")
    for stream, text in (("Stderr", run.stderr), ("Stdout", run.stdout)):
        for pattern in expected.get(stream, []):
            if not re.search(pattern, text, re.M):
                problems.append(f"{stream} has no match of {pattern}")
    if problems:
        print("\n".join(problems), "---- stdout", run.stdout, "---- stderr", run.stderr, sep="\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
