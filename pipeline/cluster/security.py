"""TLS between client, scheduler and workers, from the settings.

Covers: Dask's `Security` from certificate files or from a temporary pair that never leaves memory, and errors of
certificates.
Does not cover: issuing certificates, or Dask's web pages, which do without TLS and stay on loopback.
"""

from __future__ import annotations

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor

from distributed import Security
from distributed.comm.core import FatalCommClosedError, connect

from funkflow.pipeline.cluster.accounts import other_account
from funkflow.pipeline.settings.sections import ClusterSettings
from funkflow.tasks.errors import SettingsError


def security_of(settings: ClusterSettings) -> Security | None:
    """Return the `Security` of a client, or of a cluster on this machine; None if Dask's own settings decide.

    One pair of certificate and key serves all parts: a certificate of the authority admits to the cluster.

    Raises
    ------
    SettingsError
        A file is unreadable or has the wrong form.
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
    """Return TLS for a cluster on this machine, by a key and certificate that never leave memory."""
    made: Security = Security.temporary()
    return made


def in_need_of_security(settings: ClusterSettings) -> str:
    """Return a sign of others who could reach a cluster on this machine; empty if there is none.

    Also empty if our settings, or encryption in Dask's own, decide about TLS.
    """
    if settings.tls or settings.tls_ca or Security().require_encryption:
        return ""
    return other_account()


def refuse_other_security(address: str, security: Security | None, seconds: float) -> None:
    """Connect to a scheduler once, to refuse different TLS at both ends before there is a client.

    A failing `Client` keeps trying in the background after its error.

    Parameters
    ----------
    seconds : time to wait for a scheduler.

    Raises
    ------
    SettingsError
        Only one end uses TLS, or one end refuses a certificate.
    OSError
        Nothing answers in time, or the connection breaks.
    """
    try:
        with ThreadPoolExecutor(1) as apart:  # the caller may have an event loop of its own
            apart.submit(asyncio.run, _try_connection(address, security or Security(), seconds)).result()
    except (FatalCommClosedError, RuntimeError, TypeError, ssl.SSLError) as cause:
        reason = str(cause).split("\n")[0]
        if "ssl_context" in reason:
            raise SettingsError(
                f"{address}: this scheduler uses TLS; set cluster.tls_ca, cluster.tls_cert and cluster.tls_key"
            ) from cause
        if "encryption required" in reason:
            raise SettingsError(
                f"{address}: cluster.tls_ca asks for TLS, but this address has none; give the tls:// address of a "
                "scheduler that runs with --protocol tls"
            ) from cause
        if isinstance(cause, FatalCommClosedError | ssl.SSLError):
            raise SettingsError(
                f"{address}: the certificates do not match ({reason}); cluster.tls_cert needs the signature of the "
                "authority that the scheduler trusts, and the scheduler's certificate that of cluster.tls_ca"
            ) from cause
        raise


async def _try_connection(address: str, security: Security, seconds: float) -> None:
    comm = await connect(address, timeout=seconds, **security.get_connection_args("client"))
    await comm.close()


def _refuse_unreadable(settings: ClusterSettings) -> None:
    """Load the files once, as Dask does later, to name the one that is wrong."""
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
