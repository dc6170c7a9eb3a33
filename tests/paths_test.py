#!/usr/bin/env python3
"""Nothing in the repository refers to a path outside it, and every link in its documentation leads somewhere."""
import os
import pathlib
import re
import unittest

SOURCE = pathlib.Path(os.environ["FERN_SOURCE"])

# Places that exist on one machine only. The machine's own (/proc, /etc/hosts, /usr/share/doc) are no one's checkout.
ELSEWHERE = re.compile(r"(?<![\w.])/(?:home|root|work|Users|mnt|media|srv)/[\w.]")
UPWARD = re.compile(r"""(?<![\w.])(?:[\w.-]+/)*\.\./[\w./*-]*""")
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include.*\n", re.M)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def repository_files():
    for folder, subfolders, names in os.walk(SOURCE):
        subfolders[:] = [name for name in subfolders if not re.match(r"\.git$|build|__pycache__$", name)]
        yield from (pathlib.Path(folder) / name for name in names)


def text_files():
    for path in repository_files():
        try:
            yield path, path.read_text()
        except UnicodeDecodeError:
            continue


class Paths(unittest.TestCase):
    def test_no_file_names_a_place_on_one_machine(self):
        for path, text in text_files():
            self.assertIsNone(ELSEWHERE.search(text), f"{path}: {ELSEWHERE.search(text)}")

    def test_no_relative_path_leaves_the_repository(self):
        for path, text in text_files():
            if path.suffix in (".cpp", ".hpp"):  # a program's data may hold any path; what it includes may not
                text = "".join(INCLUDE.findall(text))
            for found in UPWARD.findall(text):
                target = pathlib.Path(os.path.normpath(path.parent / found))
                self.assertTrue(target.is_relative_to(SOURCE), f"{path}: {found}")

    def test_no_symbolic_link_leaves_the_repository(self):
        for path in repository_files():
            if path.is_symlink():
                self.assertTrue(path.resolve().is_relative_to(SOURCE.resolve()), path)

    def test_every_link_in_the_documentation_leads_to_a_file(self):
        for path, text in text_files():
            if path.suffix != ".md":
                continue
            for target in LINK.findall(text):
                if not re.match(r"[a-z]+:", target):
                    self.assertTrue((path.parent / target).exists(), f"{path}: {target}")


if __name__ == "__main__":
    unittest.main()
