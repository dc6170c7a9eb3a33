#!/usr/bin/env python3
"""A real crawl: python3.11-doc behind nginx gives the crawler the same pages as it gives wget."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

CRAWLER = pathlib.Path(os.environ["FERN_BUILD"], "examples", "crawler")
PAGES = pathlib.Path("/usr/share/doc/python3.11/html")
FOLLOW = "a,area,frame,iframe,link"

NGINX_CONF = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr crit;
worker_rlimit_nofile 4096;
events {{ worker_connections 1024; }}
http {{
  include /etc/nginx/mime.types;
  log_format pages '$http_user_agent\\t$status\\t$sent_http_content_type\\t$request_uri';
  access_log {folder}/access.log pages;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {root};
    index index.html;
  }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program(name, package):
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    assert found, f"{name} is missing: apt-get install {package}"
    return found


class Nginx:
    """An nginx of this test alone: one process, on a free port of loopback, in a folder that goes with it."""

    def __init__(self, folder, root):
        self.log = pathlib.Path(folder, "access.log")
        self.port = free_port()
        conf = pathlib.Path(folder, "nginx.conf")
        conf.write_text(NGINX_CONF.format(folder=folder, port=self.port, root=root))
        self.process = subprocess.Popen(
            [program("nginx", "nginx-light"), "-p", folder, "-c", str(conf), "-e", "stderr"])
        self.wait_until_up()

    def wait_until_up(self):
        for _ in range(500):
            assert self.process.poll() is None, "nginx has ended"
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.02)
        raise AssertionError("nginx does not answer")

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def pages(self, agent):
        """The addresses that were answered with an HTML page to programs of this name."""
        found = set()
        for line in self.log.read_text().splitlines():
            name, status, content_type, uri = line.split("\t")
            if name.startswith(agent) and status == "200" and content_type.startswith("text/html"):
                found.add(f"http://127.0.0.1:{self.port}{uri}")
        return found


class Crawl(unittest.TestCase):
    def setUp(self):
        self.assertTrue((PAGES / "index.html").exists(), "pages are missing: apt-get install python3.11-doc")
        self.folder = tempfile.TemporaryDirectory(prefix="fern-crawl-")
        self.addCleanup(self.folder.cleanup)
        self.nginx = Nginx(self.folder.name, PAGES)
        self.addCleanup(self.nginx.stop)
        self.start = f"http://127.0.0.1:{self.nginx.port}/"

    def crawl(self, *options):
        output = pathlib.Path(self.folder.name, "rows.jsonl")
        done = subprocess.run([CRAWLER, self.start, "--output", output, *options], capture_output=True, text=True)
        print(done.stdout, end="")
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in output.read_text().splitlines()]

    def wget(self):
        began = time.monotonic()
        subprocess.run(
            [program("wget", "wget"), "--quiet", "--recursive", "--level=inf", f"--follow-tags={FOLLOW}",
             "--directory-prefix", os.path.join(self.folder.name, "wget"), self.start],
            check=False)  # it fails when any page does
        print(f"wget: {time.monotonic() - began:.2f} s")
        return self.nginx.pages("Wget")

    def test_the_crawler_finds_the_pages_that_wget_finds(self):
        rows = self.crawl()
        ours = {row["url"] for row in rows if row["status"] == 200 and row["type"] == "text/html"}
        theirs = self.wget()
        print(f"pages: {len(ours)} by the crawler, {len(theirs)} by wget")
        self.assertEqual(ours, theirs)
        self.assertGreater(len(ours), 500)
        self.assertEqual(ours, self.nginx.pages("FernCrawler"))
        self.assertEqual(len(rows), len({row["url"] for row in rows}))
        self.assertEqual([row for row in rows if row["error"] and row["status"] != 404], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
