"""`python -m benchmarks.telemetry`: what each part of the telemetry costs, beside Sanic and FastAPI with as much of it.

As `python -m benchmarks`, and with its options; the ratios are to Fairlead's server with nothing on. Spans go to a receiver in
this process, access logs to /dev/null.
"""

from __future__ import annotations

import os
import sys

from benchmarks import __main__ as benchmark
from benchmarks.observed import ENDPOINT
from fairlead.testing.otlp import OtlpReceiver

SERVERS = (
    "fairlead_bare",
    "fairlead",
    "fairlead_logged",
    "fairlead_traced",
    "fairlead_observed",
    "sanic",
    "sanic_observed",
    "fastapi",
    "fastapi_observed",
)


def main() -> int:
    """Measure with a receiver; the exit status is the benchmark's."""
    arguments = sys.argv[1:]
    for option, values in (
        ("--servers", SERVERS),
        ("--workloads", ("plaintext", "json")),
        ("--reference", ("fairlead_bare",)),
        ("--output", (".local/telemetry.json",)),
    ):
        if option not in arguments:
            sys.argv += [option, *values]
    with OtlpReceiver() as receiver:
        os.environ[ENDPOINT] = f"http://127.0.0.1:{receiver.port}"
        status = benchmark.main()
        print(f"{len(receiver.spans):,} spans were received")
    return status


if __name__ == "__main__":
    sys.exit(main())
