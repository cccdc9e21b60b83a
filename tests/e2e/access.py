#!/usr/bin/env python3
"""Who may do what: users and groups of clients, what each gets for every request, and how many clients one
user may have."""

import glob
import grp
import os
import re
import resource
import shutil

from imdtest import (IMCTL, IMD, Daemon, Skip, await_that, case, equal, expect, main, matches, need_imctl, new_path,
                     reload, run, write)
from users import As, need_root, path_for_all

ADMINS, READERS, OTHERS = "games", "audio", "video"  # that every Debian has
ALICE, BOB = 61001, 61002

OPEN_TO_ALL = {"PING", "HELP", "UNWATCH", "QUIT"}
CHANGES = {"UPDATE", "KILL", "MARK", "CANCEL", "BACKUP"}
ARGUMENTS = {"size version": "1 1", "node": "ffff", "graph": "ffff", "path": "/nowhere/copy",
             "NODES|GRAPHS|TASKS|ALL": "ALL"}


def gid(name):
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise Skip(f"there is no group {name}") from None


def daemon(*options, **more):
    """One that everybody can connect to."""
    return Daemon("--socket-mode=0666", "--mock-delay=0", *options, path=path_for_all(), **more)


def requests(client):
    """verb: a request of it with the arguments that it must have."""
    out = {}
    for record in client.ok("HELP").records:
        needed = re.sub(r" ?\[.*", "", record["usage"]).partition(" ")[2]
        out[record["name"]] = f"{record['name']} {ARGUMENTS.get(needed, needed)}".strip()
    return out


def may(client, allowed, who):
    """The client gets an answer other than `denied` to the verbs that are allowed, and to no others."""
    for verb, request in requests(client).items():
        if verb == "QUIT":
            continue
        reply = client.ask(request)
        if verb in allowed:
            expect(reply.code != "denied", f"{who}, {request}: {reply}")
        else:
            expect(reply.code == "denied" and verb in reply.text, f"{who}, {request}: {reply}")
        if verb == "WATCH" and reply.code is None:
            client.ok("UNWATCH")
    client.events.clear()
    client.ok("QUIT")
    client.expect_closed()


@case
def by_default_everybody_may_do_everything():
    with daemon() as imd:
        every = set(requests(imd.client()))
        expect(OPEN_TO_ALL | CHANGES < every, every)
        may(As(imd.path, ALICE), every, "anybody")
        may(As(imd.path, 0, 0), every, "root")


@case
def members_of_the_groups():
    with daemon(f"--admin-group={ADMINS}", f"--read-group={READERS}") as imd:
        every = set(requests(imd.client()))
        many = list(range(70000, 70000 + 300))
        may(As(imd.path, 0, 0), every, "root")
        may(As(imd.path, ALICE, gid(ADMINS)), every, "an administrator by the first group")
        may(As(imd.path, ALICE, groups=[gid(ADMINS)]), every, "an administrator by another group")
        may(As(imd.path, ALICE, groups=many + [gid(ADMINS)]), every, "an administrator of many groups")
        may(As(imd.path, ALICE, gid(READERS)), every - CHANGES, "a reader")
        may(As(imd.path, ALICE, groups=[gid(READERS), gid(OTHERS)]), every - CHANGES, "a reader by another group")
        may(As(imd.path, ALICE, groups=[gid(READERS), gid(ADMINS)]), every, "one who is both")
        may(As(imd.path, ALICE, gid(OTHERS), many), OPEN_TO_ALL, "one who is neither")
        may(As(imd.path, ALICE), OPEN_TO_ALL, "one without groups")
        other = As(imd.path, ALICE)
        other.fails("NODES", "denied", f"user {ALICE} may not use NODES, .* members of the groups games and audio")
        other.fails("UPDATE 1 1", "denied", "may not use UPDATE, which changes something.*the group games$")


@case
def one_group_alone():
    with daemon(f"--admin-group={ADMINS}") as imd:
        every = set(requests(imd.client()))
        may(As(imd.path, ALICE, gid(ADMINS)), every, "an administrator")
        may(As(imd.path, ALICE, gid(READERS)), OPEN_TO_ALL, "another")
    with daemon(f"--read-group={READERS}") as imd:
        may(As(imd.path, ALICE, gid(READERS)), every - CHANGES, "a reader")
        may(As(imd.path, ALICE, gid(ADMINS)), OPEN_TO_ALL, "another")
        may(As(imd.path, 0, 0), every, "root")
        As(imd.path, ALICE).fails("KILL ffff", "denied", "for root and the user of imd$")


@case
def the_daemons_own_user_may():
    need_root()
    if not shutil.which("setpriv"):
        raise Skip("setpriv is not installed")
    folder = new_path("own")
    os.mkdir(folder)
    os.chown(folder, ALICE, 65534)
    top = os.path.dirname(folder)
    os.chmod(top, 0o755)
    path = os.path.join(folder, "sock")
    command = ["setpriv", f"--reuid={ALICE}", "--regid=65534", "--clear-groups", IMD]
    try:
        run(IMD, "--version", user=ALICE, group=65534, extra_groups=[])
    except PermissionError:
        raise Skip("another user cannot run the program that was built here") from None

    def let_it_notify():
        for name in glob.glob(top + "/*.notify"):
            os.chmod(name, 0o666)

    with Daemon(path=path, preexec_fn=let_it_notify, arguments=[
            *command, f"--socket={path}", "--socket-mode=0666", "--state=:memory:", "--mock-delay=0",
            f"--admin-group={ADMINS}"]) as imd:
        every = set(requests(imd.client()))
        may(As(path, ALICE), every, "the user of imd")
        may(As(path, BOB), OPEN_TO_ALL, "another")
        may(As(imd.path, 0, 0), every, "root")


@case
def groups_that_are_not_there():
    for name in ("admin-group", "read-group"):
        status, _, err = run(IMD, f"--{name}=no-such-group")
        equal(status, 2, err)
        matches(f'^imd: --{name} must be a group of this system, or empty; "no-such-group" is none$', err, name)
        path = write(new_path("etc") + "/imd.conf", f"[imd]\n{name}=no-such-group\n")
        status, _, err = run(IMD, "-c", path)
        equal(status, 6, err)
        matches(rf"^imd: {path}:2: \[imd\] {name} must be a group of this system", err, name)
        status, _, err = run(IMD, "-c", path, f"--{name}=", "--check-config")
        equal(status, 6, f"a mistake that an option hides is one: {err}")
        path = write(new_path("etc") + "/imd.conf", f"[imd]\n{name}={READERS}\n[driver mock]\n")
        equal(run(IMD, "-c", path, f"--{name}=", "--check-config")[0], 0, "an option takes it away")


@case
def groups_that_cannot_be_looked_up():
    """For the moment: a start that failed so may be tried again, and is not final. What is short here are
    descriptors, of which the file with the settings takes the last one."""
    path = write(new_path("etc") + "/imd.conf", f"[imd]\nadmin-group={ADMINS}\n")
    said = rf"{path}:2: \[imd\] admin-group: the group {ADMINS} cannot be looked up: Too many open files"
    status, _, err = run(IMD, "-c", path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4)))
    equal(status, 1, err)
    matches(f"^imd: {said}$", err, "at the start")
    with daemon(f"--config={path}") as imd:
        # Behind its first words to the manager it opens nothing by itself.
        imd.manager.await_line("STATUS=.*", imd.process)
        client = imd.client()
        client.ok("PING")
        before = resource.prlimit(imd.pid, resource.RLIMIT_NOFILE)
        taken = set(os.listdir(f"/proc/{imd.pid}/fd"))
        second = [number for number in range(len(taken) + 2) if str(number) not in taken][1]
        imd.limit(resource.RLIMIT_NOFILE, second)
        reload(imd)
        matches(f'^<3>reload-failed error="{said}"$', imd.log(), "log")
        resource.prlimit(imd.pid, resource.RLIMIT_NOFILE, before)
        As(imd.path, ALICE, gid(READERS)).fails("UPDATE 1 1", "denied")
        reload(imd)
        matches("^<5>reloaded files=1$", imd.log(), "log")


@case
def a_reload_changes_who_may():
    need_root()
    path = write(new_path("etc") + "/imd.conf", "")
    with daemon(f"--config={path}") as imd:
        reader, other, pending = (As(imd.path, ALICE, gid(group)) for group in (READERS, OTHERS, OTHERS))
        for client in reader, other:
            client.ok("UPDATE 0 1")
            client.ok("WATCH ALL")
        pending.ok("PING")
        write(path, f"[imd]\nread-group={READERS}\nadmin-group={ADMINS}\n")
        reload(imd)
        matches('changed=admin-group,read-group', imd.log(), "log")
        other.events.clear()
        while (line := other.line()).kind == "EVENT":
            continue
        equal(line.raw, b"ERR denied the user may not watch any more", "what one who watched is told")
        other.expect_closed()
        pending.fails("SPEC", "denied")
        pending.ok("PING")
        reader.fails("UPDATE 1 1", "denied")
        imd.client().ok("UPDATE 1 1")
        reader.await_event("node-started")
        write(path, "[imd]\nread-group=no-such-group\n")
        reload(imd)
        matches("reload-failed.*no-such-group", imd.log(), "log")
        pending.fails("SPEC", "denied")
        write(path, "")
        reload(imd)
        pending.ok("UPDATE 2 2")


@case
def a_file_that_is_gone_opens_nothing():
    folder = new_path("etc")
    path = write(folder + "/imd.conf", f"[imd]\nadmin-group={ADMINS}\nread-group={READERS}\n")
    with daemon(env={"CONFIGURATION_DIRECTORY": folder}) as imd:
        reader = As(imd.path, ALICE, gid(READERS))
        reader.fails("UPDATE 1 1", "denied")
        os.remove(path)
        reload(imd)
        reader.fails("UPDATE 1 1", "denied")
        reader.ok("SPEC")


@case
def so_many_clients_of_one_user():
    path = write(new_path("etc") + "/imd.conf", "[imd]\nmax-clients-per-user=2\n")
    with daemon(f"--config={path}") as imd:
        mine = [As(imd.path, ALICE) for _ in range(2)]
        for client in mine:
            client.ok("PING")
        third = As(imd.path, ALICE)
        line = third.line()
        equal((line.code, "user" in line.text), ("too-many", True), line)
        third.expect_closed()
        theirs = [As(imd.path, BOB) for _ in range(2)]
        root = imd.client()
        for client in [*theirs, root]:
            client.ok("PING")
        equal(As(imd.path, BOB).line().code, "too-many", "another user's third")
        mine.pop().ok("QUIT")
        await_that(lambda: root.stat("clients") == "4", "a client is gone")
        client = As(imd.path, ALICE)
        client.ok("PING")
        write(path, "[imd]\nmax-clients-per-user=1\n")
        reload(imd)
        client.ok("PING")
        mine[0].ok("PING")
        equal(As(imd.path, ALICE).line().code, "too-many", "a third when but one may be")
        write(path, "")
        reload(imd)
        for _ in range(20):
            mine.append(As(imd.path, ALICE))
            mine[-1].ok("PING")


def too_many(client, pattern):
    line = client.line()
    equal(line.code, "too-many", line)
    matches(pattern, line.text, "one too many")
    client.expect_closed()


@case
def others_cannot_take_the_last_places():
    with daemon("--max-clients=20", f"--admin-group={ADMINS}") as imd:
        crowd = [As(imd.path, ALICE if number % 2 else BOB) for number in range(18)]
        for client in crowd:
            client.ok("PING")
        too_many(As(imd.path, ALICE), "the places that are left are for root and administrators")
        admin = As(imd.path, ALICE, groups=[gid(ADMINS)])
        admin.ok("UPDATE 1 1")
        root = imd.client()
        equal(root.stat("clients"), "20", "clients")
        for who in As(imd.path, ALICE, gid(ADMINS)), imd.client():
            too_many(who, "as many clients as may be$")
        crowd.pop().ok("QUIT")
        await_that(lambda: root.stat("clients") == "19", "a client is gone")
        too_many(As(imd.path, BOB), "the places that are left")
        imd.client().ok("PING")


@case
def the_last_place_of_ten_and_none_of_fewer():
    with daemon("--max-clients=10") as imd:
        crowd = [As(imd.path, ALICE) for _ in range(9)]
        for client in crowd:
            client.ok("PING")
        too_many(As(imd.path, ALICE, gid(ADMINS)), "the places that are left")
        imd.client().ok("PING")
    with daemon("--max-clients=9") as imd:
        crowd = [As(imd.path, ALICE) for _ in range(9)]
        for client in crowd:
            client.ok("PING")
        too_many(imd.client(), "as many clients as may be$")


@case
def imctl_says_so():
    need_imctl()
    with daemon(f"--admin-group={ADMINS}", f"--read-group={READERS}") as imd:
        def imctl(*arguments):
            return run(IMCTL, "-s", imd.path, *arguments, user=ALICE, group=gid(READERS), extra_groups=[])

        try:
            equal(imctl("nodes", "ls")[0], 0, "imctl nodes ls")
        except PermissionError:
            raise Skip("another user cannot run the program that was built here") from None
        status, out, err = imctl("update", "1", "1")
        equal((status, out), (5, ""), err)
        matches(f"may not use UPDATE.*members of the group {ADMINS}", err, "imctl update")


main()
