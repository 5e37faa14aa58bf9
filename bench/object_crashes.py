"""The place of objects killed (SIGKILL) again and again under its clients: is all as they were told?

``.venv/bin/python bench/object_crashes.py [--rounds 200] [--seed 1]``

Each round starts the place on the folder of the round before, looks at everything that was touched then, changes on,
and is killed at a random moment: in the middle of puts, copies, deletes, parts and completions, with versions and
without (``littoral.drills.objectload``). At the end everything is looked at, and the files of the folder are held
against the index. Exit status 0: nothing acknowledged is lost, nothing torn is shown, nothing deleted is back, nothing
is left over.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from littoral.drills.objectload import Load, make_buckets
from littoral.tour.provision import Cloud

WORKERS = 4
SERVER = Path(__file__).with_name("object_server.py")


@contextmanager
def place(folder: Path, port: int) -> Iterator[tuple[int, Cloud]]:
    """Until it is killed, at the end."""
    command = [sys.executable, "-X", "faulthandler", str(SERVER), str(folder), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port_of_it, key, secret = process.stdout.readline().split()
            yield int(port_of_it), Cloud(f"http://127.0.0.1:{port_of_it}", key, secret)
        finally:
            process.kill()


def loop(folder: Path, rounds: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    with place(folder, 0) as (port, cloud):
        client = cloud.client("s3", retries={"total_max_attempts": 1})
        make_buckets(client)
    load = Load(client, WORKERS, seed)
    for number in range(rounds):
        with place(folder, port):
            load.check(all_keys=number % 20 == 19)
            load.start()
            time.sleep(chance.uniform(0.05, 0.6))
        load.join()
    with place(folder, port):
        load.check(all_keys=True)
    with place(folder, port):  # whose start removes what the last kill left
        left = left_over(folder)
    print(f"{rounds} kills; {load.acknowledged} changes acknowledged")
    return load.problems + left


def left_over(folder: Path) -> list[str]:
    """Files that no object and no part names, and names without a file."""
    named = _column(folder / "objects" / "objects.db", "SELECT blob FROM pieces UNION SELECT blob FROM parts")
    rows = _column(folder / "store" / "records.db", "SELECT key FROM blobs WHERE bucket = 'objects'")
    files = _column(folder / "store" / "records.db", "SELECT file FROM blobs WHERE bucket = 'objects'")
    there = {file.name for file in (folder / "store" / "blobs" / "objects").iterdir()}
    found = [f"nobody names blob {each}" for each in rows - named] + [f"blob {each} is lost" for each in named - rows]
    return found + [f"{each}: a file without a row, or the other way" for each in files ^ there]


def _column(database: Path, sql: str) -> set[str]:
    connection = sqlite3.connect(database)
    try:
        return {row[0] for row in connection.execute(sql)}
    finally:
        connection.close()


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = loop(Path(folder), chosen.rounds, chosen.seed)
    for problem in found:
        print("PROBLEM:", problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
