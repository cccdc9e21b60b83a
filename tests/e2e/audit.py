#!/usr/bin/env python3
"""What the log says of who may not, who marks and who takes backups."""

import os
import pwd
import re

from imdtest import Daemon, await_that, case, equal, expect, main, matches, new_path
from users import As, path_for_all

ALICE, BOB = 61001, 61002
NO_GROUP = 61099


def daemon(*options):
    return Daemon("--socket-mode=0666", "--mock-delay=0", "--read-group=audio", *options, path=path_for_all())


def lines(imd, event):
    """The lines of the log about an event."""
    return [line for line in imd.log().splitlines() if re.match(rf"<\d>{event} ", line)]


def me():
    return f"uid={os.getuid()} user={pwd.getpwuid(os.getuid()).pw_name}"


@case
def a_refusal_is_logged_with_its_user():
    with daemon() as imd:
        for uid in (ALICE, BOB):
            client = As(imd.path, uid, NO_GROUP)
            client.fails("UPDATE 1 1", "denied")
            client.fails("NODES", "denied")
        equal(lines(imd, "request-denied"),
              [f"<6>request-denied verb={verb} uid={uid} user={uid} suppressed=0"
               for uid in (ALICE, BOB) for verb in ("UPDATE", "NODES")], "refusals in the log")


@case
def a_client_that_loops_does_not_flood_the_log():
    with daemon() as imd:
        client = As(imd.path, ALICE, NO_GROUP)
        for _ in range(20):
            client.send("KILL ffff\nMARK ffff\nGRAPHS\n" * 100)
            for _ in range(300):
                equal(client.reply().code, "denied", "the code of a refusal")
        expect(1 <= len(lines(imd, "request-denied verb=KILL")), "the first refusal is not in the log")
        # Ten seconds are between two lines; a slow machine may come to a second one of each kind.
        expect(len(lines(imd, "request-denied")) <= 20, "refusals in the log:", imd.log())


@case
def a_mark_is_logged_once_it_is_durable():
    with Daemon("--mock-delay=0") as imd, imd.client() as client:
        client.ok("WATCH GRAPHS group=* initial=no")
        client.await_end(client.ok("UPDATE 2 1 group=web").end["graph"])
        node = client.ok("NODES group=web").records[0]["id"]
        client.ok(f"MARK {node}")
        client.ok(f"MARK {node} mark=no")
        equal(lines(imd, "node-(?:un)?marked"),
              [f"<6>{event} group=web node={node} {me()}" for event in ("node-marked", "node-unmarked")], "marks")
        client.fails("MARK ffff", "not-found")
        # A client that does not wait for the answer leaves a line as well.
        with imd.client() as other:
            other.send(f"MARK {node}\n")
        await_that(lambda: len(lines(imd, "node-marked")) == 2, "the mark is in the log")


@case
def a_backup_is_logged_from_its_begin_to_its_end():
    with Daemon("--mock-delay=0") as imd, imd.client() as client:
        client.ok("BACKUP")
        equal(lines(imd, "backup-[a-z]+"), [f"<6>backup-started {me()}", f"<6>backup-succeeded {me()}"], "backups")
        client.ok("UPDATE 100000 1 quiet=yes")
        with imd.client() as other:
            other.send("BACKUP\n")
            equal(other.line().kind, "DATA", "the first record")
        await_that(lambda: lines(imd, "backup-failed"), "the end is in the log")
        matches(f'^<4>backup-failed {me()} error="the connection was closed"$', imd.log(), "one that ends early")


main()
