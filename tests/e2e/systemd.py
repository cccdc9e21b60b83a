#!/usr/bin/env python3
"""imd under a real systemd, as it is installed: its units, its sandbox and its socket, and what becomes
of a rollout when the service is restarted, killed or hangs."""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import threading

from imdtest import SOURCE, Skip, await_that, case, environment, equal, expect, fill_queue, main, matches, spawn
from machine import Knocking
from service import DROP_IN, SETTINGS, SOCKET, UNIT, fresh, journal, kill_main, main_pid, shown, warnings

COLLECTED = "/var/lib/prometheus/node-exporter-imd"
NOBODY = 65534


def imctl_begun(box, *arguments):
    """An imctl that is left to itself."""
    return spawn(box.enter(box.imctl, *arguments), stdout=-1, stderr=-1, env=environment(), encoding="utf-8")


def versions(client):
    return sorted(node["version"] for node in client.ok("NODES").records if node["state"] == "running")


# ---- the units --------------------------------------------------------------------------------------

@case
def systemd_finds_no_fault_with_the_units():
    box = fresh()
    os.remove(box.path(DROP_IN))
    box.good("systemctl", "daemon-reload")
    man = [] if shutil.which("man") else ["--man=no"]
    status, out, err = box.run("systemd-analyze", *man, "verify", UNIT, "imd.socket")
    equal((status, out, err), (0, "", ""), "systemd-analyze verify")
    out = box.good("systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=4", UNIT)
    print("#", re.search(r"Overall exposure level.*: [0-9.]+", out).group())


@case
def the_socket_is_for_root_and_the_group():
    box = fresh()
    owner = os.stat(box.path(SOCKET))
    equal((stat.S_IMODE(owner.st_mode), owner.st_uid), (0o660, 0), "mode and owner")
    equal(box.good("stat", "-c", "%G", SOCKET), "imd\n", "group")
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}"]
    status, _, err = box.run(*as_nobody, "--clear-groups", box.imctl, "ping")
    expect(status != 0, "anybody may connect")
    matches("Permission denied", err, "what anybody is told")
    equal(shown(box, "ActiveState"), "inactive", "the service, to which nobody has come")
    box.good(*as_nobody, f"--groups={owner.st_gid}", box.imctl, "ping")
    equal(shown(box, "ActiveState"), "active", "the service, to which a member of the group has come")


@case
def the_first_client_starts_it():
    box = fresh("--mock-delay=10ms")
    equal(shown(box, "ActiveState"), "inactive", "the service")
    box.good(box.imctl, "ping")
    equal(shown(box, "ActiveState"), "active", "the service")
    matches("succeeded$", box.good(box.imctl, "update", "3", "1"), "imctl update")
    with box.client() as client:
        equal(versions(client), ["1"] * 3, "nodes")
    await_that(lambda: "nodes: 3, available: 3" in shown(box, "StatusText"), "the status tells the nodes")
    matches(r'^ +Status: "groups: 1, nodes: 3, available: 3"$', box.good("systemctl", "status", UNIT),
            "systemctl status")
    equal(warnings(box), "", "warnings")


@case
def socat_talks_to_it():
    if not shutil.which("socat"):
        raise Skip("socat is not installed")
    box = fresh("--mock-delay=10ms")
    out = box.good("sh", "-c", f"echo 'UPDATE 2 7' | socat -t 10 - UNIX-CONNECT:{SOCKET}")
    matches("^OK graph=.* revision=1 tasks=3 ", out, "the answer")


@case
def it_runs_in_its_sandbox():
    """With what it does in there: plans of many nodes, commits, a copy of the state, and an end."""
    box = fresh("--mock-delay=0")
    box.good(box.imctl, "update", "2000", "1")
    box.good(box.imctl, "backup", "/var/lib/imd/copy.db")
    matches(": sound: groups=1 ", box.good(box.imd, "--check-state=/var/lib/imd/copy.db"), "the copy")
    with open(box.path(f"/proc/{main_pid(box)}/status"), encoding="ascii") as file:
        process = dict(line.rstrip("\n").split(":\t", 1) for line in file)
    equal([process[key].strip() for key in ("NoNewPrivs", "Seccomp", "CapBnd", "CapEff")],
          ["1", "2", "0" * 16, "0" * 16], "privileges")
    equal(box.good("stat", "-c", "%U %G %a", "/var/lib/imd", "/var/lib/imd/imd.db"),
          "imd imd 700\nimd imd 600\n", "the state's owner")
    equal(warnings(box), "", "warnings")
    box.good("systemctl", "stop", UNIT)
    equal(shown(box, "Result"), "success", "how it ended")


@case
def the_socket_outlives_the_service():
    box = fresh()
    box.good(box.imctl, "ping")
    identity = os.stat(box.path(SOCKET)).st_ino
    box.good("systemctl", "stop", UNIT)
    box.good(box.imctl, "ping")
    equal(os.stat(box.path(SOCKET)).st_ino, identity, "the socket")
    box.good("systemctl", "stop", UNIT, "imd.socket")
    expect(not os.path.exists(box.path(SOCKET)), "a socket is left that nobody listens on")


@case
def a_reload_keeps_the_process():
    box = fresh()
    box.good(box.imctl, "ping")
    before = main_pid(box)
    box.good("systemctl", "reload", UNIT)
    await_that(lambda: "reloaded files=0" in journal(box), "the daemon has read its settings")
    box.good(box.imctl, "ping")
    equal((main_pid(box), shown(box, "ActiveState")), (before, "active"), "the process")
    equal(warnings(box), "", "warnings")
    equal([line.split()[0] for line in journal(box).splitlines()], ["ready", "reloaded"], "what is said")


@case
def what_fails_for_a_while_is_tried_again():
    """More often than systemd would by default, and the socket stays: who connects is answered in the end."""
    box = fresh()
    state = "/var/lib/imd/imd.db"
    box.good("install", "-d", "-o", "imd", "-g", "imd", "-m", "700", os.path.dirname(state))
    os.mkdir(box.path(state))
    with box.client() as client:
        client.send("PING\n")
        await_that(lambda: int(shown(box, "NRestarts")) > 5, "it has failed six times")
        equal(shown(box, "ActiveState", "imd.socket"), "active", "the socket")
        with box.client() as other:
            os.rmdir(box.path(state))
            equal([other.ok("PING").code, client.reply().code], [None, None], "what clients are told")
    equal(shown(box, "ActiveState"), "active", "the service")


@case
def options_that_are_wrong_are_not_tried_again():
    box = fresh("--no-such-option")
    box.run("systemctl", "start", UNIT)
    equal([shown(box, name) for name in ("Result", "ExecMainStatus", "NRestarts")],
          ["exit-code", "2", "0"], "how it ended")
    box.good("journalctl", "--update-catalog")
    refused, = entries(box, "PRIORITY=3")
    matches("--no-such-option", refused["IMD_ERROR"], "what the journal knows")
    matches("imd cannot start$", box.good("journalctl", "--list-catalog", refused["MESSAGE_ID"]).partition(" ")[2],
            "its explanation")


@case
def what_is_wrong_for_good_is_given_up():
    """Also where a client waits for it; and one start by hand brings back the service and the socket."""
    box = fresh()
    box.write(SETTINGS, "[imd]\nno-such-key=1\n")
    with box.client() as client:
        await_that(lambda: shown(box, "ActiveState", "imd.socket") == "failed", "the socket is given up")
        client.expect_closed()
    equal([shown(box, name) for name in ("Result", "ExecMainStatus", "NRestarts")],
          ["exit-code", "6", "0"], "how it ended")
    os.remove(box.path(SETTINGS))
    box.good("systemctl", "start", UNIT)
    box.good(box.imctl, "ping")


# ---- the journal -------------------------------------------------------------------------------------

def entries(box, *matched):
    """What the service has put into the journal that has these fields, the oldest first."""
    box.good("journalctl", "--sync")
    out = box.good("journalctl", "--quiet", "--output=json", "_SYSTEMD_UNIT=imd.service", *matched,
                   f"_SYSTEMD_INVOCATION_ID={shown(box, 'InvocationID')}")
    return [json.loads(line) for line in out.splitlines()]


@case
def the_journal_can_be_searched():
    box = fresh("--mock-delay=10ms", "--mock-fail-version=9", "--retries=0")
    box.good(box.imctl, "update", "3", "1", "--group=web")
    status, _, _ = box.run(box.imctl, "update", "3", "9", "--group=web")
    equal(status, 1, "exit status of an update that fails")
    failed = entries(box, "IMD_GROUP=web", "PRIORITY=4")
    equal(len(failed), 1, f"entries: {failed}")
    matches("^graph-failed group=web graph=.* error=", failed[0]["MESSAGE"], "the message")
    equal([failed[0][key] for key in ("IMD_REVISION", "IMD_REASON", "SYSLOG_IDENTIFIER")],
          ["2", "update", "imd"], "fields")
    matches("^task .*, failed at attempt 1: ", failed[0]["IMD_ERROR"], "the error")
    equal(len(entries(box, f"IMD_GRAPH={failed[0]['IMD_GRAPH']}")), 1, "entries of that graph")
    equal([entry["MESSAGE"].split()[0] for entry in entries(box)],
          ["ready", "graph-succeeded", "graph-failed"], "events")


@case
def the_catalog_explains_the_journal():
    box = fresh("--mock-delay=10ms")
    box.good("journalctl", "--update-catalog")
    box.good(box.imctl, "update", "2", "1")
    node = box.good(box.imctl, "nodes", "ls", "--no-legend").split()[0]
    box.good(box.imctl, "nodes", "kill", node)
    await_that(lambda: "node-replaced" in [entry["MESSAGE"].split()[0] for entry in entries(box)],
               "the node is replaced")
    out = box.good("journalctl", "--quiet", "--catalog", f"--unit={UNIT}",
                   f"_SYSTEMD_INVOCATION_ID={shown(box, 'InvocationID')}")
    matches("A node of group default died$", out, "the subject of an explanation")
    matches(f"The node {node} in slot . of the group default, at version", out, "an explanation")
    for entry in entries(box):
        expect("MESSAGE_ID" in entry, f"an event without a number: {entry['MESSAGE']}")
        matches(".", box.good("journalctl", "--list-catalog", entry["MESSAGE_ID"]), "its explanation")


JOURNAL = "systemd-journald.service"


def events(box):
    return [entry["MESSAGE"].split()[0] for entry in entries(box)]


def update(client, size):
    client.await_end(client.ok(f"UPDATE {size} 1").end["graph"])


class StoppedJournal:
    """The journal reads nothing in between, and its queue is full."""

    def __init__(self, box):
        self.box = box

    def kill(self, number):
        self.box.good("systemctl", "kill", "--kill-who=main", f"--signal={number.name}", JOURNAL)

    def state(self):
        with open(self.box.path(f"/proc/{shown(self.box, 'MainPID', JOURNAL)}/stat"), encoding="ascii") as file:
            return file.read().rpartition(") ")[2][0]

    def __enter__(self):
        self.kill(signal.SIGSTOP)
        await_that(lambda: self.state() == "T", "the journal has stopped")
        fill_queue(self.box.path("/run/systemd/journal/socket"))

    def __exit__(self, *_):
        self.kill(signal.SIGCONT)
        self.box.good("journalctl", "--sync")


@case
def a_journal_that_hangs_holds_nothing_up():
    box = fresh("--mock-delay=0")
    with box.client() as client:
        client.ok("WATCH GRAPHS initial=no")
        update(client, 1)
        with StoppedJournal(box):
            for size in range(2, 7):
                update(client, size)
            client.ok("PING")
        update(client, 7)
    equal(events(box), ["ready", "graph-succeeded", "log-lost", "graph-succeeded"], "events")
    lost = entries(box)[2]
    equal([lost["IMD_LINES"], lost["PRIORITY"]], ["5", "4"], "what was lost")
    box.good("journalctl", "--update-catalog")
    matches("5 of its events", box.good("journalctl", "--quiet", "--catalog", f"--unit={UNIT}",
                                        f"MESSAGE_ID={lost['MESSAGE_ID']}"), "its explanation")
    with StoppedJournal(box):
        box.good("systemctl", "stop", UNIT)
    equal(shown(box, "Result"), "success", "how it ended")


@case
def a_journal_that_is_started_anew_is_found():
    box = fresh("--mock-delay=0")
    with box.client() as client:
        client.ok("WATCH GRAPHS initial=no")
        box.good("systemctl", "restart", JOURNAL)
        update(client, 1)
        equal(events(box), ["ready", "graph-succeeded"], "events")
        # Without its sockets nobody has the entry, nor the line on standard error.
        box.good("systemctl", "stop", JOURNAL, "systemd-journald.socket", "systemd-journald-dev-log.socket")
        update(client, 2)
        box.good("systemctl", "start", JOURNAL)
        update(client, 3)
    equal(events(box), ["ready", "graph-succeeded", "log-lost", "graph-succeeded"], "events")
    equal([entry.get("IMD_REVISION", entry.get("IMD_LINES")) for entry in entries(box)[1:]], ["1", "1", "3"],
          "revisions, and how many entries were lost")


# ---- copies -------------------------------------------------------------------------------------------

@case
def a_copy_goes_where_its_user_may_write():
    """The service itself may write nowhere but in /var/lib/imd, and has a /tmp of its own."""
    box = fresh()
    for folder in ("/tmp", "/var/tmp", "/dev/shm", "/srv"):
        box.good(box.imctl, "backup", f"{folder}/copy.db")
        expect(os.path.exists(box.path(f"{folder}/copy.db")), f"there is no copy in {folder}")
        box.good("rm", f"{folder}/copy.db")


@case
def a_copy_is_gone_back_to():
    """As imd(8) says, and with clients that come meanwhile."""
    box = fresh("--mock-delay=10ms")
    box.good(box.imctl, "update", "2", "1")
    box.good(box.imctl, "backup", "/root/copy.db")
    box.good(box.imctl, "update", "3", "2")
    with open(os.path.join(SOURCE, "man", "imd.8"), encoding="utf-8") as file:
        commands = re.findall(r"^# (.*)$", file.read(), re.M)
    begin = next(index for index, command in enumerate(commands) if command.startswith("systemctl stop imd.socket "))
    for command in commands[begin:begin + 3]:
        box.run(box.imctl, "ping")
        box.good("sh", "-c", f"cd /root && {command}")
    with box.client() as client:
        equal(versions(client), ["1"] * 2, "nodes")
        equal(client.ok("SPEC").one("SPEC")["revision"], "1", "the revision")
    equal(warnings(box), "", "warnings")


# ---- settings and users ------------------------------------------------------------------------------

@case
def a_reload_applies_the_settings():
    """In the middle of a rollout, whose tasks and watchers do not notice."""
    box = fresh()
    box.write(SETTINGS, "[driver mock]\ndelay=1h\n")
    with box.client() as client, box.client() as watcher:
        watcher.ok("WATCH ALL group=*")
        graph = client.ok("UPDATE 3 1").end["graph"]
        watcher.await_event("task-started", task="2")
        before = main_pid(box)
        box.write(SETTINGS, "[imd]\nmax-surge=2\nstate=/srv/imd.db\nsocket-mode=0600\n[driver mock]\ndelay=0\n")
        box.good("systemctl", "reload", UNIT)
        await_that(lambda: "reloaded files=1 " in journal(box), "the daemon has read them")
        watcher.await_end(client.ok("UPDATE 2 1 group=web").end["graph"])
        equal(client.ok("SPEC group=web").one("SPEC")["max-surge"], "2", "the policy")
        equal(client.stat("watchers"), "1", "watchers")
        equal([task["state"] for task in client.ok(f"TASKS {graph}").of("TASK") if task["action"] == "start_node"],
              ["running"] * 3, "tasks in flight")
    equal((main_pid(box), shown(box, "ActiveState")), (before, "active"), "the process")
    matches("^needs-restart setting=state running=/var/lib/imd/imd.db configured=/srv/imd.db$", warnings(box),
            "what cannot be changed")
    matches("^setting-unused setting=socket-mode configured=0600 reason=", warnings(box), "what is systemd's")
    box.write(SETTINGS, "[imd]\nmax-surge=lots\n")
    with box.client() as client:
        status, _, err = box.run("systemctl", "reload", UNIT)
        expect(status != 0, "a reload with a mistake went well")
        matches("^Job for imd.service failed", err, "what is said of a reload with a mistake")
        equal(client.ok("PLAN 3 1 group=new").end["max-live"], "5", "the policy behind a mistake")
    matches(rf"^imd: {SETTINGS}:2: \[imd\] max-surge must be", journal(box), "why")
    expect("reload-failed" not in journal(box), "the daemon was bothered with a mistake")
    equal((main_pid(box), shown(box, "ActiveState")), (before, "active"), "the process behind a mistake")
    kill_main(box, signal.SIGHUP)
    await_that(lambda: f'reload-failed error="{SETTINGS}:2: ' in warnings(box), "the daemon itself finds the mistake")
    equal((main_pid(box), shown(box, "ActiveState")), (before, "active"), "the process behind a mistake")
    box.run("systemctl", "restart", UNIT)
    equal([shown(box, name) for name in ("Result", "ExecMainStatus", "NRestarts")], ["exit-code", "6", "0"],
          "a restart with the mistake")


@case
def users_by_their_groups():
    """The socket lets in the group imd; of those the settings say who may do what."""
    box = fresh("--mock-delay=10ms")
    box.write(SETTINGS, "[imd]\nadmin-group=imd-admin\nread-group=imd-read\n")
    for group in ("imd-admin", "imd-read"):
        box.good("groupadd", "--force", "--system", group)
    for user, groups in (("alice", "imd,imd-admin"), ("rita", "imd,imd-read"), ("mike", "imd"), ("otto", "")):
        if box.run("id", user)[0] != 0:
            box.good("useradd", "--no-create-home", f"--groups={groups}", user)

    def status(user, *arguments):
        got, out, err = box.run("runuser", f"--user={user}", "--", box.imctl, *arguments)
        return got, out + err

    for user, ping, look, change in (("alice", 0, 0, 0), ("rita", 0, 0, 5), ("mike", 0, 5, 5), ("otto", 5, 5, 5)):
        for command, expected in ((["ping"], ping), (["nodes", "ls"], look), (["update", "3", "1"], change)):
            got, said = status(user, *command)
            equal(got, expected, f"exit status of imctl {' '.join(command)} as {user}", said)
    matches("not permitted: UPDATE requires membership in imd-admin", status("rita", "update", "1", "1")[1], "what a reader is told")
    matches("Permission denied", status("otto", "ping")[1], "what an outsider is told")
    got, said = status("imd", "update", "4", "1")
    equal(got, 0, "exit status as the daemon's own user", said)
    with box.client() as client:
        equal([spec["user"] for spec in client.ok("SPECS").records], ["alice", "imd"], "the history")


# ---- metrics ------------------------------------------------------------------------------------------

@case
def the_example_feeds_the_collector():
    """Under the timer's unit: a file while imd runs, and none when it does not, nor a start of it."""
    box = fresh("--mock-delay=10ms")
    unit, timer, collected = "imd-textfile.service", "imd-textfile.timer", f"{COLLECTED}/imd.prom"
    for name in (unit, timer):
        shutil.copy(os.path.join(SOURCE, "contrib", "prometheus", name), box.path(f"/run/systemd/system/{name}"))
    shutil.rmtree(box.path(COLLECTED), ignore_errors=True)
    with open(os.path.join(SOURCE, "contrib", "prometheus", unit), encoding="utf-8") as file:
        for command in re.findall("^#   ((?:groupadd|install) .*)$", file.read(), re.M):
            box.good("sh", "-c", f"mkdir -p {os.path.dirname(COLLECTED)} && {command}")
    box.good("systemctl", "daemon-reload")
    box.good("systemctl", "start", unit)
    equal((shown(box, "ActiveState"), os.listdir(box.path(COLLECTED))), ("inactive", []), "without imd")
    box.good(box.imctl, "update", "3", "1")
    box.good("systemctl", "start", timer)
    await_that(lambda: os.path.exists(box.path(collected)), "the timer writes the file")
    box.good("systemctl", "stop", timer, unit)
    box.good("systemctl", "start", unit)
    with open(box.path(collected), encoding="utf-8") as file:
        text = file.read()
    matches('^imd_nodes{group="default",state="running"} 3$', text, "the metrics")
    found = os.stat(box.path(collected))
    equal(stat.S_IMODE(found.st_mode), 0o644, "its mode")
    expect(61184 <= found.st_uid <= 65519, f"it belongs to the user {found.st_uid}, not to a dynamic one")
    if shutil.which("promtool"):
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False,
                                 encoding="utf-8")
        equal((checked.returncode, checked.stderr), (0, ""), "promtool")
    box.good("systemctl", "stop", UNIT)
    box.good("systemctl", "start", unit)
    expect(not os.path.exists(box.path(collected)), "figures are left of an imd that does not run")
    equal(shown(box, "ActiveState"), "inactive", "imd, which nobody has asked")
    # One that does not answer takes the figures away as well.
    box.good(box.imctl, "ping")
    box.good("systemctl", "start", unit)
    expect(os.path.exists(box.path(collected)), "no figures")
    kill_main(box, signal.SIGSTOP)
    box.write(f"/run/systemd/system/{unit}.d/quick.conf", "[Service]\nTimeoutStartSec=1\n")
    box.good("systemctl", "daemon-reload")
    expect(box.run("systemctl", "start", unit)[0] != 0, "it went well")
    kill_main(box, signal.SIGCONT)
    equal(os.listdir(box.path(COLLECTED)), [], "what is left of an imd that does not answer")
    os.rmdir(box.path(COLLECTED))
    box.good(box.imctl, "ping")
    expect(box.run("systemctl", "start", unit)[0] != 0, "it went well without the collector's directory")


# ---- restarts in the middle of a rollout ------------------------------------------------------------

def across(interrupt, settings=""):
    """Six nodes are brought to a new version, and after the first of them the service is interrupted. The
    rollout ends well, its follower misses nothing, and whoever connects is let in."""
    box = fresh("--mock-delay=150ms", settings=settings)
    box.good(box.imctl, "update", "6", "1")
    watcher = box.client()
    begun = watcher.ok("WATCH ALL initial=no").end.number("seq")
    with Knocking(box.path(SOCKET)) as knocking:
        follower = imctl_begun(box, "update", "6", "2")
        watcher.await_event("task-succeeded")
        interrupt(box)
        out, err = follower.communicate(timeout=60)
    equal(follower.returncode, 0, f"exit status of imctl: {out}{err}")
    matches("^imctl: connection lost; reconnected, resuming", err, "what imctl says")
    equal(sorted(map(int, re.findall(r" task (\d+) succeeded", out))), list(range(12)), "tasks it told")
    equal(knocking.refused, [], "connections that were refused")
    expect(knocking.answered > 0, "nobody was answered")
    with box.client() as client:
        equal(versions(client), ["2"] * 6, "nodes")
        graphs = client.ok("GRAPHS").records
        equal([graph["state"] for graph in graphs], ["succeeded"] * 2, "graphs")
        expect(client.ok("WATCH ALL initial=no").end.number("seq") > begun, "events have begun anew")
    return box


@case
def a_restart_in_a_rollout():
    box = across(lambda box: box.good("systemctl", "restart", UNIT))
    equal(shown(box, "NRestarts"), "0", "restarts of systemd's own")


@case
def a_kill_in_a_rollout():
    box = across(lambda box: kill_main(box, signal.SIGKILL))
    equal(shown(box, "NRestarts"), "1", "restarts")


class Asking:
    """Runs imctl again and again, and keeps what it says when it does not go well."""

    def __init__(self, box, *arguments):
        self.box, self.arguments = box, arguments
        self.failures, self.count = [], 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.ask)

    def ask(self):
        while not self.over.is_set():
            status, out, err = self.box.run(self.box.imctl, *self.arguments)
            self.count += 1
            if status != 0:
                self.failures.append((status, out, err))

    def __enter__(self):
        self.thread.start()
        return self

    def stop(self):
        self.over.set()
        self.thread.join()

    def __exit__(self, *_):
        self.stop()


@case
def restarts_fail_nobody():
    """More of them than systemd has patience for by default, and with users who notice nothing."""
    box = fresh("--mock-delay=0")
    box.good(box.imctl, "ping")
    with Asking(box, "ping") as pings, Asking(box, "nodes", "ls") as lists, \
            Asking(box, "update", "1", "1", "--detach", "-q", "--group=a") as updates, \
            Asking(box, "update", "1", "1", "-q", "--group=b") as rollouts:
        for _ in range(12):
            before = main_pid(box)
            box.good("systemctl", "restart", UNIT)
            expect(main_pid(box) != before, "it was not restarted")
        equal([asking.failures for asking in (updates, rollouts)], [[], []], "updates that failed")
        updates.stop()
        rollouts.stop()
        for _ in range(8):
            before = main_pid(box)
            kill_main(box, signal.SIGKILL)
            await_that(lambda: main_pid(box) not in (0, before), "it is started again")
    equal([asking.failures for asking in (pings, lists, updates, rollouts)], [[]] * 4, "what failed")
    print("#", *(f"{asking.count} times {asking.arguments[0]}" for asking in (pings, lists, updates, rollouts)))


@case
def the_watchdog_ends_what_hangs():
    """A daemon that is stopped serves nobody, and does not tell the watchdog that it does."""
    def hang(box):
        before = main_pid(box)
        kill_main(box, signal.SIGSTOP)
        await_that(lambda: main_pid(box) not in (0, before), "it is started again")

    box = across(hang, "WatchdogSec=1\nLimitCORE=0")
    equal(shown(box, "NRestarts"), "1", "restarts")
    matches("Watchdog timeout", box.good("journalctl", "--unit", UNIT, "--output=cat"), "the journal")


main()
