#!/usr/bin/env python3
"""The log beside a state: damage in it, one that is not the file's, and that a state which is refused is left as it
is."""

import os
import shutil
import sqlite3
import struct

from imdtest import IMD, SOURCE, Daemon, backup, case, equal, expect, main, matches, new_path, run
from statelib import (bytes_of, checked, kill_daemon, make_killed, make_rich, mounted, prints, refused,
                      refused_by_both, state_option)

HEADER, FRAME_HEADER = 32, 24
UPDATES = 5


class Log:
    """The frames of a whole log, and the transaction of each, by its own reading."""

    def __init__(self, path):
        self.path = path
        self.bytes = bytes_of(path)
        self.frame = FRAME_HEADER + struct.unpack_from(">I", self.bytes, 8)[0]
        self.count = (len(self.bytes) - HEADER) // self.frame
        self.transactions = []
        number = 1
        for index in range(self.count):
            self.transactions.append(number)
            number += struct.unpack_from(">I", self.bytes, self.at(index) + 4)[0] != 0
        self.last = number - 1

    def at(self, index):
        return HEADER + index * self.frame

    def flip(self, at, bit=0x10):
        data = bytearray(self.bytes)
        data[at] ^= bit
        with open(self.path, "r+b") as file:
            file.write(data)

    def restore(self):
        with open(self.path, "wb") as file:
            file.write(self.bytes)


def copy_state(path, name="copy.db"):
    """A copy of the files."""
    folder = new_path("folder")
    os.mkdir(folder, 0o700)
    target = os.path.join(folder, name)
    for suffix in ("", "-wal", "-journal"):
        if os.path.exists(path + suffix):
            shutil.copyfile(path + suffix, target + suffix)
            os.chmod(target + suffix, 0o600)
    return target


def revisions(client):
    return [int(spec["revision"]) for spec in client.ok("SPECS").records if spec["revision"] != "0"]


# ---- damage --------------------------------------------------------------------------------------------------

# Of a frame: what is damaged, and where.
FIELDS = (("page number", 3), ("commit field", 7), ("first salt", 9), ("second salt", 14), ("first sum", 17),
          ("second sum", 23), ("page", FRAME_HEADER + 1000))


@case
def damage_before_the_last_transaction_is_refused_at_every_frame():
    path = make_killed(new_path("state.db"), UPDATES)
    log = Log(path + "-wal")
    expect(log.last >= UPDATES and log.count > log.last, "the log has", log.count, "frames and", log.last, "commits")
    tried = 0
    for index in range(log.count):
        transaction = log.transactions[index]
        if transaction == log.last:
            continue
        told = (rf"-wal is damaged in frame {index + 1} of {log.count}: commits from number {transaction} on are lost, "
                rf"at least {log.last - transaction + 1}; .*--restore=COPY.*--truncate-log")
        for what, at in FIELDS:
            log.flip(log.at(index) + at)
            before = prints(path)
            checked(path, 1, told)
            if what in ("commit field", "page"):
                refused(path, told)
            equal(prints(path), before, f"the files, with damage of the {what} of frame {index + 1}")
            tried += 1
    expect(tried > UPDATES * len(FIELDS), "too little was tried")
    log.restore()
    checked(path, 0, f"sound: groups=1 revisions={UPDATES} ")


@case
def damage_of_the_header_is_refused():
    path = make_killed(new_path("state.db"), UPDATES)
    log = Log(path + "-wal")
    for at in range(0, HEADER, 3):
        log.flip(at)
        refused_by_both(path, rf"-wal is damaged in its header: commits from number 1 on are lost, at least {log.last};")
    log.restore()
    checked(path, 0, f"sound: groups=1 revisions={UPDATES} ")


@case
def an_incomplete_last_transaction_is_ignored_and_reported():
    """It cannot be told from one that was never synced; so it is not silent."""
    whole = make_killed(new_path("state.db"), UPDATES)
    frames = Log(whole + "-wal")
    for index in range(frames.count):
        if frames.transactions[index] != frames.last:
            continue
        for what, at in FIELDS:
            path = copy_state(whole)
            log = Log(path + "-wal")
            log.flip(log.at(index) + at, 0x01)
            before = prints(path)
            checked(path, 0, r": sound: .*; .*-wal: the last transaction is incomplete and was ignored")
            equal(prints(path), before, f"the files, with damage of the {what} of frame {index + 1}")
            with Daemon("--mock-delay=1h", state_option(path)) as imd:
                matches(r"^<4>log-incomplete .*-wal: the last transaction is incomplete", imd.log(), "the log")
                expect(len(revisions(imd.client())) >= UPDATES - 1, f"revisions with damage of the {what}")
            checked(path, 0, r": sound: [^;]*$")


@case
def damage_of_a_last_transaction_that_the_file_has_is_refused():
    """That shows that it was whole once."""
    path = make_killed(new_path("state.db"), UPDATES)
    log = Log(path + "-wal")
    rows = sqlite3.connect(path)
    rows.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    rows.close()
    log.restore()
    os.chmod(path + "-wal", 0o600)
    checked(path, 0, f"sound: groups=1 revisions={UPDATES} ")
    log.flip(log.at(log.count - 1) + FRAME_HEADER + 1000)
    refused_by_both(path, rf"-wal is damaged in frame {log.count} of {log.count}: ")


@case
def a_log_that_was_cut_in_its_last_transaction_is_reported():
    whole = make_killed(new_path("state.db"), UPDATES)
    log = Log(whole + "-wal")
    size, last = len(log.bytes), log.transactions.count(log.last)
    expect(last > 1, "the last transaction has one frame, so a cut between its frames is not tried")
    for cut in (1, 100, log.frame - 20, log.frame - 1, *(frames * log.frame for frames in range(1, last))):
        path = copy_state(whole)
        os.truncate(path + "-wal", size - cut)
        checked(path, 0, r": sound: .*; .*-wal: the last transaction is incomplete and was ignored")
        with Daemon("--mock-delay=1h", state_option(path)) as imd:
            matches(r"^<4>log-incomplete .*-wal: the last transaction is incomplete", imd.log(), "the log")
            imd.client().ok("UPDATE 3 77")
        checked(path, 0, r": sound: [^;]*$")


# ---- journals ------------------------------------------------------------------------------------------------

JOURNAL_HEADER, SECTOR = struct.Struct(">8sIIIII"), 512
MAGIC = bytes.fromhex("d9d505f920a163d7")


def segment(nonce, pages, page_size, records):
    """A part of a rollback journal; its checksum is of every 200th byte of a page, from the end (pager.c)."""
    data = JOURNAL_HEADER.pack(MAGIC, len(records), nonce, pages, SECTOR, page_size).ljust(SECTOR, b"\0")
    for number, page in records:
        total = nonce + sum(page[at] for at in range(page_size - 200, 0, -200))
        data += struct.pack(">I", number) + page + struct.pack(">I", total & 0xffffffff)
    return data.ljust(-(-len(data) // SECTOR) * SECTOR, b"\0")


@case
def a_journal_is_judged_by_all_of_its_segments():
    """SQLite plays back all; the first one looks like imd's own, which change the header alone."""
    path = make_rich(new_path("state.db"))
    data = bytes_of(path)
    page_size = struct.unpack_from(">H", data, 16)[0]
    pages = len(data) // page_size
    first, last = data[:page_size], data[-page_size:]
    for segments, status in (([[(1, first)]], 0), ([[(1, first)], [(pages, bytes(page_size))]], 1),
                             ([[], [(pages, bytes(page_size))]], 1)):
        with open(path + "-journal", "wb") as file:
            file.write(b"".join(segment(7, pages, page_size, records) for records in segments))
        os.chmod(path + "-journal", 0o600)
        if status:
            refused_by_both(path, "-journal belongs to another program")
        else:
            checked(path, 0, "sound: groups=4 ")
    expect(last != bytes(page_size), "the last page is empty, so that is not tried")
    rows = sqlite3.connect(path)
    rows.execute("PRAGMA journal_mode = DELETE").fetchone()
    rows.close()
    expect(bytes_of(path)[-page_size:] == bytes(page_size), "SQLite does not play back the second segment")


# ---- logs of other files -------------------------------------------------------------------------------------

def make_copy(folder_name="copy.db"):
    """A killed state, and a copy that was made before its last commits."""
    path, copy = new_path("state.db"), new_path(folder_name)
    imd = Daemon("--mock-delay=1h", state_option(path))
    client = imd.client()
    client.ok("UPDATE 2 1 quiet=yes")
    backup(client, copy)
    client.ok("UPDATE 4 2 quiet=yes")
    kill_daemon(imd)
    os.chmod(copy, 0o600)
    return path, copy


def overwrite(path, other):
    with open(path, "r+b") as file:
        file.truncate(0)
        file.write(bytes_of(other))


@case
def a_copy_over_a_file_whose_log_stays_is_refused():
    path, copy = make_copy()
    overwrite(path, copy)
    refused_by_both(path, r"-wal is not the log of \S+: .*--restore=COPY")


@case
def the_log_of_another_use_of_a_copy_is_refused():
    _, copy = make_copy()
    first, second = copy_state(copy), copy_state(copy)
    for path in (first, second):
        imd = Daemon("--mock-delay=1h", state_option(path))
        imd.client().ok("UPDATE 3 3 quiet=yes")
        kill_daemon(imd)
        checked(path, 0, "sound")
    shutil.copyfile(first + "-wal", second + "-wal")
    refused_by_both(second, "-wal is not the log of copy.db: it is of another state")


@case
def a_log_that_begins_later_than_the_file_is_refused():
    """The file is an older one of the same state."""
    path = new_path("state.db")
    with Daemon("--mock-delay=1h", state_option(path)) as imd:
        imd.client().ok("UPDATE 2 1 quiet=yes")
    old = bytes_of(path)
    with Daemon("--mock-delay=1h", state_option(path)) as imd:
        imd.client().ok("UPDATE 2 2 quiet=yes")
    imd = Daemon("--mock-delay=1h", state_option(path))
    imd.client().ok("UPDATE 2 3 quiet=yes")
    kill_daemon(imd)
    checked(path, 0, "sound")
    with open(path, "wb") as file:
        file.write(old)
    refused_by_both(path, "-wal is not the log of .*: it begins later than the file")


@case
def a_log_that_the_file_has_overtaken_is_refused():
    path = make_killed(new_path("state.db"), 2)
    log = bytes_of(path + "-wal")
    with Daemon("--mock-delay=1h", state_option(path)) as imd:
        imd.client().ok("UPDATE 2 9 quiet=yes")
    with open(path + "-wal", "wb") as file:
        os.chmod(path + "-wal", 0o600)
        file.write(log)
    refused_by_both(path, "-wal is not the log of .*: the file is newer")


def old_file(version, leave_log):
    """A file of an earlier version that asks for a log; its last change may be in the log alone."""
    path = new_path("old.db")
    rows = sqlite3.connect(path, isolation_level=None)
    with open(os.path.join(SOURCE, "tests/e2e/states", f"v{version}.sql"), encoding="utf-8") as file:
        rows.executescript(file.read())
    rows.execute("PRAGMA journal_mode = WAL")
    rows.execute("UPDATE daemon SET event_seq = event_seq + 1")
    if not leave_log:
        rows.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copied = copy_state(path)
    rows.close()
    return copied


@case
def old_files_with_their_logs_are_opened():
    for version in (1, 2, 3):
        path = old_file(version, leave_log=True)
        expect(os.path.getsize(path + "-wal") > 0, "there is no log, so that is not tried")
        checked(path, 0, "sound: groups=4 ")
        imd = Daemon("--mock-delay=1h", state_option(path))
        imd.client().ok("UPDATE 3 77 quiet=yes")
        kill_daemon(imd)
        checked(path, 0, "sound: groups=4 ")
        with Daemon("--mock-delay=1h", state_option(path)) as imd:
            equal(imd.client().ok("SPEC").one("SPEC")["version"], "77", "version after a crash")


@case
def an_old_file_beside_the_log_of_a_later_one_is_refused():
    path = old_file(3, leave_log=False)
    old = bytes_of(path)
    with Daemon("--mock-delay=1h", state_option(path)) as imd:
        imd.client().ok("UPDATE 3 77 quiet=yes")
    imd = Daemon("--mock-delay=1h", state_option(path))
    imd.client().ok("UPDATE 3 78 quiet=yes")
    kill_daemon(imd)
    with open(path, "wb") as file:
        file.write(old)
    refused_by_both(path, "-wal is not the log of .*: it begins later than the file")


# ---- what is refused is left as it is --------------------------------------------------------------------------

def with_rows(path, sql):
    """Changes that stand in the log alone."""
    rows = sqlite3.connect(path, isolation_level=None)
    rows.execute("PRAGMA journal_mode = WAL")
    rows.execute("PRAGMA wal_autocheckpoint = 0")
    rows.executescript(sql)
    copied = copy_state(path)
    rows.close()
    expect(os.path.getsize(copied + "-wal") > 0, "there is no log, so that is not tried")
    return copied


def other_program():
    return with_rows(new_path("other.db"), "CREATE TABLE t (a); INSERT INTO t VALUES (1)")


def changed_file(sql):
    return with_rows(make_rich(new_path("rich.db")), sql)


def damaged_file():
    path = make_killed(new_path("state.db"), UPDATES)
    with Daemon("--mock-delay=1h", state_option(path)) as imd:
        imd.client().ok("UPDATE 3 8 quiet=yes")
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 3 * 4096)
    return path


def old_and_bad():
    """A file that is brought up to date in memory before what is wrong shows."""
    path = old_file(3, leave_log=False)
    with sqlite3.connect(path) as rows:
        rows.execute("UPDATE groups SET name = 'a b' WHERE number = 1")
    rows.close()
    return path


REFUSED = (
    ("the file of another program", other_program, "not a state file of imd"),
    ("a newer schema", lambda: changed_file("PRAGMA user_version = 99"), "has version 99"),
    ("a changed schema", lambda: changed_file("CREATE TABLE zoo (a)"), "its schema is not imd's"),
    ("a row that is wrong", lambda: changed_file("UPDATE groups SET name = 'a b' WHERE number = 1"), "table groups"),
    ("a file that is damaged", damaged_file, "damaged|malformed|not a state file"),
    ("an old file that is wrong", old_and_bad, "table groups"),
)


def entries(path):
    folder = os.path.dirname(path)
    return {name: os.lstat(os.path.join(folder, name)).st_ino for name in os.listdir(folder)}


@case
def a_start_that_is_refused_writes_nothing():
    for what, make, told in REFUSED:
        path = copy_state(make())
        before, inodes = prints(path), entries(path)
        for _ in range(2):
            refused(path, told)
            checked(path, 1, told)
        equal(prints(path), before, f"{what}: the files")
        equal(entries(path), inodes, f"{what}: the directory")


@case
def a_check_works_on_what_cannot_be_written():
    path = make_killed(new_path("state.db"), UPDATES)
    path = copy_state(path)
    folder = os.path.dirname(path)
    before = prints(path)
    read_only = mounted('set -e; mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; shift', folder)
    status, out, err = run(*read_only, IMD, f"--check-state={path}")
    equal((status, err), (0, ""), "a check on a read-only mount")
    matches(f": sound: groups=1 revisions={UPDATES} ", out, "a check on a read-only mount")
    equal(prints(path), before, "the files")


# ---- where the log is ----------------------------------------------------------------------------------------

@case
def a_link_to_the_directory_leads_to_file_and_log():
    path = copy_state(make_killed(new_path("state.db"), 2), "imd.db")
    folder, link, moved = os.path.dirname(path), new_path("link"), new_path("moved")
    os.symlink(folder, link)
    by_link = os.path.join(link, "imd.db")
    with Daemon("--mock-delay=1h", state_option(by_link)) as imd:
        imd.client().ok("UPDATE 2 7 quiet=yes")
        equal(sorted(os.listdir(folder)), ["imd.db", "imd.db-wal"], "the directory")
        refused(path, "in use by another process")
        kill_daemon(imd)
    os.rename(path, moved)
    refused_by_both(by_link, "its log .*-wal exists")
    os.rename(moved, path)
    checked(by_link, 0, "sound: groups=1 revisions=3 ")


@case
def a_file_that_is_mounted_by_itself_is_refused():
    """Its log stays where it is, so the state would be opened without it."""
    path = make_killed(new_path("state.db"), 2)
    other = copy_state(path)
    os.unlink(other + "-wal")
    here = mounted('set -e; mount --bind "$1" "$2"; shift 2', path, other)
    before = prints(path), prints(other)
    for arguments in ((f"--check-state={other}",), (f"--socket={new_path('sock')}", f"--state={other}")):
        status, out, err = run(*here, IMD, *arguments)
        equal((status, out), (1, ""), f"a start or a check: {err}")
        matches("is a mount point; mount the directory of the state", err, "what is said")
    equal((prints(path), prints(other)), before, "the files")


@case
def a_second_name_of_the_file_is_refused_beside_a_log():
    path = make_killed(new_path("state.db"), 2)
    folder = new_path("folder")
    os.mkdir(folder, 0o700)
    other = os.path.join(folder, "other.db")
    os.link(path, other)
    refused_by_both(other, "has 2 names")
    refused_by_both(path, "has 2 names")
    os.unlink(other)
    checked(path, 0, "sound: groups=1 revisions=2 ")


main(300)
