#!/usr/bin/env python3
"""What changed between two runs of the suite, beyond the noise; exit 1 if a row has become worse.

    bench/compare.py OLD.json NEW.json [--least PERCENT]

Rows are compared by their ratio to the limit of their own run, so that the machine's speed does not count; by their
figure where there is no limit. A change is beyond the noise when it is larger than three times both runs' spread (the
median deviation) and than --least (5).
"""
import argparse
import json
import pathlib
import sys


def rows(path):
    return {row["row"]: row for row in json.loads(pathlib.Path(path).read_text())["rows"]}


def noise(row):
    """The spread of Fern's samples and of the limit's, as shares of their medians, added up."""
    spread = row.get("spread", {})
    share = spread.get("fern", 0) / row["fern"] if row["fern"] else 0
    return share + (spread.get("limit", 0) / row["limit"] if row["limit"] else 0)


def change(old, new):
    """By how much the row's ratio has grown: 0.1 is 10% more."""
    return new["ratio_to_limit"] / old["ratio_to_limit"] - 1 if old["ratio_to_limit"] else 0


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("old")
    options.add_argument("new")
    options.add_argument("--least", type=float, default=5.0)
    arguments = options.parse_args()
    before, after = rows(arguments.old), rows(arguments.new)
    worse = 0
    print(f"{'row':24} {'old':>10} {'new':>10}   change    noise")
    for name in before | after:
        if name not in before or name not in after:
            print(f"{name:24} only in the {'new' if name in after else 'old'} run")
            continue
        old, new = before[name], after[name]
        grown, blur = change(old, new), 3 * max(noise(old), noise(new))
        beyond = abs(grown) > max(blur, arguments.least / 100)
        verdict = ""
        if beyond:
            is_worse = (grown > 0) == (new["better"] == "lower")
            worse += is_worse
            verdict = "WORSE" if is_worse else "better"
        print(f"{name:24} {old['ratio_to_limit']:10.3f} {new['ratio_to_limit']:10.3f} {grown:+8.1%} {blur:8.1%}  {verdict}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
