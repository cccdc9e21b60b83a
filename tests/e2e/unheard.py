#!/usr/bin/env python3
"""Nobody who does not read what imd tells can hold it up: not a service manager, and not who has its log."""

import errno
import re
import signal
import socket
import time

from imdtest import Daemon, TIMEOUT_S, await_that, case, equal, expect, main


def filled(path):
    """Fills the queue of a datagram socket up, until nobody can send to it: how many were sent."""
    count, before = 0, -1
    while count > before:  # one sender alone is also limited by its own buffer
        before = count
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                while True:
                    sender.sendto(b"X_FILLER=1", path)
                    count += 1
            except BlockingIOError:
                continue
            except OSError as problem:  # the kernel has no memory for more
                equal(problem.errno, errno.ENOBUFS, "sending")
    return count


def reloads(imd):
    return len(re.findall("^<5>reloaded ", imd.log(), re.M))


def ends(imd):
    imd.process.send_signal(signal.SIGTERM)
    equal(imd.process.wait(TIMEOUT_S), 0, "exit status")


# ---- the service manager ----------------------------------------------------------------------------

def unread_manager(*options, **more):
    """A daemon whose manager has read READY=1 and nothing since, so that nothing more can be told."""
    imd = Daemon("--mock-delay=0", *options, **more)
    filled(imd.manager.path)
    return imd


def work(imd, client):
    """Much that is to be told: reloads, one by one, for signals are not counted; and updates. Returns when the
    last reload was asked for, by the daemon's clock."""
    for size in range(1, 21):
        client.ok(f"UPDATE {size} 1")
        asked = time.monotonic_ns() // 1000
        imd.process.send_signal(signal.SIGHUP)
        await_that(lambda size=size: reloads(imd) == size, "the settings are read again")
        client.ok("PING")
    return asked


@case
def a_manager_that_does_not_read():
    """It is told when it reads at last: that the last reload is over, and how things are by now."""
    with unread_manager() as imd:
        asked = work(imd, imd.client())
        imd.manager.seen.clear()
        imd.manager.await_line("STATUS=groups: 1, nodes: 20, available: 20", imd.process)
        told = [line.split("=") for line in imd.manager.seen if not line.startswith(("X_FILLER=", "STATUS="))]
        equal([key for key, _ in told], ["RELOADING", "MONOTONIC_USEC", "READY"], f"what was told: {told}")
        expect(int(told[1][1]) >= asked, f"the last reload was asked for at {asked}, and not told: {told}")


@case
def a_manager_that_never_reads():
    imd = unread_manager(env={"WATCHDOG_USEC": "100000"})
    work(imd, imd.client())
    ends(imd)


@case
def a_manager_that_begins_anew():
    """Its socket is another one, of the same name."""
    with unread_manager() as imd:
        imd.process.send_signal(signal.SIGHUP)
        await_that(lambda: reloads(imd) == 1, "the settings are read again")
        imd.manager.rebind()
        imd.manager.await_line("RELOADING=1", imd.process)
        imd.manager.await_line("READY=1", imd.process)


main()
