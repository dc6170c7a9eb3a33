"""gevent 22.10.2, requests 2.28.1 and lxml 4.9.2, as Debian packages them (python3-...): what a Python crawler is
usually made of. Recommended: one Session, whose pool has a connection for each greenlet. Nothing else was tried.

    gevent_crawl.py both CONCURRENCY START    follows every link of START's host
    gevent_crawl.py fetch CONCURRENCY LIST    gets the addresses that LIST has, one a line
    gevent_crawl.py parse CONCURRENCY LIST    reads the files that LIST has
"""
from gevent import config, monkey

config.loop = "libev-cext"
monkey.patch_all()

import json  # noqa: E402
import pathlib  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from urllib.parse import urldefrag, urljoin, urlsplit  # noqa: E402

import requests  # noqa: E402
from gevent.pool import Pool  # noqa: E402
from lxml import html  # noqa: E402

WANTED = {"a": "href", "area": "href", "link": "href", "frame": "src", "iframe": "src"}


def links(page):
    for element in html.document_fromstring(page).iter(*WANTED):
        link = element.get(WANTED[element.tag])
        if link is not None:
            yield link


def main():
    what, concurrency, place = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    session = requests.Session()
    session.headers["Accept-Encoding"] = "identity"
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=concurrency))
    pool = Pool(concurrency)
    pages = found = 0

    def get(address):
        answer = session.get(address)
        is_page = answer.status_code == 200 and answer.headers.get("Content-Type", "").startswith("text/html")
        return answer.content, is_page

    def fetch(address):
        nonlocal pages
        _, is_page = get(address)
        pages += is_page

    def visit(address):
        nonlocal pages, found
        body, is_page = get(address)
        if not is_page:
            return []
        fresh = list(links(body))
        pages += 1
        found += len(fresh)
        return [urldefrag(urljoin(address, link)).url for link in fresh]

    def crawl(start):
        host = urlsplit(start).netloc
        seen, level = {start}, [start]
        while level:
            fresh = []
            for all_links in pool.imap_unordered(visit, level):
                for link in all_links:
                    if link not in seen and urlsplit(link).scheme == "http" and urlsplit(link).netloc == host:
                        seen.add(link)
                        fresh.append(link)
            level = fresh

    items = [] if what == "both" else pathlib.Path(place).read_text().split()
    begin = time.perf_counter()
    if what == "both":
        crawl(place)
    elif what == "fetch":
        for _ in pool.imap_unordered(fetch, items):
            pass
    else:
        for path in items:
            found += len(list(links(pathlib.Path(path).read_bytes())))
            pages += 1
    print(json.dumps({"pages": pages, "links": found, "seconds": time.perf_counter() - begin}))


main()
