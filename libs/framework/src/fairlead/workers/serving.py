"""`serve`: from a target and options to a running service, and from its end to an exit status.

| exit status | why |
|---|---|
| 0 | asked to stop, and stopped |
| 1 | an address that can't be had, an app that can't start, a crash loop, a second signal that cut work short |
| 2 | configuration that is unknown, missing or malformed |

The cause of any status but 0 is on stderr, once.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from fairlead.app import App
from fairlead.config import Config
from fairlead.errors import ConfigurationError
from fairlead.management.fleet import Fleet, Operator
from fairlead.management.private_socket import SocketError, open_private_socket, socket_path
from fairlead.management.server import serve_operations
from fairlead.telemetry.logging import LogStream
from fairlead.workers.banner import announce
from fairlead.workers.cgroup import WorkerCount, count_workers
from fairlead.workers.configuration import apply_options, configure_logs, options_from, settle_config
from fairlead.workers.failure import describe_failure
from fairlead.workers.fleet import WorkerFleet
from fairlead.workers.listener import ListenError, address_of, open_listener
from fairlead.workers.open_files import raise_open_files_limit
from fairlead.workers.plan import Plan
from fairlead.workers.signals import STOP_SIGNALS, SignalInbox
from fairlead.workers.single import SingleProcess
from fairlead.workers.slot import GiveUp
from fairlead.workers.supervisor import Supervisor
from fairlead.workers.target import check_target, import_from_here, load_target, service_name

__all__ = ["Companion", "serve"]

logger = logging.getLogger("fairlead.workers")

Companion = Callable[[Operator], AbstractAsyncContextManager[object]]
"""Something that runs beside the supervisor and gives it orders (a watcher of files)."""


def serve(
    target: str | App[Any, Any],
    *,
    fast: bool = False,
    signals: SignalInbox | None = None,
    companions: Sequence[Companion] = (),
    **options: Any,
) -> int:
    """Serve until asked to stop; returns the exit status.

    `target` is `MODULE:NAME`, which is imported in worker processes under a supervisor, or an `App`, which can only be
    served by this very process. `options` are keys of the configuration in lower case (`host="0.0.0.0"`, `workers=4`,
    `single_process=True`); None stands for "not given". `fast` takes as many workers as there are CPUs to be used; `companions` run
    beside a supervisor.
    Call it in the main thread. Raises TypeError for an option that does not exist.
    """
    settled = options_from(options)
    inbox = signals or SignalInbox()
    inbox.install(*STOP_SIGNALS)
    raise_open_files_limit()
    try:
        if isinstance(target, App):
            return _serve_app(target, settled, inbox, fast=fast)
        return _serve_target(target, settled, inbox, companions, fast=fast)
    except ConfigurationError as error:
        return _complain(str(error), status=error.exit_status)
    except ListenError as error:
        return _complain(str(error))
    except GiveUp as failure:
        return _complain(str(failure), failure.detail, failure.exit_status)
    finally:
        inbox.restore()


def _serve_app(app: App[Any, Any], options: dict[str, Any], signals: SignalInbox, *, fast: bool) -> int:
    apply_options(app, options)
    if fast or app.config.WORKERS > 1:
        raise ConfigurationError(
            "an App object is served by its own process alone; several workers need a name that each of them can import: "
            "`fairlead serve MODULE:NAME`"
        )
    plan = _plan(app.name, app.config, WorkerCount(1, "an App object is served by its own process"), options)
    stream = configure_logs(app.config, app.name, log_config=app.log_config)
    return _run_single(plan, app.config, lambda: app, stream, signals)


def _serve_target(
    target: str, options: dict[str, Any], signals: SignalInbox, companions: Sequence[Companion], *, fast: bool
) -> int:
    check_target(target)
    config = settle_config(options)
    stream = configure_logs(config, service_name(target))
    if config.SINGLE_PROCESS:
        plan = _plan(target, config, WorkerCount(1, "single process"), options)
        return _run_single(plan, config, partial(_load, target, options), stream, signals)
    plan = _plan(target, config, count_workers(config.WORKERS, fast=fast), options)
    signals.install(signal.SIGCHLD)
    with open_listener(plan.management_host, plan.management_port, purpose="management") as listener:
        management = address_of(listener)

        @asynccontextmanager
        async def manage(fleet: Fleet, operator: Operator) -> AsyncIterator[None]:
            async with AsyncExitStack() as stack:
                commands = _private_socket(config, listener)
                await stack.enter_async_context(serve_operations(fleet, operator, listener, commands))
                for companion in companions:
                    await stack.enter_async_context(companion(operator))
                yield

        def show(fleet: WorkerFleet, address: str) -> None:
            announce(
                stream,
                fleet.greeting,
                mode="supervisor and workers",
                workers=plan.workers,
                address=address,
                management=management,
            )

        asyncio.run(Supervisor(plan, signals, manage, show).run())
    return 0


def _private_socket(config: Config, management: socket.socket) -> socket.socket | None:
    """For commands. Without one that was not asked for by name (a read-only file system, say) a service runs as well."""
    if not hasattr(socket, "AF_UNIX"):  # Windows
        return None
    path = socket_path(management.getsockname()[1], config.MANAGEMENT_SOCKET)
    try:
        return open_private_socket(path, make_folder=not config.MANAGEMENT_SOCKET)
    except SocketError as error:
        if config.MANAGEMENT_SOCKET:
            raise ListenError(f"management: {error}") from error
        logger.warning("there is no management socket", extra={"cause": str(error)})
        return None


def _run_single(plan: Plan, config: Config, load: Callable[[], App[Any, Any]], stream: LogStream, signals: SignalInbox) -> int:
    with (
        open_listener(plan.host, plan.port, plan.backlog) as listener,
        open_listener(plan.management_host, plan.management_port, purpose="management") as management,
    ):
        show = partial(
            announce,
            stream,
            mode="single process",
            workers=plan.workers,
            address=address_of(listener),
            management=address_of(management),
        )
        process = SingleProcess(
            plan,
            signals,
            stream,
            listener=listener,
            management=management,
            commands=_private_socket(config, management),
            announce=show,
        )
        try:
            process.run(load)
        except ConfigurationError:
            raise
        except Exception as error:
            failure = describe_failure(error, plan.target)
            raise GiveUp(failure.cause, failure.detail, failure.exit_status) from error
    return 0


def _load(target: str, options: dict[str, Any]) -> App[Any, Any]:
    import_from_here()
    app = load_target(target)
    apply_options(app, options)
    return app


def _plan(target: str, config: Config, workers: WorkerCount, options: dict[str, Any]) -> Plan:
    return Plan(
        target=target,
        workers=workers,
        host=config.HOST,
        port=config.PORT,
        backlog=config.BACKLOG,
        management_host=config.MANAGEMENT_HOST,
        management_port=config.MANAGEMENT_PORT,
        drain_delay_s=config.DRAIN_DELAY,
        graceful_shutdown_timeout_s=config.GRACEFUL_SHUTDOWN_TIMEOUT,
        heartbeat_timeout_s=config.WORKER_HEARTBEAT_TIMEOUT,
        start_timeout_s=config.WORKER_START_TIMEOUT,
        options=options,
    )


def _complain(message: str, detail: str = "", status: int = 1) -> int:
    for text in (detail, f"fairlead: {message}"):
        if text:
            sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
    return status
