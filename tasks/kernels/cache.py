"""The folder that caches compiled kernels, so that the next process need not compile them.

Covers: numba's own choice; a private folder below the temporary folder if numba can write nowhere; no cache if that
fails, too; loading a kernel without the parts of numba that only compile; one build at a time.
Does not cover: the kernels (sgd.py and its neighbours).
"""

from __future__ import annotations

import functools
import os
import stat
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
from numba.core import typeinfer, types
from numba.core.caching import FunctionCache
from numba.core.runtime.nrt import rtsys
from numba.core.sigutils import normalize_signature

_P = ParamSpec("_P")
_T = TypeVar("_T")
_CONFIG: Any = numba.config
_BUILDS = threading.RLock()


def built_once(build: Callable[_P, _T]) -> Callable[_P, _T]:
    """Return `build` with its results kept, and with one thread at a time in any function so decorated.

    Threads that make the same Numba type at once can each get their own, and a kernel whose signature has one refuses
    arrays of the other: "No matching definition". So signatures, too, are made in here.
    """
    kept: Any = functools.cache(build)

    @functools.wraps(build)
    def build_or_wait(*arguments: _P.args, **named: _P.kwargs) -> _T:
        with _BUILDS:
            result: _T = kept(*arguments, **named)
            return result

    return build_or_wait


def compiled(*signature: Any, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator `numba.njit` without the GIL and, if possible, with a cache.

    Parameters
    ----------
    signature, options : as for numba.njit.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        njit: Any = numba.njit
        kernel = njit(nogil=True, no_cfunc_wrapper=True, **options)(function)
        if not why_uncached():
            cache: Any = _KernelCache
            kernel._cache = cache(function)
        if signature:
            with typeinfer.register_dispatcher(kernel):
                kernel.compile(*signature)
            kernel.disable_compile()
            kernel.types_of_calls = _types_of_calls(*signature)
        decorated: Callable[..., Any] = kernel
        return decorated

    return decorate


def _types_of_calls(signature: Any) -> list[types.Array]:
    """Return the types that arrays of a call may have: a kernel also takes one to read that could be written to.

    Made and held before the first call, none is made by two threads at once (`built_once`).
    """
    arrays = [kind for kind in signature.args if isinstance(kind, types.Array)]
    return [kind.copy(readonly=readonly) for kind in arrays for readonly in (False, True)]


class _KernelCache(FunctionCache):
    """numba's cache of a function; a kernel found in it loads no part of numba that only a compilation needs.

    Before it looks into a cache, numba's own imports the code for all that it can compile, SciPy's for linear algebra
    among it: 0.3 s of a processor and 30 MiB. A compilation imports it then.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the kernel of a signature from the cache; None if it is not there.

        Two processes that save kernels of one function at once can choose the same name for a file, which then has the
        kernel of the other's signature. It is compiled and saved again.
        """
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            load: Any = self._load_overload
            found = load(sig, target_context)
            wanted, _ = normalize_signature(sig)
            return found if found is not None and tuple(found.signature.args) == tuple(wanted) else None


@functools.cache
def why_uncached() -> str:
    """Return the reason why kernels cannot be cached; "" if they can.

    If numba finds no folder, all code that this process compiles goes to ours: numba has one setting for all.
    """
    if _numba_has_a_home() and _numba_finds_a_folder():
        return ""
    before = _CONFIG.CACHE_DIR
    try:
        _CONFIG.CACHE_DIR = folder = _private_folder()
    except OSError as cause:
        return str(cause)
    if _numba_finds_a_folder():
        return ""
    _CONFIG.CACHE_DIR = before
    return f"{folder} cannot be written to"


def _numba_has_a_home() -> bool:
    """Return whether numba knows the user's cache; if not, it would create a folder `~` in the working folder."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~")
    return bool(_CONFIG.CACHE_DIR) or os.path.isabs(home)


def _numba_finds_a_folder() -> bool:
    """Return whether numba can write its cache: beside this file, or in the user's cache."""
    try:
        numba.njit(cache=True)(_empty_kernel)  # compiles nothing before it is called
    except RuntimeError:
        return False
    return True


def _empty_kernel() -> None:
    """Stand for any kernel."""


def _private_folder() -> str:
    """Return a folder below the temporary folder that only this user can write to.

    A cache is code: anyone who can write to it, or replace the folder, runs code as this user.

    Raises
    ------
    OSError
        There is no temporary folder, or another user owns the folder or could replace it.
    """
    ours = os.geteuid()
    folder = Path(tempfile.gettempdir()).resolve() / f"funkflow-{ours}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != ours or stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(f"{folder} is not a folder of this user alone")
    for parent in folder.parents:
        found = parent.stat()
        is_shared = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
        if is_shared or found.st_uid not in (0, ours):
            raise PermissionError(f"others could replace {folder}, as {parent} is theirs or open to them")
    return str(folder)
