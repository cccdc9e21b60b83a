#!/usr/bin/env python3
"""Plans that clients ask for and do not read: what one user may hold, what is left for administrators, and how long
a reply may wait to be read."""

import re

from imdtest import Daemon, await_that, case, equal, expect, main, matches
from users import As, path_for_all

ALICE, BOB, EVE = 61001, 61002, 61005
LARGEST = "PLAN 1000000 1"


def daemon(*options):
    return Daemon("--socket-mode=0666", "--state=:memory:", "--mock-delay=0", *options, path=path_for_all())


def hold(client):
    """Asks for the largest plan, and reads no more than shows that it has been made."""
    client.send(LARGEST + "\n")
    equal(client.line().kind, "GRAPH", "the first record")
    return client


@case
def a_user_holds_one_large_plan():
    with daemon() as imd:
        mine = hold(As(imd.path, ALICE))
        second = As(imd.path, ALICE)
        second.fails(LARGEST, "too-many", "^this user's plans that are being listed have [0-9]+ tasks, and the limit is "
                     "1010000; try again when one has been read$")
        second.ok("PLAN 1 1")
        root = imd.client()
        root.ok("WATCH GRAPHS group=* initial=no")
        root.await_end(root.ok("UPDATE 600000 1 group=many quiet=yes").end["graph"])
        As(imd.path, EVE).fails("PLAN 600000 2 group=many", "too-many", "^the plan has 1200000 tasks, and the limit for "
                                "this user's plans is 1010000$")
        hold(As(imd.path, BOB))
        mine.close()
        await_that(lambda: second.ask("PLAN 1000000 1 quiet=yes").code is None, "the plan is released")


@case
def readers_leave_room_for_administrators():
    with daemon() as imd:
        readers = [hold(As(imd.path, uid)) for uid in (ALICE, BOB)]
        third = As(imd.path, EVE)
        third.fails("PLAN 1000000 1 quiet=yes", "too-many", "^readers' plans that are being listed have")
        roots = [hold(imd.client()) for _ in range(2)]
        imd.client().fails(LARGEST, "too-many", "^all plans that are being listed have")
        roots.pop().close()
        await_that(lambda: imd.client().ask("PLAN 1000000 1 quiet=yes").code is None, "a plan is released")
        expect(third.ask("PLAN 100000 1").code == "too-many", "a reader gets what is left for administrators")
        readers.pop().close()
        await_that(lambda: third.ask("PLAN 1000000 1 quiet=yes").code is None, "a reader's plan is released")


@case
def a_plan_that_nobody_reads_is_dropped():
    with daemon("--send-timeout=1s") as imd:
        root = imd.client()
        idle = imd.client()
        watcher = imd.client()
        watcher.ok("WATCH ALL")
        held = hold(As(imd.path, ALICE))
        await_that(lambda: root.stat("clients") == "3", "the client is dropped")
        matches(f'^<6>client-dropped uid={ALICE} reason="it does not read its reply"$', imd.log(), "log")
        while held.receive():
            continue
        As(imd.path, ALICE).ok("PLAN 1000000 1 quiet=yes")
        idle.ok("PING")
        root.ok("UPDATE 1 1")
        watcher.await_event("node-started")
        equal(len(re.findall("client-dropped", imd.log())), 1, "clients that were dropped")


@case
def a_plan_that_is_read_is_whole():
    with daemon("--send-timeout=1s") as imd:
        reply = As(imd.path, ALICE).ok("PLAN 100000 1")
        equal(len(reply.of("TASK")), 100001, "tasks")


main()
