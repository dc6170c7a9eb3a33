#!/usr/bin/env python3
"""The crawler among servers that are slow, broken or mean: each failure is a row with a reason, and the crawl goes on."""
import json
import os
import pathlib
import pty
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

CRAWLER = pathlib.Path(os.environ["FERN_BUILD"], "examples", "crawler")
FIELDS = {"url", "status", "error", "bytes", "milliseconds", "links", "depth", "type"}


def answer(body, content_type="text/html", status="200 OK", *headers):
    body = body.encode() if isinstance(body, str) else body
    head = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def links(*targets):
    return answer("".join(f'<a href="{target}">x</a>' for target in targets))


def redirect(target):
    return answer("", "text/html", "302 Found", f"Location: {target}")


class Hang(Exception):
    """What a page raises whose server says nothing more, and keeps the connection open."""


class Server:
    """Answers each path with bytes, or lets a function(connection) do it, which may close the connection."""

    def __init__(self, pages):
        self.pages = pages
        self.requests = []        # (number of the connection, path)
        self.open = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(connection)
            threading.Thread(target=self.serve, args=(connection, len(self.open)), daemon=True).start()

    def serve(self, connection, number):
        received = b""
        try:
            while True:
                while b"\r\n\r\n" not in received:
                    piece = connection.recv(65536)
                    if not piece:
                        return connection.close()
                    received += piece
                head, _, received = received.partition(b"\r\n\r\n")
                path = head.split(b" ")[1].decode()
                self.requests.append((number, path))
                page = self.pages.get(path, answer("gone", "text/plain", "404 Not Found"))
                if callable(page):
                    page(connection)
                else:
                    connection.sendall(page)
        except Hang:
            pass
        except OSError:
            connection.close()

    def paths(self):
        return [path for _, path in self.requests]

    def close(self):
        self.listener.close()
        for connection in self.open:
            connection.close()


def hang(_connection):
    raise Hang


def send_and(*pieces, then):
    """A page that sends these bytes and then does something to the connection."""
    def page(connection):
        for piece in pieces:
            connection.sendall(piece)
        then(connection)
    return page


def close(connection):
    connection.close()


def for_ever(*, start, again):
    def page(connection):
        connection.sendall(start)
        while True:
            connection.sendall(again)
    return page


class CrawlerTest(unittest.TestCase):
    def serve(self, pages):
        server = Server(pages)
        self.addCleanup(server.close)
        return server

    def folder(self):
        folder = tempfile.TemporaryDirectory(prefix="fern-crawler-")
        self.addCleanup(folder.cleanup)
        return folder.name

    def crawl(self, *arguments, status=0):
        """{address without the first one's origin: row} and what was printed."""
        output = os.path.join(self.folder(), "rows.jsonl")
        done = subprocess.run([CRAWLER, "--output", output, *arguments], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        rows = [json.loads(line) for line in pathlib.Path(output).read_text().splitlines()]
        self.assertEqual(len(rows), len({row["url"] for row in rows}))
        origin = "/".join(arguments[0].split("/")[:3])
        return {row["url"].removeprefix(origin): row for row in rows}, done.stdout

    def crawl_page(self, page, *options):
        """The row of one odd page, among two that are fine and have to be reached."""
        server = self.serve({"/": links("/odd", "/fine"), "/odd": page, "/fine": answer("fine")})
        rows, _ = self.crawl(server.url + "/", *options)
        self.assertIsNone(rows["/fine"]["error"])
        self.server = server
        return rows["/odd"]

    # ---- what is crawled -------------------------------------------------------------------------------------------

    def test_every_page_of_the_host_is_visited_once_by_whatever_way(self):
        server = self.serve({
            "/": links("a", "/b?q=1&amp;r=2", "./c/../a#part", "http://127.0.0.2/", "mailto:me@here", "#top", ""),
            "/a": links("/", "sub/", "/%61", "HTTP://127.0.0.1:%d/a" % 0),
            "/b?q=1&r=2": answer('<base href="/sub/"><a href="x"></a><area href=y><iframe src=z></iframe>'),
            "/sub/": links("x", "../a"),
            "/sub/x": answer("x"), "/sub/y": answer("y"), "/sub/z": answer("z"),
        })
        rows, _ = self.crawl(server.url, "--depth", "9")
        good = {url: row["depth"] for url, row in rows.items() if row["status"] == 200}
        self.assertEqual(good, {"/": 0, "/a": 1, "/b?q=1&r=2": 1, "/sub/": 2, "/sub/x": 2, "/sub/y": 2, "/sub/z": 2})
        self.assertEqual(sorted(server.paths()), sorted(["/robots.txt", *good]))

    def test_a_row_has_all_fields(self):
        server = self.serve({"/": links("/gone")})
        rows, _ = self.crawl(server.url)
        self.assertEqual(set(rows["/"]), FIELDS)
        self.assertEqual(set(rows["/gone"]), FIELDS)
        page = rows["/"]
        self.assertEqual((page["status"], page["error"], page["links"], page["depth"]), (200, None, 1, 0))
        self.assertEqual((page["bytes"], page["type"]), (21, "text/html"))
        self.assertGreater(page["milliseconds"], 0)

    def test_depth_counts_links_from_the_start(self):
        server = self.serve({"/": links("/1"), "/1": links("/2", "/"), "/2": links("/3"), "/3": links("/4")})
        rows, _ = self.crawl(server.url, "--depth", "2")
        self.assertEqual({url: row["depth"] for url, row in rows.items()}, {"/": 0, "/1": 1, "/2": 2})

    def test_a_limit_of_depth_cuts_by_the_shortest_way_however_slow_it_is(self):
        def slow(connection):
            time.sleep(0.3)
            connection.sendall(links("/x"))
        server = self.serve({
            "/": links("/slow", "/a"), "/slow": slow, "/a": links("/b"), "/b": links("/x"), "/x": links("/y"),
            "/y": answer("y")})
        rows, _ = self.crawl(server.url, "--depth", "3")
        self.assertEqual(rows["/x"]["depth"], 2)
        self.assertEqual(rows["/y"]["depth"], 3)

    def test_without_a_limit_of_depth_a_slow_page_holds_nobody_up(self):
        server = self.serve({"/": links("/a", "/slow"), "/a": links("/b"), "/b": links("/c"), "/c": answer("x")})
        def slow(connection):
            while "/c" not in server.paths():
                time.sleep(0.01)
            connection.sendall(answer("x"))
        server.pages["/slow"] = slow
        rows, _ = self.crawl(server.url)
        self.assertEqual({row["status"] for row in rows.values()}, {200})
        self.assertEqual(rows["/c"]["depth"], 3)

    def test_no_more_pages_are_tried_than_allowed(self):
        server = self.serve({"/": links(*(f"/{i}" for i in range(100)))})
        rows, _ = self.crawl(server.url, "--max-pages", "10")
        self.assertEqual(len(rows), 10)
        self.assertEqual(len(server.requests), 11)

    def test_other_hosts_are_visited_only_when_told(self):
        other = self.serve({"/": answer("other")})
        elsewhere = f"http://localhost:{other.port}/"
        server = self.serve({"/": links(elsewhere)})
        rows, _ = self.crawl(server.url)
        self.assertEqual(set(rows), {"/"})
        rows, _ = self.crawl(server.url, "--span-hosts")
        self.assertEqual(rows[elsewhere]["status"], 200)

    def test_several_starts_are_one_crawl(self):
        one, two = self.serve({"/": answer("1")}), self.serve({"/": answer("2")})
        rows, _ = self.crawl(one.url, two.url, one.url + "/#again")
        self.assertEqual(set(rows), {"/", two.url + "/"})

    def test_no_more_requests_are_under_way_than_allowed(self):
        for option, allowed in (("--concurrency", 7), ("--per-host", 3)):
            now, most, changed = [0], [0], threading.Condition()
            def page(connection):
                with changed:
                    now[0] += 1
                    most[0] = max(most[0], now[0])
                    changed.notify_all()
                    changed.wait_for(lambda: most[0] >= allowed, timeout=20)
                    now[0] -= 1
                connection.sendall(answer("x"))
            pages = {f"/{i}": page for i in range(50)}
            server = self.serve({"/": links(*pages), **pages})
            self.crawl(server.url, option, str(allowed))
            self.assertEqual(most[0], allowed)
            self.assertLessEqual(len(server.open), allowed)

    # ---- HTTP ------------------------------------------------------------------------------------------------------

    def test_connections_are_kept_and_used_again(self):
        pages = {f"/{i}": answer("x") for i in range(40)}
        server = self.serve({"/": links(*pages), **pages})
        rows, _ = self.crawl(server.url, "--concurrency", "4")
        self.assertEqual(len(rows), 41)
        self.assertLessEqual(len(server.open), 4)

    def test_a_connection_that_the_server_closed_meanwhile_is_replaced(self):
        def leave(connection):
            connection.sendall(answer("x"))
            connection.close()
        pages = {f"/{i}": leave for i in range(40)}
        server = self.serve({"/": links(*pages), **pages})
        rows, _ = self.crawl(server.url, "--concurrency", "4", "--retries", "0")
        self.assertEqual([row for row in rows.values() if row["error"]], [])
        self.assertEqual(len(rows), 41)

    def test_a_failed_connection_is_tried_again(self):
        failures = [1, 1]
        def page(connection):
            if failures:
                failures.pop()
                return connection.close()
            connection.sendall(answer("x"))
        self.assertIsNone(self.crawl_page(page, "--retries", "2")["error"])
        self.assertEqual(failures, [])

    def test_chunked_and_unlimited_bodies_are_read(self):
        chunked = (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
                   b"9\r\n<a href=/\r\n7;ext=1\r\nfine>x<\r\n0\r\nTrailer: x\r\n\r\n")
        row = self.crawl_page(chunked)
        self.assertEqual((row["error"], row["bytes"], row["links"]), (None, 16, 1))
        until_closed = send_and(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<a href=/fine>", then=close)
        row = self.crawl_page(until_closed)
        self.assertEqual((row["error"], row["bytes"], row["links"]), (None, 14, 1))

    def test_a_body_that_comes_byte_by_byte_is_read(self):
        def drip(connection):
            for byte in answer('<p title=">"><script>"</a>"</script><a href="/fine">fine</a>'):
                connection.sendall(bytes([byte]))
                time.sleep(0.001)
        row = self.crawl_page(drip)
        self.assertEqual((row["error"], row["links"]), (None, 1))

    def test_what_is_no_html_is_fetched_and_not_read(self):
        row = self.crawl_page(answer(b"<a href=/x>" + bytes(200_000), "application/octet-stream"))
        self.assertEqual((row["status"], row["error"], row["bytes"], row["links"]), (200, None, 200_011, 0))
        self.assertEqual(row["type"], "application/octet-stream")
        self.assertNotIn("/x", self.server.paths())

    def test_the_charset_of_the_content_type_counts(self):
        page = answer('<a href="/caf\xe9">'.encode("latin-1"), "text/html; charset=ISO-8859-1")
        self.crawl_page(page)
        self.assertIn("/caf%C3%A9", self.server.paths())

    def test_an_answer_may_be_announced(self):
        page = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + answer("x")
        self.assertEqual(self.crawl_page(page)["status"], 200)

    # ---- redirects -------------------------------------------------------------------------------------------------

    def test_a_redirect_is_followed_and_both_addresses_have_a_row(self):
        server = self.serve({"/": links("/old"), "/old": redirect("new/page#part"), "/new/page": links("/deep")})
        rows, _ = self.crawl(server.url)
        self.assertEqual((rows["/old"]["status"], rows["/old"]["error"]), (302, None))
        self.assertEqual(rows["/old"]["redirect"], server.url + "/new/page")
        self.assertEqual((rows["/new/page"]["status"], rows["/new/page"]["depth"]), (200, 1))
        self.assertEqual(rows["/deep"]["depth"], 2)

    def test_a_redirect_of_the_start_takes_its_host_along(self):
        there = self.serve({"/": links("/more"), "/more": answer("x")})
        server = self.serve({"/": redirect(f"http://localhost:{there.port}/")})
        rows, _ = self.crawl(server.url)
        self.assertEqual(rows[f"http://localhost:{there.port}/more"]["status"], 200)

    def test_redirect_loops_fail(self):
        self.assertEqual(self.crawl_page(redirect("/odd"))["error"], "redirect loop")
        server = self.serve({"/": links("/a", "/x"), "/a": redirect("/b"), "/b": redirect("/c"), "/c": redirect("/a"),
                             "/x": answer("x")})
        rows, _ = self.crawl(server.url)
        self.assertEqual([row["error"] for row in rows.values() if row["error"]], ["redirect loop"])
        self.assertEqual(rows["/x"]["status"], 200)

    def test_a_loop_is_found_when_each_address_was_a_link_as_well(self):
        server = self.serve({"/": links("/a", "/b"), "/a": redirect("/b"), "/b": redirect("/a")})
        rows, _ = self.crawl(server.url)
        self.assertEqual([row["error"] for row in rows.values() if row["error"]], ["redirect loop"])

    def test_redirects_without_end_fail(self):
        server = self.serve({"/": redirect("/0"), **{f"/{i}": redirect(f"/{i + 1}") for i in range(1000)}})
        rows, _ = self.crawl(server.url, status=1)
        self.assertEqual([row["error"] for row in rows.values() if row["error"]], ["more than 10 redirects"])
        self.assertEqual(len(rows), 11)

    def test_redirects_to_nowhere_fail(self):
        self.assertEqual(self.crawl_page(redirect(""))["error"], "redirect to nowhere")
        self.assertIn("redirect to a bad address", self.crawl_page(redirect("http://:port/"))["error"])
        self.assertIn("redirect to a bad address", self.crawl_page(redirect("javascript:x"))["error"])

    # ---- failures --------------------------------------------------------------------------------------------------

    def test_addresses_that_are_none_fail(self):
        server = self.serve({"/": links("http://bad host/", "http://h:99999/", "http://", "/fine"), "/fine": answer("x")})
        rows, _ = self.crawl(server.url, "nonsense", "ftp://127.0.0.1/", "https://127.0.0.1/")
        for url in ("http://bad host/", "http://h:99999/", "http://", "nonsense", "ftp://127.0.0.1/"):
            self.assertIn("bad address", rows[url]["error"])
            self.assertIsNone(rows[url]["status"])
        self.assertEqual(rows["https://127.0.0.1/"]["error"], "https is not supported")
        self.assertEqual(rows["/fine"]["status"], 200)

    def test_a_refused_port_fails(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            closed = f"http://127.0.0.1:{nobody.getsockname()[1]}/"
            server = self.serve({"/": links(closed, "/fine"), "/fine": answer("x")})
            rows, printed = self.crawl(server.url)
        self.assertIn("Connection refused", rows[closed]["error"])
        self.assertIsNone(rows[closed]["status"])
        self.assertEqual(rows["/fine"]["status"], 200)
        self.assertIn("Connection refused", printed)

    def test_a_host_that_does_not_exist_fails(self):
        server = self.serve({"/": answer("x")})
        nowhere = "http://" + "x" * 64 + ".invalid/"  # no label is so long: no resolver needs to be asked
        rows, _ = self.crawl(server.url, nowhere)
        self.assertIn("no such host", rows[nowhere]["error"])
        self.assertEqual(rows["/"]["status"], 200)

    def test_statuses_that_mean_failure_fail(self):
        self.assertEqual(self.crawl_page(answer("x", "text/html", "404 Not Found"))["error"], "404 Not Found")
        row = self.crawl_page(answer("x", "text/html", "503 "))
        self.assertEqual((row["status"], row["error"]), (503, "503 Service Unavailable"))
        self.assertIsNotNone(self.crawl_page(answer("", "text/html", "304 Not Modified"))["error"])

    def test_endless_bodies_fail_at_the_size_limit(self):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
        for page in (
                for_ever(start=head + b"\r\n", again=b"<p>word " * 1000),
                for_ever(start=head + b"Transfer-Encoding: chunked\r\n\r\n", again=b"5\r\n<a hr\r\n" * 1000),
                for_ever(start=head + b"\r\n<!-- ", again=b"-" * 8000),
                for_ever(start=head + b"\r\n<a href='", again=b"x" * 8000),
                answer("x" * 200_000)):
            row = self.crawl_page(page, "--max-bytes", "100000")
            self.assertEqual((row["status"], row["error"]), (200, "body over the size limit"))

    def test_endless_heads_fail(self):
        row = self.crawl_page(for_ever(start=b"HTTP/1.1 200 OK\r\n", again=b"X-Name: value\r\n" * 100))
        self.assertIn("broken answer", row["error"])
        chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;"
        self.assertIn("broken answer", self.crawl_page(for_ever(start=chunk, again=b"x" * 8000))["error"])
        hints = for_ever(start=b"", again=b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)
        self.assertEqual(self.crawl_page(hints, "--timeout", "2")["error"], "timed out")

    def test_broken_bodies_fail(self):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
        for page in (
                send_and(head + b"Transfer-Encoding: chunked\r\n\r\nnot a size\r\n", then=hang),
                send_and(head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n", then=hang),
                send_and(head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", then=close),
                send_and(head + b"Content-Length: 100\r\n\r\nshort", then=close),
                send_and(b"HTTP/1.1 200 OK\r\nContent-Le", then=close),
                send_and(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", then=hang),
                send_and(b"<html>no head at all</html>\r\n\r\n", then=hang)):
            row = self.crawl_page(page)
            self.assertIn("broken answer", row["error"])

    def test_a_body_in_an_encoding_that_was_not_asked_for_fails(self):
        row = self.crawl_page(answer(b"\x1f\x8b", "text/html", "200 OK", "Content-Encoding: gzip"))
        self.assertIn("encoding", row["error"])

    def test_a_connection_that_ends_without_an_answer_fails(self):
        self.assertIn("without an answer", self.crawl_page(close, "--retries", "1")["error"])
        self.assertGreaterEqual(self.server.paths().count("/odd"), 2)

    def test_servers_that_make_wait_time_out(self):
        def drip(connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
            while True:
                connection.sendall(b".")
                time.sleep(0.05)
        slow = {"/hang": hang, "/drip": drip, "/head": send_and(b"HTTP/1.1 200", then=hang),
                "/body": send_and(answer("x" * 100)[:-10], then=hang)}
        server = self.serve({"/": links(*slow, "/fine"), "/fine": answer("x"), **slow})
        rows, _ = self.crawl(server.url, "--timeout", "2")
        self.assertEqual({url for url, row in rows.items() if row["error"] == "timed out"}, set(slow))
        self.assertEqual(rows["/fine"]["status"], 200)

    def test_malformed_html_is_read_as_far_as_it_goes(self):
        row = self.crawl_page(answer('</p><<a href="/from-soup"<b>text</a><table><a href=/x'))
        self.assertIn("malformed HTML", row["error"])
        self.assertEqual(row["status"], 200)
        self.assertIn("/from-soup", self.server.paths())
        row = self.crawl_page(answer(b'<a href="/from-binary">\0\xff\xfe</a>'))
        self.assertIn("malformed HTML", row["error"])
        self.assertIn("/from-binary", self.server.paths())
        row = self.crawl_page(answer("<p>never <b>closed <i>but</b> all there<td>"))
        self.assertIsNone(row["error"])

    # ---- robots.txt ------------------------------------------------------------------------------------------------

    def test_robots_txt_is_heeded(self):
        server = self.serve({
            "/robots.txt": answer("User-agent: *\nDisallow: /no\nAllow: /no/yes\n", "text/plain"),
            "/": links("/no/page", "/no/yes", "/fine"), "/no/yes": answer("x"), "/fine": answer("x")})
        rows, _ = self.crawl(server.url)
        self.assertEqual(rows["/no/page"]["error"], "disallowed by robots.txt")
        self.assertIsNone(rows["/no/page"]["status"])
        self.assertEqual((rows["/no/yes"]["status"], rows["/fine"]["status"]), (200, 200))
        self.assertNotIn("/no/page", server.paths())
        self.assertEqual(server.paths()[0], "/robots.txt")
        self.assertEqual(server.paths().count("/robots.txt"), 1)
        rows, _ = self.crawl(server.url, "--ignore-robots")
        self.assertEqual(rows["/no/page"]["status"], 404)

    def test_robots_txt_may_have_moved(self):
        server = self.serve({
            "/robots.txt": redirect("/r"), "/r": answer("User-agent: ferncrawler\nDisallow: /no\n", "text/plain"),
            "/": links("/no")})
        rows, _ = self.crawl(server.url)
        self.assertEqual(rows["/no"]["error"], "disallowed by robots.txt")

    def test_a_site_whose_robots_txt_is_in_trouble_is_left_alone(self):
        server = self.serve({"/robots.txt": answer("x", "text/plain", "500 Oops"), "/": answer("x")})
        rows, _ = self.crawl(server.url, status=1)
        self.assertEqual(rows["/"]["error"], "robots.txt answered 500")
        server = self.serve({"/robots.txt": hang, "/": answer("x")})
        rows, _ = self.crawl(server.url, "--timeout", "2", status=1)
        self.assertEqual(rows["/"]["error"], "robots.txt: timed out")
        self.assertNotIn("/", server.paths())

    # ---- what the user sees ----------------------------------------------------------------------------------------

    def test_ctrl_c_ends_the_crawl_with_its_summary(self):
        server = self.serve({"/": links("/fine", "/slow"), "/fine": answer("x"), "/slow": hang})
        output = os.path.join(self.folder(), "rows.jsonl")
        process = subprocess.Popen([CRAWLER, server.url, "--output", output], stdout=subprocess.PIPE, text=True)
        while "/slow" not in server.paths() or len(pathlib.Path(output).read_text().splitlines()) < 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        self.assertIn("2 pages, 0 redirects, 0 failed", printed)
        self.assertEqual(len(pathlib.Path(output).read_text().splitlines()), 2)

    def test_a_second_ctrl_c_is_not_needed_while_robots_txt_hangs(self):
        server = self.serve({"/robots.txt": hang})
        process = subprocess.Popen([CRAWLER, server.url, "http://127.0.0.1:1/"], stdout=subprocess.PIPE, text=True)
        while not server.requests:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        self.assertIn("0 pages", printed)

    def test_progress_is_plain_lines_in_a_pipe(self):
        def slow(connection):
            time.sleep(3)
            connection.sendall(answer("x"))
        server = self.serve({"/": links("/slow"), "/slow": slow})
        _, printed = self.crawl(server.url)
        self.assertRegex(printed, r"(?m)^1 pages, \d+/s, 1 in flight, 0 failed$")
        self.assertRegex(printed, r"(?m)^2 pages, \d+/s, 0 in flight, 0 failed$")
        self.assertNotIn("\r", printed)
        self.assertNotIn("\x1b", printed)

    def test_progress_is_one_live_line_on_a_terminal(self):
        server = self.serve({"/": links("/gone")})
        ours, theirs = pty.openpty()
        process = subprocess.Popen([CRAWLER, server.url], stdout=theirs)
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:
            pass  # the terminal's other side is gone
        os.close(ours)
        self.assertEqual(process.wait(), 0)
        self.assertIn(b"\r1 pages, ", shown)
        self.assertIn(b"404 Not Found", shown)

    def test_failures_are_summed_up_by_reason(self):
        server = self.serve({"/": links("/a", "/b", "/c")})
        _, printed = self.crawl(server.url)
        self.assertIn("1 pages, 0 redirects, 3 failed", printed)
        self.assertRegex(printed, f"3 failed: 404 Not Found: {server.url}/[abc], ...")

    def test_an_output_that_cannot_be_written_is_told(self):
        done = subprocess.run([CRAWLER, "http://127.0.0.1/", "--output", self.folder()], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("crawler: ", done.stderr)

    # ---- the demo --------------------------------------------------------------------------------------------------

    def test_the_demo_crawls_its_own_site_and_compares(self):
        done = subprocess.run([CRAWLER, "--demo-pages", "300", "--demo-latency", "5"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("300 pages, 0 redirects, 0 failed", done.stdout)
        self.assertIn("1.50 s of latency", done.stdout)
        self.assertIn("Pages: 300 counted here, 300 by the server.", done.stdout)

    def test_the_demos_site_ends_with_the_demo_however_that_ends(self):
        process = subprocess.Popen([CRAWLER, "--demo-latency", "60000"], stdout=subprocess.PIPE, text=True)
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not children.read_text():
            time.sleep(0.01)
        site = pathlib.Path("/proc", children.read_text().strip())
        process.stdout.readline()
        process.kill()
        process.communicate()
        while site.exists() and "(zombie)" not in (site / "status").read_text():
            time.sleep(0.01)

    def test_ctrl_c_ends_the_demo_and_its_site(self):
        process = subprocess.Popen([CRAWLER, "--demo-latency", "60000"], stdout=subprocess.PIPE, text=True)
        self.assertIn("Crawling", process.stdout.readline())
        self.assertIn("1 in flight", process.stdout.readline())
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=20)  # the site holds the same pipe: it is gone, too
        self.assertEqual(process.returncode, 130)
        self.assertIn("Pages: 0 counted here, 0 by the server.", printed)


if __name__ == "__main__":
    unittest.main()
