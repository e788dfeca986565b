"""Under systemd: the unit, and telling the manager how the service is."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from string import Template

from tradelake.errors import UsageError
from tradelake.service.events import Event

_UNIT = Template("""\
# Follows $home from boot on.
# Save it as /etc/systemd/system/tradelake.service, then:
#   systemctl daemon-reload && systemctl enable --now tradelake
#   systemctl status tradelake        says how it is, and what it waits for
#   journalctl -u tradelake -o cat    its log, a line of JSON an event
[Unit]
Description=tradelake: a lake that follows a store of crypto trades
Documentation=man:systemd.service(5)
After=local-fs.target
RequiresMountsFor=$home

[Service]
Type=notify
User=$user
${environment}\
ExecStart=$command
# It goes on by itself through a full disk and the like. What ends it needs a person, or a
# memory or machine that failed: it is begun again, but for wrong usage (exit code 2).
Restart=on-failure
RestartSec=10
RestartPreventExitStatus=2
TimeoutStopSec=10
LimitNOFILE=65536
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths=$home
${private_tmp}\
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictSUIDSGID=yes
LockPersonality=yes

[Install]
WantedBy=multi-user.target
""")


_FOR_PASSING_THINGS = ("/tmp", "/var/tmp")


def unit(home: Path, user: str, command: list[str], environment: Mapping[str, str]) -> str:
    """The text of a unit that follows a home.

    environment: variables of the settings in force.

    Raises:
        UsageError: a path, name or value holds what a unit can't.
    """
    assignments = [f"{name}={value}" for name, value in environment.items()]
    for word in (str(home), user, *command, *assignments):
        if not word.isprintable():
            raise UsageError(f"{word!r} can't stand in a systemd unit")
    is_hidden = any(home.is_relative_to(folder) for folder in _FOR_PASSING_THINGS)
    return _UNIT.substitute(
        home=_within_quotes(str(home)),
        user=user,
        command=" ".join(_quoted(word) for word in command),
        environment="".join(f"Environment={_within_quotes(each)}\n" for each in assignments),
        private_tmp="" if is_hidden else "PrivateTmp=yes\n",
    )


def _quoted(word: str) -> str:
    """As a word of a command line, in which `$` begins a variable."""
    return _within_quotes(word.replace("$", "$$"))


def _within_quotes(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


_FIRST = {"started": "READY=1\n", "waiting": "READY=1\n", "stopped": "STOPPING=1\n"}
"""A service that waits is at work: the manager must not end it for being late."""


class Notifier:
    """An observer that tells systemd: that it is ready, how it is in a sentence, that it stops.

    Does nothing where no manager listens ($NOTIFY_SOCKET, sd_notify(3)).
    """

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")

    def __call__(self, event: Event) -> None:
        """Passes an event on."""
        if not self._address:
            return
        first = _FIRST.get(event.name, "")
        address = self._address
        if address.startswith("@"):  # an abstract socket
            address = "\0" + address[1:]
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            # A line is an order to the manager: what an event names must not become one.
            status = " ".join(f"{event}".split())
            to.sendto(f"{first}STATUS={status}".encode(errors="replace"), address)
