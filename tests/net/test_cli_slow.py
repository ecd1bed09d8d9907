#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Readers and disks that take their time, or leave.

   EYELET_BUILD=build tests/net/test_cli_slow.py [PART OF A NAME]...
"""
import os
import signal
import subprocess
import sys
import time

from loopback import MIB, big, loopback, main, read, wait_for


def test_slow_reader_loses_nothing(programs):
    """The sender has filled every buffer when the reader begins: everything must still come."""
    with loopback(programs) as net:
        data = big(40 * MIB, 3)
        with open(net.write("data", data), "rb") as file:
            listen = net.listen("b", "--allow", "any")
            call = net.run("a", "connect", net.id("b"), stdin=file)
            wait_for(lambda: os.lseek(file.fileno(), 0, os.SEEK_CUR) > 16 * MIB, "the sender is far ahead")
            assert listen.stdout.read() == data
            net.expect(call, 0)
            net.expect(listen, 0)


def test_reader_that_leaves(programs):
    with loopback(programs) as net:
        with open("/dev/zero", "rb") as zeros:
            net.listen("b", "--allow", "any", "--exec", "cat /dev/zero")
            call = net.run("a", "connect", net.id("b"), stdin=zeros)
            assert call.stdout.read(10) == bytes(10)
            call.stdout.close()
            net.expect(call, 1)


def test_slow_disk(programs):
    """Each write takes longer than a silent peer is believed in: the connection must not notice."""
    with loopback(programs) as net:
        data = big(2 * MIB, 13)
        path = net.write("data", data)
        slow = ["env", f"LD_PRELOAD={os.path.join(programs.build, 'tests', 'net', 'libslow_disk.so')}", "SLOW_DISK_MS=1500",
                "ASAN_OPTIONS=verify_asan_link_order=0", net.eyelet, "--json", "-v", "recv", "--peer", net.id("a"), "-o", net.path("in")]
        recv = net.start(slow, "b", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        net.wait_event(recv, "listening")
        send = net.run("a", "send", path, "--peer", net.id("b"), flags=("--json", "-v"))
        start = time.monotonic()
        net.expect(send, 0)
        net.expect(recv, 0)
        assert time.monotonic() - start > 3 and read(net.path("in", "data")) == data
        steps = [step["what"] for verb in (send, recv) for step in net.events(verb, "step")]
        assert steps and steps.count("silent") + steps.count("lost") < 2, steps  # this machine may be slow, too


def test_reader_that_pauses(programs):
    """The connection lives, and holds no more than its buffers."""
    with loopback(programs) as net, open("/dev/zero", "rb") as zeros:
        listen = net.listen("b", "--allow", "any", stdin=zeros)
        call = net.run("a", "connect", net.id("b"), stdin=subprocess.PIPE)
        assert call.stdout.read(MIB) == bytes(MIB)
        time.sleep(5)
        sizes = [resident_kib(call), resident_kib(listen)]
        time.sleep(5)
        grown = [after - before for before, after in zip(sizes, (resident_kib(call), resident_kib(listen)))]
        assert max(grown) < 4096 and call.poll() is None and listen.poll() is None, (sizes, grown)
        for _ in range(64):
            assert len(call.stdout.read(MIB)) == MIB
        call.send_signal(signal.SIGINT)
        call.stdout.close()
        net.expect(call, 130)


def resident_kib(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmRSS:")).split()[1])


if __name__ == "__main__":
    sys.exit(main(globals()))
