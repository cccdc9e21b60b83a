#!/usr/bin/env python3
"""Event numbers and incarnations: a number means the same event as long as the state goes on, and a client that comes
back to a state that was restored, or is new, must not take its events for those that it has missed.

    incarnation.py [--seed N] [case ...]"""

import argparse
import os
import random
import re
import shutil
import signal
import sqlite3
import sys

from imctl_lib import Client as Imctl
from imctl_lib import finish, read_until
from imdmodel import update
from imdtest import SOURCE, UUID, Daemon, backup, case, equal, expect, main, matches, new_path, run
from statelib import PRESENT, checked, state_option

OTHER = "1f0e3dad-9990-4b5f-8c3a-2f1f4d0c6e7b"


def daemon_on(path):
    return Daemon("--mock-delay=0", state_option(path))


def position(reply):
    """What a client comes back with after this reply to WATCH."""
    return f"{reply.end['seq']}@{reply.end['incarnation']}"


def incarnation_of(client):
    found = client.stat("incarnation")
    matches(rf"\A{UUID}\Z", found, "the incarnation")
    return found


def rollouts(imd, versions):
    """Updates that are over. Returns the number of the last event and the graphs."""
    with imd.client() as client, imd.client() as watcher:
        watcher.ok("WATCH ALL")
        graphs = [update(client, watcher, f"UPDATE 3 {version}")[0].end["graph"] for version in versions]
        return int(client.stat("events")), graphs


def node_ids(imd):
    with imd.client() as client:
        return {node["id"] for node in client.ok("NODES").records}


def restore(copy, path):
    """As the manual has it: the file and its log are removed, and the copy takes their place."""
    for name in (path, path + "-wal"):
        if os.path.exists(name):
            os.unlink(name)
    shutil.copyfile(copy, path)
    os.chmod(path, 0o600)


# ---- another history -----------------------------------------------------------------------------------------

@case
def a_client_of_a_state_that_was_restored_gets_gone():
    """The numbers of the restored state come as far as those of the one before: with the number alone, a client would
    get the end of another rollout as the continuation of its own."""
    path, copy = new_path("imd.db"), new_path("copy.db")
    with daemon_on(path) as imd:
        rollouts(imd, [1])
        with imd.client() as client:
            backup(client, copy)
        seen, _ = rollouts(imd, [2, 3])
        with imd.client() as client:
            last = position(client.ok("WATCH ALL initial=no"))
            equal(last.partition("@")[0], str(seen), "the last event that was seen")
            before = incarnation_of(client)
    restore(copy, path)
    with daemon_on(path) as imd:
        now, _ = rollouts(imd, [4, 5])
        expect(now >= seen, f"the events of the restored state end at {now}, before {seen}")
        client = imd.client()
        incarnation = incarnation_of(client)
        expect(incarnation != before, "the restored state is of the same incarnation")
        for request in (f"WATCH ALL since={last}", f"WATCH NODES since=0@{before}", f"WATCH GRAPHS since=16@{OTHER}"):
            reply = client.fails(request, "gone", rf"\Aincarnation={incarnation} ")
            matches("belongs to another$", reply.text, "what it says")
        reply = client.ok("WATCH ALL")
        equal((reply.end["seq"], reply.end["incarnation"]), (str(now), incarnation), "OK of a fresh watch")
        equal({node["version"] for node in reply.of("NODE")}, {"5"}, "versions in the records")


@case
def a_restart_goes_on_with_the_same_incarnation():
    path = new_path("imd.db")
    with daemon_on(path) as imd:
        rollouts(imd, [1])
        with imd.client() as client:
            last = position(client.ok("WATCH ALL initial=no"))
    for version in (2, 3, 4):
        with daemon_on(path) as imd:
            client, other = imd.client(), imd.client()
            reply = client.ok(f"WATCH ALL since={last}")
            equal(position(reply), last, "OK of the watch")
            equal(incarnation_of(other), reply.end["incarnation"], "STATS")
            _, events = update(other, client, f"UPDATE 3 {version}")
            first = int(last.partition("@")[0]) + 1
            equal([event.seq for event in events], list(range(first, first + len(events))), "numbers of events")
            last = f"{events[-1].seq}@{reply.end['incarnation']}"


@case
def a_kill_keeps_the_incarnation_too():
    path = new_path("imd.db")
    imd = daemon_on(path)
    with imd.client() as client:
        before = incarnation_of(client)
    kill(imd)
    with daemon_on(path) as imd:
        equal(incarnation_of(imd.client()), before, "the incarnation after a kill before the first change")


@case
def each_daemon_with_its_state_in_memory_is_another():
    with daemon_on(":memory:") as imd:
        seen, _ = rollouts(imd, [1, 2])
        with imd.client() as client:
            last = position(client.ok("WATCH ALL initial=no"))
    with daemon_on(":memory:") as imd:
        now, _ = rollouts(imd, [3, 4])
        expect(now >= seen, f"events end at {now}")
        imd.client().fails(f"WATCH ALL since={last}", "gone", r"\Aincarnation=")


@case
def each_start_on_a_copy_is_another():
    path, copy = new_path("imd.db"), new_path("copy.db")
    with daemon_on(path) as imd:
        rollouts(imd, [1])
        with imd.client() as client:
            backup(client, copy)
            found = [incarnation_of(client)]
        graphs = rollouts(imd, [2, 3])[1]
        nodes = node_ids(imd)
    for _ in range(3):
        restore(copy, path)
        with daemon_on(path) as imd:
            found.append(incarnation_of(imd.client()))
            graphs += rollouts(imd, [2, 3])[1]
            nodes |= node_ids(imd)
    equal(len(set(found)), 4, f"incarnations {found}")
    equal(len(set(graphs)), 8, f"graphs {graphs}")
    equal(len(nodes), 12, f"nodes {nodes}")
    checked(copy, 0, "sound")


@case
def two_daemons_on_copies_of_a_copy_are_two():
    path = new_path("imd.db")
    with daemon_on(path) as imd, imd.client() as client:
        copy = backup(client, new_path("copy.db"))
        with daemon_on(copy) as second, second.client() as other:
            third = backup(other, new_path("copy.db"))
            with daemon_on(third) as last, last.client() as another:
                equal(len({incarnation_of(one) for one in (client, other, another)}), 3, "incarnations")


# ---- imctl ---------------------------------------------------------------------------------------------------

SAID = "imctl: connection lost; reconnected, but imd has a different state (restored or new); " \
    "restarting from a full listing\n"


def kill(imd):
    imd.process.kill()
    imd.process.wait()
    imd.manager.close()


@case
def imctl_says_that_the_state_was_restored():
    """The numbers of the restored state have gone beyond the last one seen when imctl comes back."""
    path, copy, sock = new_path("imd.db"), new_path("copy.db"), new_path("sock")
    imctl = Imctl(sock)
    imd = Daemon("--mock-delay=0", state_option(path), path=sock)
    rollouts(imd, [1])
    with imd.client() as client:
        backup(client, copy)
    stream = imctl.start("nodes", "stream")
    read_until(stream, "slot 2 version 1 running")
    seen, _ = rollouts(imd, [2])
    os.kill(stream.pid, signal.SIGSTOP)
    kill(imd)
    restore(copy, path)
    with Daemon("--mock-delay=0", state_option(path), path=sock) as imd:
        now, _ = rollouts(imd, [3, 4])
        expect(now > seen, f"the events of the restored state end at {now}, and {seen} was seen")
        nodes = node_ids(imd)
        os.kill(stream.pid, signal.SIGCONT)
        equal(read_until(stream, "full listing|resuming", messages=True), SAID, "what imctl says")
        shown = read_until(stream, "slot 2 version 4 running")
        for node in nodes:
            expect(f"node {node} slot" in shown, f"node {node} of the restored state is not shown: {shown}")
        equal(finish(stream, signal.SIGINT)[1:], ("imctl: interrupted\n", 130), "the end of the stream")


@case
def the_end_of_an_update_that_was_undone_by_a_restore_is_unknown():
    """Another update of the restored state takes its place, and succeeds: it must not be taken for it."""
    path, copy, sock = new_path("imd.db"), new_path("copy.db"), new_path("sock")
    imctl = Imctl(sock)
    with daemon_on(path) as imd:
        rollouts(imd, [1])
    imd = Daemon("--mock-delay=1h", state_option(path), path=sock)
    with imd.client() as client:
        backup(client, copy)
    follow = imctl.start("update", "4", "1")
    graph = re.search(f"^graph ({UUID})", read_until(follow, "task 0 started"), re.M)[1]
    os.kill(follow.pid, signal.SIGSTOP)
    kill(imd)
    restore(copy, path)
    with Daemon("--mock-delay=0", state_option(path), path=sock) as imd:
        _, others = rollouts(imd, [7])
        os.kill(follow.pid, signal.SIGCONT)
        _, err, status = finish(follow)
        expect(graph not in others, f"the other update has the same graph, and imctl ended with {status}: {err}")
    equal((status, err), (1, SAID + f"imctl: imd has a different state without graph {graph}; its"
                          " outcome is unknown\n"), "exit status and messages of the update")


# ---- clients that know none ----------------------------------------------------------------------------------

@case
def a_number_alone_is_accepted_as_before():
    with daemon_on(new_path("imd.db")) as imd:
        last, _ = rollouts(imd, [1])
        client = imd.client()
        for seq in (0, last // 2, last):
            reply = client.ok(f"WATCH ALL since={seq}")
            equal(reply.end.number("seq"), seq, "OK")
            equal([client.event().seq for _ in range(last - seq)], list(range(seq + 1, last + 1)), "events")
            client.ok("UNWATCH")
        client.fails(f"WATCH ALL since={last + 1}", "gone", f" 0 to {last} are")


# ---- arguments -----------------------------------------------------------------------------------------------

PIECES = ("0", "1", "7", "16", "9223372036854775807", "9223372036854775808", "18446744073709551616", "-1", "+1", "0x7",
          "1.5", "@", "@@", "", "x", OTHER, OTHER.upper(), OTHER[:8], OTHER.replace("-", ""), OTHER + "0",
          "00000000-0000-0000-0000-000000000000", "seq=1", "incarnation=", "é", "\\x40", "\\t")


def is_position(text):
    """Whether a text is what the protocol allows."""
    number, at, incarnation = text.partition("@")
    if not (number.isascii() and number.isdigit() and int(number) < 1 << 63):
        return False
    known = incarnation.lower().replace("-", "")
    return not at or (len(incarnation) == 36 and incarnation.lower() == OTHER and known.strip("0") != "")


@case
def a_position_of_any_other_form_is_refused():
    chance = random.Random(arguments.seed)
    print(f"# --seed={arguments.seed}")
    with daemon_on(":memory:") as imd:
        client = imd.client()
        here = incarnation_of(client)
        for _ in range(3000):
            text = "".join(chance.choice(PIECES) for _ in range(chance.randrange(1, 5)))
            meant = text.replace("\\x40", "@").replace("\\t", "\t")
            reply = client.ask(f'WATCH ALL since="{text}"')
            if is_position(meant):
                wanted = (None, "gone") if "@" not in meant else ("gone",)
            else:
                wanted = ("bad-argument",)
            expect(reply.code in wanted, f"since={text}: wanted {wanted}, got {reply}")
            if reply.code == "bad-argument":
                matches(r"^since must be SEQ or SEQ@INCARNATION, .*; \"", reply.text, text)
            elif reply.code is None:
                client.ok("UNWATCH")
        equal(incarnation_of(client), here, "the incarnation")
        client.ok(f"WATCH ALL since=0@{here.upper()}")
    expect(imd.process.returncode == 0, "it ended")


# ---- the state file ------------------------------------------------------------------------------------------

def daemon_row(path):
    """What the file says without its log, or with it, and how many graphs will have the IDs they were to have."""
    copy = new_path("looked-at.db")
    for suffix in ("", "-wal"):
        if os.path.exists(path + suffix):
            shutil.copyfile(path + suffix, copy + suffix)
    rows = sqlite3.connect(copy)
    row = rows.execute("SELECT event_seq, incarnation, commits FROM daemon").fetchone()
    rows.close()
    return row


@case
def a_state_of_version_3_that_was_in_use_goes_on():
    """It has a log, and is brought up to date in it."""
    path = new_path("v3.db")
    rows = sqlite3.connect(path)
    with open(os.path.join(SOURCE, "tests/e2e/states/v3.sql"), encoding="utf-8") as file:
        rows.executescript(file.read())
    equal(rows.execute("PRAGMA journal_mode = WAL").fetchone()[0], "wal", "the journal mode")
    rows.close()
    os.chmod(path, 0o600)
    with Daemon(*PRESENT, state_option(path)) as imd:
        incarnation = incarnation_of(imd.client())
        equal(daemon_row(path), (161, incarnation, 1), "what the file says with its log")
        client = imd.client()
        reply = client.ok("WATCH ALL since=161")
        equal(position(reply), f"161@{incarnation}", "OK for a client that knew the older version")
    with Daemon(*PRESENT, state_option(path)) as imd:
        equal(incarnation_of(imd.client()), incarnation, "the incarnation after a restart")


@case
def a_check_assigns_no_incarnation():
    copy = new_path("copy.db")
    with daemon_on(new_path("imd.db")) as imd, imd.client() as client:
        backup(client, copy)
    checked(copy, 0, "sound")
    equal(daemon_row(copy)[1], None, "the incarnation of a copy that was checked")


@case
def a_damaged_incarnation_is_refused():
    path = new_path("imd.db")
    with daemon_on(path) as imd:
        rollouts(imd, [1])
    with sqlite3.connect(path) as rows:
        rows.execute("UPDATE daemon SET incarnation = 'none'")
    rows.close()
    status, out, err = run(os.environ["IMD"], f"--socket={new_path('sock')}", state_option(path))
    equal((status, out), (1, ""), "status and output")
    matches("table daemon, row 1: invalid incarnation", err, "what it says")


parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
arguments, sys.argv[1:] = parser.parse_known_args()
main()
