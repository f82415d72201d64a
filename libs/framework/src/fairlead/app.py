"""The application: what was registered, its configuration, its context, and the step that makes it ready to serve.

    app = App("hello")

    @app.get("/")
    async def hello(request):
        return text("Hello")

`finalise` turns the records of the application and its blueprints into a router and a dispatcher, once. The server never sees
this class: it is given the dispatcher.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextvars import copy_context
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypedDict, TypeVar, Unpack, overload

from fairlead.assembly import Assembly, places_of
from fairlead.blueprint import Blueprint, BlueprintGroup, Placement
from fairlead.commands import Commands
from fairlead.config import Config
from fairlead.dispatch import Dispatcher
from fairlead.error_handler import ErrorHandler
from fairlead.errors import ServerError
from fairlead.ext import Ext
from fairlead.health import Health
from fairlead.injection import Injector
from fairlead.lifecycle import Lifecycle
from fairlead.records import MiddlewareRecord
from fairlead.registrar import Registrar
from fairlead.registry import find_app, register_app, unregister_app
from fairlead.request import Request
from fairlead.response import Dumps, set_encoder
from fairlead.routing import Router
from fairlead.routing.url import build_url
from fairlead.signals import Event, Signals
from fairlead.tasks import TaskRegistry, TaskSource
from fairlead.types import ASGIApplication, Middleware, Receive, Scope, Send

if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultedTypeVar  # type checkers know it, and run time has no use for the defaults

    ConfigT = DefaultedTypeVar("ConfigT", bound=Config, default=Config)
    CtxT = DefaultedTypeVar("CtxT", default=SimpleNamespace)
else:
    ConfigT = TypeVar("ConfigT", bound=Config)
    CtxT = TypeVar("CtxT")
R = TypeVar("R")
P = ParamSpec("P")

logger = logging.getLogger("fairlead.app")


class AppOptions(TypedDict, total=False):
    """The keywords of `App` that say nothing of its type."""

    strict_slashes: bool
    error_handler: ErrorHandler | None
    request_class: type[Request[Any, Any]]
    dumps: Dumps | None
    loads: Callable[[bytes], Any] | None
    env_prefix: str | None


class App(Registrar, Generic[ConfigT, CtxT]):
    """An application. `App[Config, Ctx]` tells type checkers what `config` and `ctx` are."""

    config: ConfigT
    ctx: CtxT

    @overload
    def __init__(self, name: str, config: ConfigT, ctx: CtxT, **options: Unpack[AppOptions]) -> None: ...
    @overload
    def __init__(
        self: App[ConfigT, SimpleNamespace], name: str, config: ConfigT, ctx: None = None, **options: Unpack[AppOptions]
    ) -> None: ...
    @overload
    def __init__(
        self: App[Config, SimpleNamespace],
        name: str,
        config: Mapping[str, Any] | None = None,
        ctx: None = None,
        **options: Unpack[AppOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: App[Config, CtxT],
        name: str,
        config: Mapping[str, Any] | None = None,
        *,
        ctx: CtxT,
        **options: Unpack[AppOptions],
    ) -> None: ...
    def __init__(
        self,
        name: str,
        config: ConfigT | Mapping[str, Any] | None = None,
        ctx: CtxT | None = None,
        *,
        strict_slashes: bool = False,
        error_handler: ErrorHandler | None = None,
        request_class: type[Request[Any, Any]] = Request,
        dumps: Dumps | None = None,
        loads: Callable[[bytes], Any] | None = None,
        env_prefix: str | None = None,
        log_config: Mapping[str, Any] | None = None,
    ) -> None:
        """Names are Sanic's. `dumps` and `loads` encode and decode JSON instead of msgspec. `log_config`, for
        `logging.config.dictConfig`, replaces the logs' whole set-up where the application is served.

        The framework's part of the environment is read when the application is served; `env_prefix="SHOP_"` reads variables with
        that prefix now.
        """
        super().__init__(name, strict_slashes=strict_slashes)
        self.config = config if isinstance(config, Config) else Config(config)  # type: ignore[assignment]
        if env_prefix is not None:
            self.config.load_environment_vars(env_prefix)
        self.error_handler = error_handler or ErrorHandler()
        self.error_handlers = self.error_handler.handlers
        self.request_class = request_class
        self.log_config = log_config
        self.loads = loads
        if dumps is not None:
            set_encoder(self, dumps)
        self.commands = Commands()
        register_app(self)
        self.ctx = ctx if ctx is not None else SimpleNamespace()  # type: ignore[assignment]
        self.router = Router()
        self.health = Health()
        self.lifecycle = Lifecycle()
        self.tasks = TaskRegistry()
        self.injector = Injector()
        self.openapi: Any = None  # the `Documentation`, where there is one
        self.signals = Signals(self.router.types)
        self.blueprints: dict[str, Blueprint] = {}
        self.named_middleware: list[tuple[frozenset[str], str, MiddlewareRecord]] = []
        self._placements: list[Placement] = []
        self._dispatcher: Dispatcher | None = None
        self._asgi: ASGIApplication | None = None

    def __repr__(self) -> str:
        return f"App(name={self.name!r})"

    @property
    def debug(self) -> bool:
        """Whether error pages show what went wrong inside."""
        return bool(self.config.DEBUG)

    # The registry

    @staticmethod
    def register_app(app: App[Any, Any]) -> None:
        """Make an application known to `get_app`; every new one is."""
        register_app(app)

    @staticmethod
    def unregister_app(app: App[Any, Any]) -> None:
        """Let `get_app` forget an application."""
        unregister_app(app)

    @classmethod
    def get_app(cls, name: str | None = None, *, force_create: bool = False) -> App[Any, Any]:
        """The application of a name, or the only one. Raises `ServerError` when there is none; `force_create` makes it."""
        try:
            app: App[Any, Any] = find_app(name)
        except ServerError:
            if name is None or not force_create:
                raise
            return cls(name)
        return app

    # Commands

    def command(self, command: Any = None, *, name: str = "") -> Any:
        """Decorator: a command for `fairlead exec MODULE:NAME COMMAND` (see `fairlead.commands`)."""
        if command is None:
            return partial(self.command, name=name)
        self.commands.add(command, name)
        return command

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running event loop. Raises RuntimeError outside of one."""
        return asyncio.get_running_loop()

    def update_config(self, source: Any) -> None:
        """Take over the upper-case names of a mapping, an object, or a Python file given by its path (`${NAME}` is expanded)."""
        self.config.update_config(source)

    @property
    def ext(self) -> Ext:
        """What Sanic Extensions documents under this name."""
        return Ext(self)

    def register_named_middleware(
        self, middleware: Middleware, route_names: Iterable[str], attach_to: str = "request", *, priority: int = 0
    ) -> Middleware:
        """Middleware for the routes of these names alone, with or without the application's own name before them."""
        self._check_open()
        if attach_to not in ("request", "response"):
            raise ValueError(f"middleware attaches to 'request' or 'response', not to {attach_to!r}")
        names = frozenset(name.removeprefix(f"{self.name}.") for name in route_names)
        self.named_middleware.append((names, attach_to, MiddlewareRecord(middleware, priority)))
        return middleware

    # Blueprints

    def blueprint(
        self,
        blueprint: Blueprint | BlueprintGroup | list[Blueprint | BlueprintGroup] | tuple[Blueprint | BlueprintGroup, ...],
        *,
        url_prefix: str | None = None,
        version: int | float | str | None = None,
        strict_slashes: bool | None = None,
        version_prefix: str | None = None,
        name_prefix: str | None = None,
    ) -> None:
        """Add a blueprint, a group, or several. Raises ValueError for a second blueprint of one name."""
        self._check_open()
        group = Blueprint.group(
            blueprint,
            url_prefix=url_prefix,
            version=version,
            strict_slashes=strict_slashes,
            version_prefix=version_prefix,
            name_prefix=name_prefix,
        )
        for placement in group.placements():
            if self.blueprints.get(placement.name, placement.blueprint) is not placement.blueprint:
                raise ValueError(f"there are two blueprints of the name {placement.name!r}")
            self.blueprints[placement.name] = placement.blueprint
            placement.blueprint.apps.add(self)
            self._placements.append(placement)

    # Other applications

    def mount(
        self,
        prefix: str,
        application: ASGIApplication,
        *,
        name: str | None = None,
        host: str | Iterable[str] | None = None,
        max_body_bytes: int | None = None,
        origins: Iterable[str] | None = None,
    ) -> None:
        """Serve an ASGI application (FastAPI, Django, python-socketio, another `App`) below a path, its lifespan included.

        Its `root_path` is the prefix. `origins` changes WEBSOCKET_ORIGINS for its websockets. Raises ValueError for a prefix that
        is no plain path.
        """
        from fairlead.mount import Mount

        Mount(prefix, application, origins=origins).attach(self, name=name, host=host, max_body_bytes=max_body_bytes)

    # Ready to serve

    @property
    def dispatcher(self) -> Dispatcher:
        """What the server serves. Raises RuntimeError before `finalise`."""
        if self._dispatcher is None:
            raise RuntimeError(f"{self.name!r} is not finalised")
        return self._dispatcher

    def finalise(self) -> Dispatcher:
        """Build router, middleware and dispatcher from what was registered; after this nothing can be added.

        Safe to call again. Raises TypeError, ValueError or `RouteExists` for registrations that contradict each other.
        """
        if self._dispatcher is not None:
            return self._dispatcher
        self._dispatcher = Assembly(self, self._placements).build()
        return self._dispatcher

    # Lifecycle, called by the worker and by the test client

    async def startup(self) -> None:
        """Run the `before_server_start` listeners, make the worker's dependencies, and start the tasks that were added so far."""
        self.tasks.open()
        await self.lifecycle.run("before_server_start", self)
        await self.injector.open()
        await self._announce(Event.SERVER_INIT_BEFORE)
        self.tasks.start(self)

    async def started(self) -> None:
        """Run the `after_server_start` listeners."""
        await self.lifecycle.run("after_server_start", self)
        await self._announce(Event.SERVER_INIT_AFTER)

    async def stopping(self) -> None:
        """Run the `before_server_stop` listeners."""
        await self._announce(Event.SERVER_SHUTDOWN_BEFORE)
        await self.lifecycle.run("before_server_stop", self)

    async def shutdown(self, timeout_s: float = 5.0) -> None:
        """End the background tasks, tear down the worker's dependencies, then run the `after_server_stop` listeners."""
        await self.tasks.shutdown(timeout_s)
        try:
            await self.injector.close()
        except Exception:
            logger.exception("a dependency failed when it was torn down")
        await self._announce(Event.SERVER_SHUTDOWN_AFTER)
        await self.lifecycle.run("after_server_stop", self)

    async def _announce(self, event: Event) -> None:
        """Send one of the server's events; as with listeners, a failure stops a start and is logged at the end."""
        try:
            await self.signals.dispatch(event, {"app": self, "loop": asyncio.get_running_loop()}, reverse="shutdown" in event)
        except Exception:
            if "init" in event:
                raise
            logger.exception("signal handler failed", extra={"event": str(event)})

    # Signals

    async def dispatch(
        self,
        event: str,
        *,
        condition: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        fail_not_found: bool = True,
        inline: bool = False,
        reverse: bool = False,
    ) -> Any:
        """Tell everybody who listens to an event (see `fairlead.signals`); returns the task in which they run.

        With `inline` they run here: returns the first true result; raises what a handler raises, and `SignalNotFound` for an
        event that nobody knows, unless `fail_not_found` is False.
        """
        return await self._dispatch_to(None, event, condition, context, fail_not_found, inline, reverse)

    async def _dispatch_to(
        self,
        blueprint: Blueprint | None,
        event: str,
        condition: Mapping[str, Any] | None,
        context: Mapping[str, Any] | None,
        fail_not_found: bool = True,
        inline: bool = False,
        reverse: bool = False,
    ) -> Any:
        self.finalise()
        running = self.signals.dispatch(
            event, context, condition, blueprint=blueprint, must_exist=inline and fail_not_found, reverse=reverse
        )
        if inline:
            return await running
        task = self.tasks.spawn(running, f"signal {event}")
        await asyncio.sleep(0)
        return task

    async def event(
        self,
        event: str,
        timeout: float | None = None,
        *,
        condition: Mapping[str, Any] | None = None,
        exclusive: bool = True,
    ) -> dict[str, Any]:
        """Wait until an event is dispatched; returns its parameters and context. The action `*` stands for all.

        Raises TimeoutError after `timeout` seconds, and `SignalNotFound` for an event that no handler listens to, unless
        EVENT_AUTOREGISTER is set.
        """
        self.finalise()
        must_exist = not self.config.EVENT_AUTOREGISTER
        return await self.signals.wait(event, timeout, condition, exclusive=exclusive, must_exist=must_exist)

    def _report(self, exception: BaseException) -> None:
        """Send `server.exception.report` in the background; a handler of it that fails is logged."""
        self.tasks.spawn(self.signals.report(exception), str(Event.SERVER_EXCEPTION_REPORT))

    # Tasks and threads

    def add_task(self, task: TaskSource, *, name: str | None = None) -> asyncio.Task[Any] | None:
        """Run a coroutine, or a function that takes the app, in the background; before the start it waits for the loop.

        Raises ValueError when a task of that name is running.
        """
        return self.tasks.add(task, name, self)

    def get_task(self, name: str, *, raise_exception: bool = True) -> asyncio.Task[Any] | None:
        """The task of a name. Raises `ServerError` when there is none, unless `raise_exception` is False: then it is None."""
        task = self.tasks.get(name)
        if task is None and raise_exception:
            raise ServerError(f"there is no task named {name!r}")
        return task

    async def cancel_task(self, name: str, msg: str | None = None, *, raise_exception: bool = True) -> None:
        """Cancel a task and wait for its end. Raises as `get_task`."""
        if self.get_task(name, raise_exception=raise_exception) is not None:
            await self.tasks.cancel(name, msg)

    async def shutdown_tasks(self, timeout: float | None = None) -> None:
        """Cancel every task and wait for them, for GRACEFUL_SHUTDOWN_TIMEOUT seconds unless told otherwise."""
        await self.tasks.shutdown(self.config.GRACEFUL_SHUTDOWN_TIMEOUT if timeout is None else timeout)

    def purge_tasks(self) -> None:
        """Forget tasks that are over."""
        self.tasks.purge()

    async def run_blocking(self, function: Callable[P, R], /, *arguments: P.args, **named: P.kwargs) -> R:
        """Call a function that blocks in a thread, with this request's context, and wait for its result (mission P1)."""
        call = partial(copy_context().run, partial(function, *arguments, **named))
        return await asyncio.get_running_loop().run_in_executor(None, call)

    # URLs

    def url_for(self, view_name: str, **values: Any) -> str:
        """The URL of a route: path parameters by name, other values become the query.

        For `static` folders `filename` names a file, and `name` the folder. `_external`, `_scheme`, `_server`, `_anchor`, `_host`,
        `_method` as in Sanic. Raises `URLBuildError` (500).
        """
        if self._dispatcher is not None:
            return build_url(self.name, self.config, self.router.routes_by_name, view_name, values)
        return build_url(self.name, self.config, places_of(self, self._placements), view_name, values)

    # Serving

    @property
    def test_client(self) -> Any:
        """A client that calls this application in memory: `request, response = app.test_client.get("/")`."""
        from fairlead.testing import SanicStyleClient

        return SanicStyleClient(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI 3 interface: `uvicorn module:app` and the like serve this very object."""
        if self._asgi is None:
            from fairlead.asgi import AsgiApplication

            self._asgi = AsgiApplication(self)
        await self._asgi(scope, receive, send)

    def run(self, host: str | None = None, port: int | None = None, **options: Any) -> None:
        """Serve in this process until SIGINT or SIGTERM, then exit. For several workers use `fairlead serve module:app`."""
        from fairlead.workers import serve

        raise SystemExit(serve(self, host=host, port=port, **options))
