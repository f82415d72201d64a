"""fairlead.telemetry.line_writer: lines go out in batches, and never hold up the caller."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.telemetry import line_writer
from fairlead.telemetry.line_writer import LineWriter

from .conftest import Pipe


def _notice(dropped: int) -> bytes:
    return b"dropped %d\n" % dropped


def test_lines_come_out_in_order(pipe: Pipe) -> None:
    """Everything that was taken is written, in the order of the calls."""
    writer = LineWriter(pipe.writer)
    lines = [b"line %d\n" % number for number in range(1_000)]
    for line in lines:
        writer.write(line)
    assert writer.flush(10)
    assert pipe.read() == b"".join(lines)
    assert writer.dropped == 0


def test_lines_of_several_threads_stay_whole(pipe: Pipe) -> None:
    """Threads may write at the same time."""
    writer = LineWriter(pipe.writer)
    line = b"x" * 50 + b"\n"

    def write() -> None:
        for _ in range(200):
            writer.write(line)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.flush(10)
    assert pipe.read() == line * 800


def test_last_words_need_no_thread(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ending interpreter starts no threads: what is logged then is written by the caller."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    writer = LineWriter(pipe.writer)
    writer.write(b"good\n")
    writer.write(b"bye\n")
    assert pipe.read() == b"good\nbye\n"


def test_one_thread_writes(pipe: Pipe) -> None:
    """Two callers that both find none start one."""
    writer = LineWriter(pipe.writer)
    writer._start()
    first = writer._thread
    writer._start()
    assert writer._thread is first
    writer.close(10)


def test_a_notice_that_is_lost_is_repeated(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stdout closes again before it could be told what is missing: the number is kept for the next time."""
    outcomes = iter([None, len(b"b\ndropped 4\n")])
    written: list[bytes] = []

    def write_piece(writer: LineWriter, piece: bytes) -> int | None:
        written.append(piece)
        return next(outcomes)

    monkeypatch.setattr(LineWriter, "_write_piece", write_piece)
    writer = LineWriter(pipe.writer, notice=_notice)
    writer._drop(b"\n" * 3)
    for line in (b"a\n", b"b\n"):
        writer.write(line)
        assert writer.flush(10)
    assert written == [b"a\ndropped 3\n", b"b\ndropped 4\n"]
    assert writer.dropped == 4


def test_the_lane_is_written_in_order_by_who_fills_it(pipe: Pipe) -> None:
    """What is put into the lane leaves when it is turned over, without a thread, and before lines that come later."""
    writer = LineWriter(pipe.writer, gather_s=60)
    writer.lane.extend(("one ", "line\n"))
    writer.write(b"two\n")
    writer.lane.extend(("three", "\n"))
    writer.turn_over()
    os.set_blocking(pipe.reader, False)
    assert os.read(pipe.reader, 100) == b"one line\ntwo\nthree\n"
    writer.close(10)


def test_a_line_on_its_way_is_not_done(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """`flush` in one thread never overlooks the lines that another one is just moving on from the lane."""
    writer = LineWriter(pipe.writer)
    add, seen = writer._add, []

    def watch(block: bytes) -> None:
        seen.append(writer._is_done)
        add(block)

    monkeypatch.setattr(writer, "_add", watch)
    writer.lane.extend(("a line", "\n"))
    assert writer.flush(10)
    assert (seen, pipe.read()) == ([False], b"a line\n")


def test_a_lane_is_gathered_by_one_at_a_time(pipe: Pipe) -> None:
    """Whoever comes while another gathers goes on without waiting; the lines are the other's, or the next one's."""
    writer = LineWriter(pipe.writer)
    writer.lane.extend(("a line", "\n"))
    with writer._gathering:
        writer.turn_over()
        assert writer.lane == ["a line", "\n"]
    assert writer.flush(10)
    assert pipe.read() == b"a line\n"


def test_without_gathering_only_the_thread_writes(pipe: Pipe) -> None:
    """Whoever turns the lane over leaves its lines to the thread, where nothing may be written at once."""
    writer = LineWriter(pipe.writer, gather_s=0)
    writer.lane.extend(("a line", "\n"))
    writer.turn_over()
    assert (writer.lane, select.select([pipe.reader], [], [], 0)[0]) == ([], [])
    assert writer.flush(10)
    assert pipe.read() == b"a line\n"


def test_a_full_pipe_holds_up_nobody(pipe: Pipe) -> None:
    """Turning the lane over writes what there is room for; the thread has the rest."""
    fcntl.fcntl(pipe.writer, 1031, 4096)
    writer = LineWriter(pipe.writer)
    line = "x" * 99 + "\n"
    for _ in range(200):
        writer.lane.extend((line,))
    writer.turn_over()
    assert not writer._is_done
    writer.awaken()
    received = b""
    while len(received) < 200 * 100:
        received += os.read(pipe.reader, 65536)
    assert received == line.encode() * 200
    assert writer.dropped == 0


def test_a_kernel_without_promises_leaves_it_to_the_thread(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Linux 6.4 pipes refuse to write without waiting: from then on the thread writes."""

    def refuse(fd: int, buffers: list[bytes], offset: int, flags: int) -> int:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, "pwritev", refuse)
    writer = LineWriter(pipe.writer, gather_s=60)
    writer.lane.extend(("line\n",))
    writer.turn_over()
    assert not writer._is_prompt
    writer.lane.extend(("more\n",))
    writer.turn_over()
    assert writer.flush(10)
    assert pipe.read() == b"line\nmore\n"


def test_a_full_stdout_costs_lines_not_time(pipe: Pipe) -> None:
    """Nobody reads: `write` returns all the same, lines are dropped and counted, and a notice tells when it flows again."""
    fcntl.fcntl(pipe.writer, 1031, 4096)  # F_SETPIPE_SZ
    writer = LineWriter(pipe.writer, notice=_notice, gather_s=0, max_pending_bytes=10_000)
    line = b"x" * 99 + b"\n"
    for _ in range(1_000):
        writer.write(line)
    assert not writer.flush(0.01)
    dropped = writer.dropped
    assert 0 < dropped <= 1_000 - 100
    received = bytearray()
    while received.count(b"\n") < 1_000 - dropped:
        received += os.read(pipe.reader, 65536)
    writer.write(b"last\n")
    assert writer.flush(10)
    received += pipe.read()
    assert received.count(line) == 1_000 - dropped
    assert b"dropped %d\n" % dropped in received
    assert b"last\n" in received


def test_a_closed_stdout_costs_lines_not_errors(pipe: Pipe) -> None:
    """The reader is gone: lines are counted as dropped, nothing is raised."""
    pipe.close(pipe.reader)
    writer = LineWriter(pipe.writer, notice=_notice)
    writer.write(b"a\n")
    writer.write(b"b\n")
    assert writer.flush(10)
    assert writer.dropped == 2


def test_a_descriptor_that_is_none() -> None:
    """A process may have been started without a stdout at all."""
    reader, fd = os.pipe()
    os.close(reader)
    os.close(fd)
    writer = LineWriter(fd)
    writer.write(b"a\n")
    assert writer.flush(10)
    assert writer.dropped == 1


def test_a_non_blocking_descriptor_is_waited_for(pipe: Pipe) -> None:
    """Another process made the shared stdout non-blocking: the thread waits for room, no line is lost."""
    os.set_blocking(pipe.writer, False)
    fcntl.fcntl(pipe.writer, 1031, 4096)
    writer = LineWriter(pipe.writer)
    line = b"x" * 99 + b"\n"
    for _ in range(200):
        writer.write(line)
    writer.hurry()
    received = b""
    while len(received) < 200 * 100:
        received += os.read(pipe.reader, 65536)
    assert received == line * 200


def test_nothing_is_taken_after_closing(pipe: Pipe) -> None:
    """A closed writer has written what it had, and counts what comes too late."""
    writer = LineWriter(pipe.writer)
    writer.write(b"in time\n")
    writer.close(10)
    writer.write(b"late\n")
    assert pipe.read() == b"in time\n"
    assert writer.dropped == 1


def test_flushing_nothing_is_done_at_once(pipe: Pipe) -> None:
    """A writer that never wrote has no thread to wait for."""
    assert LineWriter(pipe.writer).flush(0)


def test_a_forked_child_writes_its_own_lines_only(pipe: Pipe, tmp_path: Path) -> None:
    """A fork has no writing thread and must not repeat what its parent had pending."""
    program = tmp_path / "forks.py"
    program.write_text(
        "import os\n"
        "from fairlead.telemetry.line_writer import LineWriter\n"
        "writer = LineWriter(1, gather_s=5)\n"
        "writer.write(b'parent\\n')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    writer.write(b'child\\n')\n"
        "    os._exit(0 if writer.flush(10) else 1)\n"
        "status = os.waitpid(child, 0)[1]\n"
        "raise SystemExit(0 if writer.flush(10) and status == 0 else 1)\n"
    )
    done = subprocess.run([sys.executable, str(program)], stdout=pipe.writer, timeout=60, check=False)
    assert done.returncode == 0
    assert sorted(pipe.read().splitlines()) == [b"child", b"parent"]


def test_a_fork_finds_an_empty_writer(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is called in a forked child forgets the parent's lines; a writer that is gone by then is no obstacle."""
    in_child: list[Callable[[], None]] = []
    monkeypatch.setattr(os, "register_at_fork", lambda *, after_in_child: in_child.append(after_in_child))
    writer = LineWriter(pipe.writer)
    writer.lane.extend(("the parent's", "\n"))
    (begin,) = in_child
    begin()
    assert writer.lane == []
    del writer
    begin()
    assert pipe.read() == b""


def test_a_platform_without_forks(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are written where there is nothing to be registered for."""
    monkeypatch.delattr(os, "register_at_fork")
    writer = LineWriter(pipe.writer)
    writer.write(b"a line\n")
    assert writer.flush(10)
    assert pipe.read() == b"a line\n"


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40).map(lambda text: text.replace(b"\n", b"") + b"\n"), max_size=30), st.integers(1, 60))
def test_pieces_end_at_lines_and_fit(lines: list[bytes], max_bytes: int) -> None:
    """A piece ends at a line; it is longer than the limit only when it is a single line (atomic writes)."""
    data, start = b"".join(lines), 0
    while start < len(data):
        end = line_writer._end_of_piece(data, start, max_bytes)
        piece = data[start:end]
        assert piece.endswith(b"\n")
        assert len(piece) <= max_bytes or piece.count(b"\n") == 1
        start = end


def test_workers_that_share_a_pipe_do_not_mix_lines(pipe: Pipe, tmp_path: Path) -> None:
    """Lines of two processes on one pipe stay whole: pieces are no longer than PIPE_BUF."""
    program = tmp_path / "writes.py"
    program.write_text(
        "import sys\n"
        "from fairlead.telemetry.line_writer import LineWriter\n"
        "writer = LineWriter(1)\n"
        "for number in range(2000):\n"
        "    fields = (sys.argv[1].encode(), number, b'x' * (number % 300))\n"
        "    writer.write(b'%s %d %s\\n' % fields)\n"
        "raise SystemExit(0 if writer.flush(30) else 1)\n"
    )
    workers = [subprocess.Popen([sys.executable, str(program), str(number)], stdout=pipe.writer) for number in range(2)]
    pipe.close(pipe.writer)
    lines = [line.split(b" ") for line in pipe.read().splitlines()]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    for number in range(2):
        written = [(int(line[1]), len(line[2])) for line in lines if int(line[0]) == number]
        assert written == [(index, index % 300) for index in range(2_000)]


def test_a_file_takes_long_pieces(tmp_path: Path) -> None:
    """Only a pipe needs the short pieces."""
    with open(tmp_path / "log", "wb") as file:
        writer = LineWriter(file.fileno())
        assert writer._piece_bytes > select.PIPE_BUF
        writer.write(b"a\n")
        assert writer.flush(10)
    assert (tmp_path / "log").read_bytes() == b"a\n"


@pytest.mark.parametrize("gather_s", [0.0, 0.01])
def test_the_thread_ends_with_its_writer(pipe: Pipe, gather_s: float) -> None:
    """A closed writer leaves no thread behind."""
    writer = LineWriter(pipe.writer, gather_s=gather_s)
    writer.write(b"a\n")
    writer.close(10)
    assert writer._thread is not None
    writer._thread.join(10)
    assert not writer._thread.is_alive()
