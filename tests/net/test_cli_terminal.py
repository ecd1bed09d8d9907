#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Terminals, signals and descriptors.

   EYELET_BUILD=build tests/net/test_cli_terminal.py [PART OF A NAME]...
"""
import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios

from loopback import loopback, main


def test_receiver_without_its_terminal_leaves_nothing(programs):
    with loopback(programs) as net:
        with open(net.path("huge"), "wb") as file:
            file.truncate(3 << 30)
        recv = net.recv("b", net.id("a"), net.path("in"))
        send = net.run("a", "send", net.path("huge"), "--peer", net.id("b"))
        net.wait_event(recv, "first_byte")
        recv.send_signal(signal.SIGHUP)
        net.expect(recv, 129)
        net.expect(send, 1)
        assert os.listdir(net.path("in")) == [], os.listdir(net.path("in"))


def test_nohup_is_respected(programs):
    with loopback(programs) as net:
        listen = net.listen("b", "--allow", "any", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        listen.send_signal(signal.SIGHUP)
        with contextlib.suppress(subprocess.TimeoutExpired):
            listen.wait(0.5)
        assert listen.poll() is None, listen.returncode


def test_progress_on_narrow_terminals(programs):
    """No line of it is as wide as the terminal, which would wrap it; the terminal grows and shrinks meanwhile."""
    with loopback(programs) as net:
        with open(net.path("a long name of a file"), "wb") as file:
            file.truncate(2 << 30)
        recv = net.recv("b", net.id("a"), net.path("in"), stdout=subprocess.DEVNULL)
        ours, terminal = pty.openpty()

        def resize(columns):
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        resize(80)
        command = [net.eyelet, "--mediator", f"127.0.0.1:{net.port}", "send", net.path("a long name of a file"), "--peer", net.id("b")]
        send = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=terminal,
                                env={**os.environ, "EYELET_CONFIG": net.path("a"), "TERM": "xterm"})
        shown, widths = b"", [80, 30, 12, 200, 5]
        try:
            while shown.count(b"%") < 12 and send.poll() is None:
                resize(widths[shown.count(b"%") % len(widths)])
                shown += os.read(ours, 4096)
            send.send_signal(signal.SIGINT)
            send.wait(10)
            shown += os.read(ours, 4096)
        finally:
            send.kill()
            send.wait()
        os.close(terminal)
        os.close(ours)
        assert send.returncode == 130, shown
        bars = [line for line in shown.split(b"\r") if b"%" in line]
        assert bars and all(line.endswith(b"\x1b[K") for line in bars), shown
        sizes = {len(line) - len(b"\x1b[K") for line in bars}
        assert max(sizes) < 200 and min(sizes) <= 4 and len(sizes) > 2, sizes
        assert b"interrupted" in shown and b"0 of 1 had arrived before" in shown, shown
        net.expect(recv, 1)


def test_too_few_descriptors(programs):
    """What the system has said is said."""
    with loopback(programs) as net:
        net.id("a")
        shell = net.start(["sh", "-c", 'ulimit -n 8; exec "$0" --json listen --allow any', net.eyelet], "a")
        net.expect_error(shell, 1, "system")
        assert "Too many open files" in net.events(shell, "error")[0]["text"], net.said(shell)


def test_closed_descriptors(programs):
    """What is opened next must not become stdout."""
    with loopback(programs) as net:
        shell = net.start(["sh", "-c", '"$0" id >&-', net.eyelet], "a", stdout=subprocess.DEVNULL)
        net.expect(shell, 1)
        assert "could not be written" in net.said(shell), net.said(shell)
        net.listen("b", "--allow", "any", "--exec", "echo hello")
        shell = net.start(["sh", "-c", '"$0" connect "$1" >&-', net.eyelet, net.id("b")], "a", stdin=subprocess.DEVNULL)
        net.expect(shell, 1)
        assert "cannot write" in net.said(shell), net.said(shell)
        shell = net.start(["sh", "-c", '"$0" connect "$1" 2>&-', net.eyelet, net.id("b")], "a", stdout=subprocess.PIPE)
        assert shell.stdout.read() == b"hello\n"
        net.expect(shell, 0)


if __name__ == "__main__":
    sys.exit(main(globals()))
