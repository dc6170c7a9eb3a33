"""The crawl: pages per second on one processor, over the tree of Python's documentation behind a local nginx.

Both: every link of the site is followed. Fetch: the same pages, thrown away. Parse: the same pages, from files. All
find the same pages and Fern as many links as Go, or the run ends with an error. Fern's crawler is made of the parts of
examples/crawler, which reads pages with a scanner of its own, and in the rows that say so with libxml2, which is given
the tags that may link (examples/crawler/markup.hpp).
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import suite

HERE = pathlib.Path(__file__).resolve().parent
PAGES = pathlib.Path("/usr/share/doc/python3.11/html")
CONCURRENCY = 64
# {row: (what the programs are told, whether Fern reads with libxml2, bar)}
ROWS = {
    "both": ("both", False, 1.2),
    "both_libxml2": ("both", True, 1.0),
    "fetch": ("fetch", False, None),
    "parse": ("parse", False, None),
    "parse_libxml2": ("parse", True, None),
}

NGINX_CONF = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  include /etc/nginx/mime.types;
  access_log off;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {root}; index index.html; }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Site:
    """nginx on the first processor, in a folder that goes with it."""

    def __init__(self, nginx):
        self.nginx = nginx
        self.folder = tempfile.TemporaryDirectory(prefix="fern-crawl-")

    def __enter__(self):
        port = free_port()
        conf = pathlib.Path(self.folder.name, "nginx.conf")
        conf.write_text(NGINX_CONF.format(folder=self.folder.name, port=port, root=PAGES))
        self.process = subprocess.Popen(
            [self.nginx, "-p", self.folder.name, "-c", conf, "-e", "stderr"],
            preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}))
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.02)
        self.start = f"http://127.0.0.1:{port}/"
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.folder.cleanup()


def run(command, what):
    result = subprocess.run(command, capture_output=True, text=True, preexec_fn=suite.bound, timeout=300)
    if result.returncode:
        raise suite.Wrong(f"{what}, {command[0]}: {result.stderr}")
    return result.stdout


def pages_of(build, site):
    """The crawler's own rows say what there is to find."""
    rows = pathlib.Path(site.folder.name, "rows.jsonl")
    run([build / "examples" / "crawler", site.start, "--ignore-robots", "-c", str(CONCURRENCY), "--output", rows],
        "crawler")
    found = [json.loads(row) for row in rows.read_text().splitlines()]
    return [row["url"] for row in found if row["status"] == 200 and row["type"] == "text/html"]


def crawlers(build, with_peers):
    """{name: command}"""
    found = {"Fern": [build / "bench" / "crawl_fern"]}
    if with_peers:
        if (build / "bench" / "crawl_go").exists():
            found["Go"] = [build / "bench" / "crawl_go"]
        needed = "import gevent, lxml, requests"
        if subprocess.run([suite.PYTHON, "-c", needed], capture_output=True).returncode == 0:
            found["gevent"] = [suite.PYTHON, HERE / "crawl" / "gevent_crawl.py"]
    return found


def path_of(address, site):
    path = PAGES / address.removeprefix(site.start)
    return path / "index.html" if path.is_dir() else path


def rows(build, rounds, with_peers, say, only):
    """Rows of bench.json in pages per second; the limit is Go, whose crawler is the one to beat."""
    nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    programs = crawlers(build, with_peers)
    if not any(only.search(f"crawl_{row}") for row in ROWS):
        return
    if nginx is None or not (PAGES / "index.html").exists() or "Go" not in programs:
        say("left out: crawl, which needs nginx-light, python3.11-doc with its pages, and golang-golang-x-net-dev")
        return
    with Site(nginx) as site:
        addresses = pages_of(build, site)
        lists = {"both": site.start}
        for what, items in (("fetch", addresses), ("parse", [path_of(each, site) for each in addresses])):
            lists[what] = pathlib.Path(site.folder.name, what)
            lists[what].write_text("\n".join(map(str, items)))
        for row, (what, libxml2, bar) in ROWS.items():
            if not only.search(f"crawl_{row}"):
                continue
            samples = {name: [] for name in programs}
            for _ in range(rounds):
                links = {}
                for name, command in programs.items():
                    asked = f"{what}_libxml2" if name == "Fern" and libxml2 else what
                    result = json.loads(run([*command, asked, str(CONCURRENCY), lists[what]], row))
                    if result["pages"] != len(addresses):
                        raise suite.Wrong(f"{name}, {row}: {result['pages']} pages, not {len(addresses)}")
                    links[name] = result["links"]
                    samples[name].append(result["pages"] / result["seconds"])
                if links["Fern"] != links["Go"]:
                    raise suite.Wrong(f"{row}: Fern found {links['Fern']} links, Go {links['Go']}")
            samples["fern"], samples["limit"] = samples.pop("Fern"), samples["Go"]
            yield suite.conclude(f"crawl_{row}", "pages/s", "higher", bar, samples)
