"""Opens every page of admin on a server that `make run` starts, and stops it with Ctrl-C.

Signs in as the owner whose password `make run` prints. Fails if a page does not open, if Ctrl-C
does not stop the server, or if a process remains. Without DATABASE_URL the data are in a temporary
folder; with it, the database must have no owner yet.
"""

from __future__ import annotations

import contextlib
import http.cookiejar
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 300  # seconds; only ends a hang, a busy machine needs far less
SKIPPED = ("logout", "delete", "jsi18n", "autocomplete")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes_naming(folder: Path) -> list[str]:
    processes = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = " ".join(process.cmdline())
            if str(folder) in command:
                processes.append(f"{process.pid} {command}")
    return processes


class Browser:
    def __init__(self, base: str) -> None:
        self.base = base
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(cookies)
        self.failed: list[str] = []

    def get(self, path: str, data: dict[str, str] | None = None) -> str:
        body = urllib.parse.urlencode(data).encode() if data else None
        request = urllib.request.Request(self.base + path, body, {"Referer": self.base + path})
        try:
            with self.opener.open(request, timeout=PATIENCE) as answer:
                return answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            self.failed.append(f"{error.code} {path}")
        except OSError as error:
            self.failed.append(f"{error} {path}")
        return ""

    def sign_in(self, address: str, password: str) -> None:
        page = self.get("/admin/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token, "the login page has no form"
        form = {
            "username": address,
            "password": password,
            "csrfmiddlewaretoken": token[1],
            "next": "/admin/",
        }
        if 'name="password"' in self.get("/admin/login/", form):
            raise SystemExit("The printed password does not open admin.")


def links(page: str) -> set[str]:
    addresses = {
        link.split("#")[0].replace("&amp;", "&")
        for link in re.findall(r'href="(/admin/[^"]*)"', page)
    }
    return {
        link for link in addresses if "?" not in link and not any(word in link for word in SKIPPED)
    }


def open_every_page(browser: Browser) -> int:
    """Open the index, all lists, all "add" pages, and the first row of each list.

    Returns the number of pages.
    """
    start = links(browser.get("/admin/"))
    pages = {link for link in start if re.fullmatch(r"/admin/[a-z_]+/([a-z_]+/)?", link)}
    lists = {link for link in pages if link.count("/") == 4}
    if len(lists) < 40:
        browser.failed.append(f"only {len(lists)} lists on the start page")
    opened = 1
    for page in sorted(pages):
        below = links(browser.get(page))
        opened += 1
        if page not in lists:
            continue
        browser.get(f"{page}?q=a")
        opened += 1
        rows = sorted(link for link in below if link.startswith(page) and link.endswith("/change/"))
        wanted = [*rows[:1], *[link for link in below if link == f"{page}add/"]]
        for link in wanted:
            browser.get(link)
            opened += 1
    return opened


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="ebalance pages "))
    port = free_port()
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "EBALANCE_DATA_DIR": str(folder / "data")}
    started = time.monotonic()
    run = subprocess.Popen(
        ["make", "--no-print-directory", "run", f"PORT={port}"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # its own process group, for SIGINT
    )
    log = folder / "served.log"
    text = ""
    try:
        assert run.stdout
        for line in run.stdout:
            print("  |", line, end="", flush=True)
            text += line
            if "Admin is served" in line:
                break
        else:
            print("`make run` ended before it served a page.")
            return 1
        # Copy the server's log to a file, so that the pipe never fills.
        drain = subprocess.Popen(
            ["cat"], stdin=run.stdout, stdout=log.open("wb"), start_new_session=True
        )
        print(f"  served after {time.monotonic() - started:.1f} s")
        login = re.search(r"address:\s+(\S+)\s+password:\s+(\S+)", text)
        assert login, "`make run` printed no address and password"
        browser = Browser(f"http://127.0.0.1:{port}")
        browser.sign_in(login[1], login[2])
        opened = open_every_page(browser)
        print(f"  opened {opened} pages, {len(browser.failed)} failed")
        for failure in browser.failed:
            print("  failed:", failure)
        os.killpg(run.pid, signal.SIGINT)
        run.wait(PATIENCE)
        drain.wait(PATIENCE)
        left = processes_naming(folder)
        if left:
            print("  processes are left:", *left, sep="\n    ")
        if browser.failed:
            print(log.read_text(errors="replace")[-4000:])
        return 1 if browser.failed or left else 0
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
