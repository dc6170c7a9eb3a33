#!/usr/bin/env python3
"""docs/names.md and the public headers say the same names.

Run with --missing it prints what the table lacks, by header.
"""
import collections
import os
import pathlib
import re
import sys
import unittest

from declarations import declared_in

SOURCE = pathlib.Path(os.environ.get("FERN_SOURCE", pathlib.Path(__file__).parents[1]))
TABLE = SOURCE / "docs" / "names.md"

# What the standard library's concepts ask for: nobody looks these up in a table of Fern.
PROTOCOL = {"value_type", "difference_type", "iterator_concept", "iterator_category", "begin", "end", "Iterator"}


def declared():
    """{(header, name)} of every public declaration."""
    pairs = set()
    folder = SOURCE / "include" / "fern"
    for path in folder.rglob("*.hpp"):
        for name in declared_in(path.read_text()):
            if not PROTOCOL & set(name.split("::")):
                pairs.add((str(path.relative_to(folder)), name))
    return pairs


def rows():
    """The (header, name) pairs of every row: | Python | `Type`: `member`, ...; `function` | `header.hpp` |"""
    pairs = []
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
        if len(cells) != 5 or not cells[3].startswith("`"):
            continue
        header = cells[3].strip("`")
        for group in cells[2].split(";"):
            owner, colon, members = group.partition("`:")
            names = re.findall(r"`([^`]+)`", members if colon else group)
            owner = owner.strip().lstrip("`") if colon else None
            if owner:
                pairs.append((header, owner))
            pairs += [(header, f"{owner}::{name}" if owner else name) for name in names]
    return pairs


def listed():
    return set(rows())


class Names(unittest.TestCase):
    maxDiff = None

    def test_each_listed_name_is_declared_in_its_header(self):
        self.assertEqual(sorted(listed() - declared()), [])

    def test_no_name_is_listed_twice(self):
        self.assertEqual(sorted(pair for pair, count in collections.Counter(rows()).items() if count > 1), [])

    def test_each_public_declaration_is_listed(self):
        self.assertEqual(sorted(declared() - listed()), [])


class Parser(unittest.TestCase):
    def assert_declares(self, text, *names):
        self.assertEqual(declared_in("namespace fern {\n" + text + "\n}"), set(names))

    def test_functions_of_every_shape(self):
        self.assert_declares(
            """
            FERN_API void plain();
            template <class F, class = std::enable_if_t<(sizeof(F) > 1)>>
              requires std::invocable<F&> && (sizeof(F) < 9)
            auto constrained(F&& f) -> std::function<void(int)>;
            decltype(auto) deduced(int x = (1, 2)) noexcept(true) { if (x) { return x; } }
            inline std::function<void(int)> callback() { return {}; }
            [[nodiscard]] inline constexpr int limit{3};
            """, "plain", "constrained", "deduced", "callback", "limit")

    def test_members_that_are_public_and_named(self):
        self.assert_declares(
            """
            class Thing final : public Base<int> {
             public:
              explicit Thing(int x) : x_{x}, y_(x) {}
              ~Thing();
              Thing& operator=(const Thing&) = delete;
              explicit operator bool() const { return x_ > 0; }
              friend bool operator==(const Thing&, const Thing&) = default;
              int get() const& { return x_; }
              enum class State : unsigned char { Idle, Busy = 2 };
              struct Part { int size = 0; };
             protected:
              void secret();
             private:
              int x_ = 0, y_;
            };
            """, "Thing", "Thing::get", "Thing::State", "Thing::State::Idle", "Thing::State::Busy", "Thing::Part",
            "Thing::Part::size")

    def test_nothing_of_detail_nor_what_is_only_announced(self):
        self.assert_declares(
            """
            class Later;
            namespace detail { void hidden(); }
            template <> struct std::hash<Later> { int seen; };
            template <class T> void Later<T>::outside() {}
            using std::swap;
            using Id = int;
            template <class T> concept Waitable = requires(T t) { t.wait(); };
            """, "Id", "Waitable")


if __name__ == "__main__":
    if "--missing" in sys.argv:
        for header, name in sorted(declared() - listed()):
            print(header, name)
    else:
        unittest.main()
