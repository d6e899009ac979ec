"""`make chaos-cluster`: faults of real clusters, some of them beside real etcd.

kill: SIGKILL of the leader; stop: SIGTERM of it; part: cut and slow links, pauses; restart, replace: every member in
turn; sizes: five and seven members; stuck: the leader's disk hangs. Exit code 1 where a promise broke, 77 where this
machine cannot make the fault.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.process.failover import kills, nets, partitions, rolling, stuck
from tests.process.failover.nodes import Team

IMPOSSIBLE = 77
SCENARIOS = ("kill", "stop", "part", "restart", "replace", "sizes", "stuck")


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="python -m tests.process.failover", description=__doc__)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--kills", type=int, default=30, help="of kill and stop: how often at each server")
    parser.add_argument("--rounds", type=int, default=1, help="of kill: the servers take turns so often; else: repeat")
    parser.add_argument("--faults", default="", help="of part: some of them, by name, with commas")
    parser.add_argument("--sizes", default="5,7", help="of sizes")
    parser.add_argument("--delay", type=float, default=5.0, help="of stuck: seconds a sync takes")
    parser.add_argument("--lasts", type=float, default=20.0, help="of stuck: seconds the disk hangs in all")
    parser.add_argument("--pace", type=float, default=0.01, help="seconds between two requests of a client")
    parser.add_argument("--within", type=float, default=2.5, help="of restart and replace: nobody may wait longer")
    parser.add_argument("--servers", default="zetcd,etcd", help="of kill, stop and stuck")
    parser.add_argument("--keep", type=Path, help="an empty directory for data and logs, which then stay")
    plan = parser.parse_args()
    reason = {"part": nets.obstacle, "stuck": stuck.obstacle}.get(plan.scenario, lambda: None)()
    if reason is not None:
        say(reason)
        return IMPOSSIBLE
    if plan.scenario == "part":
        nets.enter(["tests.process.failover", *sys.argv[1:]])
    if plan.keep is not None:
        return run(plan, plan.keep)
    with tempfile.TemporaryDirectory(prefix="zetcd-failover-") as directory:
        return run(plan, Path(directory))


def say(line: str) -> None:
    """Print at once."""
    print(line, flush=True)


def run(plan: argparse.Namespace, directory: Path) -> int:
    """One scenario; the exit code."""
    servers = plan.servers.split(",")
    match plan.scenario:
        case "kill":
            outages: dict[str, list[float]] = {server: [] for server in servers}
            for turn in range(plan.rounds):
                for server in servers:
                    home, count = directory / f"{server}-{turn}", -(-plan.kills // plan.rounds)
                    outages[server] += kills.kill_leaders(server, home, count, say, plan.pace)
            say(kills.table("SIGKILL of the leader: until a write is accepted", outages))
        case "stop":
            seen = {one: kills.stop_leaders(one, directory / one, plan.kills, say, plan.pace) for one in servers}
            for name, title in (("pause", "no put for"), ("slowest", "slowest request")):
                columns = {one: [row[name] for row in rows] for one, rows in seen.items()}
                say(kills.table(f"SIGTERM of the leader: {title}", columns))
            failed = {one: int(sum(row["failed"] for row in rows)) for one, rows in seen.items()}
            say(f"failed requests: {failed}")
            return 1 if failed.get("zetcd") else 0
        case "part":
            faults = [name for name in plan.faults.split(",") if name]
            partitions.run(directory, faults, plan.rounds, say, plan.pace)
        case "restart" | "replace":
            run_all = rolling.restart_all if plan.scenario == "restart" else rolling.replace_all
            waited = run_all(directory, plan.rounds, say, plan.pace)
            say(f"no client waited over {waited:.3f} s; bound {plan.within} s")
            return 1 if waited > plan.within else 0
        case "sizes":
            for size in map(int, plan.sizes.split(",")):
                rolling.lose_many(directory / str(size), size, say, plan.pace)
        case "stuck":
            for one in servers:
                with Team(one, directory / one, 3, *kills.TIMEOUTS) as team:
                    stuck.hang_leader(team, plan.delay, plan.lasts, say, plan.pace)
    return 0


if __name__ == "__main__":
    sys.exit(main())
