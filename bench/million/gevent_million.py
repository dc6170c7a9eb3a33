"""gevent 22.10.2 (python3-gevent): greenlets parked in an event, memory only. Nothing else was tried.

Sleepers are left out: a greenlet each, and a timer of libev that does no more than those of the uv_timer row.
"""
import json
import os
import sys

import gevent.event

if sys.argv[1] != "parked":
    sys.exit(2)
COUNT = int(sys.argv[2])


def status(field):
    with open("/proc/self/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def mappings():
    with open("/proc/self/maps", encoding="ascii") as lines:
        return sum(1 for _ in lines)


waiting = 0
go = gevent.event.Event()


def park():
    global waiting
    waiting += 1
    go.wait()


gevent.sleep(0.001)
before = status("VmRSS:"), status("VmPTE:"), mappings()
tasks = [gevent.spawn(park) for _ in range(COUNT)]
while waiting < COUNT:
    gevent.sleep(0)
after = status("VmRSS:"), status("VmPTE:"), mappings()
print(json.dumps({"resident": (after[0] - before[0]) / COUNT, "page_tables": (after[1] - before[1]) / COUNT,
                  "mappings": after[2] - before[2]}), flush=True)
os._exit(0)  # ending them is not the question
