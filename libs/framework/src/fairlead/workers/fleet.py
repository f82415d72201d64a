"""All slots of a supervisor: their state for the probes, their metrics, the rolling restart."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Literal

from fairlead.management.fleet import FleetStatus, WorkerStatus
from fairlead.telemetry.metrics import Aggregate, Snapshot
from fairlead.workers.messages import Call, Changed, Inspect, Inspected, Metrics, WorkerState
from fairlead.workers.plan import Plan
from fairlead.workers.process import WorkerProcess
from fairlead.workers.slot import GiveUp, Slot

__all__ = ["WorkerFleet"]

logger = logging.getLogger("fairlead.workers")

METRICS_WAIT_S = 1.0
"""How long `/metrics` waits for the workers' answers; a blocked one then counts with its last snapshot."""


BLOCKED = "the worker does not answer: its loop is blocked, and its log says by what"

CALL_WAIT_S = 300.0
"""How long a command of the application's own may take; work that takes longer belongs into a queue or `fairlead exec`."""

STILL_RUNNING = f"it has not ended within {CALL_WAIT_S:.0f} s, and goes on"

INSPECTION_WAIT_S = 5.0
"""Beyond the time that a profile takes by itself."""

OUT_OF_MEMORY_AGAIN_S = 600.0
"""Two such deaths within this are no accident."""


class WorkerFleet:
    """The supervisor's workers as one. Satisfies `fairlead.management.fleet.Fleet` and `WorkerObserver`."""

    def __init__(self, plan: Plan, memory_is_short: Callable[[], object] = lambda: None) -> None:
        self.slots: Sequence[Slot] = ()
        self.is_draining = False
        self._plan = plan
        self._aggregate = Aggregate()
        self._serial = 0
        self._answers: dict[int, asyncio.Future[None]] = {}
        self._inspections: dict[int, asyncio.Future[Inspected]] = {}
        self._retiring: dict[WorkerProcess, asyncio.Task[str]] = {}
        self._memory_is_short = memory_is_short
        self._out_of_memory_s: float | None = None

    @property
    def greeting(self) -> Changed:
        """What a worker has said of the app; before the first is ready, the target's name."""
        greetings = (worker.greeting for worker in self._workers())
        return next(filter(None, greetings), Changed(WorkerState.STARTING, name=self._plan.target))

    # --- for the management port -------------------------------------------------------------------------------------

    def status(self) -> FleetStatus:
        """The state of every slot, now."""
        now_s = time.monotonic()
        return FleetStatus(
            name=self.greeting.name,
            draining=self.is_draining,
            heartbeat_timeout_s=self._plan.heartbeat_timeout_s,
            start_timeout_s=self._plan.start_timeout_s,
            workers=tuple(_slot_status(slot, now_s) for slot in self.slots),
        )

    async def metrics(self) -> Snapshot:
        """Ask every worker, wait for those that answer, and add up the living and the dead."""
        asked = [serial for worker in self._workers() if (serial := self._ask(worker))]
        if asked:
            await asyncio.wait([self._answers[serial] for serial in asked], timeout=METRICS_WAIT_S)
        for serial in asked:
            del self._answers[serial]
        return self._aggregate.merged()

    async def inspect(self, index: int, seconds: float, format: Literal["text", "html"]) -> tuple[str, str]:
        """A dump (0 seconds) or a profile of the worker in a slot: the problem, or "" and the text."""
        self._serial += 1
        return await self._answer(index, Inspect(self._serial, seconds, format), seconds + INSPECTION_WAIT_S, BLOCKED)

    async def call(self, index: int, name: str, words: tuple[str, ...]) -> tuple[str, str]:
        """Run a command of the application's own in the worker in a slot: the problem, or "" and what it returned."""
        self._serial += 1
        return await self._answer(index, Call(self._serial, name, words), CALL_WAIT_S, STILL_RUNNING)

    async def _answer(self, index: int, question: Inspect | Call, wait_s: float, late: str) -> tuple[str, str]:
        worker = next((slot.worker for slot in self.slots if slot.index == index), None)
        answered = self._inspections[question.serial] = asyncio.get_running_loop().create_future()
        try:
            if worker is None or not worker.ask(question):
                return f"there is no worker {index} that could answer", ""
            async with asyncio.timeout(wait_s):
                answer = await answered
        except TimeoutError:
            return late, ""
        finally:
            del self._inspections[question.serial]
        return answer.problem, answer.text

    # --- what workers say --------------------------------------------------------------------------------------------

    def metrics_arrived(self, worker: WorkerProcess, metrics: Metrics) -> None:
        """Keep a worker's newest counters."""
        self._aggregate.update(worker, metrics.snapshot)
        answer = self._answers.get(metrics.serial)
        if answer is not None and not answer.done():
            answer.set_result(None)

    def inspected(self, answer: Inspected) -> None:
        """Give an operator what a worker has to say."""
        asked = self._inspections.get(answer.serial)
        if asked is not None and not asked.done():
            asked.set_result(answer)

    def retirement_asked(self, worker: WorkerProcess, cause: str) -> None:
        """Replace a worker at its own wish, without a gap."""
        slot = next((slot for slot in self.slots if worker in slot.workers), None)
        if slot is None or worker in self._retiring or self.is_draining:
            return
        replacement = self._replace(slot, worker, cause)
        task = self._retiring[worker] = asyncio.create_task(replacement, name=f"replace worker {worker.slot}")
        task.add_done_callback(lambda _: self._retiring.pop(worker))

    def worker_ended(self, worker: WorkerProcess) -> None:
        """Keep the counters of a worker that is gone."""
        self._aggregate.retire(worker)
        if worker.ran_out_of_memory:
            now_s, last_s = time.monotonic(), self._out_of_memory_s
            self._out_of_memory_s = now_s
            if last_s is not None and now_s - last_s < OUT_OF_MEMORY_AGAIN_S:
                self._out_of_memory_s = None
                self._memory_is_short()

    # --- rolling restart ---------------------------------------------------------------------------------------------

    async def roll(self, cause: str) -> str:
        """Replace every worker, one after the other. Returns why one could not be, and the rest stay; or ""."""
        for slot in self.slots:
            problem = await self._replace(slot, slot.worker, cause)
            if problem:
                if not self.is_draining:
                    logger.error("rolling restart abandoned, the old workers stay", extra={"worker": slot.index})
                return problem
        logger.info("rolling restart is complete", extra={"workers": len(self.slots)})
        return ""

    async def _replace(self, slot: Slot, worker: WorkerProcess | None, cause: str) -> str:
        try:
            return await slot.replace(worker, cause)
        except GiveUp as failure:
            logger.error("worker is not replaced", extra={"worker": slot.index, "cause": str(failure)})
            return str(failure)

    async def settle(self) -> None:
        """Wait for replacements that are under way. Call after the slots were stopped."""
        if self._retiring:
            await asyncio.wait(self._retiring.values())

    def _workers(self) -> list[WorkerProcess]:
        return [worker for slot in self.slots for worker in slot.workers]

    def _ask(self, worker: WorkerProcess) -> int:
        """The number of the question; 0 for a worker that can't be asked."""
        if not worker.ask_for_metrics(self._serial + 1):
            return 0
        self._serial += 1
        self._answers[self._serial] = asyncio.get_running_loop().create_future()
        return self._serial


def _slot_status(slot: Slot, now_s: float) -> WorkerStatus:
    worker, restarts = slot.worker, sum(slot.restarts.values())
    if worker is None or worker.ended.is_set():
        silent_s = now_s - slot.last_alive_s
        return WorkerStatus(slot.index, WorkerState.FAILED, None, restarts, silent_s, restart_causes=dict(slot.restarts))
    beat = worker.last_beat
    since_s = max(slot.last_alive_s, worker.last_sign_s) if worker.ready_s is not None else slot.last_alive_s
    return WorkerStatus(
        worker=slot.index,
        state=worker.state,
        pid=worker.pid,
        restarts=restarts,
        restart_causes=dict(slot.restarts),
        silent_s=now_s - since_s,
        uptime_s=now_s - worker.ready_s if worker.ready_s is not None else 0.0,
        lag_s=beat.lag_s if beat else 0.0,
        in_flight=beat.in_flight if beat else 0,
        connections=beat.connections if beat else 0,
        checks=beat.checks if beat else None,
    )
