#!/usr/bin/env python3
"""The packages for Debian: they build, their checker has nothing to say, and under a real systemd they
are installed, upgraded, removed and purged as they should be."""

import glob
import os
import shutil

from imdtest import IMD, SOURCE, Skip, case, equal, expect, main, matches, run, sanitized
from machine import BUILD, Knocking, cannot, machine, make

PACKAGES = "/var/packages"
SOCKET = "/run/imd.sock"
INSTALLED_TEST = os.path.join(SOURCE, "debian", "tests", "installed")

POSTRM = os.path.join(SOURCE, "debian", "imd.postrm")

# What the package manager itself keeps, and what systemd does.
OTHERS = ("/var/lib/dpkg", "/var/lib/systemd", "/var/log", "/var/cache", "/var/tmp", PACKAGES)


def packages():
    """The packages, built by the first case that asks."""
    if sanitized():
        raise Skip("packages are built without sanitizers, and once")
    if not hasattr(packages, "found"):
        for program in ("dpkg-buildpackage", "dh", "lintian"):
            if not shutil.which(program):
                cannot(f"{program} is not installed")
        make("deb")
        packages.found = sorted(glob.glob(os.path.join(BUILD, "deb", "im*[dl]_*.deb")))
    return packages.found


def stage_packages(stage):
    os.makedirs(stage + PACKAGES)
    for path in packages():
        shutil.copy(path, stage + PACKAGES)
    shutil.copy(INSTALLED_TEST, stage + PACKAGES)


def files(box):
    """What is there of the system's files, but for what others keep."""
    pruned = " -o ".join(f"-path {path}" for path in OTHERS)
    found = box.good("sh", "-c", f"find /etc /lib /usr /var '(' {pruned} ')' -prune -o -print")
    return set(found.splitlines())


def install(box):
    # A system that is made for a container may forbid services to be started.
    box.run("rm", "-f", "/usr/sbin/policy-rc.d")
    box.good("sh", "-c", f"dpkg --install {PACKAGES}/*.deb")


def state(box, unit):
    return box.run("systemctl", "is-active", unit)[1].strip()


@case
def the_checker_has_nothing_to_say():
    names = [os.path.basename(path) for path in packages()]
    version = run(IMD, "--version")[1].split()[1]
    equal([name.rpartition("_")[0] for name in names], [f"imctl_{version}", f"imd_{version}"], "packages")
    changes, = glob.glob(os.path.join(BUILD, "deb", "*.changes"))
    status, out, err = run("lintian", "--allow-root", "--fail-on=error,warning", changes)
    equal((status, out), (0, ""), "lintian", err)


@case
def a_life_with_the_packages():
    packages()
    box = machine(stage_packages)
    before = files(box)
    # The nodes of the package's own test need not take their time here.
    box.write("/run/systemd/system/imd.service.d/quick.conf",
              "[Service]\nExecStart=\nExecStart=/usr/sbin/imd --mock-delay=100ms\n")
    install(box)
    equal([state(box, unit) for unit in ("imd.socket", "imd.service")], ["active"] * 2, "units")
    equal(box.good("systemctl", "is-enabled", "imd.socket", "imd.service"), "enabled\n" * 2, "units")
    equal(box.good("stat", "-c", "%U %G %a", "/etc/imd"), "root root 755\n", "the settings' directory")
    box.good("sh", f"{PACKAGES}/installed")
    identity = os.stat(box.path(SOCKET)).st_ino
    with Knocking(box.path(SOCKET)) as knocking:
        install(box)
    equal(knocking.refused, [], "connections that were refused in an upgrade")
    equal(os.stat(box.path(SOCKET)).st_ino, identity, "the socket")
    matches("^SPEC .*revision=2 ", box.good("sh", "-c", f"echo SPEC | socat - UNIX-CONNECT:{SOCKET}"),
            "the state behind an upgrade")

    box.good("dpkg", "--remove", "imd")
    equal([state(box, unit) for unit in ("imd.socket", "imd.service")], ["inactive"] * 2, "units")
    expect(not os.path.exists(box.path(SOCKET)), "the socket is left")
    expect(os.path.exists(box.path("/var/lib/imd/imd.db")), "the state is gone before a purge")
    box.good("dpkg", "--purge", "imd", "imctl")
    equal(sorted(files(box) - before), [], "what a purge leaves")
    matches("^imd:.*:/:/usr/sbin/nologin$", box.good("getent", "passwd", "imd"), "the user, which stays")


# In a mount namespace with its own /etc and /var/lib. A file system is mounted at /var/lib/imd and, if `inner` is
# set, another one in it.
PURGE = """
mount -t tmpfs none /etc
mount -t tmpfs none /var/lib
mkdir -p /etc/imd/imd.conf.d /var/lib/imd /var/lib/kept
touch /etc/imd/imd.conf /var/lib/kept/file
mount -t tmpfs none /var/lib/imd
mkdir -p /var/lib/imd/a/b
touch /var/lib/imd/imd.db /var/lib/imd/.hidden /var/lib/imd/a/b/c
ln -s /var/lib/kept /var/lib/imd/link
if [ -n "$inner" ]; then
	mount -t tmpfs none /var/lib/imd/a/b
	touch /var/lib/imd/a/b/kept
fi
/bin/sh "$postrm" "$action"
cd / && find /etc /var/lib -mindepth 1 | sort
"""


def purge(action, inner=""):
    """What the script leaves of /etc and /var/lib."""
    if os.geteuid() != 0 or run("unshare", "--mount", "true")[0] != 0:
        cannot("it takes root and mount namespaces")
    status, out, err = run("unshare", "--mount", "--propagation=private", "env", f"postrm={POSTRM}", f"action={action}",
                           f"inner={inner}", "/bin/sh", "-ec", PURGE)
    equal(status, 0, f"{action}: {err}")
    return out.split()


@case
def a_purge_empties_a_mount_point_and_does_not_fail():
    kept = ["/var/lib/imd", "/var/lib/kept", "/var/lib/kept/file"]
    equal(purge("purge"), kept, "what a purge leaves")
    equal(purge("purge", "inner"), kept[:1] + ["/var/lib/imd/a", "/var/lib/imd/a/b", "/var/lib/imd/a/b/kept"] + kept[1:],
          "what it leaves of a mount point with another one in it")
    expect("/var/lib/imd/imd.db" in purge("remove"), "the state is gone before a purge")


main(limit_s=600)
