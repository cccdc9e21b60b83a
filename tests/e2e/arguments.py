#!/usr/bin/env python3
"""Bad input: each mistake gets its own clear message, which names what was wrong and what is allowed,
from imd as from imctl."""

import collections
import re

from imdtest import IMCTL, Daemon, add_case, case, equal, expect, imctl, main, matches, need_imctl, run

NUMBERS = {  # text: what is wrong with it
    "-1": "sign", "+3": "sign", "1.5": "not whole", "1,5": "not whole", "0x3": "decimal",
    "abc": "decimal", '""': "empty", '" 3"': "decimal", '"3 "': "decimal", "3e2": "decimal",
    "-0": "sign", "--3": "sign", "٣": "decimal", "99999999999999999999999999": "too large",
    "18446744073709551616": "too large", "3%": "decimal",
}
SIZES = dict(NUMBERS, **{"1000001": "too large", "4294967296": "too large",
                         "4294967299": "too large"})
VERSIONS = dict(NUMBERS, **{"9223372036854775808": "too large",
                            "18446744073709551615": "too large"})
AMOUNTS = {"-1": "sign", "+1": "sign", "1.5": "not whole", "x": "decimal", "%": "no digits",
           "5%%": "decimal", '""': "empty", "1000001": "too large", '"5 %"': "decimal",
           "-5%": "sign"}
DURATIONS = {"-1s": "sign", "1.5s": "not whole", "3x": "unit", "s": "no digits", "3 s": None,
             "25h": "too long", "86401": "too long", '""': "empty", "3S": "decimal", "3days": "unit",
             "99999999999999999999s": "too large"}
GROUPS = {"Web": None, ".web": None, "-web": None, "_web": None, "a/b": None, '"a b"': None,
          '""': "empty", "a" * 64: "too long", "ü": None, '"a\\nb"': None, "a*": None}
IDS = {"xyz1": "not an id", "123": "too short", '""': "too short", "12345-": "not an id",
       "0123456789abcdef0123456789abcdef0": "not an id",
       "00000000-0000-4000-8000-0000000000000": "not an id", "12g4": "not an id"}


def message(text):
    """What a word with quotes or escapes looks like in a message."""
    return text.strip('"')


def table():
    """(request, code, patterns that the message must match)."""
    for verb in ("UPDATE", "PLAN"):
        for text, wrong in SIZES.items():
            yield f"{verb} {text} 1", "bad-argument", ["^size must be .*from 0 to 1000000", wrong]
        for text, wrong in VERSIONS.items():
            yield f"{verb} 1 {text}", "bad-argument", [
                "^version must be .*from 0 to 9223372036854775807", wrong]
        for text, wrong in AMOUNTS.items():
            yield f"{verb} 1 1 max-surge={text}", "bad-argument", ["^max-surge must be .*0%", wrong]
            yield f"{verb} 1 1 max-unavailable={text}", "bad-argument", [
                "^max-unavailable must be .*from 0% to 100%", wrong]
        yield f"{verb} 1 1 max-unavailable=101%", "bad-argument", ["to 100%", "too large"]
        for text, wrong in NUMBERS.items():
            yield f"{verb} 1 1 max-parallel={text}", "bad-argument", ["^max-parallel must be", wrong]
            yield f"{verb} 1 1 if-revision={text}", "bad-argument", ["^if-revision must be", wrong]
        for text, wrong in DURATIONS.items():
            if wrong:
                yield f"{verb} 1 1 min-ready={text}", "bad-argument", [
                    "^min-ready must be .*24h", wrong]
        yield f"{verb} 1 1 quiet=maybe", "bad-argument", ["^quiet must be yes or no", "maybe"]
        yield f"{verb} 1 1 color=red", "bad-argument", [f"{verb} has no option color", "usage"]
        yield f"{verb} 1 1 quiet=no quiet=no", "bad-argument", ["quiet is given twice"]
        yield f"{verb} 1 1 max-surge=1 max-surge=2", "bad-argument", ["max-surge is given twice"]
        yield f"{verb}", "bad-argument", [f"{verb} takes 2 arguments, not 0", f"usage: {verb} size"]
        yield f"{verb} 1", "bad-argument", ["takes 2 arguments, not 1"]
        yield f"{verb} 1 2 3", "bad-argument", ["takes 2 arguments, not 3"]
        yield f"{verb} 3 1 group=*", "bad-argument", ["group"]
    yield "PLAN 1 1 note=x", "bad-argument", ["PLAN has no option note"]
    yield "UPDATE 1 1 note=" + "n" * 1025, "bad-argument", ["^note ", "1025", "1024"]
    for verb in ("UPDATE 1 1", "PLAN 1 1", "SPEC", "SPECS", "NODES", "GRAPHS", "WATCH ALL"):
        for text, wrong in GROUPS.items():
            yield f"{verb} group={text}", "bad-argument", ["^group must be .*a-z", wrong or ""]
    for verb, what in (("NODE", "node"), ("KILL", "node"), ("MARK", "node"), ("GRAPH", "graph"),
                       ("TASKS", "graph"), ("CANCEL", "graph"), ("WATCH TASKS", "graph")):
        for text, wrong in IDS.items():
            yield f"{verb} {text}", "bad-argument", [wrong, "4|UUID"]
        for unknown in ("ffffffff-ffff-4fff-8fff-ffffffffffff", "FFFFffff", "ffff"):
            yield f"{verb} {unknown}", "not-found", [what]
        if not verb.startswith("WATCH"):
            yield verb, "bad-argument", ["takes 1 argument, not 0"]
            yield f"{verb} a b", "bad-argument", ["takes 1 argument, not 2"]
    for verb in ("PING", "SPEC", "SPECS", "NODES", "GROUPS", "GRAPHS", "UNWATCH", "STATS", "METRICS", "QUIT"):
        yield f"{verb} 1", "bad-argument", [f"{verb} takes no arguments, not 1"]
        yield f"{verb} none=1", "bad-argument", [f"{verb} has no option none"]
    yield "NODES all=1", "bad-argument", ["^all must be yes or no"]
    yield "MARK ffff mark=", "bad-argument", ["^mark must be yes or no", "empty"]
    yield "PING group=default", "bad-argument", ["PING has no option group"]
    yield "HELP a b", "bad-argument", ["HELP takes 0 to 1 arguments, not 2"]
    yield "HELP nothing", "not-found", ["nothing"]
    yield "WATCH", "bad-argument", ["takes 1 to 2 arguments, not 0"]
    yield "WATCH EVERYTHING", "bad-argument", ["NODES, GRAPHS, TASKS or ALL", "EVERYTHING"]
    yield "WATCH NODES ffff", "bad-argument", ["only WATCH TASKS takes a graph"]
    yield "WATCH ALL initial=on", "bad-argument", ["^initial must be yes or no"]
    yield "WATCH ALL since=1", "gone", ["0 to 0"]
    yield "WATCH ALL since=-1", "bad-argument", ["^since must be", "sign"]
    yield "WATCH ALL since=0 initial=yes", "bad-argument", ["since"]
    yield "FROBNICATE", "unknown-command", ["FROBNICATE", "HELP"]
    yield "=x", "unknown-command", ["HELP"]
    yield "ping=1", "unknown-command", ["HELP"]
    yield "PING PING=1", "bad-argument", ["takes no arguments"]


@case
def every_mistake_has_its_message():
    with Daemon() as imd:
        client = imd.client()
        count = 0
        for request, code, patterns in table():
            reply = client.ask(request)
            shown = request if len(request) < 90 else request[:90] + "..."
            expect(reply.code == code, f"{shown}: wanted ERR {code}, got {reply}")
            for pattern in patterns:
                matches(pattern, reply.text, shown)
            expect(len(reply.end.raw) < 512, "a long message:", reply.end)
            count += 1
        print(f"# {count} bad requests")
        equal(client.ok("SPEC").one("SPEC")["revision"], "0", "revision after all of them")
        equal(len(client.ok("GROUPS").records), 1, "groups after all of them")
        equal(client.stat("watchers"), "0", "watchers after all of them")


@case
def what_is_at_the_limit_is_accepted():
    with Daemon("--mock-delay=0") as imd:
        client = imd.client()
        for options in ("max-surge=0", "max-surge=200%", "max-surge=1000000", "max-unavailable=100%",
                        "max-unavailable=1000000", "min-ready=24h", "min-ready=86400", "min-ready=0",
                        "max-parallel=1000000", "if-revision=9223372036854775807", "note=" + "n" * 1024,
                        "group=" + "a" * 63, "group=0", "group=a..__--9", "max-surge=0%"):
            verb = "UPDATE" if options.startswith("note") else "PLAN"
            reply = client.ask(f"{verb} 3 1 {options} quiet=yes")
            expect(reply.code == ("conflict" if "revision" in options else None), options, reply)
        equal(client.ok("PLAN 1000000 9223372036854775807 quiet=yes group=new").end["tasks"],
              "1000001", "tasks")
        equal(client.ok("PLAN 000003 0001 quiet=yes group=new").end["tasks"], "4", "leading zeros")
        client.ok("PLAN 0 0 quiet=yes")


@case
def options_may_stand_anywhere():
    with Daemon() as imd:
        client = imd.client()
        equal(client.ok("PLAN quiet=yes 3 max-surge=1 2").end["max-live"], "4", "max-live")


@case
def an_ambiguous_prefix_is_refused():
    with Daemon("--mock-delay=0") as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH GRAPHS")
        size = 0
        while True:
            size += 500  # among a thousand, two with the same four digits are nearly certain
            watcher.await_end(client.ok(f"UPDATE {size} 1 quiet=yes").end["graph"])
            ids = [node["id"] for node in client.ok("NODES").records]
            heads = collections.Counter(id[:4] for id in ids)
            if max(heads.values()) > 1:
                break
        twice = heads.most_common(1)[0][0]
        once = next(id for id in ids if heads[id[:4]] == 1)
        for verb in ("NODE", "KILL", "MARK"):
            client.fails(f"{verb} {twice}", "bad-argument", twice, "more than one|ambiguous|several")
        equal(client.ok(f"NODE {once[:4]}").one("NODE")["id"], once, "the node of a short prefix")
        equal(client.ok(f"NODE {once[:18].upper()}").one("NODE")["id"], once, "in upper case")
        equal(client.ok(f"NODE {once.replace('-', '')}").one("NODE")["id"], once, "without hyphens")
        client.fails(f"NODE {once[:3]}", "bad-argument", "4")


# ---- through imctl --------------------------------------------------------------------------------

def add_imctl(name, requests):
    def through_imctl():
        need_imctl()
        with Daemon() as imd:
            client = imd.client()
            for request, arguments in requests:
                reply = client.ask(request)
                expect(reply.code is not None, f"{request} is accepted")
                status, out, err = imctl(imd, *arguments)
                said = reply.text.encode("latin-1").decode()
                expect(said in err, f"{arguments}: imd said {said!r}, imctl {err!r}")
                equal(status, {"not-found": 4, "denied": 5, "bad-argument": 2}.get(reply.code, 1),
                      f"exit status of {arguments} ({reply})")
                equal(out, "", f"standard output of {arguments}")

    add_case(name, through_imctl)


def unquoted(text):
    return message(text).replace("\\n", "\n")


add_imctl("imctl-shows-what-is-wrong-with-sizes-and-versions", [
    *((f"UPDATE {text} 1", ["update", "--", unquoted(text), "1"]) for text in SIZES),
    *((f"UPDATE 1 {text}", ["update", "--", "1", unquoted(text)]) for text in VERSIONS),
])
add_imctl("imctl-shows-what-is-wrong-with-options", [
    *((f"UPDATE 1 1 max-surge={text}", ["update", f"--max-surge={unquoted(text)}", "1", "1"])
      for text in AMOUNTS),
    *((f"PLAN 1 1 max-unavailable={text}",
       ["plan", f"--max-unavailable={unquoted(text)}", "1", "1"]) for text in [*AMOUNTS, "101%"]),
    *((f"UPDATE 1 1 min-ready={text}", ["update", f"--min-ready={unquoted(text)}", "1", "1"])
      for text, wrong in DURATIONS.items() if wrong),
    *((f"UPDATE 1 1 if-revision={text}", ["update", f"--if-revision={unquoted(text)}", "1", "1"])
      for text in NUMBERS),
])
add_imctl("imctl-shows-what-is-wrong-with-groups-and-ids", [
    *((f"UPDATE 1 1 group={text}", ["-g", unquoted(text), "update", "1", "1"]) for text in GROUPS),
    *((f"NODE {text}", ["nodes", "get", "--", unquoted(text)]) for text in [*IDS, "ffff"]),
    *((f"KILL {text}", ["nodes", "kill", "--", unquoted(text)]) for text in [*IDS, "ffff"]),
    *((f"GRAPH {text}", ["graphs", "get", "--", unquoted(text)]) for text in [*IDS, "ffff"]),
    *((f"SPEC group={text}", ["-g", text, "spec"]) for text in ("Web", "nobody")),
])


@case
def imctl_raw_shows_every_message():
    need_imctl()
    with Daemon() as imd:
        client = imd.client()
        requests = [request for request, *_ in table() if not re.search(r"[^\x20-\x7e]", request)]
        _, out, err = imctl(imd, "raw", "--", *requests)
        replies = [str(client.ask(request)) for request in requests]
        equal([line for line in (out + err).splitlines() if "ERR " in line], replies, "answers")


@case
def imctl_refuses_what_it_does_not_know():
    need_imctl()
    with Daemon() as imd:
        for arguments, pattern in ((["frobnicate"], "frobnicate"), (["nodes", "grow"], "grow"),
                                   (["update", "1"], "SIZE VERSION"), ([], "imctl help"),
                                   (["update", "--colour", "1", "1"], "colour"),
                                   (["update", "--max-surge=1", "--max-surge=1", "1", "1"], "twice"),
                                   (["ping", "1"], "usage|ping")):
            status, out, err = imctl(imd, *arguments)
            equal(status, 2, f"exit status of imctl {arguments}: {err}")
            equal(out, "", "standard output")
            matches(pattern, err, f"imctl {arguments}")
        equal(imd.client().ok("SPEC").one("SPEC")["revision"], "0", "revision")
    status, out, err = run(IMCTL, "-s", imd.path, "ping")
    equal((status, out), (3, ""), f"imctl without a daemon: {err}")


main()
