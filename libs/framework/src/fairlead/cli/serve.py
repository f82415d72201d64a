"""`fairlead serve MODULE:NAME`: a supervisor with workers, or a single process.

Signals are taken over before anything else is imported: as PID 1 a SIGTERM that finds no handler is lost.
"""

from __future__ import annotations

import argparse

from fairlead.workers.signals import STOP_SIGNALS, SignalInbox

__all__ = ["add_arguments", "run", "worker_count"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options. Those that are left out come from the environment (`--port`: FAIRLEAD_PORT)."""
    from fairlead.cli.target import add_target

    add_target(parser)
    parser.add_argument("-H", "--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("-p", "--port", type=int, help="port to listen on; 0 takes a free one (default: 8000)")
    parser.add_argument("-w", "--workers", type=worker_count, help="worker processes (default: as the CPU quota allows, or 1)")
    parser.add_argument("--fast", action="store_true", help="as many workers as there are CPUs to be used")
    parser.add_argument("--single-process", action="store_true", default=None, help="no supervisor, no workers")
    parser.add_argument("--management-host", metavar="HOST", help="address of probes and metrics (default: 127.0.0.1)")
    parser.add_argument("--management-port", metavar="PORT", type=int, help="their port (default: 9000)")
    parser.add_argument("--tls-cert", "--cert", metavar="FILE", help="serve TLS with this certificate and its chain (PEM)")
    parser.add_argument("--tls-key", "--key", metavar="FILE", help="the certificate's key (PEM)")
    parser.add_argument(
        "--tls", dest="tls_directories", metavar="FOLDER", action="append", help="folder of certificate and key; one for each name"
    )
    parser.add_argument("--tls-strict-host", action="store_true", default=None, help="refuse clients that ask for another name")
    parser.add_argument("--http2", action="store_true", default=None, help="speak HTTP/2 as well; needs fairlead[http2]")
    parser.add_argument("--drain-delay", metavar="S", type=float, help="seconds to serve on after SIGTERM (default: 0)")
    parser.add_argument("--graceful-shutdown-timeout", metavar="S", type=float, help="seconds for requests in flight (default: 15)")
    parser.add_argument("--debug", action="store_true", default=None, help="show errors in full; never in production")
    parser.add_argument("--access-log", action=argparse.BooleanOptionalAction, help="log every request (default: on)")
    parser.add_argument("--log-format", choices=("auto", "json", "console"), help="default: json unless in a terminal")
    parser.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning, error or critical (default: info)")


def run(arguments: argparse.Namespace) -> int:
    """Serve until asked to stop."""
    signals = SignalInbox().install(*STOP_SIGNALS)
    from fairlead.cli.target import target_of
    from fairlead.workers.serving import serve

    options = {name: value for name, value in vars(arguments).items() if name != "target"}
    return serve(target_of(arguments), signals=signals, **options)


def worker_count(text: str) -> int:
    """A number of workers from the command line."""
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers")
    return int(text)
