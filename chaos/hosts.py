"""Several hosts on one machine: network namespaces on a switch, each with a link that can be cut and healed.

Covers: making and removing them, and whether this machine lets us. Does not cover: what runs in them (own_cluster.py).
"""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Host:
    """A network namespace with one address.

    `network` : file by which a process enters it; `cut`, `heal` : commands for its link, to be run from outside.
    """

    address: str
    network: str
    cut: tuple[str, ...]
    heal: tuple[str, ...]


_NUMBERS = itertools.count()
HERE = Host("127.0.0.1", "", (), ())
"""This machine itself, whose link nobody cuts."""


@cache
def may_make_hosts() -> bool:
    """Say whether this process may make network namespaces: on most machines only root may, with iproute2 there."""
    try:
        with hosts(1):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def hosts(count: int) -> Iterator[Sequence[Host]]:
    """Yield hosts on one switch, of which all is removed after the body."""
    own = f"funkflow-{os.getpid()}-{next(_NUMBERS)}"
    names = [f"{own}-{number}" for number in range(count + 1)]
    switch, ends = names[0], names[1:]
    try:
        _ip(f"netns add {switch}", f"-n {switch} link add br0 type bridge", f"-n {switch} link set br0 up")
        for number, name in enumerate(ends, start=1):
            _ip(
                f"netns add {name}",
                f"-n {switch} link add p{number} type veth peer name eth0 netns {name}",
                f"-n {switch} link set p{number} master br0 up",
                f"-n {name} addr add 10.99.0.{number}/24 dev eth0",
                f"-n {name} link set eth0 up",
                f"-n {name} link set lo up",
                f"-n {name} route add default dev eth0",
            )
        yield [_host(switch, name, number) for number, name in enumerate(ends, start=1)]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def _host(switch: str, name: str, number: int) -> Host:
    link = ("ip", "-n", switch, "link", "set", f"p{number}")
    return Host(f"10.99.0.{number}", f"/run/netns/{name}", (*link, "down"), (*link, "up"))


def _ip(*commands: str) -> None:
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True, capture_output=True)
