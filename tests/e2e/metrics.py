#!/usr/bin/env python3
"""METRICS is what OpenMetrics demands, to the letter, and tells the truth: what STATS tells, and what a
test did. The reader of the format is this test's own, and is tried with texts that are wrong."""

import math
import os
import re
import resource
import shlex
import shutil
import subprocess

from imdtest import (IMCTL, SOURCE, Daemon, Failed, Skip, await_that, case, environment, equal, expect, imctl, main,
                     matches, need_imctl, new_path)

# ---- the format -------------------------------------------------------------------------------------

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")
VALUE = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]Inf|NaN")
SUFFIXES = {"gauge": [""], "counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
RESERVED = {"gauge": [""], "counter": ["_total", "_created"],
            "histogram": ["_bucket", "_sum", "_count", "_created"]}
BASE_UNITS = ("seconds", "bytes")


class Family:
    """A metric, its metadata and its samples: {labels as sorted pairs: number} for each suffix."""

    def __init__(self, name):
        self.name = name
        self.type = self.unit = self.help = None
        self.samples = {}

    def add(self, name, labels, value):
        expect(self.type in SUFFIXES, f"a sample of {self.name} before its TYPE")
        expect(name in [self.name + suffix for suffix in SUFFIXES[self.type]],
               f"{name} is no sample of the {self.type} {self.name}")
        values = self.samples.setdefault(name[len(self.name):], {})
        expect(labels not in values, f"{name} twice with {labels}")
        values[labels] = value

    def check(self):
        expect(self.type and self.help and self.samples, f"{self.name} is not whole")
        if self.unit is not None:
            expect(self.unit in BASE_UNITS, f"{self.unit} is no base unit")
            expect(self.name.endswith("_" + self.unit), f"{self.name} does not end in its unit")
        elif any(self.name.endswith("_" + unit) for unit in BASE_UNITS):
            raise Failed(f"{self.name} has no UNIT")
        if self.type == "counter":
            for value in self.samples["_total"].values():
                expect(value >= 0 and math.isfinite(value), f"{self.name} is {value}")
        if self.type == "histogram":
            self.check_histogram()

    def check_histogram(self):
        expect(set(self.samples) == {"_bucket", "_sum", "_count"}, f"{self.name} is not whole")
        series = {}
        for labels, value in self.samples["_bucket"].items():
            bounds = [text for name, text in labels if name == "le"]
            expect(len(bounds) == 1, f"a bucket of {self.name} without le")
            if bounds[0] != "+Inf":
                equal(bounds[0], repr(float(bounds[0])).replace("e-05", "e-5"), "how le is written")
            rest = tuple(pair for pair in labels if pair[0] != "le")
            series.setdefault(rest, []).append((float(bounds[0].replace("+Inf", "inf")), value))
        for which in ("_sum", "_count"):
            equal(set(self.samples[which]), set(series), f"{self.name}{which}")
        for rest, buckets in series.items():
            expect(buckets == sorted(buckets), f"{self.name}: bounds or counts that fall: {buckets}")
            counts = [count for _, count in buckets]
            expect(counts == sorted(counts), f"{self.name} is not cumulative: {counts}")
            equal(buckets[-1], (math.inf, self.samples["_count"][rest]), f"the last bucket of {self.name}")
            expect(self.samples["_sum"][rest] >= 0, f"{self.name} has a negative sum")


def split_labels(text):
    pairs = re.findall(LABEL, text or "")
    names = [name for name, _ in pairs]
    expect(len(set(names)) == len(names), f"a label twice: {text}")
    expect(not any(name.startswith("__") for name in names), f"a label that is reserved: {text}")
    unescape = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
    return tuple(sorted((name, re.sub(r"\\.", lambda m: unescape[m.group()], value))
                        for name, value in pairs))


def number_of(text):
    expect(VALUE.fullmatch(text), f"not a number: {text}")
    return float(text.replace("Inf", "inf"))


def add_metadata(family, what, text):
    """One line of metadata: each kind once, and before the samples."""
    expect(not family.samples, f"{what} of {family.name} behind its samples")
    expect(getattr(family, what.lower()) is None, f"{what} of {family.name} twice")
    if what == "TYPE":
        expect(text in SUFFIXES, f"{family.name} is of an unknown type, {text}")
    if what == "HELP":
        expect(not re.search(r'\\[^\\n"]|\\$', text), f"HELP of {family.name} is not escaped")
    setattr(family, what.lower(), text)


def parse(text):
    """name: Family, in their order; strictly."""
    expect(text.endswith("# EOF\n"), "it does not end in # EOF:", text[-100:])
    families, current = {}, None
    for line in text[:-len("# EOF\n")].split("\n")[:-1]:
        head = re.fullmatch(rf"# (TYPE|UNIT|HELP) ({NAME}) (.+)", line)
        sample = None if head else SAMPLE.fullmatch(line)
        expect(head or sample, f"not a line of the format: {line!r}")
        name = head.group(2) if head else sample.group(1)
        if head and (current is None or current.name != name):
            expect(name not in families, f"{name} is in two places")
            current = families[name] = Family(name)
        if head:
            add_metadata(current, head.group(1), head.group(3))
        else:
            expect(current is not None, f"a sample without metadata: {line}")
            current.add(name, split_labels(sample.group(2)), number_of(sample.groups()[-1]))
    taken = set()
    for family in families.values():
        family.check()
        names = {family.name, *(family.name + suffix for suffix in RESERVED[family.type])}
        expect(not taken & names, f"{family.name} clashes with another")
        taken |= names
    return families


GOOD = """# TYPE a gauge
# HELP a It is.
a{x="1",y="\\"\\\\\\n"} 1
a{x="2"} -0.5
# HELP b_bytes It grows.
# TYPE b_bytes counter
# UNIT b_bytes bytes
b_bytes_total 7
# TYPE c_seconds histogram
# UNIT c_seconds seconds
# HELP c_seconds It takes.
c_seconds_bucket{le="0.5"} 1
c_seconds_bucket{le="1.0"} 2
c_seconds_bucket{le="+Inf"} 3
c_seconds_sum 9.5
c_seconds_count 3
# EOF
"""

WRONG = [  # what is replaced in the good one, and by what
    ("# EOF\n", ""), ("# EOF\n", "# EOF"), ("# EOF\n", "# EOF\n\n"), ("# TYPE a gauge\n", ""),
    ("# HELP a It is.\n", ""), ("# TYPE a gauge", "# TYPE a guage"), ("# TYPE a gauge", "#TYPE a gauge"),
    ("# TYPE a gauge\n", "# TYPE a gauge\n# TYPE a gauge\n"), ("a{x=\"2\"} -0.5", "a{x=\"2\"} -0.5\n"),
    ("a{x=\"2\"} -0.5\n", "a{x=\"2\"} -0.5\n# UNIT a \n"), ("a{x=\"2\"}", "a{x=\"2\",x=\"3\"}"),
    ("a{x=\"2\"} -0.5", "a{x=\"2\"} one"), ("a{x=\"2\"}", "a{x=\"2\",}"), ("a{x=\"2\"}", "a{x=2}"),
    ("a{x=\"2\"}", "a{x=\"\\x\"}"), ("a{x=\"2\"} -0.5", "a{x=\"2\"}  -0.5"),
    ("a{x=\"2\"}", "a{x=\"1\",y=\"\\\"\\\\\\n\"}"), ("a{x=\"2\"} -0.5", "a{x=\"2\"} -0.5\r"),
    ("# UNIT b_bytes bytes\n", ""), ("bytes bytes", "bytes kilobytes"), ("b_bytes_total 7", "b_bytes 7"),
    ("b_bytes_total 7", "b_bytes_total -7"), ("b_bytes_total 7", "b_bytes_total NaN"),
    ("le=\"0.5\"} 1", "le=\"0.5\"} 5"), ("le=\"0.5\"", "le=\"2.5\""), ("le=\"1.0\"", "le=\"1\""),
    ("c_seconds_bucket{le=\"+Inf\"} 3\n", ""), ("c_seconds_count 3", "c_seconds_count 4"),
    ("c_seconds_sum 9.5\n", ""), ("c_seconds_sum 9.5", "c_seconds_sum -1"),
    ("# EOF", "a{x=\"3\"} 1\n# EOF"), ("# EOF", "# TYPE a gauge\n# HELP a x\na 1\n# EOF"),
    ("# EOF", "# TYPE b_bytes_total gauge\n# HELP b_bytes_total x\nb_bytes_total 1\n# EOF"),
    ("# EOF", "# TYPE d gauge\n# HELP d x\n# EOF"), ("# EOF", "# a comment\n# EOF"),
]


@case
def the_reader_finds_what_is_wrong():
    parse(GOOD)
    for old, new in WRONG:
        text = GOOD.replace(old, new, 1)
        expect(text != GOOD, f"{old!r} is not there")
        try:
            parse(text)
        except Failed:
            continue
        raise Failed(f"it was not found that {old!r} became {new!r}")


# ---- the daemon -------------------------------------------------------------------------------------

def exposition(client, *more):
    """The lines in front of OK, as they came. More requests may be sent at once with this one."""
    client.send("".join(request + "\n" for request in ("METRICS", *more)))
    lines = []
    while True:
        line = client.raw_line()
        expect(line is not None, "the connection was closed within METRICS")
        if line == b"OK":
            return "".join(line + "\n" for line in lines)
        expect(re.match(rb"#|imd_", line), "a line of METRICS begins otherwise:", line)
        lines.append(line.decode("utf-8"))


class Metrics:
    """What METRICS answers to a client."""

    def __init__(self, client, *more):
        self.families = parse(exposition(client, *more))

    def value(self, name, **labels):
        """Of a sample, by the name of the metric."""
        family = self.families[name]
        samples = family.samples["_total" if family.type == "counter" else ""]
        key = tuple(sorted(labels.items()))
        expect(key in samples, f"{name} has no sample with {labels}")
        return samples[key]

    def total(self, name):
        family = self.families[name]
        return sum(family.samples["_total" if family.type == "counter" else ""].values())

    def nodes(self, group):
        return {state: self.value("imd_nodes", group=group, state=state)
                for state in ("starting", "running", "unhealthy", "shutting_down")}

    def counters(self):
        return {(family.name, suffix, labels): value for family in self.families.values()
                if family.type != "gauge" for suffix, values in family.samples.items()
                for labels, value in values.items()}


def never_fall(before, after):
    old, new = before.counters(), after.counters()
    equal(set(old), set(new), "counters")
    for key, value in old.items():
        expect(new[key] >= value, f"{key} was {value} and is {new[key]}")


SAME = {  # metric: figures of STATS
    "imd_clients": "clients", "imd_watchers": "watchers", "imd_events": "events", "imd_errors": "errors",
    "imd_ring_events": "ring-events", "imd_ring_bytes": "ring-bytes", "imd_groups": "groups",
    "imd_graphs": "graphs-active", "imd_tasks_in_flight": "tasks-in-flight", "imd_plans": "plans",
    "imd_tasks_started": "tasks-started", "imd_tasks_succeeded": "tasks-succeeded",
    "imd_tasks_failed": "tasks-failed", "imd_tasks_retried": "tasks-retried",
    "imd_tasks_cancelled": "tasks-cancelled", "imd_nodes_started": "nodes-started",
    "imd_nodes_died": "nodes-died", "imd_nodes_replaced": "nodes-replaced", "imd_commits": "commits",
    "imd_commit_failures": "commits-failed",
}


def agree_with_stats(client):
    """Both are asked for at once, so that nothing happens in between. Returns the metrics."""
    metrics = Metrics(client, "STATS")
    stats = {record["name"]: record["value"] for record in client.reply().records}
    for name, figure in SAME.items():
        equal(metrics.total(name), int(stats[figure]), f"{name} and {figure}")
    equal(metrics.total("imd_requests") + 1, int(stats["requests"]), "requests, but for STATS itself")
    for state in ("starting", "running", "unhealthy", "shutting_down"):
        values = metrics.families["imd_nodes"].samples[""]
        equal(sum(value for labels, value in values.items() if ("state", state) in labels),
              int(stats["nodes-" + state.replace("_", "-")]), state)
    equal(metrics.value("imd_build_info", version=stats["version"], driver=stats["driver"],
                        store=stats["store"]), 1, "imd_build_info")
    uptime = metrics.value("imd_uptime_seconds")
    expect(0 <= uptime <= int(stats["uptime-ms"]) / 1000, f"uptime {uptime}, {stats['uptime-ms']} ms")
    latency = metrics.families["imd_commit_duration_seconds"].samples
    equal(latency["_count"][()], int(stats["commits"]), "commits in the histogram")
    return metrics


@case
def a_daemon_at_its_beginning():
    with Daemon() as imd:
        client = imd.client()
        metrics = agree_with_stats(client)
        equal(metrics.nodes("default"), dict.fromkeys(metrics.nodes("default"), 0), "nodes")
        equal(metrics.value("imd_nodes_declared", group="default"), 0, "the size")
        equal(metrics.total("imd_errors"), 0, "errors")
        began = os.stat(f"/proc/{imd.pid}").st_ctime
        start = metrics.value("imd_start_time_seconds")
        expect(abs(start - began) < 60, f"it began at {began}, and says {start}")


@case
def what_proto_txt_tells():
    """The table has each metric, its type and its labels; nothing else there is."""
    with open(os.path.join(SOURCE, "proto.txt"), encoding="utf-8") as file:
        table = re.search(r"^6\.7  .*?(?=^7  )", file.read(), re.M | re.S).group()
    rows = re.findall(r"^    (imd_[a-z_]+) +(gauge|counter|histogram)\b(?: +([a-z ,]+?)[:;])?", table, re.M)
    with Daemon() as imd:
        families = Metrics(imd.client()).families
    equal([(name, kind) for name, kind, _ in rows],
          [(family.name, family.type) for family in families.values()], "metrics in proto.txt, 6.7")
    for name, _, labels in rows:
        samples = next(iter(families[name].samples.values()))
        found = {label for labels in samples for label, _ in labels}
        if found:
            equal(set(re.split("[ ,]+", labels)), found, f"labels of {name} in proto.txt")


@case
def what_was_done_is_counted():
    options = ("--mock-delay=0-2ms", "--mock-fail-version=9", "--retries=2", "--retry-delay=1ms",
               "--heal-delay=1ms")
    with Daemon(*options) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL group=*")
        first = agree_with_stats(client)

        def update(request):
            reply = client.ok(request)
            return watcher.await_end(reply.end["graph"])

        events = update("UPDATE 3 1") + update("UPDATE 2 1 group=web") + update("UPDATE 3 2")
        client.ok(f"KILL {client.ok('NODES').records[0]['id']}")
        events += watcher.await_event("graph-succeeded")
        second = agree_with_stats(client)
        equal(second.value("imd_plans", reason="update"), 3, "updates")
        equal(second.value("imd_plans", reason="kill"), 1, "kills")
        equal(second.value("imd_nodes_died"), 1, "nodes that died")
        equal(second.value("imd_nodes_replaced"), 1, "nodes that were replaced")
        equal(second.value("imd_tasks_failed"), 0, "tasks that failed")
        events += update("UPDATE 3 9 group=web max-unavailable=3")
        client.fails("NODE ffff", "not-found")
        client.fails("NODE x", "bad-argument")
        client.fails("NODE y", "bad-argument")
        third = agree_with_stats(client)
        for code, count in (("not-found", 1), ("bad-argument", 2), ("storage", 0)):
            equal(third.value("imd_errors", code=code), count, code)
        kinds = [event.type for event in events]
        equal(third.value("imd_tasks_started"), sum(event.type == "task-started" and event["attempt"] == "1"
                                                    for event in events), "tasks that began")
        for name, kind in (("imd_tasks_succeeded", "task-succeeded"), ("imd_tasks_failed", "task-failed"),
                           ("imd_tasks_retried", "task-retrying"), ("imd_nodes_started", "node-started"),
                           ("imd_tasks_cancelled", "task-cancelled"), ("imd_plans", "graph-started")):
            equal(third.total(name), kinds.count(kind), f"{name} and {kind}")
        expect(third.value("imd_tasks_failed") > 0 < third.value("imd_tasks_retried"), "nothing failed")
        equal(third.nodes("default"), {"starting": 0, "running": 3, "unhealthy": 0, "shutting_down": 0},
              "nodes of default")
        equal(third.value("imd_nodes_available", group="default"), 3, "nodes that are available")
        equal(third.value("imd_nodes_declared", group="web"), 3, "the size of web")
        states = [node["state"] for node in client.ok("NODES group=web").records]
        equal(third.nodes("web"), {state: states.count(state) for state in third.nodes("web")}, "nodes of web")
        never_fall(first, second)
        never_fall(second, third)


@case
def what_is_under_way():
    with Daemon("--mock-delay=1h") as imd:
        client = imd.client()
        client.ok("UPDATE 5 1 max-parallel=2")
        metrics = agree_with_stats(client)
        equal(metrics.value("imd_graphs", state="running"), 1, "graphs")
        equal(metrics.value("imd_tasks_in_flight"), 2, "tasks in flight")
        equal(metrics.nodes("default")["starting"], 2, "nodes that start")
        equal(metrics.value("imd_nodes_declared", group="default"), 5, "the size")


@case
def a_commit_that_fails():
    """It is counted, and what was counted for it is taken back, for it never happened."""
    state = new_path("state.db")
    with Daemon(f"--state={state}", "--mock-delay=0", "--heal-delay=1ms") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        events = watcher.await_end(client.ok("UPDATE 3 1").end["graph"])
        before = agree_with_stats(client)
        imd.limit(resource.RLIMIT_FSIZE, 4096)
        number = 1
        while client.ask(f"UPDATE 4 {number} note={'n' * 500} quiet=yes").code is None:
            number += 1  # the log that SQLite writes ahead has room left
            expect(number < 3000, "it takes all that is declared")
        client.fails("UPDATE 4 2", "storage")
        failed = Metrics(client)
        expect(failed.value("imd_commit_failures") >= 2, "no commit has failed")
        expect(failed.value("imd_errors", code="storage") >= 2, "no error was counted")
        never_fall(before, failed)
        imd.limit(resource.RLIMIT_FSIZE, resource.prlimit(imd.pid, resource.RLIMIT_FSIZE)[1])
        events += watcher.await_end(client.ok("UPDATE 2 7").end["graph"])
        after = agree_with_stats(client)
        never_fall(failed, after)
        kinds = [event.type for event in events]
        for name, kind in (("imd_tasks_started", "task-started"), ("imd_nodes_started", "node-started"),
                           ("imd_tasks_succeeded", "task-succeeded"), ("imd_plans", "graph-started")):
            equal(after.total(name), kinds.count(kind), f"{name} and {kind}")


@case
def the_time_that_commits_take():
    with Daemon(f"--state={new_path('state.db')}", "--mock-delay=0") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS")
        for number in range(20):
            watcher.await_end(client.ok(f"UPDATE 1 {number} quiet=yes").end["graph"])
        latency = agree_with_stats(client).families["imd_commit_duration_seconds"].samples
        bounds = [float(dict(labels)["le"]) for labels in latency["_bucket"]]
        equal((bounds[0], bounds[-2], bounds[-1]), (0.0001, 10, math.inf), "bounds")
        expect(latency["_count"][()] >= 20, "commits", latency["_count"])
        expect(0 < latency["_sum"][()] < Metrics(client).value("imd_uptime_seconds"), latency["_sum"])


@case
def many_groups_and_a_slow_reader():
    """A reply that is longer than what may wait for a client is made as it is read."""
    with Daemon("--mock-delay=0", "--max-groups=2000") as imd:
        client, slow = imd.client(), imd.client()
        for number in range(1500):
            client.ok(f"UPDATE 0 1 quiet=yes group=a.group-of-a-long-name-{number}")
        slow.send("METRICS\nPING\n")
        slow.await_read()
        await_that(lambda: client.ok("PING").code is None, "others are served")
        text = exposition(client)
        expect(len(text) > 400 << 10, f"{len(text)} bytes are too few to be slow with")
        families = parse(text)
        equal(len(families["imd_nodes_declared"].samples[""]), 1501, "groups")
        lines = []
        while True:
            line = slow.raw_line()
            if line == b"OK":
                break
            lines.append(line.decode())
        equal(list(parse("\n".join(lines) + "\n")), list(families), "metrics that a slow reader gets")
        equal(slow.reply().code, None, "PING behind it")


@case
def metrics_among_other_requests():
    with Daemon("--mock-delay=0") as imd:
        client = imd.client()
        client.fails("METRICS all", "bad-argument", "METRICS takes no arguments")
        client.send("PING\nMETRICS\nmetrics\nPING\n")
        equal(client.raw_line(), b"OK", "PING")
        for _ in range(2):
            text = b""
            while not text.endswith(b"OK\n"):
                text += client.raw_line() + b"\n"
            parse(text[:-3].decode())
        equal(client.raw_line(), b"OK", "PING behind both")


# ---- imctl and Prometheus ---------------------------------------------------------------------------

def static(text):
    """Without what is another at each look."""
    return re.sub(r"^(imd_(?:uptime_seconds|requests_total|clients)) .*", r"\1", text, flags=re.M)


@case
def imctl_prints_them_alone():
    need_imctl()
    with Daemon("--mock-delay=0") as imd:
        client = imd.client()
        status, out, err = imctl(imd, "metrics")
        equal((status, err), (0, ""), "imctl metrics")
        parse(out)
        equal(static(out), static(exposition(client)), "imctl metrics, and METRICS")
        equal(imctl(imd, "-q", "--no-legend", "metrics")[0], 0, "imctl -q metrics")
        equal(static(imctl(imd, "raw", "METRICS")[1]), static(out) + "OK\n", "imctl raw METRICS")


def commands_of(unit):
    """What ExecStart= of a unit runs, as its words."""
    with open(os.path.join(SOURCE, "contrib", "prometheus", unit), encoding="utf-8") as file:
        text = file.read()
    command = re.search(r"^ExecStart=((?:.*\\\n)*.*)$", text, re.M).group(1)
    words = re.match(r"(/bin/sh) (-euc) '((?:[^'\\]|\\.)*)'$", command.replace("\\\n", ""))
    expect(words, "ExecStart= is of another form:", command)
    return [*words.groups()[:2], words.group(3).replace("\\'", "'").replace("$$", "$")]


@case
def the_unit_for_prometheus():
    """It writes what the collector can read, and leaves nothing half done there."""
    need_imctl()
    folder = new_path("textfile")
    os.mkdir(folder)
    scratch = new_path("run")
    os.mkdir(scratch)
    programs = os.path.dirname(IMCTL)
    env = environment(DIRECTORY=folder, RUNTIME_DIRECTORY=scratch, PATH=f"{programs}:{os.environ['PATH']}")
    path = os.path.join(folder, "imd.prom")
    command = commands_of("imd-textfile.service")
    with Daemon("--mock-delay=0") as imd:
        env["IMD_SOCKET"] = imd.path
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        equal((done.returncode, done.stdout, done.stderr), (0, "", ""), shlex.join(command))
        with open(path, encoding="utf-8") as file:
            text = file.read()
        families = Metrics(imd.client()).families
        for family in families.values():
            suffix = "_total" if family.type == "counter" else ""
            matches(rf"^# TYPE {family.name}{suffix} {family.type}$", text, "its type")
            matches(rf"^# HELP {family.name}{suffix} .", text, "its help")
        equal(sum(line[0] != "#" for line in text.splitlines()),
              sum(len(values) for family in families.values() for values in family.samples.values()), "samples")
    os.unlink(path)
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    equal(done.returncode, 3, f"without imd: {done.stderr}")
    expect(not os.path.exists(path), "a file was left by a try that failed")
    if not shutil.which("promtool"):
        raise Skip("all but promtool, which is not installed")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    equal((done.returncode, done.stdout + done.stderr), (0, ""), "promtool check metrics")


main()
