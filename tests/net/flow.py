# SPDX-License-Identifier: BSD-2-Clause
"""A steady stream of bytes through a connection, and when they arrived: what an application sees of a network that
changes under it."""

import hashlib
import os
import subprocess
import threading
import time

from topology import Failed

MIB = 1 << 20
CHUNK = 64 << 10
PAGE = os.urandom(4 * MIB)  # what is sent: pieces of it from places that no cycle repeats


class Flow:
    """Sends size_bytes from `caller connect` to `callee listen` at rate_bytes a second (the caller's stdin to the
    callee's stdout)."""

    def __init__(self, caller, callee, size_bytes, rate_bytes, flags=(), callee_flags=()):
        self.net = caller.net
        self.size, self.rate = size_bytes, rate_bytes
        self.sent_hash, self.got_hash = hashlib.sha256(), hashlib.sha256()
        self.arrivals = []  # (when, bytes so far)
        self.got = 0
        self.fault = None
        read_end, write_end = os.pipe()
        self.listen = callee.start("listen", "--allow", caller.id, flags=("--json", "-v", *callee_flags), stdout=write_end)
        os.close(write_end)
        self.listen.wait_event("registered", 20)
        self.call = caller.start("connect", callee.id, flags=("--json", "-v", *flags), stdin=subprocess.PIPE)
        self.threads = [threading.Thread(target=self._read, args=(read_end,), daemon=True),
                        threading.Thread(target=self._write, daemon=True)]
        for thread in self.threads:
            thread.start()

    def _write(self):
        begun, sent, place = time.monotonic(), 0, 0
        try:
            with self.call.popen.stdin as pipe:
                while sent < self.size:
                    piece = PAGE[place:place + min(CHUNK, self.size - sent)]
                    place = (place + 65521) % (len(PAGE) - CHUNK)
                    pipe.write(piece)
                    pipe.flush()
                    self.sent_hash.update(piece)
                    sent += len(piece)
                    time.sleep(max(0, begun + sent / self.rate - time.monotonic()))
        except OSError as failure:
            self.fault = f"the caller took {sent} of {self.size} bytes: {failure}"

    def _read(self, pipe):
        while piece := os.read(pipe, MIB):
            self.got += len(piece)
            self.arrivals.append((time.monotonic(), self.got))
            self.got_hash.update(piece)
        os.close(pipe)

    def wait_bytes(self, count, seconds=30):
        """Until so many have arrived."""
        self.net.wait_until(lambda: self.got >= count or self.fault or not self.call.running(), seconds,
                            f"{count} bytes have arrived ({self.got} have)")
        if self.got < count:
            raise Failed(self.fault or f"the caller ended with {self.call.popen.returncode} after {self.got} bytes")

    def wait_kind(self, kind, seconds):
        """Until the caller's path is relay or direct: the event."""
        def last():
            events = self.call.events("path")
            return events[-1] if events and events[-1]["kind"] == kind else None
        return self.net.wait_until(last, seconds, f"the path is {kind}: {self.kinds()}")

    def kinds(self):
        """The caller's paths, one after the other."""
        return [event["kind"] for event in self.call.events("path")]

    def finish(self, seconds=60):
        """Waits for the end: every byte must have arrived, in order."""
        for process in (self.call, self.listen):
            process.expect_exit(0, seconds)
        for thread in self.threads:
            thread.join(10)
        if self.fault:
            raise Failed(self.fault)
        if self.got != self.size or self.got_hash.digest() != self.sent_hash.digest():
            raise Failed(f"{self.got} of {self.size} bytes arrived, or other ones")

    def stall(self, since, within=30.0):
        """The longest silence at the receiver that ended after `since`: (seconds of silence, seconds from `since`
        until its end)."""
        longest, end = 0.0, 0.0
        before = self.arrivals[0][0]
        for when, _ in self.arrivals:
            if since < when < since + within and when - max(before, since) > longest:
                longest, end = when - max(before, since), when - since
            before = when
        return longest, end
