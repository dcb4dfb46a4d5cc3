"""A real sshd on loopback, with throw-away keys, for SSHCluster.

Covers: its keys, its configuration, starting and ending it.
Does not cover: installing it (.ci/run), or what is run over it (test_ssh.py).
"""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dask_processes import free_port, process, wait_for_port

SSHD = "/usr/sbin/sshd"
_CONF = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/client.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowUsers {user}
MaxStartups 100:30:200
MaxSessions 100
UseDNS no
"""


@contextmanager
def ssh_server(folder: Path) -> Iterator[dict[str, Any]]:
    """Run sshd; yield the `connect_options` with which it lets us in."""
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    port = free_port()
    conf = folder / "sshd_config"
    conf.write_text(_CONF.format(port=port, folder=folder, user=getpass.getuser()), encoding="utf-8")
    host_key = " ".join((folder / "host.pub").read_text(encoding="utf-8").split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n", encoding="utf-8")
    Path("/run/sshd").mkdir(exist_ok=True)
    with process([SSHD, "-D", "-e", "-f", str(conf)], folder / "sshd.log"):
        wait_for_port(port)
        yield {
            "port": port, "username": getpass.getuser(), "client_keys": [str(folder / "client")],
            "known_hosts": str(folder / "known_hosts"),
        }  # fmt: skip
