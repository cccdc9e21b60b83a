#!/usr/bin/env python3
"""The sandbox of imd.service under a real systemd, looked at from within: what a process of the user imd in
the service's namespaces can write, call and look up, and how much the service may take."""

import re

from imdtest import case, equal, expect, main, matches
from service import UNIT, fresh, journal, main_pid, shown

LARGEST = 1000000
# A process keeps what is its own below /proc, and gets terminals of its own from /dev/pts.
OF_EACH_PROCESS = ("/proc", "/dev/pts")


def started():
    box = fresh("--mock-delay=1h")
    box.good(box.imctl, "ping")
    return box


def as_imd(box, *arguments):
    """The words of a command that runs another one as the user imd, as privileged as imd is."""
    uid, gid = box.good("id", "-u", "imd").strip(), box.good("id", "-g", "imd").strip()
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs", "--", *arguments]


def within(box, *arguments):
    """The same in the namespaces of the service."""
    return ["nsenter", "-t", str(main_pid(box)), "--mount", "--ipc", "--net", "--root", "--wd",
            *as_imd(box, *arguments)]


def find(box, *tests):
    """The paths that find finds as the user imd in the service's namespaces."""
    pruned = [word for path in OF_EACH_PROCESS for word in ("-path", path, "-prune", "-o")]
    # What may not be searched is an error to find.
    _, out, _ = box.run(*within(box, "find", "/", *pruned, *tests, "-print"))
    return sorted(out.splitlines())


@case
def only_the_state_can_be_written():
    box = started()
    # The socket of the manager may be written to, as any socket may, but not be removed.
    equal(find(box, "(", "-type", "d", "-o", "-type", "f", ")", "-writable"),
          ["/run/systemd/notify", "/var/lib/imd", "/var/lib/imd/imd.db", "/var/lib/imd/imd.db-wal"],
          "what can be written")
    for folder in ("/run", "/run/lock", "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/dev/hugepages", "/etc/imd"):
        status, out, err = box.run(*within(box, "touch", f"{folder}/planted"))
        expect(status != 0, f"a file was made in {folder}: {out}{err}")
    box.good(*within(box, "touch", "/var/lib/imd/planted"))


@case
def what_is_written_cannot_be_run():
    box = started()
    script = "cp /bin/true /var/lib/imd/true && exec /var/lib/imd/true"
    status, _, err = box.run(*within(box, "sh", "-c", script))
    equal(status, 126, f"exit status of a program in the state directory: {err}")
    matches("Permission denied", err, "why it cannot be run")


@case
def only_named_services_can_be_called():
    """Neither the system bus nor the manager, nor what else listens below /run."""
    box = started()
    call = ("busctl", "--no-pager", "list")
    matches("org.freedesktop.systemd1", box.good(*as_imd(box, *call)), "the bus, outside of the sandbox")
    status, out, err = box.run(*within(box, *call))
    expect(status != 0, f"the system bus was called: {out}")
    matches("Failed to connect to bus", err, "why it was not")
    status, out, err = box.run(*within(box, "systemctl", "show-environment"))
    expect(status != 0, f"the manager was called: {out}{err}")
    sockets = find(box, "-type", "s")
    expect("/run/systemd/journal/socket" in sockets, "the journal's socket is missing:", sockets)
    equal([path for path in sockets if not re.match("/run/systemd/(journal|userdb)/", path)], [], "other sockets")


@case
def users_have_their_names():
    """Also those that exist for as long as a service runs, which only the manager knows."""
    box = fresh("--mock-delay=1h", "--admin-group=imd")
    box.good("systemd-run", "--quiet", "--wait", "--unit=briefly", "--property=DynamicUser=yes",
             "--property=SupplementaryGroups=imd", box.imctl, "update", "1", "1", "--detach", "--quiet")
    box.good(*as_imd(box, box.imctl, "update", "2", "1", "--detach", "--quiet"))
    with box.client() as client:
        equal([spec["user"] for spec in client.ok("SPECS").records], ["briefly", "imd"], "who asked")


@case
def its_user_has_no_home():
    box = started()
    user = box.good("getent", "passwd", "imd").rstrip("\n").split(":")
    equal(user[5:], ["/", "/usr/sbin/nologin"], "home and shell of the user imd")


@case
def it_may_take_so_much():
    box = started()
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(re.search(r"^MemTotal: *(\d+) kB$", file.read(), re.M).group(1)) * 1024
    limit = int(shown(box, "MemoryMax").replace("infinity", "0"))
    expect(0 < limit < 0.8 * memory, f"MemoryMax is {limit} of {memory} bytes")
    equal([shown(box, name) for name in ("TasksMax", "LimitCORE")], ["16", "0"], "limits")
    with open(box.path(f"/proc/{main_pid(box)}/limits"), encoding="ascii") as file:
        matches(r"^Max core file size +0 +0 ", file.read(), "core dumps")
    box.good(box.imctl, "update", str(LARGEST), "1", "--detach", "--quiet")
    box.good(box.imctl, "update", str(LARGEST), "2", "--detach", "--quiet")
    with open(box.path(f"/proc/{main_pid(box)}/status"), encoding="ascii") as file:
        peak_kb = int(re.search(r"^VmHWM:\s*(\d+) kB$", file.read(), re.M).group(1))
    print(f"# {peak_kb} kB at most, of a group of {LARGEST} nodes that is superseded")
    expect(peak_kb < 1 << 20, f"{peak_kb} kB, more than imd(8) says")
    equal(shown(box, "NRestarts"), "0", "restarts")


@case
def nothing_it_needs_is_refused():
    """The filter of system calls answers with an error, which libraries complain of."""
    box = started()
    box.good("systemctl", "reload", UNIT)
    box.good("systemctl", "kill", "--kill-who=main", "--signal=USR1", UNIT)
    box.good(box.imctl, "update", "3", "1", "--detach", "--quiet")
    box.good("systemctl", "stop", UNIT)
    equal(shown(box, "Result"), "success", "how it ended")
    said = journal(box)
    matches("^stopping signal=TERM", said, "its log")
    expect(not re.search(r"\[(warn|err)\]|not permitted", said), "it was refused something:", said)


main(limit_s=300)
