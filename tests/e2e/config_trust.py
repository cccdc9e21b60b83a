#!/usr/bin/env python3
"""Configuration files that somebody else than root and the daemon's user could change are refused, whatever
makes them so: their owner, their mode, a directory on the way, a link."""

import os
import subprocess

from imdtest import (IMD, Daemon, Skip, await_that, case, environment, equal, expect, main, matches, new_path, reload,
                     run, write)
from users import need_root

OTHER = 61001
MODES = (["--check-config"], ["--print-config"], ["--state=:memory:", f"--socket={new_path('unused')}"])


def imd(*arguments, **options):
    return run(IMD, *arguments, **options)


def config(text="[imd]\nmax-surge=7\n"):
    """A main file and one beside it, in a directory of their own."""
    path = write(new_path("etc") + "/imd.conf", text)
    part = write(path + ".d/part.conf", "[group web]\nmax-surge=1\n")
    return path, part


def refused(path, culprit, why):
    """Whatever imd is to do with the file at `path`: it says which path is wrong, and why."""
    for mode in MODES:
        status, out, err = imd(f"--config={path}", *mode)
        equal((status, out), (6, ""), f"{mode} with {culprit}, where {why}: {err}")
        equal(len(err.splitlines()), 1, f"lines of {err!r}")
        matches(rf" is not trusted: {culprit} {why}", err, f"what {mode} says")


def accepted(path, **options):
    status, out, err = imd(f"--config={path}", "--check-config", **options)
    equal((status, err), (0, ""), f"--check-config of {path}")
    return out


@case
def what_others_may_write_is_refused():
    path, part = config()
    accepted(path)
    for culprit in (path, part, path + ".d", os.path.dirname(path)):
        mode = os.stat(culprit).st_mode & 0o777
        for bit in (0o020, 0o002):
            os.chmod(culprit, mode | bit)
            refused(path, culprit, rf"can be written by others \(mode {mode | bit:04o}\); remove the write permission")
        os.chmod(culprit, mode)
    accepted(path)


@case
def what_belongs_to_others_is_refused():
    need_root()
    path, part = config()
    for culprit in (path, part, path + ".d", os.path.dirname(path)):
        os.chown(culprit, OTHER, OTHER)
        refused(path, culprit, f"belongs to user {OTHER}; it must belong to root")
        os.chown(culprit, 0, 0)
    accepted(path)


@case
def the_usual_files_are_no_exception():
    """A file that need not be there is refused as well if its directory is not trusted: somebody could put
    one there."""
    folder = new_path("etc")
    os.makedirs(folder)
    env = environment(CONFIGURATION_DIRECTORY=folder)
    equal(imd("--check-config", env=env)[0], 0, "exit status of no file")
    os.chmod(folder, 0o777)
    status, _, err = imd("--check-config", env=env)
    equal(status, 6, f"exit status with a directory for everybody: {err}")
    matches(f"^imd: {folder}/imd.conf is not trusted: {folder} can be written by others", err, "what it says")
    # A sticky bit keeps others from replacing a file, and not from making one.
    os.chmod(folder, 0o1777)
    write(f"{folder}/imd.conf", "")
    equal(imd("--check-config", env=env)[0], 0, "exit status of a file in a sticky directory")
    os.mkdir(f"{folder}/imd.conf.d")
    os.chmod(f"{folder}/imd.conf.d", 0o1777)
    status, _, err = imd("--check-config", env=env)
    equal(status, 6, f"exit status with parts from everybody: {err}")


@case
def links_are_followed_to_what_is_trusted():
    path, _ = config()
    link = new_path("links") + "/imd.conf"
    os.makedirs(os.path.dirname(link))
    os.symlink(path, link)
    expect("imd.conf: read" in accepted(link), "a link is not followed")
    os.chmod(path, 0o666)
    refused(link, path, "can be written by others")
    os.chmod(path, 0o644)
    os.symlink(path + ".d", link + ".d")
    expect("groups: web" in accepted(link), "the files of a linked directory are not read")
    os.chmod(path + ".d", 0o775)
    refused(link, path + ".d", "can be written by others")
    if os.geteuid() != 0:
        raise Skip("all but links of others, which only root can make")
    os.chmod(path + ".d", 0o755)
    os.lchown(link, OTHER, OTHER)
    refused(link, link, f"belongs to user {OTHER}")


@case
def a_relative_path_is_checked_from_the_root():
    path, _ = config()
    folder = os.path.dirname(path)
    accepted("imd.conf", cwd=folder)
    os.chmod(folder, 0o777)
    status, _, err = imd("--config=imd.conf", "--check-config", cwd=folder)
    equal(status, 6, f"exit status of a relative path: {err}")
    matches(f"^imd: imd.conf is not trusted: {folder} can be written by others", err, "what it says")


@case
def an_open_descriptor_is_no_way_around():
    """A pipe of the shell is refused as any is, and a file is checked by its own path."""
    path, _ = config()
    for source, status in (("<(echo)", 6), ("/dev/stdin", 0)):
        with open(path, "rb") as file:
            done = subprocess.run(["bash", "-c", f'"$0" --check-config --config={source}', IMD], stdin=file,
                                  env=environment(), capture_output=True, check=False, encoding="utf-8")
        equal(done.returncode, status, f"exit status with {source}: {done.stderr}")
    os.chmod(path, 0o666)
    with open(path, "rb") as file:
        done = subprocess.run([IMD, "--check-config", "--config=/dev/stdin"], stdin=file, env=environment(),
                              capture_output=True, check=False, encoding="utf-8")
    equal(done.returncode, 6, f"exit status with an untrusted file as standard input: {done.stderr}")
    matches(f"/dev/stdin is not trusted: {path} can be written by others", done.stderr, "what it says")


@case
def users_trust_root_and_themselves():
    need_root()
    path, _ = config()
    top = os.path.dirname(os.path.dirname(path))
    mode = os.stat(top).st_mode & 0o777
    os.chmod(top, 0o755)  # it is in the way of everybody but root
    try:
        user = {"user": OTHER, "group": OTHER, "extra_groups": []}
        expect("imd.conf: read" in accepted(path, **user), "a user cannot check the files of root")
        os.chown(path, OTHER, OTHER)
        expect("imd.conf: read" in accepted(path, **user), "a user does not trust itself")
        os.chown(path, OTHER + 1, OTHER)
        status, _, err = imd(f"--config={path}", "--check-config", **user)
        equal(status, 6, f"exit status with the file of another user: {err}")
        matches(f"{path} belongs to user {OTHER + 1}; it must belong to root or to the user who runs imd", err,
                "what it says")
    finally:
        os.chmod(top, mode)


@case
def an_untrusted_reload_changes_nothing():
    path, part = config()
    with Daemon(f"--config={path}") as daemon, daemon.client() as client:
        def surge():
            return client.ok("PLAN 3 1 group=new").end.number("max-live") - 3

        equal(surge(), 7, "max-surge")
        for culprit in (path, part, path + ".d"):
            write(path, "[imd]\nmax-surge=9\n")
            mode = os.stat(culprit).st_mode & 0o777
            os.chmod(culprit, mode | 0o020)
            reload(daemon)
            matches(f'^<3>reload-failed error="[^"]* is not trusted: {culprit} can be written by others',
                    daemon.log(), "its log")
            equal(surge(), 7, f"max-surge after a reload with an untrusted {culprit}")
            os.chmod(culprit, mode)
        reload(daemon)
        await_that(lambda: "<5>reloaded " in daemon.log(), "the files are read again once they are trusted")
        equal(surge(), 9, "max-surge after a reload with trusted files")


main()
