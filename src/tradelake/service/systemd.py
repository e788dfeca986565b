"""Under systemd: the unit, and telling the manager how the service is."""

import os
import socket
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
PrivateTmp=yes
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


def unit(home: Path, user: str, command: list[str]) -> str:
    """The text of a unit that follows a home.

    Raises:
        UsageError: a path holds what a unit can't.
    """
    words = [str(home), user, *command]
    for word in words:
        if not word.isprintable():
            raise UsageError(f"{word!r} can't stand in a systemd unit")
    return _UNIT.substitute(
        home=_path(home), user=user, command=" ".join(_quoted(word) for word in command)
    )


def _path(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace("%", "%%")
    return "".join(f"\\x{ord(letter):02x}" if letter in " '\";" else letter for letter in text)


def _quoted(word: str) -> str:
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if not text or set(text) & set(" ;'\"") else text


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
            to.sendto(f"{first}STATUS={event}".encode(), address)
