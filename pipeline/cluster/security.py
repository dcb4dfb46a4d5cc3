"""TLS between client, scheduler and workers, from the settings.

Covers: Dask's `Security` from certificate files or from a temporary pair that never leaves memory, and what to say when
a certificate cannot be used or is refused.
Does not cover: who issues certificates, or Dask's web pages, which are not part of it and stay on loopback.
"""

from __future__ import annotations

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor

from distributed import Security
from distributed.comm.core import FatalCommClosedError, connect

from funkflow.pipeline.cluster.accounts import somebody_else
from funkflow.pipeline.settings.sections import ClusterSettings
from funkflow.tasks.errors import SettingsError


def security_of(settings: ClusterSettings) -> Security | None:
    """Return what a client, and a cluster of this machine's own, is to be given; None where Dask's own settings count.

    One pair of certificate and key serves all parts: whoever has one signed by the authority belongs to the cluster.

    Raises
    ------
    SettingsError
        A file cannot be read as what it should be.
    """
    if settings.tls == "temporary":
        return temporary_security()
    if not settings.tls_ca:
        return None
    _refuse_unreadable(settings)
    of_each = {
        f"tls_{part}_{what}": path
        for part in ("client", "scheduler", "worker")
        for what, path in (("cert", settings.tls_cert), ("key", settings.tls_key))
    }
    return Security(require_encryption=True, tls_ca_file=settings.tls_ca, **of_each)


def temporary_security() -> Security:
    """Return what makes a cluster of this machine's own speak TLS, by a pair that never leaves memory."""
    made: Security = Security.temporary()
    return made


def in_need_of_security(settings: ClusterSettings) -> str:
    """Return who else could reach a cluster of this machine's own; empty if there is nobody, or the settings decide.

    So do Dask's own settings, where they ask for encryption.
    """
    if settings.tls or settings.tls_ca or Security().require_encryption:
        return ""
    return somebody_else()


def refuse_other_security(address: str, security: Security | None, seconds: float) -> None:
    """Speak to a scheduler once, so that two ends that do not agree about TLS are told so before a client is made.

    A `Client` that fails would go on trying for a while behind the error.

    Parameters
    ----------
    seconds : how long to wait for a scheduler.

    Raises
    ------
    SettingsError
        One end wants TLS and the other none, or a certificate is refused.
    OSError
        Nothing answers in time, or what answers breaks off.
    """
    try:
        with ThreadPoolExecutor(1) as apart:  # the caller may have an event loop of its own
            apart.submit(asyncio.run, _speak(address, security or Security(), seconds)).result()
    except (FatalCommClosedError, RuntimeError, TypeError, ssl.SSLError) as cause:
        said = str(cause).split("\n")[0]
        if "ssl_context" in said:
            raise SettingsError(
                f"{address}: this scheduler speaks TLS; name cluster.tls_ca, cluster.tls_cert and cluster.tls_key"
            ) from cause
        if "encryption required" in said:
            raise SettingsError(
                f"{address}: cluster.tls_ca asks for TLS and this address has none; give a tls:// address of a "
                "scheduler that was started with --protocol tls"
            ) from cause
        if isinstance(cause, FatalCommClosedError | ssl.SSLError):
            raise SettingsError(
                f"{address}: the certificates do not go together ({said}); cluster.tls_cert has to be signed by the "
                "authority that the scheduler trusts, and the scheduler's by cluster.tls_ca"
            ) from cause
        raise


async def _speak(address: str, security: Security, seconds: float) -> None:
    comm = await connect(address, timeout=seconds, **security.get_connection_args("client"))
    await comm.close()


def _refuse_unreadable(settings: ClusterSettings) -> None:
    """Load the files once, as Dask would later, so that it is told which of them is wrong."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    try:
        context.load_verify_locations(cafile=settings.tls_ca)
    except (OSError, ssl.SSLError) as cause:
        raise SettingsError(
            f"cluster.tls_ca = {settings.tls_ca!r}: cannot be read as certificates in PEM form ({cause})"
        ) from cause
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as cause:
        raise SettingsError(
            f"cluster.tls_cert = {settings.tls_cert!r}, cluster.tls_key = {settings.tls_key!r}: cannot be read as a "
            f"certificate in PEM form and its key ({cause})"
        ) from cause
