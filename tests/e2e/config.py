#!/usr/bin/env python3
"""The files that imd is configured by: which are read, in what order, what overrides what, and what is said
of mistakes in them."""

import os
import re

from imdtest import IMD, Daemon, case, equal, expect, main, matches, new_path, run, write


def imd(*arguments, env=None):
    return run(IMD, *arguments, **({"env": env} if env else {}))


def refused(pattern, *arguments, status=6):
    got, out, err = imd(*arguments)
    equal((got, out), (status, ""), f"imd {arguments}: {err!r}")
    equal(len(err.splitlines()), 1, f"lines of {err!r}")
    matches(pattern, err, f"imd {arguments}")


def printed(*arguments):
    """section: {key: value} of --print-config, and its text."""
    status, out, err = imd("--print-config", *arguments)
    equal((status, err), (0, ""), f"imd --print-config {arguments}")
    sections = {}
    for line in out.splitlines():
        if line.startswith("["):
            sections[line[1:-1]] = current = {}
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            current[key] = value
    return sections, out


# ---- which files ------------------------------------------------------------------------------------

@case
def files_are_read_in_their_order():
    path = write(new_path("etc") + "/main", "[imd]\nretries=1\nkeep-specs=2\nmax-groups=3\nkeep-nodes=4\n")
    write(path + ".d/20.conf", "[imd]\nkeep-specs=20\nmax-groups=20\n")
    write(path + ".d/100.conf", "[imd]\nkeep-specs=100\n")  # its name comes before 20.conf
    write(path + ".d/30.conf", "[imd]\nmax-groups=30\n")
    write(path + ".d/40.conf.off", "[imd]\nnonsense\n")
    write(path + ".d/.50.conf", "[imd]\nnonsense\n")
    sections, _ = printed(f"--config={path}", "--keep-nodes=5")
    equal([sections["imd"][key] for key in ("retries", "keep-specs", "max-groups", "keep-nodes")],
          ["1", "20", "30", "5"], "settings")
    status, out, err = imd("-c", path, "--check-config")
    equal((status, err), (0, ""), "--check-config")
    equal(out.splitlines(), [f"{path}: read", f"{path}.d/100.conf: read", f"{path}.d/20.conf: read",
                             f"{path}.d/30.conf: read", "all settings are sound"], "what was read")


@case
def the_usual_files():
    folder = new_path("etc")
    env = dict(os.environ, CONFIGURATION_DIRECTORY=folder)
    status, out, err = imd("--check-config", env=env)
    equal((status, out, err), (0, "no file is there to be read\nall settings are sound\n", ""), "none")
    write(folder + "/imd.conf.d/web.conf", "[group web]\nmax-surge=1\n")
    status, out, _ = imd("--check-config", env=env)
    equal(out, f"{folder}/imd.conf.d/web.conf: read\ngroups: web\nall settings are sound\n", "one beside it")
    write(folder + "/imd.conf", "[imd]\nretries=x\n")
    status, _, err = imd("--check-config", env=env)
    equal(status, 6, err)
    matches(rf"^imd: {folder}/imd.conf:2: \[imd\] retries must be", err, "the mistake")
    for option in ("--help", "--version"):
        equal(imd(option, env=env)[0], 0, f"{option} with a bad file")


@case
def files_that_cannot_be_read():
    path = new_path("none")
    refused(f"^imd: {path} cannot be read: No such file", f"--config={path}")
    refused(f"^imd: {path} cannot be read: No such file", f"--config={path}", "--check-config")
    os.mkdir(path)
    refused(f"^imd: {path} cannot be read: Is a directory", f"--config={path}")
    path = write(new_path("etc") + "/main", "")
    os.makedirs(path + ".d/folder.conf")
    refused("folder.conf cannot be read: Is a directory", f"--config={path}")
    path = write(new_path("etc") + "/main", b"[imd]\nretries=1\0\n")
    refused(f"^imd: {path}:2: the line has a NUL byte", f"--config={path}")


# ---- mistakes ---------------------------------------------------------------------------------------

@case
def mistakes_are_named():
    path = write(new_path("etc") + "/main", "[imd]\nretries=1\n")
    part = write(path + ".d/web.conf", "# of the web\n\n[group web]\nmax-surge=lots\n")
    refused(rf'^imd: {part}:4: \[group web\] max-surge must be .*; "lots"', "-c", path)
    refused(rf'^imd: {part}:4: \[group web\] max-surge must be .*; "lots"', "-c", path, "--print-config")
    refused("^imd: --max-surge must be", "-c", path, "--max-surge=many", status=2)
    write(part, "[imd]\nretry-delay=2m\n")
    refused(rf"^imd: {part}:2: \[imd\] retry-max must not be below retry-delay", "-c", path)
    refused("^imd: --retry-max must not be below --retry-delay", "-c", path, "--retry-max=3s", status=2)
    equal(imd("-c", path, "--retry-max=3m", "--check-config")[0], 0, "an option puts it right")


# ---- what is in effect ------------------------------------------------------------------------------

@case
def what_is_printed_can_be_read_back():
    path = write(new_path("etc") + "/main", """
[imd]
socket=/srv/a b=c#d.sock
socket-mode=0600
state=/srv/state;1
max-surge=150%
min-ready=1500ms
retry-delay=90s
retry-max=2h
log-level=debug
[driver mock]
delay=5ms-2m
seed=18446744073709551615
fail-version=2,9223372036854775807
flaky=0.000001
[group web]
max-unavailable=0
min-ready=90s
[group empty]
[group a..__--9]
max-surge=25%
max-parallel=7
""")
    sections, text = printed("-c", path, "--keep-graphs=7")
    again = write(new_path("etc") + "/again", text)
    equal(printed("-c", again)[1], text, "read back")
    equal(sections["imd"]["socket"], "/srv/a b=c#d.sock", "socket")
    equal(sections["imd"]["keep-graphs"], "7", "an option")
    equal(sections["imd"]["heal-max"], "5m", "a default")
    equal(sections["driver mock"], {"delay": "5ms-2m", "seed": "18446744073709551615",
                                    "fail-version": "2,9223372036854775807", "flaky": "0.000001"}, "mock")
    equal(sections["group web"], {"max-unavailable": "0", "min-ready": "90s"}, "web")
    equal(sections["group empty"], {}, "a group without settings")
    _, defaults = printed()
    expect("#seed=\n" in defaults and "#fail-version=\n" in defaults, defaults)
    again = write(new_path("etc") + "/defaults", defaults)
    equal(printed("-c", again)[1], defaults, "the defaults read back")


@case
def what_cannot_stand_in_a_file_is_not_printed():
    for path in ("/srv/a\nb", "/srv/ ;b", "/srv/b ", "/srv/" + "x" * 300):
        status, _, err = imd("--print-config", f"--socket={path}")
        equal(status, 1, f"{path!r}: {err}")
        matches("socket cannot stand in a file", err, path)


@case
def every_setting_may_stand_in_a_file():
    """Each value that --print-config tells is taken from a file that has nothing else."""
    sections, _ = printed("--mock-seed=1", "--mock-fail-version=1")
    expect(len(sections["imd"]) > 15, sections)
    for section, settings in sections.items():
        for key, value in settings.items():
            path = write(new_path("etc") + "/one", f"[{section}]\n{key}={value}\n")
            equal(printed("-c", path)[0][section][key], value, f"[{section}] {key}")


@case
def the_example_is_sound():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "contrib")
    with open(os.path.join(folder, "imd.conf.example"), encoding="utf-8") as file:
        text = file.read()
    path = write(new_path("etc") + "/example", text)
    state = "--state=/var/lib/imd/imd.db"
    equal(printed("-c", path, state)[1], printed(state)[1], "the example changes nothing")
    path = write(new_path("etc") + "/all", re.sub(r"^#([a-z[].*[^=\n])$", r"\1", text, flags=re.M))
    sections, _ = printed("-c", path)
    defaults, _ = printed(state)
    expect(sections.pop("group web"), "the group of the example")
    equal(sections, defaults, "what the example calls the default")


# ---- groups -----------------------------------------------------------------------------------------

@case
def groups_have_policies_of_their_own():
    path = write(new_path("etc") + "/main", """
[group web]
max-surge=2
min-ready=0
[imd]
max-unavailable=0
max-surge=1
[group default]
max-parallel=3
""")
    keys = ("max-surge", "max-unavailable", "max-parallel")
    with Daemon("--mock-delay=0", f"--config={path}", "--max-unavailable=2") as imd_:
        client = imd_.client()

        def policy(group):
            record = client.ok(f"SPEC group={group}").one("SPEC")
            return [record[key] for key in keys]

        equal(policy("default"), ["1", "2", "3"], "the default group, before its first spec")
        equal(client.ok("PLAN 3 1 group=web").end["max-live"], "5", "a plan for a group that is not there")
        for group in ("web", "db", "default"):
            client.ok(f"UPDATE 3 1 group={group}")
        equal(policy("web"), ["2", "2", "0"], "web")
        equal(policy("db"), ["1", "2", "0"], "db")
        equal(policy("default"), ["1", "2", "3"], "default")
        client.ok("UPDATE 3 2 group=web max-surge=0 max-unavailable=1")
        equal(policy("web"), ["0", "1", "0"], "what a request says comes first")


main()
