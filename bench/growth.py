"""How cost grows as work grows: a figure of Fern's for 1, 10, 100 ... of something."""
import subprocess

import echo
import million
import suite

DECADES = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000]

# {curve: (what grows, unit of the figure, program, its row for so many)}
MICRO = {
    "yield": ("greenlets that yield in turn", "ns per yield", "switch", "yield/{}"),
    "spawn": ("greenlets in a batch", "ns per spawn and join", "spawn", "spawn_batch/{}"),
    "timeout": ("other timers pending", "ns per start and cancel", "timer", "timeout_start_cancel/{}"),
}
CONNECTIONS = [1, 10, 100, 1_000, 4_000, 8_000]


def point(x, samples):
    middle, spread = suite.median_and_spread(samples)
    return {"x": x, "y": middle, "spread": spread}


def micro(build, rounds, say):
    for name, (grows, unit, program, row) in MICRO.items():
        points = []
        for count in DECADES:
            try:
                points.append(point(count, [suite.start(build, program, row.format(count)) for _ in range(rounds)]))
            except suite.Missing as missing:
                say(f"left out of the curve {name}: {missing}")
        yield {"curve": name, "x": grows, "unit": unit, "lines": {"fern": points}}


def memory(build, rounds):
    points = []
    program = million.programs(build)["fern"]
    for count in DECADES[2:]:  # fewer do not show among the pages of the program itself
        figures = [million.ask(program, "parked", count) for _ in range(rounds)]
        points.append(point(count, [each["resident"] + each["page_tables"] for each in figures]))
    return {"curve": "memory", "x": "greenlets parked", "unit": "bytes each, with page tables", "lines": {"fern": points}}


def connections(build, rounds, say, counts=CONNECTIONS, seconds=1.0):
    lines = {}
    commands = echo.servers(build)
    for count in counts:
        for _ in range(rounds):
            for name in ("fern", "epoll"):
                try:
                    sample = echo.measure(build, commands[name], count, 64, seconds)
                except (subprocess.SubprocessError, KeyError) as error:
                    say(f"left out of the curve echo: {name}, {count} connections: {error}")
                    continue
                lines.setdefault(name, {}).setdefault(count, []).append(sample["cpu_us"])
    return {"curve": "echo", "x": "connections", "unit": "us of the server's CPU per request of 64 bytes",
            "lines": {name: [point(x, samples) for x, samples in found.items()] for name, found in lines.items()}}


def run(build, rounds, say):
    rounds = min(rounds, 3)
    curves = [*micro(build, rounds, say), memory(build, rounds), connections(build, rounds, say)]
    for curve in curves:
        for who, points in curve["lines"].items():
            say(f"{curve['curve']:8} {who:6} " + "  ".join(f"{each['x']:,}: {each['y']:,.1f}" for each in points))
    return curves
