#!/usr/bin/env python3
"""Nobody who does not read what imd tells can hold it up: not a service manager, and not who has its log."""

import os
import re
import select
import signal
import socket
import time
import tty

from imdtest import Daemon, TIMEOUT_S, add_case, await_that, case, equal, expect, fill_queue, main


def reloads(imd):
    return len(re.findall("^<5>reloaded ", imd.log(), re.M))


def ends(imd):
    imd.process.send_signal(signal.SIGTERM)
    equal(imd.process.wait(TIMEOUT_S), 0, "exit status")


# ---- the service manager ----------------------------------------------------------------------------

def unread_manager(*options, **more):
    """A daemon whose manager has read READY=1 and nothing since, so that nothing more can be told."""
    imd = Daemon("--mock-delay=0", *options, **more)
    fill_queue(imd.manager.path)
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


# ---- who has its log --------------------------------------------------------------------------------

class Log:
    """The two ends of what stderr is. It is read when a case wants it."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.unread = b""

    def read(self):
        ready, _, _ = select.select([self.reader], [], [], TIMEOUT_S)
        expect(ready, f"nothing more came to be read than {self.unread[-200:]}")
        self.unread += os.read(self.reader, 1 << 16)

    def await_line(self, pattern):
        """Reads up to a line that matches; nothing else may come before it."""
        while b"\n" not in self.unread:
            self.read()
        line, self.unread = self.unread.split(b"\n", 1)
        match = re.fullmatch(pattern, line.decode())
        expect(match, f"wanted /{pattern}/, got {line}")
        return match

    def fill(self):
        """Until it takes nothing more, by a description that does not wait: how many bytes that took."""
        writer = os.open(f"/proc/self/fd/{self.writer}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        count = 0
        try:
            while os.write(writer, b"X"):
                count += 1
        except BlockingIOError:
            return count
        finally:
            os.close(writer)

    def drain(self, count):
        while len(self.unread) < count:
            self.read()
        equal(self.unread[:count], b"X" * count, "what it was filled with")
        self.unread = self.unread[count:]

    def close(self):
        os.close(self.reader)
        os.close(self.writer)


class SocketLog(Log):
    def fill(self):
        count = 0
        with socket.socket(fileno=os.dup(self.writer)) as sender:
            try:
                while sender.send(b"X", socket.MSG_DONTWAIT):
                    count += 1
            except BlockingIOError:
                return count


def pipe():
    return Log(*os.pipe())


def stream():
    ends = socket.socketpair()
    return SocketLog(*(end.detach() for end in ends))


def terminal():
    log = Log(*os.openpty())
    tty.setraw(log.writer)
    return log


def update(client, size):
    client.await_end(client.ok(f"UPDATE {size} 1").end["graph"])


def unread_log(kind):
    log = kind()
    imd = Daemon("--mock-delay=0", "--log-level=debug", stderr=log.writer)
    log.await_line("<6>ready .*")
    client = imd.client()
    client.ok("WATCH GRAPHS initial=no")
    filled = log.fill()
    for size in range(1, 11):
        update(client, size)
    client.ok("PING")
    log.drain(filled)
    update(client, 11)
    equal(log.await_line("<4>log-lost lines=(.*)")[1], "20", "events that were lost, two of each update")
    log.await_line("<7>graph-started .* revision=11 .*")
    log.await_line("<6>graph-succeeded .* revision=11 .*")
    log.fill()
    update(client, 12)
    client.ok("PING")
    ends(imd)
    log.close()


for made in pipe, stream, terminal:
    add_case(f"a-{made.__name__}-that-nobody-reads", lambda made=made: unread_log(made))


@case
def a_pipe_that_is_closed():
    log = pipe()
    imd = Daemon("--mock-delay=0", "--log-level=debug", stderr=log.writer)
    log.close()
    client = imd.client()
    client.ok("WATCH GRAPHS initial=no")
    update(client, 3)
    client.ok("PING")
    ends(imd)


main()
