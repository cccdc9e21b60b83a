#!/usr/bin/env python3
"""A state goes back to a copy, and a damaged log is cut: the copy is checked first, the old files are kept, and a
state that is in use is left alone."""

import os
import re
import shutil
import sqlite3
import stat

from imdtest import IMD, Daemon, backup, case, equal, expect, main, matches, new_path, run
from statelib import bytes_of, checked, kill_daemon, make_killed, make_rich, prints, refused, state_option
from users import another_user, give, need_root



def folder_with(name="imd.db"):
    folder = new_path("folder")
    os.mkdir(folder, 0o700)
    return os.path.join(folder, name)


def make_states():
    """A state that a crash has left, at revision 3, and a copy of it at revision 1."""
    path, copy = folder_with(), new_path("copy.db")
    imd = Daemon("--mock-delay=1h", state_option(path))
    client = imd.client()
    client.ok("UPDATE 2 1 quiet=yes")
    backup(client, copy)
    client.ok("UPDATE 2 2 quiet=yes")
    client.ok("UPDATE 2 3 quiet=yes")
    kill_daemon(imd)
    os.chmod(copy, 0o600)
    return path, copy


def restore(path, copy, **options):
    """What it prints, line by line."""
    status, out, err = run(IMD, f"--restore={copy}", state_option(path), **options)
    equal((status, err), (0, ""), "--restore")
    return out.splitlines()


def not_restored(path, copy, pattern, in_use=False):
    """Nothing is touched, but by the daemon that uses the state."""
    before, names = prints(path), sorted(os.listdir(os.path.dirname(path)))
    status, _, err = run(IMD, f"--restore={copy}", state_option(path))
    equal(status, 1, "exit status")
    equal(len(err.splitlines()), 1, f"lines of {err!r}")
    matches(pattern, err, "what is said")
    expect(in_use or prints(path) == before, "the files were changed")
    equal(sorted(os.listdir(os.path.dirname(path))), names, "the directory")


def aside(path, reason):
    """The databases that were set aside, the first one first."""
    folder, name = os.path.dirname(path), os.path.basename(path)
    return [os.path.join(folder, other) for other in sorted(os.listdir(folder))
            if re.fullmatch(rf"{re.escape(name)}\.{reason}-\d{{8}}T\d{{6}}Z", other)]


def has_revisions(path, count):
    checked(path, 0, f": sound: groups=1 revisions={count} ")


# ---- going back ------------------------------------------------------------------------------------------------

@case
def a_state_goes_back_to_a_copy_and_the_old_one_is_kept():
    path, copy = make_states()
    old = bytes_of(path), bytes_of(path + "-wal")
    lines = restore(path, copy)
    (kept,) = aside(path, "before-restore")
    equal(lines, [lines[0], f"{path}-wal: moved to {kept}-wal", f"{path}: moved to {kept}",
                  f"{path}: restored from {copy}"], "what is printed")
    matches(rf"^{re.escape(copy)}: sound: groups=1 revisions=1 ", lines[0], "the check of the copy")
    equal((bytes_of(kept), bytes_of(kept + "-wal")), old, "the old files")
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode of the new file")
    has_revisions(path, 1)
    has_revisions(kept, 3)
    with Daemon("--mock-delay=1h", state_option(path)) as imd:
        equal(imd.client().ok("SPEC").one("SPEC")["version"], "1", "version of the state")
    with Daemon("--mock-delay=1h", state_option(kept)) as imd:
        equal(imd.client().ok("SPEC").one("SPEC")["version"], "3", "version of the old state")


@case
def each_restore_is_another_use_of_the_copy():
    path, copy = make_states()
    found = set()
    for number in range(3):
        restore(path, copy)
        with Daemon("--mock-delay=1h", state_option(path)) as imd:
            imd.client().ok("PING")
        with sqlite3.connect(path) as rows:
            found.add(rows.execute("SELECT incarnation FROM daemon").fetchone()[0])
        rows.close()
        equal(len(aside(path, "before-restore")), number + 1, "old states that are kept")
    equal(len(found - {None}), 3, "incarnations")


@case
def a_state_that_does_not_exist_is_made_from_a_copy():
    _, copy = make_states()
    top = new_path("top")
    path = os.path.join(top, "a", "imd.db")
    equal(len(restore(path, copy)), 2, "lines")
    equal(os.listdir(os.path.dirname(path)), ["imd.db"], "the directory")
    equal(stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode), 0o700, "its mode")
    has_revisions(path, 1)


@case
def a_state_that_cannot_be_opened_is_replaced():
    _, copy = make_states()
    for make in (lambda path: open(path, "wb").write(b"x" * 9000),
                 lambda path: os.unlink(path),
                 lambda path: open(path, "wb").close(),
                 lambda path: shutil.copyfile(copy, path)):
        path, _ = make_states()
        make(path)
        restore(path, copy)
        has_revisions(path, 1)
        names = sorted(os.listdir(os.path.dirname(path)))
        expect(any(name.endswith("Z-wal") for name in names), "the old log is not kept:", names)
        expect("imd.db-wal" not in names, "the old log is still beside the file")


@case
def a_copy_may_have_a_log():
    """As the files of a daemon that was killed have, wherever they were copied to."""
    path, _ = make_states()
    other = folder_with()
    for suffix in ("", "-wal"):
        shutil.copyfile(path + suffix, other + suffix)
        os.chmod(other + suffix, 0o600)
    before = prints(other)
    target = folder_with()
    restore(target, other)
    has_revisions(target, 3)
    equal(os.listdir(os.path.dirname(target)), ["imd.db"], "the directory")
    equal(prints(other), before, "the files of the copy")


@case
def a_copy_of_an_earlier_version_will_do():
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "states", "v2.sql")
    copy, path = new_path("old.db"), folder_with()
    rows = sqlite3.connect(copy)
    with open(source, encoding="utf-8") as file:
        rows.executescript(file.read())
    rows.close()
    restore(path, copy)
    checked(path, 0, "sound: groups=4 ")
    with Daemon("--mock-delay=1h", state_option(path)) as imd:
        equal(len(imd.client().ok("GROUPS").records), 4, "groups")


@case
def what_is_no_good_copy_is_refused():
    path, copy = make_states()
    bad = new_path("bad.db")
    shutil.copyfile(make_rich(new_path("rich.db")), bad)
    with sqlite3.connect(bad) as rows:
        rows.execute("DELETE FROM plans")
    rows.close()
    not_restored(path, bad, f"{re.escape(bad)}.*table plans")
    with open(bad, "r+b") as file:
        file.write(b"garbage" * 100)
    not_restored(path, bad, "is not a state file of imd")
    not_restored(path, new_path("none.db"), "No such file or directory")
    not_restored(path, path, "is the state itself, not a copy")
    for option in (f"--restore={copy}", "--truncate-log"):
        status, out, err = run(IMD, option, "--state=:memory:")
        equal((status, out, err), (1, "", 'imd: the state ":memory:" is not in a file; use --state\n'), option)
    has_revisions(path, 3)


@case
def a_state_that_is_in_use_is_left_alone():
    path, copy = make_states()
    with Daemon("--mock-delay=1h", state_option(path)) as imd:
        not_restored(path, copy, "is in use by another process", in_use=True)
        with imd.client() as client:
            client.ok("UPDATE 2 4 quiet=yes")
    has_revisions(path, 4)


@case
def a_state_and_a_directory_must_be_trusted():
    path, copy = make_states()
    os.chmod(os.path.dirname(path), 0o777)
    not_restored(path, copy, "can be written by others")
    os.chmod(os.path.dirname(path), 0o700)
    os.link(path, path + ".link")
    not_restored(path, copy, "has 2 names")


@case
def root_restores_for_the_owner_of_the_state():
    need_root()
    options = another_user()
    path, copy = make_states()
    folder = os.path.dirname(path)
    give(options, folder, path, path + "-wal")
    uid = os.stat(path).st_uid
    expect(uid != 0, "the state belongs to root, so that is not tried")
    os.chmod(copy, 0o600)
    restore(path, copy)
    equal({os.stat(os.path.join(folder, name)).st_uid for name in os.listdir(folder)}, {uid}, "owners")
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    restore(path, copy)
    equal(os.stat(path).st_uid, uid, "owner of a new state")


# ---- interrupted -----------------------------------------------------------------------------------------------

def restoring(path):
    """The name of the new database while a restore is finished."""
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.imd-restore")


@case
def a_file_that_no_restore_has_made_is_refused():
    for content in (b"", b"not a database\n" * 100):
        path, _ = make_states()
        with open(restoring(path), "wb") as file:
            file.write(content)
        os.chmod(restoring(path), 0o600)
        before = prints(path)
        refused(path, "is not a (restored state|state file of imd)")
        equal(prints(path), before, "the files after a refused start")


@case
def a_restore_that_was_interrupted_is_finished_by_the_next_start():
    for moved in ((), ("-wal",), ("-wal", "")):
        path, copy = make_states()
        shutil.copyfile(copy, restoring(path))
        os.chmod(restoring(path), 0o600)
        os.utime(restoring(path), (1000000000, 1000000000))
        kept = path + ".before-restore-20010909T014640Z"
        for suffix in moved:
            os.rename(path + suffix, kept + suffix)
        before = prints(path)
        checked(path, 1, r"\.imd-restore exists: a restore was interrupted; start imd to complete it")
        equal(prints(path), before, "the files after a check")
        with Daemon("--mock-delay=1h", state_option(path)) as imd:
            equal(imd.client().ok("SPEC").one("SPEC")["version"], "1", "version of the state")
            matches(r"^<5>restore-finished ", imd.log(), "the log")
        equal(sorted(os.listdir(os.path.dirname(path))),
              sorted(os.path.basename(name) for name in (path, kept, kept + "-wal")), "the directory")
        has_revisions(path, 1)
        has_revisions(kept, 3)


@case
def a_start_beside_a_daemon_finishes_no_restore():
    path, copy = make_states()
    with Daemon("--mock-delay=1h", state_option(path)) as imd:
        shutil.copyfile(copy, restoring(path))
        os.chmod(restoring(path), 0o600)
        before = sorted(os.listdir(os.path.dirname(path)))
        refused(path, "in use by another process")
        equal(sorted(os.listdir(os.path.dirname(path))), before, "the directory")
        os.unlink(restoring(path))
        imd.client().ok("UPDATE 2 4 quiet=yes")
    has_revisions(path, 4)


# ---- a damaged log ---------------------------------------------------------------------------------------------

def damage(path, part=0.5):
    with open(path + "-wal", "r+b") as file:
        at = int(os.path.getsize(path + "-wal") * part)
        byte = os.pread(file.fileno(), 1, at)[0]
        os.pwrite(file.fileno(), bytes([byte ^ 4]), at)


def truncate_log(path):
    return run(IMD, "--truncate-log", state_option(path))


@case
def a_damaged_log_is_cut_and_kept():
    path = make_killed(folder_with(), 6)
    damage(path)
    old = bytes_of(path), bytes_of(path + "-wal")
    refused(path, "--truncate-log")
    said = run(IMD, f"--check-state={path}")[2]
    status, out, err = truncate_log(path)
    equal((status, err), (0, ""), "--truncate-log")
    (kept,) = aside(path, "before-truncate")
    first, *lines, last = out.splitlines()
    matches(rf"^{re.escape(path)}: sound without them: groups=1 revisions=[1-5] ", first, "what is left")
    equal(lines, [f"{path}: copied to {kept}", f"{path}-wal: copied to {kept}-wal"], "what is kept")
    cut = re.fullmatch(rf"{re.escape(path)}-wal: cut after commit (\d+); the later ones, at least (\d+), are lost", last)
    expect(cut, "the last line is", last)
    matches(f"commits from number {int(cut[1]) + 1} on are lost, at least {cut[2]};", said, "what the check says")
    equal((bytes_of(kept), bytes_of(kept + "-wal")), old, "the files that are kept")
    left = re.search(r"revisions=(\d)", first)[1]
    checked(path, 0, f"sound: groups=1 revisions={left} ")
    with Daemon("--mock-delay=1h", state_option(path)) as imd:
        equal(imd.client().ok("SPEC").one("SPEC")["version"], left, "version of the state")


@case
def only_a_damaged_log_is_cut():
    path = make_killed(folder_with(), 3)
    before = prints(path)
    status, _, err = truncate_log(path)
    equal(status, 1, "exit status")
    matches("the log of .* is not damaged; nothing was changed", err, "what is said")
    equal(prints(path), before, "the files")
    with Daemon("--mock-delay=1h", state_option(path)):
        status, _, err = truncate_log(path)
        equal(status, 1, "exit status")
        matches("in use by another process", err, "what is said")
    status, _, err = truncate_log(path)
    equal(status, 1, "exit status without a log")
    has_revisions(path, 3)


@case
def a_log_whose_later_commits_are_in_the_file_is_not_cut():
    """What is whole of it would be laid over newer pages."""
    path = folder_with()
    imd = Daemon("--mock-delay=1h", state_option(path))
    with imd.client() as client:
        for version in range(1, 4):
            client.ok(f"UPDATE 2 {version} quiet=yes")
        log, old = bytes_of(path + "-wal"), path + "-wal"
        kill_daemon(imd)
    copy = sqlite3.connect(path)
    copy.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy.close()
    with open(old, "wb") as file:
        os.chmod(old, 0o600)
        file.write(log)
    has_revisions(path, 3)
    damage(path)
    before = prints(path)
    status, _, err = truncate_log(path)
    equal(status, 1, "exit status")
    matches("-wal is not the log of imd.db: the file is newer", err, "what is said")
    equal(prints(path), before, "the files")


main(240)
