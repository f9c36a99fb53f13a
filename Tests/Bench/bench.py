"""How long writers wait for quiesce, for the stock agents, and for what nobody can be quicker than. Prints JSON, a line for
each part.

    bench.py [stall | clean | mounts | filesystems | memory | kill]...     all of it if nothing is named
"""

import json
import os
import pathlib
import signal
import statistics
import sys
import time

import agents
from scratch import Filesystem, Writers, run

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
HOLD = 0.2
# From one freeze to the next the writers make all their pages dirty again.
DIRTYING = 1.0


def say(text):
    """Progress, beside the results."""
    print(text, file=sys.stderr, flush=True)


def figure(values):
    """The median of some rounds, with the least and the most."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


class Field:
    """Filesystems, and the agents that freeze them, all ready at once. Who is not asked does nothing."""

    def __init__(self, count, backing, kinds, mebibytes=400, kinds_of_filesystem=("ext4", "xfs")):
        self.filesystems = [Filesystem(number, backing, mebibytes, kinds_of_filesystem) for number in range(count)]
        self.agents = [kind(self.filesystems) for kind in kinds]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for agent in self.agents:
            agent.end()
        for filesystem in self.filesystems:
            filesystem.remove()


def stall():
    """Busy writers, 64 MiB dirty on each filesystem: their longest writes beyond the hold."""
    results = []
    for backing in ("zram", "loop"):
        # The stock daemon of Hyper-V leaves loop devices out.
        kinds = [kind for kind in ALL if backing == "zram" or kind is not agents.StockHyperVDaemon]
        for count in (1, 2, 4, 8, 16):
            with Field(count, backing, kinds) as field:
                writers = Writers(field.filesystems)
                worst = {agent.name: [] for agent in field.agents}
                middle = {agent.name: [] for agent in field.agents}
                for _ in range(ROUNDS):
                    for agent in field.agents:
                        time.sleep(DIRTYING)
                        writers.longest()
                        agent.freeze()
                        time.sleep(HOLD)
                        agent.thaw()
                        longest = [max(0.0, each - HOLD * 1000) for each in writers.longest()]
                        worst[agent.name].append(max(longest))
                        middle[agent.name].append(statistics.median(longest))
                writers.end()
            for name, values in worst.items():
                results.append({"backing": backing, "filesystems": count, "agent": name, "worst_ms": figure(values),
                                "median_ms": figure(middle[name])})
                say(f"stall, {count} on {backing}, {name}: worst {figure(values)['median']:.1f} ms")
    return results


def timed_rounds(field):
    """Freeze and thaw of each agent in turn, with nothing held; from the question to the answer, and the window."""
    took = {agent.name: {"freeze_ms": [], "thaw_ms": [], "window_ms": []} for agent in field.agents}
    for _ in range(ROUNDS):
        for agent in field.agents:
            # A freeze that soon follows a thaw is spared the kernel's wait for a grace period of RCU: whoever is asked
            # next, whatever he does before he freezes, would have it for nothing.
            time.sleep(0.2)
            took[agent.name]["freeze_ms"].append(agent.freeze())
            took[agent.name]["thaw_ms"].append(agent.thaw())
            if hasattr(agent, "window"):
                took[agent.name]["window_ms"].append(agent.window())
    return [{"agent": name, **{key: figure(values) for key, values in each.items() if values}}
            for name, each in took.items()]


OTHERS = [agents.StockHyperVDaemon, agents.QEMUAgent, agents.LowerBound, agents.ExpeditedLowerBound]
ALL = [agents.Quiesce, agents.QuiesceAtAgentPort, *OTHERS]


def clean():
    """Nothing dirty."""
    results = []
    for count in (2, 8):
        with Field(count, "zram", ALL) as field:
            timed_rounds(field)
            results += [{"filesystems": count, **each} for each in timed_rounds(field)]
    for each in results:
        say(f"clean, {each}")
    return results


def mounts():
    """Bind mounts over four filesystems."""
    results = []
    for count in (0, 100, 1000, 10000):
        with Field(4, "zram", []) as field:
            for number in range(count):
                target = pathlib.Path(f"/run/bind/{number}")
                target.mkdir(parents=True, exist_ok=True)
                run("mount", "--bind", field.filesystems[number % 4].path, target)
            results += [{"bind_mounts": count, **each} for each in both_namespaces(field)]
            run("sh", "-c", "awk '$5 ~ \"^/run/bind/\" { print $5 }' /proc/self/mountinfo | xargs -r -n 500 umount")
    return results


def both_namespaces(field):
    """quiesce as it looks into its own mount namespace only and into all; the others have their own."""
    results = []
    for namespaces in ("own", "all"):
        kinds = [lambda all_, how=namespaces: agents.Quiesce(all_, how)]
        if namespaces == "own":
            kinds += OTHERS
        field.agents = [kind(field.filesystems) for kind in kinds]
        for each in timed_rounds(field):
            name = f"{each['agent']} ({namespaces})" if each["agent"] == "quiesce" else each["agent"]
            results.append({**each, "agent": name})
            say(f"mounts, {results[-1]}")
        for agent in field.agents:
            agent.end()
        field.agents = []
    return results


def filesystems():
    """Many small filesystems."""
    results = []
    for count in (50, 200):
        with Field(count, "zram", [], mebibytes=64, kinds_of_filesystem=("ext4",)) as field:
            results += [{"filesystems": count, **each} for each in both_namespaces(field)]
    return results


def memory():
    """quiesced and its freezer, idle and in the window; what they do while idle."""
    with Field(2, "zram", [agents.Quiesce]) as field:
        agent = field.agents[0]
        daemon = agent.process.pid
        freezer = int(run("pgrep", "-P", daemon, "quiesce-freezer"))
        agent.freeze()
        agent.thaw()
        time.sleep(2)
        idle = {name: usage(process) for name, process in (("quiesced", daemon), ("quiesce-freezer", freezer))}
        before = wake_ups([daemon, freezer]), processor_time([daemon, freezer])
        time.sleep(60)
        after = wake_ups([daemon, freezer]), processor_time([daemon, freezer])
        agent.freeze()
        window = {name: usage(process) for name, process in (("quiesced", daemon), ("quiesce-freezer", freezer))}
        agent.thaw()
    return {"idle": idle, "window": window, "wake_ups_per_second": (after[0] - before[0]) / 60,
            "processor_ms_per_hour": (after[1] - before[1]) * 60}


def usage(process):
    """Resident and proportional memory, in KiB."""
    lines = dict(line.split(":") for line in pathlib.Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:])
    return {key.lower(): int(lines[key].split()[0]) for key in ("Rss", "Pss")}


def wake_ups(processes):
    """How often their threads were scheduled anew."""
    total = 0
    for process in processes:
        for status in pathlib.Path(f"/proc/{process}/task").glob("*/status"):
            total += int(status.read_text().split("voluntary_ctxt_switches:")[1].split()[0])
    return total


def processor_time(processes):
    """What all their threads have used so far, in milliseconds."""
    return sum(int(path.read_text().split()[0]) / 1e6 for process in processes
               for path in pathlib.Path(f"/proc/{process}/task").glob("*/schedstat"))


def kill():
    """SIGKILL of the daemon with 16 filesystems frozen: until every writer goes on."""
    took = []
    with Field(16, "zram", []) as field:
        writers = Writers(field.filesystems)
        for _ in range(ROUNDS):
            agent = agents.Quiesce(field.filesystems)
            time.sleep(DIRTYING)
            agent.freeze()
            time.sleep(HOLD)
            begun = time.monotonic()
            os.kill(agent.process.pid, signal.SIGKILL)
            # A writer answers when its write is done.
            writers.longest()
            took.append((time.monotonic() - begun) * 1000)
            agent.end()
            run("/quiesce/bin/quiescectl", "recover")
        writers.end()
    say(f"kill: {figure(took)}")
    return figure(took)


PARTS = {"stall": stall, "clean": clean, "mounts": mounts, "filesystems": filesystems, "memory": memory, "kill": kill}


def main():
    """All that is wanted."""
    wanted = sys.argv[1:] or list(PARTS)
    print(json.dumps({"rounds": ROUNDS, "hold_ms": HOLD * 1000}), flush=True)
    for name in wanted:
        # What is done is kept, whatever becomes of the rest.
        print(json.dumps({name: PARTS[name]()}), flush=True)


if __name__ == "__main__":
    main()
