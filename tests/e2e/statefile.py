#!/usr/bin/env python3
"""The state file: where it is, what it keeps, who may have it, and what is said of files that are not
one, or are damaged.

    statefile.py [--seed N] [--odd-values N] [case ...]"""

import argparse
import os
import pwd
import random
import re
import resource
import shutil
import sqlite3
import stat
import sys

from imdmodel import nodes_of, update
from imdtest import (IMD, LIVE_STATES, SOURCE, STAMP, TIMEOUT_S, UUID, Client, Daemon, Skip, await_that, case,
                     environment, equal, expect, main, matches, new_path, run, sanitized,
                     spawn)
from statelib import (PAST, PRESENT, SUFFIXES, bytes_of, checked, make_past, make_present, make_rich, prints, refused,
                      refused_by_both, state_option)
from users import another_user, give


def everything(client):
    """All that there is to be read, as it stands on the wire. Nodes that ended at the same time may be
    told in any order."""
    groups = [record["group"] for record in client.ok("GROUPS").records]
    lines = []
    for group in groups:
        nodes = client.ok(f"NODES group={group} all=yes").records
        live = [node for node in nodes if node.get("finished") is None]
        ended = nodes[len(live):]
        lines += [str(node) for node in [*live, *sorted(ended, key=lambda node: (node["finished"], node["id"]))]]
    for request in ("GROUPS", "GRAPHS group=*", *(f"SPECS group={group}" for group in groups)):
        lines += [str(record) for record in client.ok(request).records]
    for graph in client.ok("GRAPHS group=*").records:
        lines += [str(record) for record in client.ok(f"TASKS {graph['id']}").records]
    return lines


# ---- where it is -------------------------------------------------------------------------------------------

@case
def the_file_and_its_directories_are_for_their_owner():
    top = new_path("top")
    os.mkdir(top, 0o755)
    path = os.path.join(top, "a", "b", "imd.db")
    old = os.umask(0)
    try:
        with Daemon("--mock-delay=0", state_option(path)) as imd:
            imd.client().ok("UPDATE 2 1")
            expect(os.path.exists(path + "-wal"), "no write-ahead log, so its mode is not tried")
            for name in os.listdir(os.path.dirname(path)):
                whole = os.path.join(os.path.dirname(path), name)
                equal(oct(stat.S_IMODE(os.stat(whole).st_mode)), "0o600", f"mode of {name}")
    finally:
        os.umask(old)
    equal(os.listdir(os.path.dirname(path)), ["imd.db"], "what is left behind the end")
    for folder, mode in ((os.path.dirname(path), "0o700"), (os.path.join(top, "a"), "0o700"), (top, "0o755")):
        equal(oct(stat.S_IMODE(os.stat(folder).st_mode)), mode, f"mode of {folder}")


def state_of(variables, options):
    """Where imd keeps the state with these variables, by its log."""
    env = {name: value for name, value in environment().items()
           if name not in ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME")}
    home = new_path("home")
    os.mkdir(home)
    give(options, home)
    env.update({name: value.replace("HERE", home) for name, value in variables.items()})
    socket, log = os.path.join(home, "sock"), new_path("log")
    with open(log, "wb") as file:
        process = spawn([IMD, f"--socket={socket}", "--mock-delay=0"], env=env, stderr=file, **options)
    await_that(lambda: b"\n" in bytes_of(log), "it says that it is ready")
    told = bytes_of(log).decode()
    matches(r"^<6>ready .*\bstate=", told, "the log")
    client = Client(socket)
    client.ok("UPDATE 1 1")
    process.terminate()
    equal(process.wait(TIMEOUT_S), 0, "exit status")
    path = re.search(r"\bstate=(\S+)", told).group(1)
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode of the file")
    equal(stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode), 0o700, "mode of its directory")
    return path.replace(home, "HERE")


@case
def by_default_it_is_where_the_environment_says():
    options = another_user()
    for variables, path in (
            ({"HOME": "HERE/h"}, "HERE/h/.local/state/imd/imd.db"),
            ({"HOME": "HERE/h", "XDG_STATE_HOME": "HERE/x"}, "HERE/x/imd/imd.db"),
            ({"HOME": "HERE/h", "XDG_STATE_HOME": ""}, "HERE/h/.local/state/imd/imd.db"),
            ({"HOME": "HERE/h", "XDG_STATE_HOME": "relative"}, "HERE/h/.local/state/imd/imd.db"),
            ({"STATE_DIRECTORY": "HERE/s", "HOME": "HERE/h", "XDG_STATE_HOME": "HERE/x"}, "HERE/s/imd.db"),
            ({"STATE_DIRECTORY": "relative", "HOME": "HERE/h"}, "HERE/h/.local/state/imd/imd.db"),
            ({"STATE_DIRECTORY": "HERE/s:HERE/t", "HOME": "HERE/h"}, "HERE/h/.local/state/imd/imd.db")):
        equal(state_of(variables, options), path, f"the state with {variables}")
    env = {name: value for name, value in environment().items()
           if name not in ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME")}
    status, out, err = run(IMD, f"--socket={new_path('sock')}", env=env, **options)
    equal((status, out, len(err.splitlines())), (2, "", 1), f"without any of them: {err}")
    matches("--state", err, "what is said")


@case
def the_service_manager_names_the_directory():
    folder = new_path("given")
    with Daemon("--mock-delay=0", env={"STATE_DIRECTORY": folder}) as imd:
        imd.client().ok("UPDATE 1 1")
    equal(os.listdir(folder), ["imd.db"], "what is in it")


# ---- what it keeps -----------------------------------------------------------------------------------------

@case
def a_restart_keeps_everything():
    path = new_path("state")
    with Daemon(*PAST, state_option(path)) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL group=*")
        make_past(client, watcher)
        before = everything(client)
        seq = client.stat("events")
    for _ in range(3):
        with Daemon(*PAST, state_option(path)) as imd:
            client = imd.client()
            for line, wanted in zip(everything(client), before):
                equal(line, wanted, "what is told")
            equal(everything(client), before, "all that there is")
            equal(client.stat("events"), seq, "the number of the last event")
            ended = [node["finished"] for node in client.ok("NODES all=yes").records if node.get("finished")]
            equal(ended, sorted(ended), "the order of nodes that have ended")
    expect(any("marked=yes" in line for line in before), "no node is marked, so that is not tried")
    expect(not os.path.exists(path + "-shm"), "shared memory was made")
    checked(path, 0, "^.*: sound: groups=3 ")


@case
def a_restart_keeps_what_is_under_way():
    path = new_path("state")
    with Daemon(*PAST, state_option(path)) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL group=*")
        make_past(client, watcher)
    with Daemon(*PRESENT, state_option(path)) as imd:
        client = imd.client()
        make_present(client)
        client.ok("PING")
        before = everything(client)
    with Daemon(*PRESENT, state_option(path)) as imd:
        equal(everything(imd.client()), before, "all that there is")
    checked(path, 0, "^.*: sound: groups=4 ")


@case
def event_numbers_go_on():
    path = new_path("state")
    with Daemon("--mock-delay=0", state_option(path)) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        _, events = update(client, watcher, "UPDATE 3 1")
        last = events[-1].seq
    with Daemon("--mock-delay=0", state_option(path)) as imd:
        client, watcher, late = imd.client(), imd.client(), imd.client()
        equal(watcher.ok(f"WATCH ALL since={last}").end.number("seq"), last, "seq")
        client.fails(f"WATCH ALL since={last - 1}", "gone", f" {last} to {last} are")
        client.fails(f"WATCH ALL since={last + 1}", "gone", f" {last} to {last} are")
        equal(late.ok("WATCH ALL").end.number("seq"), last, "seq of a fresh watch")
        _, events = update(client, watcher, "UPDATE 1 2")
        equal([event.seq for event in events], list(range(last + 1, last + 1 + len(events))), "their numbers")
        equal([str(late.event()) for _ in events], [str(event) for event in events], "what another sees")


@case
def a_running_node_runs_on():
    """After a restart nothing is started, stopped or told of nodes that run as they are to."""
    path = new_path("state")
    with Daemon("--mock-delay=0", state_option(path)) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        _, events = update(client, watcher, "UPDATE 4 2")
        before = [str(node) for node in client.ok("NODES").records]
    with Daemon("--mock-delay=0", state_option(path)) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok(f"WATCH ALL since={events[-1].seq}")
        reply, events = update(client, watcher, "UPDATE 4 2")
        equal(reply.end["tasks"], "0", "tasks of the same once more")
        equal(reply.end["min-available"], "3", "min-available, with all that run")
        equal([event.type for event in events], ["graph-started", "graph-succeeded"], "events")
        equal([str(node) for node in client.ok("NODES").records], before, "the nodes")
        equal([client.stat(name) for name in ("nodes-started", "nodes-died", "tasks-started")], ["0"] * 3, "STATS")


@case
def what_was_starting_is_started_anew():
    path = new_path("state")
    with Daemon("--mock-delay=1h", state_option(path)) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        graph = client.ok("UPDATE 3 1 quiet=yes").end["graph"]
        last = watcher.await_event("node-started", slot="2")[-1].seq
        nodes = [node["id"] for node in client.ok("NODES").records]
    with Daemon("--mock-delay=0-2ms", state_option(path)) as imd:
        client, watcher = imd.client(), imd.client()
        if watcher.ask("WATCH ALL since=" + str(last)).code == "gone":
            raise Skip("it was quicker than the watcher")
        events = watcher.await_end(graph)
        equal(events[-1].type, "graph-succeeded", "the end of the graph")
        expect(all(event.type != "node-started" for event in events), "a node was made:", events)
        equal(sorted(event["node"] for event in events if event.type == "node-state"), sorted(nodes), "who runs")
        equal([(node["id"], node["state"]) for node in client.ok("NODES").records],
              [(node, "running") for node in nodes], "nodes")


@case
def what_was_stopping_is_stopped():
    path = new_path("state")
    with Daemon("--mock-delay=0", state_option(path)) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        update(client, watcher, "UPDATE 3 1")
    with Daemon("--mock-delay=1h", state_option(path)) as imd:
        client, watcher = imd.client(), imd.client()
        client.ok("UPDATE 3 2 max-unavailable=2 quiet=yes")
        equal([state for _, _, state in nodes_of(client)], ["running", "shutting_down", "shutting_down"], "nodes")
    with Daemon("--mock-delay=0-2ms", state_option(path)) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        while nodes_of(client) != [(str(slot), "2", "running") for slot in range(3)]:
            watcher.event()


@case
def lowered_limits_prune_with_the_next_commit():
    path = new_path("state")
    with Daemon("--mock-delay=0", state_option(path)) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL group=*")
        for number in range(1, 9):
            update(client, watcher, f"UPDATE 2 {number} quiet=yes")
        update(client, watcher, "UPDATE 2 1 group=idle quiet=yes")
        update(client, watcher, "UPDATE 2 2 group=idle quiet=yes")
    limits = ("--keep-graphs=3", "--keep-specs=2", "--keep-nodes=4")

    def counts(client, group):
        return [len(client.ok(request + f" group={group}").records)
                for request in ("GRAPHS", "SPECS", "NODES all=yes")]

    with Daemon("--mock-delay=0", *limits, state_option(path)) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL group=*")
        equal(counts(client, "default"), [8, 8, 16], "graphs, specs and nodes before a commit")
        update(client, watcher, "UPDATE 2 9 quiet=yes")
        equal(counts(client, "default"), [3, 2, 6], "graphs, specs and nodes")
        equal(counts(client, "idle"), [2, 2, 4], "graphs, specs and nodes of another group")
    checked(path, 0, "sound")
    rows = sqlite3.connect(path)
    for table, key, count in (("graphs", "group_name", 3), ("specs", "group_name", 2), ("nodes", "group_name", 6)):
        equal(rows.execute(f"SELECT count(*) FROM {table} WHERE {key} = 'default'").fetchone()[0], count, table)
    equal(rows.execute("SELECT count(*) FROM plans").fetchone()[0], 5, "plans")
    equal(rows.execute("SELECT count(DISTINCT graph) FROM tasks WHERE graph NOT IN"
                       " (SELECT serial FROM graphs)").fetchone()[0], 0, "graphs that are gone and have tasks")
    rows.close()
    with Daemon("--mock-delay=0", *limits, state_option(path)) as imd:
        equal(counts(imd.client(), "default"), [3, 2, 6], "graphs, specs and nodes after a restart")


# ---- who may have it ---------------------------------------------------------------------------------------

@case
def a_second_daemon_is_told():
    path = new_path("state")
    with Daemon("--mock-delay=0", state_option(path)) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL")
        update(client, watcher, "UPDATE 3 1")
        link = new_path("link")
        os.symlink(path, link)
        before, expected = prints(path), everything(client)
        refused(path, "in use by another process")
        checked(path, 1, f"{re.escape(path)} is in use by another process")
        refused(link, "is a symbolic link; name the file itself")
        checked(link, 1, f"{re.escape(link)} is a symbolic link; name the file itself")
        equal(prints(path), before, "the file and what is beside it")
        equal(everything(client), expected, "what the first one has")
        update(client, watcher, "UPDATE 3 2")
        expect(not os.path.exists(path + "-shm"), "shared memory was made")
    checked(path, 0, "sound")


@case
def a_crowd_of_daemons_on_one_file():
    """One of them serves; the others say so and end with 1."""
    path = new_path("state")
    sockets = [new_path("sock") for _ in range(6)]
    crowd = [spawn([IMD, f"--socket={socket}", state_option(path)], stderr=-1, env=environment())
             for socket in sockets]
    await_that(lambda: sum(process.poll() is None for process in crowd) <= 1, "the others end")
    serving = [(process, socket) for process, socket in zip(crowd, sockets) if process.poll() is None]
    equal(len(serving), 1, "daemons that serve")
    for process, socket in zip(crowd, sockets):
        if process.poll() is not None:
            equal(process.returncode, 1, "exit status")
            matches(rf"^<3>cannot-start .*{re.escape(path)} is in use", process.stderr.read().decode(), "message")
            expect(not os.path.exists(socket), "the socket of one that does not serve")
    process, socket = serving[0]
    await_that(lambda: os.path.exists(socket), "the one listens")
    process.terminate()
    equal(process.wait(TIMEOUT_S), 0, "exit status")


# ---- what is not a state file ------------------------------------------------------------------------------

def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


@case
def a_text_is_refused():
    refused_by_both(write(new_path("text"), b"groups:\n  - web\n" * 200), "is not a state file")
    refused_by_both(write(new_path("short"), b"xy"), "is not a state file")
    refused_by_both(write(new_path("noise"), random.Random(1).randbytes(9000)), "is not a state file")


@case
def another_database_is_refused():
    for pragma in ("user_version = 0", "user_version = 7", "application_id = 7"):
        path = new_path("other.db")
        rows = sqlite3.connect(path)
        rows.executescript(f"CREATE TABLE mine (a, b); INSERT INTO mine VALUES (1, 2); PRAGMA {pragma};")
        rows.close()
        refused_by_both(path, "not a state file of imd.*another file")
    path = new_path("wal.db")
    rows = sqlite3.connect(path)
    rows.executescript("PRAGMA journal_mode = WAL; CREATE TABLE mine (a, b);")
    rows.close()
    refused_by_both(path, "not a state file of imd.*another file")


@case
def a_directory_is_refused():
    path = new_path("directory")
    os.mkdir(path)
    refused_by_both(path, "is a directory")


@case
def places_that_will_not_do():
    plain = write(new_path("plain"), b"")
    refused(plain + "/imd.db", "Not a directory")
    checked(plain + "/imd.db", 1, "Not a directory")
    missing = new_path("missing")
    checked(missing, 1, "No such file")
    status, out, err = run(IMD, "--check-state=imd.db", cwd=os.path.dirname(missing))
    equal((status, out), (1, ""), f"the check of a file without a directory: {err}")
    matches("imd.db.*No such file", err, "the check of a file without a directory")
    expect(not os.path.exists(missing), "--check-state made a file")
    loop = new_path("loop")
    os.symlink(loop, loop)
    refused(loop, "")


@case
def a_file_that_must_not_be_written_is_checked_and_not_served():
    options = another_user()
    folder = new_path("closed")
    os.mkdir(folder)
    path = make_rich(os.path.join(folder, "state"))
    give(options, folder, path)
    for mode, status, told in ((0o444, 0, "sound: groups=4 "), (0o000, 1, "Permission denied")):
        os.chmod(path, mode)
        before = prints(path)
        got, out, err = run(IMD, f"--socket={folder}/sock", state_option(path), **options)
        equal((got, out), (1, ""), f"status and output with mode {mode:o}: {err}")
        equal(len(err.splitlines()), 1, f"lines of {err!r}")
        matches(rf"{re.escape(path)}.*(Permission denied|cannot be written)", err, "what is said")
        got, out, err = run(IMD, f"--check-state={path}", **options)
        equal(got, status, f"status of the check with mode {mode:o}: {out}{err}")
        equal(len((out + err).splitlines()), 1, f"lines of {(out, err)}")
        matches(rf"{re.escape(path)}.*{told}", out + err, "the check")
        equal(prints(path), before, "the file and what is beside it")


@case
def an_empty_file_is_made_new():
    path = write(new_path("empty"), b"")
    with Daemon("--mock-delay=0", state_option(path)) as imd:
        imd.client().ok("UPDATE 1 1")
    checked(path, 0, "sound: groups=1 revisions=1 ")


@case
def a_newer_version_is_refused():
    path = make_rich(new_path("newer"))
    rows = sqlite3.connect(path)
    version = rows.execute("PRAGMA user_version").fetchone()[0]
    rows.execute(f"PRAGMA user_version = {version + 1}")
    rows.commit()
    rows.close()
    refused_by_both(path, f"version {version + 1}, made by a newer imd.* up to {version}")


@case
def a_table_that_is_missing_is_told():
    rich = make_rich(new_path("rich"))
    for table in ("daemon", "groups", "specs", "graphs", "plans", "tasks", "nodes"):
        path = new_path("less")
        shutil.copyfile(rich, path)
        rows = sqlite3.connect(path)
        rows.execute(f"DROP TABLE {table}")
        rows.commit()
        rows.close()
        refused(path, table)
        checked(path, 1, table)


# ---- damage ------------------------------------------------------------------------------------------------

def judged(path, what):
    """--check-state must say in one line whether the file is sound; imd must serve it or refuse it in one
    line that names it, whatever is in it. The two agree."""
    got, out, err = run(IMD, f"--check-state={path}")
    expect(got in (0, 1), f"{what}: --check-state ends with {got}: {out}{err}")
    equal(len((out + err).splitlines()), 1, f"{what}: lines of {(out, err)}")
    matches(re.escape(path), out + err, f"{what}: --check-state")
    serves = served(path, what)
    expect(got == 1 or serves, f"{what}: --check-state says that it is sound, and imd does not serve it")
    if got == 0:
        got, out, err = run(IMD, f"--check-state={path}")
        equal(got, 0, f"{what}: sound at first, and behind a daemon: {err}")
    return got == 0, serves


def served(path, what):
    log, socket = new_path("log"), new_path("sock")
    with open(log, "wb") as file:
        process = spawn([IMD, f"--socket={socket}", state_option(path), "--mock-delay=0", "--retries=0"],
                        env=environment(), stdin=-3, stdout=file, stderr=file)
    await_that(lambda: process.poll() is not None or b"\n" in bytes_of(log), f"{what}: it starts, or does not")
    text = bytes_of(log).decode(errors="replace")
    if not text.startswith("<6>ready"):
        equal(process.wait(TIMEOUT_S), 1, f"{what}: exit status of imd: {text}")
        equal(len(text.splitlines()), 1, f"{what}: lines of {text!r}")
        matches(r"^<3>cannot-start ", text, what)
        matches(re.escape(path), text, f"{what}: the file's name")
        os.unlink(log)
        return False
    try:
        shake(Client(socket))
    finally:
        process.terminate()
        status, text = process.wait(TIMEOUT_S), bytes_of(log).decode(errors="replace")
        equal(status, 0, f"{what}: exit status of imd that served: {text}")
    # What says of which page others are is looked at by nobody before a page is given back.
    expect("<3>" not in text or "disk image is malformed" in text, f"{what}: {text}")
    os.unlink(log)
    return True


def shake(client):
    """Has a daemon touch all that it has loaded."""
    client.ok("PING")
    everything(client)
    groups = [record["group"] for record in client.ok("GROUPS").records]
    for group in groups:
        nodes = client.ok(f"NODES group={group}").records
        for request in (f"UPDATE 3 8 group={group}", *(f"KILL {node['id']}" for node in nodes[:1]),
                        f"UPDATE 2 9 group={group} max-surge=1"):
            client.ask(request)
    for _ in range(3):
        everything(client)


@case
def a_file_that_is_cut_is_refused_or_served():
    rich = make_rich(new_path("rich"))
    data = bytes_of(rich)
    for size in (2, 15, 16, 99, 100, 511, 512, 4095, 4096, 4097, 8192, len(data) // 2, len(data) - 4096,
                 len(data) - 1):
        path = write(new_path("cut"), data[:size])
        before = prints(path)
        sound, serves = judged(path, f"{size} of {len(data)} bytes")
        expect(not sound, f"{size} of {len(data)} bytes are said to be sound")
        expect(not serves or size > 4096, f"{size} of {len(data)} bytes are served")
        if not serves:
            equal(prints(path), before, f"the file that was cut at {size}")


@case
def a_file_with_pages_of_noise_is_refused_or_served():
    chance = random.Random(seed())
    rich = make_rich(new_path("rich"))
    data = bytes_of(rich)
    pages = len(data) // 4096
    for number in range(pages):
        noise = chance.randbytes(4096)
        path = write(new_path("noise"), data[:number * 4096] + noise + data[(number + 1) * 4096:])
        before = prints(path)
        sound, serves = judged(path, f"page {number} of {pages} overwritten")
        # The second page says of which page others are; SQLite needs that of few, and looks at no more.
        expect(not sound or number == 1, f"noise in page {number} of {pages} is said to be sound")
        if not serves:
            equal(prints(path), before, f"the file with noise in page {number}")
    for number in range(60):
        some = bytearray(data)
        for _ in range(chance.randrange(1, 30)):
            some[chance.randrange(len(some))] = chance.randrange(256)
        judged(write(new_path("specks"), some), f"specks {number}")


def patch(path, place, data):
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(data)


@case
def a_count_of_free_pages_that_is_wrong_is_found():
    """SQLite's own check does not look at it if there is no list of them, and no commit that needs a page succeeds."""
    for place, byte in ((36, b"\xff"), (39, b"\x02")):
        path = make_rich(new_path("rich"))
        equal(bytes_of(path)[32:40], bytes(8), "the list of free pages, and their number")
        patch(path, place, byte)
        before = prints(path)
        checked(path, 1, "is damaged: its free pages cannot be used")
        equal(prints(path), before, "the file and what is beside it")


def with_limit(bytes_, *arguments):
    """What a program says with so many addresses, and its status."""
    return run(IMD, *arguments, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_)))


@case
def a_lack_of_memory_is_not_reported_as_damage():
    """It may come at any place: the limits go up until there is enough."""
    if sanitized():
        raise Skip("the sanitizer maps what it likes")
    path = new_path("state.db")
    with Daemon("--mock-delay=1h", state_option(path)) as imd:
        imd.client().ok("UPDATE 100000 1 quiet=yes")
    before, said = prints(path), set()
    for limit in range(10 << 20, 1 << 30, 1 << 20):
        status, out, err = with_limit(limit, f"--check-state={path}")
        if status == 0:
            break
        if status > 0 and err.startswith("imd: "):
            said.add(err)
            matches("not enough memory|out of memory|Cannot allocate memory", err, f"the check in {limit} bytes")
            expect(not re.search("damaged|not sound|invalid|not a state", err), "damage is reported:", err)
    equal(status, 0, "a check with much memory")
    expect(any("not enough memory" in line for line in said), "no check lacked memory:", said)
    equal(prints(path), before, "the file")



@case
def a_file_that_is_refused_keeps_a_header_that_is_wrong():
    """SQLite corrects the number of pages in the header with the first commit."""
    path = make_rich(new_path("rich"))
    rows = sqlite3.connect(path)
    rows.execute("UPDATE nodes SET revision = 99 WHERE serial = 1")
    rows.commit()
    rows.close()
    patch(path, 24, b"\xff\0\0\0\0\0\0\xfe")  # which is believed only if the change counters are the same
    refused_by_both(path, "a node was started for a spec that is not there")


@case
def a_policy_that_no_update_can_have_is_refused():
    for column, value in (("max_surge", "1001%"), ("max_surge", "1000001"), ("max_unavailable", "101%")):
        path = make_rich(new_path("rich"))
        rows = sqlite3.connect(path)
        rows.execute(f"UPDATE specs SET {column} = ? WHERE group_name = 'web' AND revision = 1", (value,))
        rows.commit()
        rows.close()
        refused_by_both(path, f"table specs, row 1: invalid {column}")


# ---- odd values --------------------------------------------------------------------------------------------

NUMBERS = (None, -1, 0, 1, 7, 1 << 31, (1 << 32) - 2, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, -(1 << 63))
STAMPS = ("0000-01-01T00:00:00.000000Z", "1970-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z",
          "2026-13-45T99:99:99.999999Z", "2026-11-22")
WORDS = ("", "x", "running", "waiting", "succeeded", "superseded", "cancelled", "shutting_down", "shut_down",
         "starting", "unhealthy", "failed", "start", "stop", "kill", "cancel", "update", "heal", "50%", "999999999%",
         "default", "web", "a" * 64, "a" * 300, "a" * 70000, "\u00e9\u4e2d", "a b", "nul\0nul",
         "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff")


def odd_values(rows, table, column, kind, chance):
    """What to set a column to, in turn."""
    if kind == "INTEGER":
        yield from NUMBERS
        return
    others = [row[0] for row in rows.execute(f"SELECT DISTINCT {column} FROM {table}") if row[0] is not None]
    if kind == "TEXT":
        yield None
        yield from WORDS
        yield from STAMPS
        yield from others[:6]
        return
    for value in others[:3]:
        yield value[:-1]
        yield value + b"\0"
        for _ in range(12):
            place = chance.randrange(len(value)) if value else 0
            yield value[:place] + bytes([chance.randrange(256)]) + value[place + 1:]
    yield from (b"", b"\0", b"\xff" * 40, chance.randbytes(200))


def mutations(rich, chance):
    """(what, SQL, its values) of one change each, as they come."""
    rows = sqlite3.connect(rich)
    tables = [row[0] for row in rows.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    for table in tables:
        columns = rows.execute(f"PRAGMA table_info({table})").fetchall()
        keys = [column[1] for column in columns if column[5]]
        where = " AND ".join(f"{key} = ?" for key in keys)
        found = rows.execute(f"SELECT {', '.join(keys)} FROM {table}").fetchall()
        for _, column, kind, *_ in columns:
            for value in odd_values(rows, table, column, kind, chance):
                key = chance.choice(found)
                shown = repr(value) if len(repr(value)) < 60 else repr(value)[:60] + "..."
                yield (f"{table}.{column} of {key} = {shown}",
                       f"UPDATE {table} SET {column} = ? WHERE {where}", (value, *key))
        names = [column[1] for column in columns]
        others = [name for name in names if name not in keys]
        for key in found:
            yield f"{table} {key} deleted", f"DELETE FROM {table} WHERE {where}", key
            for name in keys:
                kind = next(column[2] for column in columns if column[1] == name)
                again = 4711 if kind == "INTEGER" else "web"
                picked = ", ".join("?" if other == name else other for other in keys)
                yield (f"{table} {key} once more with {name} = {again}",
                       f"INSERT INTO {table} ({', '.join(keys + others)}) SELECT {', '.join([picked] + others)}"
                       f" FROM {table} WHERE {where}", (again, *key))
        yield f"all of {table} deleted", f"DELETE FROM {table}", ()
    rows.close()


def mutated(rich, sql, values):
    """A copy with one change; None where the database has none of it."""
    path = new_path("odd")
    shutil.copyfile(rich, path)
    rows = sqlite3.connect(path)
    rows.execute("PRAGMA synchronous = OFF")
    try:
        rows.execute(sql, values)
        rows.commit()
    except (sqlite3.IntegrityError, OverflowError):
        os.unlink(path)
        return None
    finally:
        rows.close()
    return path


def seed():
    value = arguments.seed if arguments.seed is not None else random.randrange(1 << 32)
    print(f"# --seed={value}", flush=True)
    return value


@case
def whatever_is_in_the_tables_it_is_refused_or_served():
    chance = random.Random(seed())
    rich = make_rich(new_path("rich"))
    tried = sound = serving = 0
    problems = []
    odd = list(mutations(rich, chance))
    chance.shuffle(odd)
    for what, sql, values in odd:
        path = mutated(rich, sql, values) if tried < arguments.odd_values else None
        if path is None:
            continue
        tried += 1
        try:
            good, serves = judged(path, what)
            sound += good
            serving += serves
        except Exception as problem:  # all that is wrong is told at the end
            problems.append(f"{type(problem).__name__}: {problem}")
        for suffix in ("", *SUFFIXES):
            if os.path.exists(path + suffix):
                os.unlink(path + suffix)
    print(f"# {tried} odd values: {sound} sound, {serving} served")
    for problem in problems:
        print("# " + problem.replace("\n", " | ")[:600])
    expect(not problems, f"{len(problems)} of {tried} odd values, the first: {problems[:1]}")


# ---- files of every version --------------------------------------------------------------------------------

def current_version():
    with open(os.path.join(SOURCE, "daemon/store/schema.h"), encoding="ascii") as file:
        return int(re.search(r"SCHEMA_VERSION = (\d+)", file.read()).group(1))


def compare_with_rows(client, rows):
    """What imd tells is what the rows say."""
    groups = [row["name"] for row in rows.execute("SELECT name FROM groups ORDER BY number")]
    for group in groups:
        listed = client.ok(f"SPECS group={group}").records
        stored = rows.execute("SELECT * FROM specs WHERE group_name = ? ORDER BY revision", (group,)).fetchall()
        if not stored:
            equal([record["revision"] for record in listed], ["0"] * len(listed), f"SPECS of {group}")
            continue
        for record, row in zip(listed, stored, strict=True):
            for key, column in (("revision", "revision"), ("size", "size"), ("version", "version"),
                                ("max-surge", "max_surge"), ("max-unavailable", "max_unavailable"),
                                ("max-parallel", "max_parallel"), ("created", "created"), ("uid", "uid"),
                                ("user", "user"), ("reason", "reason")):
                equal(record[key], str(row[column]), f"{key} of revision {row['revision']} of {group}")
            note = record.get("note")
            equal(note and note.encode("latin-1").decode(), row["note"] or None, "note")
    nodes = {record["id"]: record for record in client.ok("NODES group=* all=yes").records}
    stored = {row["id"]: row for row in rows.execute("SELECT * FROM nodes")}
    equal(set(nodes), set(stored), "nodes")
    for node, row in stored.items():
        wanted = {"group": row["group_name"], "slot": str(row["slot"]), "version": str(row["version"]),
                  "state": row["state"], "revision": str(row["revision"]), "created": row["created"],
                  "started": row["started"], "finished": row["finished"], "error": row["error"],
                  "marked": "yes" if row["marked"] else None}
        wanted.update(zip(("marked-uid", "marked-by"), who_marked(row)))
        equal({key: nodes[node].get(key) for key in wanted}, wanted, f"node {node}")
    compare_graphs(client, rows)


def who_marked(row):
    """The number of the user who marked the node, as text, and the name; files had neither before version 3."""
    if "marked_by" not in row.keys() or row["marked_by"] is None:
        return None, None
    return str(row["marked_uid"]), row["marked_by"]


def who_asked(rows):
    """graph: who asked for it, and who cancelled it, as far as a file of that version tells: the first one had
    the users of specs alone, which are those of updates."""
    if rows.execute("PRAGMA user_version").fetchone()[0] > 1:
        found = rows.execute("SELECT id, uid, user, cancelled_uid, cancelled_by FROM graphs")
    else:
        found = rows.execute("SELECT id, specs.uid, specs.user, NULL, NULL FROM graphs LEFT JOIN specs ON"
                             " graphs.reason = 'update' AND specs.group_name = graphs.group_name"
                             " AND specs.revision = graphs.revision")
    return {graph: tuple(users) for graph, *users in found}


def compare_graphs(client, rows):
    asked = who_asked(rows)
    graphs = {record["id"]: record for record in client.ok("GRAPHS group=*").records}
    stored = rows.execute("SELECT * FROM graphs ORDER BY serial").fetchall()
    equal(set(graphs), {row["id"] for row in stored}, "graphs")
    for row in stored:
        graph = graphs[row["id"]]
        wanted = {"group": row["group_name"], "revision": str(row["revision"]), "state": row["state"],
                  "reason": row["reason"], "tasks": str(row["tasks"]), "created": row["created"],
                  "started": row["started"], "finished": row["finished"], "successor": row["successor"],
                  "error": row["error"]}
        users = dict(zip(("uid", "user", "cancelled-uid", "cancelled-by"), asked[row["id"]]))
        wanted.update((key, value if value is None else str(value)) for key, value in users.items())
        equal({key: graph.get(key) for key in wanted}, wanted, f"graph {row['id']}")
        begun = {task["id"]: task for task in rows.execute("SELECT * FROM tasks WHERE graph = ?", (row["serial"],))}
        for task in client.ok(f"TASKS {row['id']}").records:
            known = begun.pop(int(task["id"]), None)
            if known is None:
                equal(task["state"], "cancelled" if row["dropped"] else "waiting", f"state of {task}")
                equal(task.get("finished"), row["dropped"], f"finished of {task}")
                continue
            wanted = {"action": known["action"], "description": known["description"], "node": known["node"],
                      "state": known["state"], "attempt": str(known["attempt"]), "started": known["started"],
                      "finished": known["finished"], "error": known["error"]}
            equal({key: task.get(key) for key in wanted}, wanted, f"task {task['id']} of graph {row['id']}")
        equal(begun, {}, f"tasks of graph {row['id']} that nobody tells")


def open_version(version):
    script = os.path.join(SOURCE, "tests/e2e/states", f"v{version}.sql")
    expect(os.path.exists(script), f"there is no {script}: a dump of a rich file of version {version} belongs there")
    path = new_path(f"v{version}.db")
    rows = sqlite3.connect(path)
    with open(script, encoding="utf-8") as file:
        rows.executescript(file.read())
    equal(rows.execute("PRAGMA user_version").fetchone()[0], version, f"user_version of {script}")
    rows.row_factory = sqlite3.Row
    checked_copy = new_path("copy.db")
    shutil.copyfile(path, checked_copy)
    checked(checked_copy, 0, "sound")
    with open(path, "rb") as file, open(checked_copy, "rb") as looked_at:
        expect(looked_at.read() == file.read(), f"--check-state has changed a file of version {version}")
    with Daemon(*PRESENT, state_option(path)) as imd:
        client = imd.client()
        before = sqlite3.connect(":memory:")
        with open(script, encoding="utf-8") as file:
            before.executescript(file.read())
        before.row_factory = sqlite3.Row
        compare_with_rows(client, before)
        asked = who_asked(before)
        markers = {who_marked(row) for row in before.execute("SELECT * FROM nodes WHERE marked")}
        equal(markers, {("0", "root"), ("5", "games")} if version > 2 else {(None, None)}, "who marked nodes")
        expect({(0, "root", None, None)} < set(asked.values()), f"who asked is {asked}")
        states = {node["state"] for node in client.ok("NODES group=* all=yes").records}
        expect({"starting", "running", "shutting_down", "shut_down", "failed"} <= states, f"nodes are {states}")
        states = {graph["state"] for graph in client.ok("GRAPHS group=*").records}
        expect({"running", "succeeded", "failed", "superseded", "cancelled"} <= states, f"graphs are {states}")
    rows.close()
    rows = sqlite3.connect(path)
    equal(rows.execute("PRAGMA user_version").fetchone()[0], current_version(), "user_version behind that")
    equal(who_asked(rows), asked, "who asked, behind that")
    equal({graph: (user, cancelled_by) for graph, user, cancelled_by in
           rows.execute("SELECT graph, user, cancelled_by FROM history")},
          {graph: (user, cancelled_by) for graph, (_, user, _, cancelled_by) in asked.items()}, "the view of that")
    rows.close()
    with Daemon("--mock-delay=0", state_option(path)) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL group=*")
        update(client, watcher, "UPDATE 3 77")
        equal([node[1:] for node in nodes_of(client)], [("77", "running")] * 3, "nodes of an update")
    checked(path, 0, "sound")


@case
def files_of_every_version_are_opened():
    for version in range(1, current_version() + 1):
        open_version(version)


def user_name():
    """Who this is, as imd tells it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


@case
def the_schema_is_readable():
    path = make_rich(new_path("rich"))
    rows = sqlite3.connect(path)
    rows.row_factory = sqlite3.Row
    nodes = rows.execute("SELECT * FROM live_nodes").fetchall()
    expect({"starting", "running", "shutting_down"} <= {node["state"] for node in nodes}, "states of live_nodes")
    for node in nodes:
        expect(node["state"] in LIVE_STATES, "a live node that is", node["state"])
        matches(rf"\A{UUID}\Z", node["id"], "id")
        matches(rf"\A{STAMP}\Z", node["created"], "created")
        matches(rf"\A{STAMP}\Z", node["started"] or node["created"], "started")
    equal([(node["group_name"], node["slot"]) for node in nodes],
          sorted((node["group_name"], node["slot"]) for node in nodes), "the order of live_nodes")
    tasks = rows.execute("SELECT * FROM running_tasks").fetchall()
    expect({"start_node", "shut_down_node"} <= {task["action"] for task in tasks}, "actions of running_tasks")
    for task in tasks:
        matches(rf"\A{STAMP}\Z", task["started"], "started")
        matches(rf"\A{UUID}\Z", task["graph"], "graph")
    graphs = rows.execute("SELECT * FROM history").fetchall()
    expect({"succeeded", "failed", "superseded", "running", "cancelled"} <= {graph["state"] for graph in graphs},
           "states of history")
    expect({"update", "kill"} <= {graph["reason"] for graph in graphs}, "reasons of history")
    me = user_name()
    for graph in graphs:
        matches(rf"\A{STAMP}\Z", graph["at"], "at")
        expect(graph["size"] is not None, "a graph without its spec")
        equal(graph["user"], me if graph["reason"] in ("update", "kill") else None, "who asked")
        equal(graph["cancelled_by"], me if graph["state"] == "cancelled" else None, "who cancelled")
    expect(any(graph["note"] == 'first "release"\n\u00e9' for graph in graphs), "a note")
    equal([tuple(row) for row in rows.execute("SELECT DISTINCT marked, marked_uid, marked_by FROM nodes ORDER BY 1")],
          [(0, None, None), (1, os.getuid(), me)], "who marked nodes")
    rows.close()


parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=os.environ.get("STATEFILE_SEED"))
parser.add_argument("--odd-values", type=int, default=int(os.environ.get("STATEFILE_ODD_VALUES", "600")),
                    help="how many to try; there are some 2000, each in a row taken by chance")
arguments, sys.argv[1:] = parser.parse_known_args()
main(300 + arguments.odd_values // 4)
