#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The command of listen --exec, and what its caller learns of it.

   EYELET_BUILD=build tests/net/test_cli_exec.py [PART OF A NAME]...
"""
import os
import signal
import subprocess
import sys
import time

from loopback import MIB, big, loopback, main, read, wait_for


def test_exec_serves_many_at_once(programs):
    with loopback(programs) as net:
        listen = net.listen("b", "--allow", "any", "--exec", "cat; echo $EYELET_PEER")
        callee = net.id("b")
        data = big(3 * MIB, 4)
        path = net.write("data", data)
        calls = []
        for name in ("a", "c", "d"):
            with open(path, "rb") as file:
                calls.append((net.id(name), net.run(name, "connect", callee, stdin=file)))
        for caller, call in calls:
            assert call.stdout.read() == data + caller.encode() + b"\n"
            net.expect(call, 0)
        assert listen.poll() is None


def test_exec_that_fails(programs):
    """All that the command said arrives, and then that it failed; a slow reader changes nothing."""
    data = big(20 * MIB, 12)
    with loopback(programs) as net:
        path = net.write("data", data)
        for command, status, number in ((f"cat {path}; exit 3", 3, None), (f"cat {path}; kill -9 $$", None, 9), ("cat; exit 4", 4, None)):
            listen = net.listen("b", "--allow", "any", "--exec", command)
            with open(path, "rb") as file:
                call = net.run("a", "connect", net.id("b"), stdin=file)
                time.sleep(0.3)
                assert call.stdout.read() == data
                net.expect_error(call, 9, "command-failed")
            for side in (call, listen):
                failed = net.events(side, "command_failed")[0]
                assert (failed["status"], failed["signal"]) == (status, number), failed
            listen.terminate()
            listen.wait()


def test_exec_that_says_no_more_has_not_ended(programs):
    with loopback(programs) as net:
        net.listen("b", "--allow", "any", "--exec", f"exec >&-; cat >{net.path('got')}; exit 5")
        call = net.run("a", "connect", net.id("b"), stdin=subprocess.PIPE)
        call.stdin.write(b"all of it")
        call.stdin.close()
        net.expect_error(call, 9, "command-failed")
        assert read(net.path("got")) == b"all of it"


def test_exec_ends_its_caller(programs):
    """Whose input is still open, and not wanted any more."""
    with loopback(programs) as net:
        net.listen("b", "--allow", "any", "--exec", "echo done")
        call = net.run("a", "connect", net.id("b"), stdin=subprocess.PIPE)
        assert call.stdout.read() == b"done\n"
        net.expect(call, 0)


def test_exec_is_hung_up_also_after_the_end_of_its_input(programs):
    with loopback(programs) as net:
        net.listen("b", "--allow", "any", "--exec", f"trap 'echo hup >{net.path('hup')}; exit' HUP; cat; echo on; while :; do sleep 0.1; done")
        call = net.run("a", "connect", net.id("b"))
        assert call.stdout.read(3) == b"on\n"
        call.send_signal(signal.SIGINT)
        net.expect(call, 130)
        wait_for(lambda: os.path.exists(net.path("hup")), "the command is hung up")


def test_exec_that_does_not_read(programs):
    with loopback(programs) as net:
        net.listen("b", "--allow", "any", "--exec", "echo done")
        with open(net.write("data", big(10 * MIB, 5)), "rb") as file:
            call = net.run("a", "connect", net.id("b"), stdin=file)
            assert call.stdout.read() == b"done\n"
            net.expect(call, 0)


def test_exec_is_hung_up_with_its_caller(programs):
    with loopback(programs) as net:
        net.listen("b", "--allow", "any", "--exec", f"trap 'echo hup >{net.path('hup')}; exit' HUP; echo on; while :; do sleep 0.1; done")
        call = net.run("a", "connect", net.id("b"), stdin=subprocess.PIPE)
        call.stdin.write(b"\n")
        call.stdin.flush()
        assert call.stdout.read(3) == b"on\n"
        call.send_signal(signal.SIGINT)
        net.expect(call, 130)
        wait_for(lambda: os.path.exists(net.path("hup")), "the command is hung up")


if __name__ == "__main__":
    sys.exit(main(globals()))
