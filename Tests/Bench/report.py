#!/usr/bin/python3
"""What the bench has found, for people: a table, and a plot as SVG.

    report.py RESULTS.json PLOT.svg
"""

import html
import json
import math
import pathlib
import sys

COLOURS = {"quiesce": "#1b6ac9", "quiesce, agent port": "#6fb1f0", "hv_vss_daemon": "#c9541b", "qemu-ga": "#8a8a2b",
           "lower bound": "#555555", "lower bound, expedited": "#999999"}


def text_of(figure):
    """A median with the least and the most."""
    return f"{figure['median']:.1f} ({figure['min']:.1f}-{figure['max']:.1f})"


def table(titles, rows):
    """Aligned columns."""
    widths = [max(len(row[column]) for row in [titles, *rows]) for column in range(len(titles))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [titles, *rows]]


def stall_rows(results, backing):
    """One row for each number of filesystems, one column for each agent."""
    mine = [each for each in results if each["backing"] == backing]
    names = list(dict.fromkeys(each["agent"] for each in mine))
    rows = []
    for count in sorted({each["filesystems"] for each in mine}):
        found = {each["agent"]: each["worst_ms"] for each in mine if each["filesystems"] == count}
        peers = [found[name]["median"] for name in names if not name.startswith(("quiesce", "lower"))]
        ratio = found["quiesce"]["median"] / min(peers)
        bound = found["quiesce"]["median"] / max(found["lower bound"]["median"], 0.001)
        rows.append([str(count), *(text_of(found[name]) for name in names), f"{ratio:.2f}", f"{bound:.2f}"])
    return ["filesystems", *names, "of the better peer", "of the bound"], rows


def lines(results):
    """All tables."""
    found = []
    if "stall" in results:
        for backing in ("zram", "loop"):
            found += [f"Worst stall of a writer beyond the hold, ms, on {backing}: median (least-most)"]
            found += table(*stall_rows(results["stall"], backing)) + [""]
    for part, key in (("clean", "filesystems"), ("mounts", "bind_mounts"), ("filesystems", "filesystems")):
        if part in results:
            rows = [[str(each[key]), each["agent"]] + [
                text_of(each[name]) if name in each else "-" for name in ("freeze_ms", "thaw_ms", "window_ms")]
                for each in results[part]]
            found += [f"Nothing dirty, ms: {part}"]
            found += table([key.replace("_", " "), "agent", "freeze", "thaw", "window to the answer"], rows) + [""]
    if "memory" in results:
        memory = results["memory"]
        rows = [[state, name, str(each["rss"]), str(each["pss"])]
                for state in ("idle", "window") for name, each in memory[state].items()]
        found += ["Memory, KiB"] + table(["", "process", "resident", "proportional"], rows)
        found += [f"Idle: {memory['wake_ups_per_second']:.2f} wake-ups a second, "
                  f"{memory['processor_ms_per_hour']:.0f} ms of processor time an hour", ""]
    if "kill" in results:
        found += [f"SIGKILL of the daemon, 16 filesystems: all go on after {text_of(results['kill'])} ms", ""]
    return found


def plot(results, backing="zram"):
    """The worst stall of each agent against the number of filesystems, both logarithmic."""
    mine = [each for each in results["stall"] if each["backing"] == backing]
    counts = sorted({each["filesystems"] for each in mine})
    most = max(each["worst_ms"]["max"] for each in mine)
    least, width, height, margin = 0.5, 640, 400, 60

    def x_of(count):
        return margin + (width - 2 * margin) * math.log(count / counts[0]) / math.log(counts[-1] / counts[0])

    def y_of(value):
        return height - margin - (height - 2 * margin) * math.log(max(value, least) / least) / math.log(most / least)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
             ' font-size="12">', f'<rect width="{width}" height="{height}" fill="white"/>']
    value = 1
    while value <= most:
        parts.append(f'<path d="M{margin} {y_of(value):.1f}H{width - margin}" stroke="#ddd"/>')
        parts.append(f'<text x="{margin - 6}" y="{y_of(value) + 4:.1f}" text-anchor="end">{value}</text>')
        value *= 10
    for count in counts:
        parts.append(f'<text x="{x_of(count):.1f}" y="{height - margin + 18}" text-anchor="middle">{count}</text>')
    parts.append(f'<text x="{width / 2}" y="{height - 18}" text-anchor="middle">filesystems, each with a busy writer'
                 f' and 64 MiB dirty, on {backing}</text>')
    parts.append(f'<text x="{margin}" y="{margin - 24}">worst stall of a writer beyond the hold, ms (median of rounds;'
                 ' bars: least and most)</text>')
    for place, name in enumerate(dict.fromkeys(each["agent"] for each in mine)):
        colour = COLOURS[name]
        found = {each["filesystems"]: each["worst_ms"] for each in mine if each["agent"] == name}
        points = " ".join(f"{x_of(count):.1f},{y_of(found[count]['median']):.1f}" for count in counts)
        dash = ' stroke-dasharray="5 4"' if name.startswith("lower") else ""
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        for count in counts:
            parts.append(f'<path d="M{x_of(count):.1f} {y_of(found[count]["min"]):.1f}'
                         f'V{y_of(found[count]["max"]):.1f}" stroke="{colour}"/>')
        parts.append(f'<text x="{margin + 12}" y="{margin + 16 * place}" fill="{colour}">{html.escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main():
    """The table on standard output."""
    results = json.loads(pathlib.Path(sys.argv[1]).read_text())
    print("\n".join(lines(results)))
    if "stall" in results:
        pathlib.Path(sys.argv[2]).write_text(plot(results))


if __name__ == "__main__":
    main()
