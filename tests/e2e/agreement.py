#!/usr/bin/env python3
"""The texts agree with each other and with the programs: proto.txt, the manual pages, HELP, --help, and the
keys of what a daemon sends."""

import json
import os
import re

from imdtest import (IMCTL, IMD, SOURCE, Daemon, case, equal, expect, main, need_imctl, new_path, run,
                     write)


def source(*names):
    with open(os.path.join(SOURCE, *names), encoding="utf-8") as file:
        return file.read()


# ---- proto.txt --------------------------------------------------------------------------------------

def section(number):
    """The text of a section of proto.txt; the table of contents has its heading, too."""
    text = source("proto.txt")
    begins = [match.end() for match in re.finditer(rf"^{number}  \S.*\n", text, re.M)]
    expect(begins, f"proto.txt has no section {number}")
    end = re.search(r"^(?=\d+(?:\.\d+)?  \S)", text[begins[-1]:], re.M)
    return text[begins[-1]:][:end.start() if end else None]


def proto_record_keys():
    """kind: keys in their order, as of the subsections of 6."""
    keys = {}
    for match in re.finditer(r"^(6\.\d)  ([A-Z]+)\b", source("proto.txt"), re.M):
        first = section(match.group(1)).strip("\n").split("\n\n")[0]
        keys[match.group(2)] = re.findall(r"^    ([a-z][a-z0-9-]*)", first, re.M)
    return keys


def proto_event_types():
    return re.findall(r"^  ([a-z]+-[a-z]+)  +\S", section(7), re.M)


def proto_event_keys():
    """type: keys in their order, from the table of section 7."""
    table = re.search(r"^    event +keys\n((?:    .*\n)+)", section(7), re.M).group(1)
    rows = re.sub(r"\n {8,}", " ", table)
    keys = {}
    for types, words in re.findall(r"^ +((?:[a-z]+-[a-z]+,? )+) *(.*)$", rows, re.M):
        words = words.rpartition(":")[2].split()
        keys.update((name, words) for name in re.findall(r"[a-z]+-[a-z]+", types))
    return keys


# ---- mdoc -------------------------------------------------------------------------------------------

MACROS = {"Cm", "Ar", "Ic", "Li", "Pa", "Ns", "Op", "Oo", "Oc", "Xo", "Xc", "Fl", "It", "Pq", "No", "Dl", "Ev"}


def render(text):
    """A run of mdoc macros as plain words."""
    out, glue, flag, option = "", True, False, False
    for line in text.split("\n"):
        tokens = line.lstrip(".").split()
        for token in tokens:
            if token in MACROS:
                if token == "Ns":
                    glue = True
                elif token in ("Op", "Oo"):
                    out, glue, option = out + ("" if out.endswith("[") else " [") , True, token == "Op"
                elif token == "Oc":
                    out += "]"
                flag = token == "Fl"
                continue
            word = ("-" if flag else "") + token.replace("\\&", "")
            out += word if glue or word == "," else " " + word
            glue = flag = False
        if option:
            out, option = out + "]", False
    return re.sub(r" ?([|]) ?", r"\1", out.strip())


def items(page, heading, to=None):
    """The heads of the list items between two headings, rendered, with .Xo ... .Xc taken in."""
    text = source("man", page)
    begin = re.search(rf"^\.S[hs] {heading}$", text, re.M)
    expect(begin, f"{page} has no section {heading}")
    text = text[begin.end():]
    end = re.search(rf"^\.S[hs] {to}" if to else r"^\.S[hs] ", text, re.M)
    text = text[:end.start() if end else None]
    heads = re.findall(r"^\.It (.*?Xo(?:\n.*?)*?\n\.Xc|.*)$", text, re.M)
    return [render(head) for head in heads]


def words_below(page, heading, item):
    """The plain words of a list item's text."""
    text = source("man", page)
    text = text[re.search(rf"^\.Sh {heading}$", text, re.M).end():]
    text = text[re.search(rf"^\.It (?:Cm|Li) {item}$", text, re.M).end():]
    return render(text[:re.search(r"^\.(?:It|El)", text, re.M).start()])


# ---- the daemon -------------------------------------------------------------------------------------

def commands():
    with Daemon() as imd:
        return [(record["name"], record["usage"]) for record in imd.client().ok("HELP").records]


def options_of(usages):
    """The options in usages: key=value."""
    return {option for usage in usages for option in re.findall(r"\[([a-z-]+=[^\]]+)\]", usage)}


@case
def requests_of_proto_txt():
    wanted = [usage for _, usage in commands()]
    found = re.findall(r"^([A-Z]{4,}(?: \S.*)?)$", section(5), re.M)
    equal(found, wanted, "usages in proto.txt, section 5, against HELP")


@case
def requests_of_the_manual():
    wanted = [usage for _, usage in commands()]
    equal(items("imd-protocol.7", "REQUESTS"), wanted, "usages in imd-protocol(7) against HELP")
    listed = items("imd-protocol.7", "Options")
    equal(set(listed), options_of(wanted), "options in imd-protocol(7) against HELP")
    equal(len(listed), len(set(listed)), "options listed once")


@case
def help_of_each_request():
    with Daemon() as imd:
        client = imd.client()
        for name, usage in commands():
            equal(client.ok(f"help {name.lower()}").one("COMMAND")["usage"], usage, f"HELP {name}")
            if name not in ("QUIT", "UNWATCH", "PING"):
                reply = client.ask(f"{name} 1 2 3 4")
                expect(reply.code == "bad-argument" and usage[:60] in reply.text, reply)


@case
def error_codes():
    wanted = re.findall(r'ERR_CODE\(ERR_\w+, "([a-z-]+)"\)', source("proto", "error.h"))
    expect(len(wanted) > 10, wanted)
    equal(re.findall(r"^  ([a-z-]+)  +\S", section(2), re.M), wanted, "codes in proto.txt")
    equal(items("imd-protocol.7", "ERROR CODES"), wanted, "codes in imd-protocol(7)")


@case
def event_types():
    wanted = re.findall(r'NAME\(EVENT_\w+, "([a-z-]+)"\)', source("proto", "names.h"))
    expect(len(wanted) > 10, wanted)
    equal(sorted(proto_event_types()), sorted(wanted), "types in proto.txt, section 7")
    equal(sorted(proto_event_keys()), sorted(wanted), "types in the table of keys")
    equal(sorted(items("imd-protocol.7", "EVENTS")), sorted(wanted), "types in imd-protocol(7)")


@case
def record_keys_of_the_manual():
    for kind, keys in proto_record_keys().items():
        text = words_below("imd-protocol.7", "RECORD LINES", kind)
        expect(" ".join(keys) in text, f"the keys of {kind} in imd-protocol(7), {text!r}, are not {keys}")
    for kind, keys in proto_event_keys().items():
        if kind != "node-started":
            expect(" ".join(keys) in render(source("man", "imd-protocol.7")), f"keys of {kind}")


@case
def states_and_words():
    for prefix in ("NODE", "GRAPH", "TASK", "ACTION", "REASON", "DESCRIPTION"):
        words = re.findall(rf'NAME\({prefix}_\w+, "([A-Za-z_]+)"\)', source("proto", "names.h"))
        expect(words, prefix)
        for word in words:
            for name, text in (("proto.txt", source("proto.txt")),
                               ("imd-protocol(7)", source("man", "imd-protocol.7"))):
                expect(re.search(rf"\b{word}\b", text), f"{word} is not in {name}")


def keys_in_order(line, keys):
    expect(set(line.keys) <= set(keys), f"keys {set(line.keys) - set(keys)} are not in proto.txt:", line)
    equal(list(line.keys), [key for key in keys if key in line.keys], f"order of the keys of {line}")


def all_sorts(imd):
    """Records and events of a life with all that there can be."""
    client, watcher = imd.client(), imd.client()
    lines = []
    watcher.ok("WATCH ALL group=*")

    def end(request):
        reply = client.ok(request)
        lines.extend(reply.records)
        seen = watcher.await_end(reply.end["graph"])
        lines.extend(seen)
        return reply.end["graph"]

    end('UPDATE 3 1 note="a note"')
    end("UPDATE 3 2")  # a bad release
    node = client.ok("NODES").records[0]["id"]
    client.ok(f"MARK {node}")
    lines += client.ok(f"NODE {node}").records
    # Three hundred starts, one after another: they are not through before the next request.
    overtaken = client.ok("UPDATE 300 3 max-parallel=1 group=many").end["graph"]
    lines += client.ok(f"GRAPH {overtaken}").records
    client.ok("UPDATE 0 3 group=many")
    lines.extend(watcher.await_end(overtaken))
    end("UPDATE 2 4")
    client.ok(f"KILL {client.ok('NODES').records[0]['id']}")
    lines.extend(watcher.await_event("graph-succeeded"))
    cancelled = client.ok("UPDATE 300 5 max-parallel=1 group=more").end["graph"]
    client.ok(f"CANCEL {cancelled}")
    lines.extend(watcher.await_end(cancelled))
    for request in ("SPECS", "NODES all=yes", "GRAPHS", "GROUPS", "STATS", "HELP", f"TASKS {overtaken}",
                    "PLAN 9 9", "BACKUP"):
        lines += client.ok(request).records
    for graph in client.ok("GRAPHS group=*").records:
        lines += client.ok(f"GRAPH {graph['id']}").records
    return lines


@case
def keys_that_the_daemon_sends():
    with Daemon("--mock-delay=0-3ms", "--mock-fail-version=2", "--retries=1", "--retry-delay=1ms",
                "--heal-delay=1h", "--heal-max=1h") as imd:
        lines = all_sorts(imd)
    records, events = proto_record_keys(), proto_event_keys()
    seen = {}
    for line in lines:
        name = line.type or line.kind
        keys_in_order(line, events[name] if line.type else records[name])
        seen.setdefault(name, set()).update(line.keys)
    for kind, keys in records.items():
        equal(set(keys) - seen.get(kind, set()), set(), f"keys of {kind} that were never sent")
    expect(set(events) <= set(seen), "events that never came:", set(events) - set(seen))


@case
def figures_of_stats():
    with Daemon() as imd:
        names = [record["name"] for record in imd.client().ok("STATS").records]
    listed = re.findall(r"^ {4}((?:[a-z-]+ )*[a-z-]+)(?:  .*)?$", section("6.5"), re.M)
    equal([name for line in listed[2:] for name in line.split()], names, "figures in proto.txt, 6.5")


# ---- options of the programs ------------------------------------------------------------------------

def help_options(text):
    """name: whether it takes a value."""
    return {name: bool(value) for name, value in re.findall(r"^ +(?:-\w, )?--([a-z-]+)(=\S+)?", text, re.M)}


@case
def options_of_imd():
    _, out, _ = run(IMD, "--help")
    wanted = help_options(out)
    expect(len(wanted) > 20, wanted)
    heads = items("imd.8", "OPTIONS", "THE STATE FILE")
    found = {}
    for head in heads:
        match = re.search(r"--([a-z-]+)(=)?", head)
        expect(match, f"no option in imd(8): {head}")
        found[match.group(1)] = bool(match.group(2))
    equal(found, wanted, "options in imd(8) against imd --help")
    letters = re.findall(r"^ +-(\w), --([a-z-]+)", out, re.M)
    equal(sorted(re.search(r"^-(\w)\b.*--([a-z-]+)", head).groups() for head in heads
                 if not head.startswith("--")), sorted(letters), "letters of options")


@case
def keys_of_imd_conf():
    """imd.conf(5) and the example have each key that --print-config prints, in its section and order."""
    _, out, _ = run(IMD, "--print-config")
    wanted = {}
    for line in out.splitlines():
        section, key = re.match(r"\[(.*)\]$", line), re.match(r"#?([a-z-]+)=", line)
        if section:
            wanted[section.group(1)] = keys = []
        elif key:
            keys.append(key.group(1))
    expect(len(wanted["imd"]) > 20, wanted)
    example = source("contrib", "imd.conf.example")
    headings = {"imd": "THE SECTION OF THE DAEMON", "driver mock": "THE SECTION OF THE MOCK DRIVER"}
    for section, keys in wanted.items():
        heads = items("imd.conf.5", headings[section])
        equal([head.split("=")[0] for head in heads], keys, f"keys of [{section}] in imd.conf(5)")
        part = example[example.index(f"\n[{section}]"):].split("\n[")[1]
        equal(sorted(re.findall(r"^#([a-z-]+)=", part.split("\n#[")[0], re.M)), sorted(keys),
              f"keys of [{section}] in the example")
    policy = [head.split("=")[0] for head in items("imd.conf.5", "THE SECTIONS OF GROUPS")]
    expect(len(policy) > 3 and set(policy) < set(wanted["imd"]), policy)
    path = write(new_path("conf") + "/imd.conf", "[group web]\nno=1\n")
    _, _, err = run(IMD, f"--config={path}")
    equal(err.rpartition("it has ")[2].strip().split(", "), policy, "keys of [group NAME] in imd.conf(5)")


@case
def limits_of_proto_txt():
    _, out, _ = run(IMD, "--help")
    for name, default in re.findall(r"^    --([a-z-]+)\s.*?\((\d+)\)", section("1.5"), re.M):
        expect(re.search(rf"--{name}=.*\({default}\)$", out, re.M), f"--{name} ({default})")
    numbers = source("proto", "limits.h")
    for text, name in (("a request ", "REQUEST"), ("words of a request", "WORDS"), ("a note", "NOTE"),
                       ("a group's name", "GROUP_NAME")):
        stated = re.search(rf"^    {text}\s+(\d+)", section("1.5"), re.M).group(1)
        equal(re.search(rf"LIMIT_{name} = (\d+)", numbers).group(1), stated, text)


@case
def commands_of_imctl():
    need_imctl()
    status, out, err = run(IMCTL, "--json", "help")
    equal(status, 0, err)
    overview = json.loads(out)
    wanted = {command["name"]: {option["name"] for option in command["options"]}
              for command in overview["commands"]}
    names = set(wanted)
    pages = source("man", "imctl.1")
    begin = pages.index(".Ss Commands that declare")
    text = pages[begin:pages.index(".Ss Plans")]
    found, current = {}, None
    for head in re.findall(r"^\.It ((?:.*Xo\n(?:.*\n)*?\.Xc)|.*)$", text, re.M):
        words = render(head.replace("Xo\n.Ic", "Ic"))
        if words.startswith("--"):
            found[current].add(words[2:].split()[0])
            continue
        current = max((name for name in names if (words + " ").startswith(name + " ")), key=len,
                      default=words)
        found[current] = set(re.findall(r"--([a-z-]+)", words))
    equal(set(found), names, "commands in imctl(1) against imctl help")
    if "[option ...]" in render(text):  # plan: those of update that shape a plan
        found["plan"] = found["update"] - {"note", "dry-run", "detach"}
    equal(found, wanted, "options of commands in imctl(1) against imctl help")
    heads = items("imctl.1", "Options of every command")
    equal(sorted(re.search(r"--([a-z-]+)", head).group(1) for head in heads),
          sorted(option["name"] for option in overview["options"]), "options of every command")


@case
def help_of_imctl():
    need_imctl()
    _, out, _ = run(IMCTL, "--json", "help")
    _, plain, _ = run(IMCTL, "help")
    for command in json.loads(out)["commands"]:
        expect(f"\n  {command['name']}" in plain, f"{command['name']} is not in imctl help")
        status, text, err = run(IMCTL, "help", *command["name"].split())
        equal(status, 0, err)
        expect(command["usage"] in text, f"imctl help {command['name']}: {text}")
        for option in command["options"]:
            expect(f"--{option['name']}" in text, f"--{option['name']} in imctl help {command['name']}")


main()
