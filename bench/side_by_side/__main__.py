"""
What a request costs each proxy: `make bench`.

The API (nginx) and the load (wrk) share core 1, the proxy has core 0 alone, one worker each. Every contestant does the same CORS work in turn,
round after round; the figure is its own processor time over the requests that it served. Linux with two cores.
"""

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.side_by_side.contestants import CONTESTANTS, Bench, Command, find
from bench.side_by_side.measure import BIG_BYTES, SCENARIOS, UPLOAD_BYTES, Row, Unfit, free_port, measure, running
from bench.side_by_side.report import picture, table

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "build" / "bench"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of load in each round")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the table there, too")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the first scenario as an SVG")
    parser.add_argument("contestants", nargs="*", help=f"of {', '.join(CONTESTANTS)} (default: all that are here)")
    found = parser.parse_args()
    for kind, asked, known in (("scenario", found.scenarios.split(","), SCENARIOS), ("contestant", found.contestants, CONTESTANTS)):
        if unknown := [name for name in asked if name not in known]:
            parser.error(f"there is no {kind} {', '.join(unknown)}")
    return found


def main() -> int:
    """Measure, and write what came out."""
    arguments = _arguments()
    if sys.platform != "linux" or (os.cpu_count() or 1) < 2:
        sys.exit("it needs Linux and two cores")
    scenarios, rows = arguments.scenarios.split(","), list[Row]()
    with TemporaryDirectory(prefix="corsproxy-bench-") as place:
        bench = Bench(Path(place), PROGRAMS, free_port())
        (bench.place / "big").write_bytes(os.urandom(BIG_BYTES))
        (bench.place / "upload").write_bytes(bytes(UPLOAD_BYTES))
        api = find(CONTESTANTS["nginx"], bench)
        if api is None:
            sys.exit("nginx and wrk are missing: run tools/ensure-bench")
        left_out = set[str]()
        command: Command = [api, "-e", bench.place / "api.err", "-c", bench.write("api.conf")]
        with running(command, 1, bench.upstream, bench.place / "api.log"):
            for number in range(arguments.rounds):
                print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
                for name in arguments.contestants or CONTESTANTS:
                    if name not in left_out and not _round(name, bench, scenarios, arguments.seconds, rows):
                        left_out.add(name)
    said = table(rows, scenarios, arguments.rounds)
    print(said)
    if arguments.table is not None:
        arguments.table.write_text(said)
    if arguments.picture is not None:
        arguments.picture.write_text(picture(rows, scenarios[0]))
    return 0


def _round(name: str, bench: Bench, scenarios: list[str], seconds: int, rows: list[Row]) -> bool:
    contestant = CONTESTANTS[name]
    program = find(contestant, bench)
    try:
        if program is None:
            raise Unfit("it is not here")
        for row in measure(contestant, name, program, bench, scenarios, seconds):
            rows.append(row)
            print(
                f"  {row.name:18} {row.scenario:10} {row.cost:8.2f}  {row.rate:8.0f}/s  p99 {row.p99_ms:6.2f} ms  {row.rss_mib:5.0f} MiB",
                file=sys.stderr,
            )
    except Unfit as error:
        print(f"  {name}: left out: {error}", file=sys.stderr)
        rows[:] = [row for row in rows if row.name != name]
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
