"""What the tests of the state file share: states with something of everything, and what must be said of
files that will not do."""

import hashlib
import os
import re
import shutil

from imdmodel import update
from imdtest import IMD, Daemon, Skip, children, equal, expect, kill, matches, new_path, run

SUFFIXES = ("-wal", "-shm", "-journal")


def state_option(path):
    return f"--state={path}"


def bytes_of(path):
    with open(path, "rb") as file:
        return file.read()


def prints(path):
    """What a file is like, and what stands beside it: nobody has touched it who leaves that as it was."""
    name, folder = os.path.basename(path), os.path.dirname(path)
    found = {}
    for other in sorted(os.listdir(folder)):
        if other.startswith(name):
            whole = os.path.join(folder, other)
            data = bytes_of(whole) if os.path.isfile(whole) and os.access(whole, os.R_OK) else b""
            found[other] = hashlib.sha256(data).hexdigest(), os.lstat(whole).st_mtime_ns, os.lstat(whole).st_mode
    return found


def refused(path, pattern, *options):
    """imd must say in one line what is wrong with the file, which it names, and end with 1."""
    socket = new_path("sock")
    status, out, err = run(IMD, f"--socket={socket}", state_option(path), "--mock-delay=0", *options)
    equal((status, out), (1, ""), f"status and output of imd on {path}: {err}")
    equal(len(err.splitlines()), 1, f"lines of {err!r}")
    matches(rf"^<3>cannot-start error=.*{re.escape(path)}.*{pattern}", err, "what is said")
    expect(not os.path.exists(socket), "a socket was made")


def checked(path, status, pattern):
    """--check-state must end with this status and one line."""
    got, out, err = run(IMD, f"--check-state={path}")
    equal(got, status, f"--check-state={path}: {out}{err}")
    equal(len((out + err).splitlines()), 1, f"lines of {(out, err)}")
    matches(pattern, err if status else out, "--check-state")


def refused_by_both(path, pattern):
    before = prints(path)
    refused(path, pattern)
    checked(path, 1, rf"^imd: .*{re.escape(path)}.*{pattern}")
    equal(prints(path), before, "the file and what is beside it")


# ---- a state after a crash -----------------------------------------------------------------------------------

def kill_daemon(imd):
    """What a daemon has at this moment is what a crash leaves. It must not be stopped after that."""
    imd.process.kill()
    imd.process.wait()
    imd.stop = lambda *_: None
    imd.manager.close()
    if imd.process in children:
        kill(imd.process)


def make_killed(path, updates):
    """A state with so many revisions, all of which are in the log."""
    imd = Daemon("--mock-delay=1h", state_option(path))
    with imd.client() as client:
        for version in range(1, updates + 1):
            client.ok(f"UPDATE 2 {version} quiet=yes")
    kill_daemon(imd)
    expect(os.path.getsize(path + "-wal") > 0, "there is no log, so that is not tried")
    return path


def mounted(script, *arguments):
    """What runs a program after a script has mounted something for it alone."""
    command = ["unshare", "--mount", "sh", "-c", script + '; exec "$@"', "sh", *arguments]
    if not shutil.which("unshare") or run(*command, "true")[0] != 0:
        raise Skip("nothing can be mounted here")
    return command


# ---- a state with something of everything ----------------------------------------------------------------

PAST = ("--mock-delay=0", "--mock-fail-version=13", "--retries=1", "--retry-delay=1ms", "--retry-max=1ms",
        "--heal-delay=1ms")
PRESENT = ("--mock-delay=1h", "--mock-fail-version=13", "--retry-delay=1h", "--retry-max=1h")


def make_past(client, watcher):
    """Groups with a history: rollouts that succeeded and failed, nodes that were killed and marked."""
    update(client, watcher, 'UPDATE 3 1 note="first \\"release\\"\\n\\xc3\\xa9" quiet=yes')
    update(client, watcher, "UPDATE 4 2 max-surge=50% max-unavailable=0 max-parallel=3 quiet=yes")
    update(client, watcher, "UPDATE 4 3 group=web min-ready=1ms max-surge=1 quiet=yes")
    reply = client.ok("UPDATE 5 13 group=web note=bad quiet=yes")
    equal(watcher.await_end(reply.end["graph"])[-1].type, "graph-failed", "a bad release")
    update(client, watcher, "UPDATE 0 1 group=a.b quiet=yes")
    update(client, watcher, "UPDATE 2 1 group=a.b quiet=yes")
    node = client.ok("NODES").records[1]["id"]
    client.ok(f"KILL {node}")
    watcher.await_event("graph-succeeded", group="default")
    client.ok(f"MARK {client.ok('NODES').records[2]['id']}")


def make_present(client):
    """Graphs that run, were superseded and cancelled; nodes that start and stop."""
    client.ok("UPDATE 4 5 max-unavailable=2 group=web quiet=yes")
    client.ok("UPDATE 6 4 max-surge=1 quiet=yes")
    client.ok("UPDATE 5 4 quiet=yes note=superseding")
    client.ok("UPDATE 3 7 group=new quiet=yes")
    client.ok(f"CANCEL {client.ok('UPDATE 2 2 group=a.b quiet=yes').end['graph']}")


def make_rich(path):
    """A state file with all that. It is whole when this returns: no daemon has it."""
    with Daemon(*PAST, state_option(path)) as imd:
        client, watcher = imd.client(), imd.client()
        watcher.ok("WATCH ALL group=*")
        make_past(client, watcher)
    with Daemon(*PRESENT, state_option(path)) as imd:
        make_present(imd.client())
    return path
