#!/usr/bin/env python3
"""Who may have a say in the state: what others can change is refused, root opens nothing of others, and a check
leaves everything as it is."""

import os
import re
import shutil
import signal
import sqlite3
import stat
import struct
from subprocess import DEVNULL

from imdtest import (IMD, TIMEOUT_S, Daemon, await_that, case, environment, equal, expect, kill, main, matches,
                     new_path, run, spawn)
from statelib import bytes_of, checked, make_rich, mounted, prints, refused, refused_by_both, state_option
from users import another_user, give, need_root

JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
PAGE = 4096


def folder_for(path, mode=0o700):
    """A directory of its own, with a state in it."""
    os.mkdir(path, mode)
    os.chmod(path, mode)
    return make_rich(os.path.join(path, "imd.db"))


def hot_journal(state, names):
    """A rollback journal that restores nothing, and names a super-journal: SQLite removes that after the rollback."""
    pages = os.path.getsize(state) // PAGE
    header = JOURNAL_MAGIC + struct.pack(">IIIII", 0, 1, pages, 512, PAGE)
    name = os.fsencode(names)
    lock_page = 0x40000000 // PAGE + 1
    return (header.ljust(512, b"\0") + struct.pack(">I", lock_page) + name +
            struct.pack(">II", len(name), sum(name)) + JOURNAL_MAGIC)


def write_victim(path):
    """SQLite takes it for a list of journals, of which none is there any more. An empty file it would leave."""
    with open(path, "wb") as file:
        file.write(b"precious\n")


class Attack:
    """A state of another user, with a journal that names a file of root's, which that user could not remove."""

    def __init__(self, owner_of=()):
        need_root()
        self.options = another_user()
        self.folder = new_path("theirs")
        self.state = folder_for(self.folder)
        self.victim = new_path("victim")
        write_victim(self.victim)
        self.journal = self.state + "-journal"
        with open(self.journal, "wb") as file:
            file.write(hot_journal(self.state, self.victim))
        everything = {"folder": self.folder, "state": self.state, "journal": self.journal}
        give(self.options, *(everything[name] for name in owner_of or everything))

    def expect_left(self, what):
        expect(os.path.exists(self.victim), f"{what} has removed a file that the journal names")


# ---- what others can change --------------------------------------------------------------------------------

@case
def a_check_by_root_removes_nothing_that_another_users_journal_names():
    attack = Attack()
    before = prints(attack.state)
    got, out, err = run(IMD, f"--check-state={attack.state}")
    attack.expect_left("the check")
    equal(got, 1, f"status of the check: {out}{err}")
    matches(r"super-journal", err, "the check")
    equal(prints(attack.state), before, "the files")


@case
def a_start_by_root_removes_nothing_that_another_users_journal_names():
    attack = Attack()
    before = prints(attack.state)
    status, _, err = run(IMD, f"--socket={new_path('sock')}", state_option(attack.state), "--mock-delay=0", "--retries=0")
    attack.expect_left("the start")
    equal(status, 1, f"status: {err}")
    matches(rf"{re.escape(attack.folder)} belongs to user \d+", err, "what is said")
    equal(prints(attack.state), before, "the files")


@case
def a_journal_that_names_another_file_is_refused_from_its_owner_too():
    state = folder_for(new_path("ours"))
    victim = new_path("victim")
    for name in (victim, state):
        with open(state + "-journal", "wb") as file:
            file.write(hot_journal(state, name))
        write_victim(victim)
        refused_by_both(state, "super-journal")
        expect(os.path.exists(victim), "a file that the journal names was removed")


@case
def files_of_another_user_are_refused_one_by_one():
    for part, told in (("folder", "theirs belongs to"), ("state", "belongs to"),
                       ("journal", "-journal belongs to")):
        attack = Attack(owner_of=(part,))
        refused(attack.state, rf"{told} user \d+; it must belong to")
        attack.expect_left(f"a start with the {part} of another user")
        run(IMD, f"--check-state={attack.state}")
        attack.expect_left(f"a check with the {part} of another user")


@case
def a_directory_that_others_can_write_to_is_refused():
    for mode, told in ((0o1777, "is shared with other users"), (0o1770, "is shared with other users"),
                       (0o777, "can be written by others"), (0o720, "can be written by others")):
        folder = new_path("open")
        state = folder_for(folder)
        os.chmod(folder, mode)
        refused(state, rf"{re.escape(folder)} {told}.*{mode:04o}")
        os.unlink(state)
        refused(state, rf"{re.escape(folder)} {told}.*{mode:04o}")
        equal(os.listdir(folder), [], "what was made in the directory")


@case
def a_file_that_others_can_write_to_is_refused():
    state = folder_for(new_path("ours"))
    for mode in (0o620, 0o602):
        os.chmod(state, mode)
        refused_by_both(state, rf"can be written by others \(mode {mode:04o}\)")
    os.chmod(state, 0o600)
    for suffix in ("-wal", "-journal"):
        with open(state + suffix, "wb"):
            os.chmod(state + suffix, 0o666)
        refused_by_both(state, rf"{suffix} can be written by others")
        os.unlink(state + suffix)
    checked(state, 0, "sound")


# ---- what is no plain file ---------------------------------------------------------------------------------

def device(path):
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    except PermissionError:
        return False
    return True


KINDS = (
    ("a symbolic link", lambda path, kept: os.symlink(kept, path), "is a symbolic link; name the file itself"),
    ("a link to nowhere", lambda path, kept: os.symlink(kept + ".none", path), "is a symbolic link"),
    ("a hard link", lambda path, kept: os.link(kept, path), "has 2 names"),
    ("a directory", lambda path, kept: os.mkdir(path), "is a directory"),
    ("a queue", lambda path, kept: os.mkfifo(path), "is not a regular file"),
    ("a device", lambda path, kept: device(path), "is not a regular file"),
)


@case
def a_state_that_is_no_plain_file_is_refused():
    for what, make, told in KINDS:
        folder = new_path("ours")
        kept = folder_for(folder)
        path = os.path.join(folder, "other.db")
        if make(path, kept) is not False:
            refused_by_both(path, told)
        equal(os.path.exists(kept + ".none"), False, f"{what}: a file was made behind it")


@case
def a_log_or_a_journal_that_is_no_plain_file_is_refused():
    for suffix in ("-wal", "-journal"):
        for _, make, told in KINDS:
            folder = new_path("ours")
            state = folder_for(folder)
            kept = os.path.join(folder, "kept")
            with open(kept, "wb") as file:
                file.write(b"kept")
            if make(state + suffix, kept) is not False:
                refused_by_both(state, f"{suffix} {told}")
            equal(bytes_of(kept), b"kept", f"what {suffix} leads to")
            equal(os.path.exists(kept + ".none"), False, "a file was made behind a link")


@case
def directories_are_not_made_behind_the_link_of_another_user():
    need_root()
    options = another_user()
    shared, theirs = new_path("shared"), new_path("theirs")
    os.mkdir(shared)
    os.chmod(shared, 0o1777)
    os.mkdir(theirs)
    link = os.path.join(shared, "imd")
    os.symlink(theirs, link)
    give(options, link)
    path = os.path.join(link, "a", "imd.db")
    refused(path, rf"{re.escape(link)} belongs to user \d+")
    equal(os.listdir(theirs), [], "what was made behind the link")


@case
def a_directory_of_its_own_below_a_shared_one_will_do():
    shared = new_path("shared")
    os.mkdir(shared)
    os.chmod(shared, 0o1777)
    with Daemon(state_option(os.path.join(shared, "imd", "imd.db"))) as imd:
        imd.client().ok("UPDATE 1 1")
        equal(stat.S_IMODE(os.stat(os.path.join(shared, "imd")).st_mode), 0o700, "mode of the directory")


@case
def a_link_of_the_owner_leads_to_a_directory():
    """As in /var/lib/imd, if the service has a dynamic user."""
    folder, link = new_path("folder"), new_path("link")
    os.mkdir(folder, 0o700)
    os.symlink(folder, link)
    with Daemon(state_option(os.path.join(link, "imd.db"))) as imd:
        imd.client().ok("UPDATE 1 1")
    equal(os.listdir(folder), ["imd.db"], "what is in the directory")
    checked(os.path.join(link, "imd.db"), 0, "sound")


@case
def a_name_is_a_name_and_no_uri():
    folder = new_path("names")
    os.mkdir(folder, 0o700)
    for name in ("file:imd.db?mode=memory", "imd.db?vfs=none", ":memory:.db", "a b%20.db", "./:memory:"):
        with Daemon(state_option(name), cwd=folder) as imd:
            imd.client().ok("UPDATE 1 1")
        expect(os.path.basename(name) in os.listdir(folder), f"no file {name}: {os.listdir(folder)}")
        status, out, err = run(IMD, f"--check-state={name}", cwd=folder)
        equal((status, err), (0, ""), f"the check of {name}")
        matches("sound: groups=1 revisions=1 ", out, f"the check of {name}")


# ---- what is left of a crash -------------------------------------------------------------------------------

def hot(state):
    """A copy of a state, as a crash in the middle of a transaction with a rollback journal leaves it."""
    source, path = new_path("source.db"), new_path("hot.db")
    shutil.copyfile(state, source)
    rows = sqlite3.connect(source, isolation_level=None)
    rows.executescript("PRAGMA journal_mode = DELETE; PRAGMA cache_size = 2; BEGIN IMMEDIATE;"
                       "UPDATE nodes SET error = hex(randomblob(9000)); UPDATE specs SET note = 'lost'")
    for suffix in ("", "-journal"):
        shutil.copyfile(source + suffix, path + suffix)
    rows.close()
    expect(os.path.getsize(path + "-journal") > PAGE, "there is no journal, so that is not tried")
    expect(bytes_of(path) != bytes_of(state), "nothing was written, so that is not tried")
    return path


@case
def a_journal_of_another_program_is_left_to_it():
    """It may be that of a file which was there before: imd's own journals change the header of a file alone."""
    rich = make_rich(new_path("rich"))
    path, copy = hot(rich), new_path("copy.db")
    refused_by_both(path, "-journal belongs to another program")
    shutil.copyfile(rich, copy)
    shutil.copyfile(path + "-journal", copy + "-journal")
    refused_by_both(copy, "-journal belongs to another program")
    rows = sqlite3.connect(path)
    rows.execute("SELECT count(*) FROM nodes").fetchone()
    rows.close()
    checked(path, 0, "sound: groups=4 ")


# ---- the check ---------------------------------------------------------------------------------------------

def read_only_tmp():
    return mounted("set -e; mount --bind /tmp /tmp; mount -o remount,bind,ro /tmp")

@case
def root_checks_with_the_rights_of_the_owner():
    need_root()
    options = another_user()
    folder, closed = new_path("theirs"), new_path("closed")
    state = folder_for(folder)
    give(options, folder, state)
    os.mkdir(closed, 0o700)
    before = prints(state)
    checked(state, 0, "sound: groups=4 ")
    untouched = os.stat(closed).st_mtime_ns
    status, out, err = run(IMD, f"--check-state={state}", env=environment(TMPDIR=closed))
    equal((status, err), (0, ""), "a check with a TMPDIR of root's")
    matches("sound: groups=4 ", out, "a check with a TMPDIR of root's")
    equal(os.stat(closed).st_mtime_ns, untouched, "the directory in which only root could make a copy")
    equal(prints(state), before, "the files")


@case
def a_copy_goes_to_tmp_if_tmpdir_cannot_be_used():
    state, missing = folder_for(new_path("ours")), new_path("missing")
    for given in (missing, state, "relative", ""):
        status, out, err = run(IMD, f"--check-state={state}", env=environment(TMPDIR=given))
        equal((status, err), (0, ""), f"a check with TMPDIR={given}")
        matches("sound: groups=4 ", out, f"a check with TMPDIR={given}")


@case
def a_check_without_a_place_for_a_copy_names_each_place_that_was_tried():
    need_root()
    options, folder = another_user(), new_path("theirs")
    state = folder_for(folder)
    give(options, folder, state)
    closed, missing = new_path("closed"), new_path("missing")
    os.mkdir(closed, 0o700)
    before = prints(state)
    for given, told in ((closed, rf"{closed}.*Permission denied; /tmp: Read-only file system"),
                        (missing, rf"{missing}.*No such file or directory; /tmp: Read-only file system"),
                        ("/tmp", "/tmp: Read-only file system")):
        status, out, err = run(*read_only_tmp(), IMD, f"--check-state={state}", env=environment(TMPDIR=given))
        equal((status, out), (1, ""), f"a check with TMPDIR={given}")
        matches(f"no place for a copy: {told}; set TMPDIR$", err.strip(), f"a check with TMPDIR={given}")
    equal(prints(state), before, "the files")


@case
def a_file_of_nobody_that_is_known_is_not_opened_by_root():
    need_root()
    state = folder_for(new_path("theirs"))
    for uid in (4000000000, 65534):
        os.chown(state, uid, uid)
        checked(state, 1, f"belongs to user {uid}, and root does not open the files of others")


@case
def a_check_leaves_everything_as_it_is():
    """A log that a crash has left is part of what is checked, and stays."""
    folder, scratch = new_path("ours"), new_path("scratch")
    state = os.path.join(folder, "imd.db")
    os.mkdir(scratch, 0o700)
    imd = Daemon("--mock-delay=0", state_option(state))
    client = imd.client()
    client.ok("UPDATE 3 1")
    imd.process.send_signal(signal.SIGKILL)
    imd.process.wait()
    kill(imd.process)
    imd.manager.close()
    expect(os.path.getsize(state + "-wal") > 0, "no log is left, so that is not tried")
    before, folder_before = prints(state), os.stat(folder)
    env = environment(TMPDIR=scratch)
    for _ in range(2):
        status, out, err = run(IMD, f"--check-state={state}", env=env)
        equal((status, err), (0, ""), f"the check: {out}")
        matches("sound: groups=1 revisions=1 ", out, "the check")
        equal(prints(state), before, "the files")
        equal(os.stat(folder).st_mtime_ns, folder_before.st_mtime_ns, "the directory")
        equal(os.listdir(scratch), [], "what is left of the copy")
    os.chmod(folder, 0o500)
    os.chmod(state, 0o400)
    equal(run(IMD, f"--check-state={state}", env=env)[0], 0, "the check of what may only be read")


@case
def a_check_that_fails_leaves_no_copy():
    scratch = new_path("scratch")
    os.mkdir(scratch, 0o700)
    state = folder_for(new_path("ours"))
    with open(state, "r+b") as file:
        file.seek(PAGE)
        file.write(b"\xff" * 3 * PAGE)
    status, _, err = run(IMD, f"--check-state={state}", env=environment(TMPDIR=scratch))
    equal(status, 1, f"the check of a damaged file: {err}")
    expect(scratch not in err, f"the copy is named, and not the file: {err}")
    equal(os.listdir(scratch), [], "what is left of the copy")


def scatter(path, pieces):
    """Adds data to a file with holes in between, so that copying it takes a while."""
    end = os.path.getsize(path)
    with open(path, "r+b") as file:
        for number in range(pieces):
            os.pwrite(file.fileno(), b"x" * PAGE, end + (2 * number + 1) * PAGE)


@case
def a_check_that_is_ended_by_a_signal_leaves_no_copy():
    """A signal after the copy was made is too late, so there are some attempts."""
    state = folder_for(new_path("ours"))
    scatter(state, 20000)
    for number in (signal.SIGTERM, signal.SIGINT):
        seen = []
        while (-number, []) not in seen:
            expect(len(seen) < 20, f"how it ended, and what was left of the copy: {seen}")
            scratch = new_path("scratch")
            os.mkdir(scratch, 0o700)
            process = spawn([IMD, f"--check-state={state}"], env=environment(TMPDIR=scratch), stdout=DEVNULL)
            await_that(lambda: os.listdir(scratch) or process.poll() is not None, "a copy is begun")
            process.send_signal(number)
            seen.append((process.wait(TIMEOUT_S), os.listdir(scratch)))


@case
def what_is_no_database_is_refused_without_a_copy():
    scratch = new_path("scratch")
    os.mkdir(scratch, 0o700)
    untouched = os.stat(scratch).st_mtime_ns
    for data, size, told in ((b"", 3 << 30, "is not a state file of imd"),
                             (b"SQLite format 2\0\x10\0", 3 << 30, "is not a state file of imd"),
                             (b"SQLite format 3\0\x10\x01", 3 << 30, "is not a state file of imd"),
                             (b"SQLite format 3\0\0\0", 3 << 30, "is not a state file of imd")):
        path = new_path("sparse")
        with open(path, "wb") as file:
            file.write(data)
            file.truncate(size)
        status, out, err = run(IMD, f"--check-state={path}", env=environment(TMPDIR=scratch))
        equal((status, out), (1, ""), f"the check of {data}")
        matches(told, err, f"the check of {data}")
        equal(os.stat(scratch).st_mtime_ns, untouched, "the directory for copies")


@case
def a_copy_has_the_holes_of_the_state():
    need_root()
    state, scratch = folder_for(new_path("ours")), new_path("scratch")
    os.mkdir(scratch, 0o700)
    in_little_room = mounted('set -e; mount -t tmpfs -o size=8m,mode=700 none "$1"; shift', scratch)
    pages = os.path.getsize(state) // PAGE
    with open(state, "r+b") as file:
        file.truncate(3 << 30)
        os.pwrite(file.fileno(), b"x", (1 << 30) + 1)
    with open(state + "-wal", "wb") as file:
        file.truncate(3 << 30)
    expect(os.stat(state).st_blocks * 512 < (pages + 64) * PAGE, "the file system has no holes, so that is not tried")
    status, out, err = run(*in_little_room, IMD, f"--check-state={state}", env=environment(TMPDIR=scratch))
    equal((status, err), (0, ""), "a check with little room")
    matches("sound: groups=4 ", out, "a check with little room")


@case
def a_check_with_no_room_for_the_copy_says_so():
    state = folder_for(new_path("ours"))
    scratch = new_path("scratch")
    os.mkdir(scratch, 0o700)
    status, out, err = run("sh", "-c", 'ulimit -f 8; exec "$@"', "sh", IMD, f"--check-state={state}",
                           env=environment(TMPDIR=scratch))
    equal((status, out), (1, ""), "the check")
    matches(rf"{re.escape(state)} cannot be copied to {re.escape(scratch)}.*File too large", err, "what is said")
    equal(os.listdir(scratch), [], "what is left of the copy")


@case
def a_file_that_somebody_reads_is_in_use():
    state = folder_for(new_path("ours"))
    rows = sqlite3.connect(state, isolation_level=None)
    rows.execute("PRAGMA journal_mode = DELETE")
    rows.execute("BEGIN")
    rows.execute("SELECT * FROM nodes").fetchone()
    checked(state, 1, "is in use by another process")
    rows.close()
    checked(state, 0, "sound")


# ---- what imd makes ----------------------------------------------------------------------------------------

@case
def what_imd_makes_is_for_its_owner():
    old = os.umask(0)
    try:
        imd = Daemon("--mock-delay=0")
    finally:
        os.umask(old)
    with imd:
        with open(f"/proc/{imd.pid}/status", encoding="ascii") as file:
            matches(r"^Umask:\s+0077$", file.read(), "the mask of the daemon")
        equal(stat.S_IMODE(os.stat(imd.path).st_mode), 0o660, "mode of the socket")
        equal(stat.S_IMODE(os.stat(imd.path + ".lock").st_mode), 0o600, "mode of the lock")


main()
