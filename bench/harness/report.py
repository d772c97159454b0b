"""What was measured, and the report on it."""

import os
import platform
import statistics
import time
from dataclasses import dataclass, field


def median(values):
    """The median, NaN of nothing."""
    return statistics.median(values) if values else float("nan")


def quantile(values, share):
    """The value below which a share of the values are."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def figure(value):
    """A number as the report shows it."""
    if value != value:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


@dataclass
class Row:
    """One contender in one setting; a value for each repetition."""
    contender: str
    setting: str
    unit: str
    values: list
    ratios: list = field(default_factory=list)     # to the baseline, of each repetition


@dataclass
class Bar:
    """A requirement, and what was found."""
    number: str                                    # P1
    what: str
    setting: str
    values: list                                   # ratios, or what the bar is about
    limit: float
    at_least: bool = True
    note: str = ""

    def passed(self):
        """Does the median meet it?"""
        return median(self.values) >= self.limit if self.at_least else median(self.values) <= self.limit

    def verdict(self):
        """passed or missed, and by how much."""
        found = median(self.values)
        if found != found:
            return "not measured"
        if found == self.limit:
            return "passed"
        share = found / self.limit - 1 if self.at_least else self.limit / found - 1
        return f"{'passed' if self.passed() else 'missed'} ({share:+.0%})"


class Report:
    """All rows, bars and charts of one run."""

    def __init__(self):
        self.sections = []                         # (title, text, [Row])
        self.bars = []
        self.charts = []                           # (file, title)
        self.started = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())

    def section(self, title, text, rows):
        """Add a table."""
        self.sections.append((title, text, rows))

    def bar(self, *args, **kwargs):
        """Add a requirement."""
        found = Bar(*args, **kwargs)
        self.bars.append(found)
        print(f"   {found.number} {found.what}, {found.setting}: {figure(median(found.values))}, "
              f"bar {found.limit}: {found.verdict()}", flush=True)

    def text(self, conditions):
        """RESULTS.md."""
        out = ["# Results", "",
               "Written by `bench/run`; not edited. Ratios are between measurements that were made in turns, "
               "one pair for each repetition; the figure is the median, with the lowest and the highest in brackets.", ""]
        out += [f"- {name}: {value}" for name, value in conditions]
        out += ["", "## Bars", "", "| # | what | setting | bar | found | lowest .. highest | |", "|---|---|---|---|---|---|---|"]
        for b in self.bars:
            limit = f"{'>=' if b.at_least else '<='} {b.limit:g}"
            out.append(f"| {b.number} | {b.what} | {b.setting} | {limit} | {figure(median(b.values))} | "
                       f"{figure(min(b.values))} .. {figure(max(b.values))} | {b.verdict()}{'; ' + b.note if b.note else ''} |")
        for title, text, rows in self.sections:
            out += ["", f"## {title}", "", text]
            if rows:
                out += ["", "| contender | setting | median | lowest .. highest | unit | ratio |", "|---|---|---|---|---|---|"]
            for r in rows:
                ratio = "" if not r.ratios else \
                    f"{figure(median(r.ratios))} ({figure(min(r.ratios))} .. {figure(max(r.ratios))})"
                out.append(f"| {r.contender} | {r.setting} | {figure(median(r.values))} | "
                           f"{figure(min(r.values))} .. {figure(max(r.values))} | {r.unit} | {ratio} |")
        if self.charts:
            out += ["", "## Charts", ""]
            out += [f"![{title}](charts/{file})" for file, title in self.charts]
        return "\n".join(out) + "\n"


def machine():
    """The machine, in words."""
    cpu = "unknown processor"
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            for line in info:
                if line.startswith("model name"):
                    cpu = line.split(":", 1)[1].strip()
                    break
        with open("/proc/meminfo", encoding="ascii") as info:
            memory = int(info.readline().split()[1]) // 1024
    except OSError:
        memory = 0
    return f"{os.cpu_count()} processors ({cpu}), {memory:,} MB, {platform.system()} {platform.release()}"
