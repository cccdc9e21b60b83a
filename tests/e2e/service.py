"""The service under the systemd of machine.py, as it is installed: what the tests of the units share."""

import os
import re
import shutil

from imdtest import Skip, sanitized
from machine import machine

UNIT = "imd.service"
SOCKET = "/run/imd.sock"
DROP_IN = f"/run/systemd/system/{UNIT}.d/test.conf"
SETTINGS = "/etc/imd/imd.conf"


def programs(box):
    """Where imd and imctl are installed in the machine."""
    imd = re.search(r"^ExecStart=(\S+)", box.good("systemctl", "cat", UNIT), re.M).group(1)
    return imd, os.path.join(os.path.dirname(os.path.dirname(imd)), "bin", "imctl")


def fresh(*options, settings=""):
    """The machine with the socket listening, no state and no service yet, which will have these options
    of imd and these settings of the unit."""
    if sanitized():
        raise Skip("the sanitizer's runtime does not go with the unit's sandbox")
    box = machine()
    box.run("systemctl", "stop", UNIT, "imd.socket")
    box.run("systemctl", "reset-failed", UNIT, "imd.socket")
    for left in ("/var/lib/imd", "/etc/imd"):
        shutil.rmtree(box.path(left), ignore_errors=True)
    # As it is installed: systemd would give one that it makes to the user of the service.
    os.mkdir(box.path("/etc/imd"), 0o755)
    if os.path.exists(box.path(DROP_IN)):
        os.remove(box.path(DROP_IN))
    if box.imd is None:
        box.good("systemd-sysusers")
        box.imd, box.imctl = programs(box)
    command = " ".join([box.imd, *options])
    box.write(DROP_IN, f"[Service]\nExecStart=\nExecStart={command}\n{settings}\n")
    box.good("systemctl", "daemon-reload")
    box.good("systemctl", "start", "imd.socket")
    return box


def shown(box, name, unit=UNIT):
    return box.good("systemctl", "show", "--value", f"--property={name}", unit).strip()


def main_pid(box):
    return int(shown(box, "MainPID"))


def kill_main(box, number):
    box.good("systemctl", "kill", "--kill-who=main", f"--signal={number.name}", UNIT)


def warnings(box):
    """What the service has said of things that do not go well."""
    return box.good("journalctl", "--quiet", f"--unit={UNIT}", "--priority=warning", "--output=cat",
                    f"_SYSTEMD_INVOCATION_ID={shown(box, 'InvocationID')}")


def journal(box):
    """All that the service and what systemd runs for it have said since it was started."""
    box.good("journalctl", "--sync")
    return box.good("journalctl", "--quiet", f"--unit={UNIT}", "--output=cat",
                    f"_SYSTEMD_INVOCATION_ID={shown(box, 'InvocationID')}")
