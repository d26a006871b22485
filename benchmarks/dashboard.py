"""How long pages of the dashboard take over a large store, with several people looking at once.

    python benchmarks/dashboard.py --runs 1000 --evidence 100 --sessions 10
    python benchmarks/dashboard.py --store FOLDER        # keeps the store, and uses it again
    python benchmarks/dashboard.py --sessions 1 --clients 9
    python benchmarks/dashboard.py --store 'postgresql+psycopg://user@host/database?blobs=/folder'

Writes runs and rows of evidence with the store's own functions, starts ``audit dashboard``, and opens and changes pages in headless
Chromium, each session a browser context of its own. A page is there when its own content is drawn and Streamlit has stopped running.
``--clients`` are sessions beside them that speak Streamlit's protocol and draw nothing, as people do whose browsers run on machines of
their own: they open and change the same pages, and a page is there when the last of its messages has come.
Goals: a page opens in under 2 s, and is changed in under 1 s. Needs playwright and Chromium, which nothing else here does.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from audit.core.measurements import Direction, Evidence, Interval, Measurement
from audit.core.policy import Criterion, Judgement, overall
from audit.core.records import AuditRecord, RecordedEvaluator, to_plain
from audit.store import codec
from audit.store.location import StoreAddress, resolve
from audit.store.runs import Store, open_store

DIMENSIONS = ("quality", "fairness", "privacy", "provenance")
METRICS = 40
_PATIENCE = 300_000  # milliseconds: a machine shared with others may be slow
MODELS = ("portraits-ddpm", "portraits-gan", "digits-vae", "biographies-lm")
ENDED = "[data-testid='stApp'][data-test-script-state='notRunning']"
PAGES = {
    "Run": "stTabs",
    "Compare": "stSelectbox",
    "Risks": "stSelectbox",
    "Frameworks": "stTabs",
    "Overview": "stDataFrame",
}


def record(number: int, digests: list[Any], draw: random.Random) -> AuditRecord:
    """One finished run of a model that gets a little better, with forty numbers and a criterion on each fourth."""
    model = MODELS[number % len(MODELS)]
    began = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=7 * number)
    measured = []
    for place in range(METRICS):
        value = 2.0 + draw.gauss(0, 0.3) - number / 2000
        measured.append(
            Measurement(
                f"{DIMENSIONS[place % 4]}.part{place // 4}.value",
                value,
                Interval(value - 0.2, value + 0.2, 0.95, "bootstrap"),
                n=1000,
                direction=Direction.LOWER_IS_BETTER,
                noise_floor=0.1,
                unit="units",
                evidence=(Evidence("table", "the worst rows", digests[number]),) if place == 0 else (),
            )
        )
    judged = []
    for m in measured[::4] + measured[1::4]:
        criterion = Criterion(m.metric, at_most=2.4, why="a benchmark")
        judged.append(Judgement(criterion, criterion.judge(m), m))
    evaluators = tuple(
        RecordedEvaluator(
            name=m.metric.rpartition(".")[0],
            dimension=m.metric.partition(".")[0],
            summary="A number of a benchmark.",
            parameters={},
            source="0" * 40,
            metrics={m.metric: "A number."},
            references=(),
            status="scored",
        )
        for m in measured
    )
    return AuditRecord(
        run="",
        name=f"{model} before 1.{number // 4}",
        began=began.isoformat(),
        finished=(began + timedelta(minutes=5)).isoformat(),
        model={
            "adapter": "included",
            "family": "x",
            "weights": f"{number // 40:040d}",
            "options": {"use": model},
        },
        data={"loader": model.partition("-")[0], "content": "0" * 40, "splits": {"train": 1000}},
        environment={},
        settings={"seed": 0},
        policy={"name": "benchmark", "version": "1", "criteria": []},
        evaluators=evaluators,
        measurements=tuple(measured),
        undefined=(),
        judgements=tuple(judged),
        skipped=(),
        failures=(),
        artifacts=(),
        verdict=overall(judged),
    )


def fill(store: Store, runs: int, evidence: int) -> None:
    """Write the runs that are lacking, each with its rows of evidence."""
    draw, digests = random.Random(1), []
    there = len(store.list_runs())
    for number in range(runs):
        rows = {"row": list(range(evidence)), "score": [draw.random() for _ in range(evidence)]}
        digests.append(store.blobs.put(codec.encode(_rows(rows))) if number >= there else None)
        kept = record(number, digests, draw) if number >= there else None
        if kept is not None:
            run = store.begin(f"benchmark {number}", kept.name, to_plain(replace(kept, finished=None)))
            store.finish(run, replace(kept, run=run))


def _rows(rows: dict[str, list[Any]]) -> Any:
    import pyarrow as pa

    return pa.table(rows)


def serve(address: StoreAddress, port: int) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "audit",
        "dashboard",
        "--store",
        address.spelled,
        "--port",
        str(port),
        "--no-browser",
    ]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def listening(port: int, process: subprocess.Popen[bytes]) -> float:
    began = time.perf_counter()
    while process.poll() is None and time.perf_counter() - began < 120:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return time.perf_counter() - began
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the dashboard did not start")


def memory(process: subprocess.Popen[bytes]) -> float:
    """Return the resident megabytes of the server: the largest process of the group."""
    group = subprocess.run(
        ["ps", "-o", "rss=", "-g", str(process.pid)], capture_output=True, text=True, check=False
    )
    return max((int(line) for line in group.stdout.split()), default=0) / 1024


def worked(process: subprocess.Popen[bytes]) -> float:
    """Return the seconds of processor time that the server has taken until now."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == process.pid:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def session(browser: Any, url: str, taken: dict[str, list[float]], rounds: int) -> None:
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    began = time.perf_counter()
    await page.goto(url)
    await _drawn(page, "stDataFrame")
    taken.setdefault("open the overview", []).append(time.perf_counter() - began)
    for _ in range(rounds):
        for name, kind in PAGES.items():
            link = page.get_by_test_id("stTopNavLink").filter(has_text=name).first
            began = time.perf_counter()
            await link.click()
            await page.wait_for_url("**/" if name == "Overview" else f"**/{name.lower()}*", timeout=_PATIENCE)
            await _drawn(page, kind)
            taken.setdefault(f"go to {name}", []).append(time.perf_counter() - began)
        began = time.perf_counter()
        await page.get_by_role("button", name="Older").click()
        await page.get_by_text("Runs 51 to").wait_for(timeout=_PATIENCE)
        await _drawn(page, "stDataFrame")
        taken.setdefault("the next fifty runs", []).append(time.perf_counter() - began)
    await context.close()


async def _drawn(page: Any, kind: str) -> None:
    await page.get_by_test_id(kind).first.wait_for(timeout=_PATIENCE)
    await page.locator(ENDED).wait_for(timeout=_PATIENCE)


async def client(url: str, taken: dict[str, list[float]], rounds: int) -> None:
    """Open and change pages as a browser asks for them, without one."""
    import websockets
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

    async with websockets.connect(
        f"{url.replace('http', 'ws')}_stcore/stream",
        origin=websockets.Origin(url.rstrip("/")),
        subprotocols=[websockets.Subprotocol("streamlit")],
        max_size=None,
    ) as line:
        pages: dict[str, str] = {}

        async def ask(page: str, what: str) -> None:
            message, began = BackMsg(), time.perf_counter()
            message.rerun_script.page_script_hash = pages.get(page, "")
            await line.send(message.SerializeToString())
            while True:
                told = ForwardMsg.FromString(await line.recv())
                kind = told.WhichOneof("type")
                if kind == "navigation":
                    pages.update({one.page_name: one.page_script_hash for one in told.navigation.app_pages})
                if kind == "script_finished" and told.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    break
            taken.setdefault(f"{what}, no browser", []).append(time.perf_counter() - began)

        await ask("", "open the overview")
        for _ in range(rounds):
            for name in PAGES:
                await ask(name, f"go to {name}")


async def look(url: str, sessions: int, clients: int, rounds: int) -> dict[str, list[float]]:
    from playwright.async_api import async_playwright

    taken: dict[str, list[float]] = {}
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    async with async_playwright() as started:
        browser = await started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        await asyncio.gather(
            *(session(browser, url, taken, rounds) for _ in range(sessions)),
            *(client(url, taken, rounds) for _ in range(clients)),
        )
        await browser.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", help="where to keep the store; else it is made anew and thrown away")
    for name, default in (
        ("runs", 1000),
        ("evidence", 100),
        ("sessions", 10),
        ("clients", 0),
        ("rounds", 1),
        ("port", 8765),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        address = resolve(given.store or folder)
        began = time.perf_counter()
        with open_store(address) as store:
            fill(store, given.runs, given.evidence)
        print(
            f"{given.runs} runs, {given.runs * given.evidence} rows of evidence: {time.perf_counter() - began:.0f} s"
        )
        process = serve(address, given.port)
        try:
            print(f"listening after {listening(given.port, process):.2f} s, {memory(process):.0f} MB")
            for sessions, clients in sorted({(1, 0), (given.sessions, given.clients)}):
                before = worked(process)
                taken = asyncio.run(look(f"http://127.0.0.1:{given.port}/", sessions, clients, given.rounds))
                a_page = (worked(process) - before) / sum(map(len, taken.values()))
                print(
                    f"{sessions} in browsers and {clients} without at once, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors, {memory(process):.0f} MB, "
                    f"{1000 * a_page:.0f} ms of the server's processor time a page"
                )
                for name, times in taken.items():
                    ordered = sorted(times)
                    late = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
                    print(
                        f"  {name:24} median {statistics.median(ordered):5.2f} s   95th {late:5.2f}   n {len(ordered)}"
                    )
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(20)


if __name__ == "__main__":
    main()
