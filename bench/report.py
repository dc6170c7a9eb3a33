#!/usr/bin/env python3
"""Draws what the suite has written: one page that needs nothing else, and a PNG of each plot beside it.

    bench/report.py BUILD     reads BUILD/bench.json, writes BUILD/bench.html and BUILD/bench-*.png
"""
import base64
import html
import io
import json
import math
import pathlib
import sys

import suite

# Figures stand before the lines that they cross.
LABEL = {"va": "center", "fontsize": 9, "zorder": 3, "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1}}
INK, PALE, OURS, WORSE = "#24292f", "#8c959f", "#2da44e", "#cf222e"

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #24292f; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #d0d7de; text-align: right; white-space: nowrap; }
th:first-child, td:first-child, td.peers { text-align: left; }
td.peers { white-space: normal; min-width: 22rem; }
.met { color: #1a7f37; } .missed { color: #cf222e; font-weight: 600; }
figure { margin: 1.5rem 0; } img { max-width: 100%; height: auto; } figcaption { color: #57606a; }
"""


def plots():
    """matplotlib, or None where it is not installed: the page then has its tables only."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot
    pyplot.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    return pyplot


def save(figure, folder, name):
    """The PNG's bytes; kept beside the page, too."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=130, bbox_inches="tight")
    (folder / f"bench-{name}.png").write_bytes(out.getvalue())
    return out.getvalue()


def short(value):
    if value == 0 or math.isnan(value):
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def ratios_plot(pyplot, rows):
    """How far each row is from its bar: 1 is just met."""
    judged = [row for row in rows if row["bar"]]
    shares = [row["ratio_to_limit"] / row["bar"] if row["better"] == "lower" else row["bar"] / row["ratio_to_limit"]
              for row in judged]
    figure, axes = pyplot.subplots(figsize=(9, 0.32 * len(judged) + 1))
    places = range(len(judged))
    axes.barh(places, shares, color=[OURS if share <= 1 else WORSE for share in shares], height=0.65)
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_yticks(places, [row["row"] for row in judged])
    axes.invert_yaxis()
    axes.set_xlabel("share of what the bar allows (left of the line: met)")
    for place, share in zip(places, shares):
        axes.text(share + 0.01, place, f"{share:.2f}", **LABEL)
    axes.set_xlim(0, max([1.15, *shares]) * 1.1)
    return figure


def peers_plot(pyplot, row):
    """One row beside its peers, on a logarithmic scale: they are often ten times apart."""
    values = {"Fern": row["fern"], **row["peers"]}
    order = sorted(values, key=values.get, reverse=row["better"] == "higher")
    figure, axes = pyplot.subplots(figsize=(7, 0.34 * (len(order) + 1) + 0.9))
    places = range(len(order))
    axes.barh(places, [values[name] for name in order], color=[OURS if name == "Fern" else PALE for name in order],
              height=0.65)
    wide = max(values.values()) / max(min(values.values()), 1e-9) > 20
    if wide:
        axes.set_xscale("log")
    axes.axvline(row["limit"], color=INK, linewidth=1, linestyle="--")
    axes.set_yticks(places, order)
    axes.invert_yaxis()
    for place, name in enumerate(order):
        axes.annotate(short(values[name]), (values[name], place), (4, 0), textcoords="offset points", **LABEL)
    axes.margins(x=0.18)
    axes.set_xlabel(f"{row['unit']}, {row['better']} is better; dashed: the limit, {short(row['limit'])}")
    axes.set_title(row["row"], loc="left", fontsize=11)
    return figure


def curve_plot(pyplot, curve):
    figure, axes = pyplot.subplots(figsize=(7, 3.6))
    for name, points in curve["lines"].items():
        axes.errorbar([each["x"] for each in points], [each["y"] for each in points],
                      [each["spread"] for each in points], marker="o", markersize=4, capsize=2,
                      color=OURS if name == "fern" else PALE, label=name)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.08 * max(each["y"] + each["spread"] for points in curve["lines"].values() for each in points))
    axes.set_xlabel(curve["x"])
    axes.set_ylabel(curve["unit"])
    axes.set_title(curve["curve"], loc="left", fontsize=11)
    if len(curve["lines"]) > 1:
        axes.legend(frameon=False)
    return figure


def table(rows):
    lines = ["<tr><th>row</th><th>Fern</th><th></th><th>limit</th><th>× limit</th><th>bar</th><th>× best peer</th>"
             "<th style='text-align:left'>peers</th></tr>"]
    for row in rows:
        kept = suite.kept(row)
        mark = "" if kept is None else f" class='{'met' if kept else 'missed'}'"
        best = short(row["ratio_to_best_peer"]) if row["ratio_to_best_peer"] else ""
        order = sorted(row["peers"].items(), key=lambda item: item[1], reverse=row["better"] == "higher")
        peers = ", ".join(f"{html.escape(name)} {short(value)}" for name, value in order)
        lines.append(
            f"<tr><td>{html.escape(row['row'])}</td><td>{short(row['fern'])}</td><td>{row['unit']}</td>"
            f"<td>{short(row['limit'])}</td><td{mark}>{row['ratio_to_limit']:.2f}</td>"
            f"<td>{'' if row['bar'] is None else format(row['bar'], 'g')}</td><td>{best}</td>"
            f"<td class='peers'>{peers}</td></tr>")
    return "<div class='scroll'><table>" + "\n".join(lines) + "</table></div>"


def figure_tag(png, caption):
    return (f"<figure><img alt='{html.escape(caption)}' src='data:image/png;base64,{base64.b64encode(png).decode()}'>"
            f"<figcaption>{html.escape(caption)}</figcaption></figure>")


def write(results, folder):
    """The page's path."""
    rows, curves = results["rows"], results["curves"]
    judged = [row for row in rows if row["bar"]]
    met = sum(1 for row in judged if suite.kept(row))
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>",
        f"<title>Fern, measured</title><style>{STYLE}</style><h1>Fern, measured</h1>",
        f"<p>{html.escape(results['machine'])}; {max(1, results['seconds'] // 60)} min. Each row is the median of runs taken "
        "in turn with the limit's and the peers', each ratio to a limit the median of their rounds' ratios. Only ratios carry "
        "over to another machine.</p>",
        f"<p>{met} of {len(judged)} rows with a bar meet it.</p>", table(rows)]
    pyplot = plots()
    if pyplot is not None:
        def add(figure, name, caption):
            parts.append(figure_tag(save(figure, folder, name), caption))
            pyplot.close(figure)

        if judged:
            add(ratios_plot(pyplot, rows), "bars", "Every row with a bar: how much of what the bar allows it takes.")
        parts.append("<h2>Beside the peers</h2>")
        for row in rows:
            if row["peers"]:
                add(peers_plot(pyplot, row), row["row"].replace("/", "-"), f"{row['row']}, beside its peers")
        if curves:
            parts.append("<h2>How cost grows</h2>")
        for curve in curves:
            add(curve_plot(pyplot, curve), f"growth-{curve['curve']}", f"{curve['unit']}, by {curve['x']}")
    page = folder / "bench.html"
    page.write_text("\n".join(parts))
    return page


if __name__ == "__main__":
    build = pathlib.Path(sys.argv[1])
    print(write(json.loads((build / "bench.json").read_text()), build))
