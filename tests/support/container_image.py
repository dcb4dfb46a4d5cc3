"""The image of Containerfile, built by a real container tool, and its processes.

Covers: a base with Debian's Python (mmdebstrap), as no image registry need be there; building on it (buildah, images in
a folder of the test's own); running commands of the image, each in a container of its own.
Does not cover: the base that Containerfile names, nor limits and networks of a container: its processes share the
network of this machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dask_processes import process

CHECKOUT = Path(__file__).parents[2]
_BASE = """
FROM scratch
ADD base.tar /
RUN rm -f /usr/lib/python3*/EXTERNALLY-MANAGED && ln -s python3 /usr/bin/python
"""
_STORAGE = '[storage]\ndriver = "overlay"\ngraphroot = "{folder}/images"\nrunroot = "{folder}/running"\n'
_CERTIFICATES = "/etc/ssl/certs:/etc/ssl/certs:ro"
"""Whoever is trusted here is trusted by the build, too."""


def can_build_images() -> bool:
    """Say whether an image can be built here: the tools are installed, and we are root."""
    return os.geteuid() == 0 and all(shutil.which(program) for program in ("buildah", "crun", "mmdebstrap"))


@dataclass(frozen=True)
class Image:
    """An image, and the folder with all that the container tool keeps."""

    folder: Path
    name: str
    containers: ExitStack = field(default_factory=ExitStack)

    @property
    def _environment(self) -> dict[str, str]:
        return {"CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"), "BUILDAH_ISOLATION": "chroot"}

    def buildah(self, *words: str) -> str:
        """Run the container tool; return what it printed.

        Raises
        ------
        AssertionError
            It failed; with its last lines.
        """
        done = subprocess.run(
            ["buildah", *words], cwd=self.folder, env={**os.environ, **self._environment}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"buildah {' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout.strip()

    def _command(self, words: list[str], variables: dict[str, str]) -> list[str]:
        container = self.buildah("from", self.name)
        self.containers.callback(self.buildah, "rm", container)
        settings = [word for name, value in variables.items() for word in ("--env", f"{name}={value}")]
        return ["buildah", "run", *settings, container, "--", *words]

    @contextmanager
    def running(self, words: list[str], log: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command of the image, as its user and with these variables, until the body ends."""
        with process(self._command(words, variables), log, **self._environment) as running:
            yield running

    def run(self, words: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the image to its end."""
        command = self._command(words, variables)
        environment = {**os.environ, **self._environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)


@contextmanager
def built_image(folder: Path, *options: str) -> Iterator[Image]:
    """Build Containerfile with these options; yield the image, and leave no container of it."""
    image = Image(folder, "localhost/funkflow")
    (folder / "storage.conf").write_text(_STORAGE.format(folder=folder), encoding="utf-8")
    (folder / "Base").write_text(_BASE, encoding="utf-8")
    packages = "python3,python3-pip,ca-certificates,libstdc++6"  # the last comes with apt elsewhere
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=essential", f"--include={packages}", "bookworm", str(folder / "base.tar")],
        check=True,
    )
    try:
        image.buildah("bud", "--tag", "localhost/base", "--file", "Base", ".")
        (folder / "base.tar").unlink()
        base = ["--build-arg", "BASE=localhost/base", "--volume", _CERTIFICATES]
        image.buildah("bud", *base, *options, "--tag", image.name, str(CHECKOUT))
        with image.containers:
            yield image
    finally:
        image.buildah("rmi", "--all", "--force")
