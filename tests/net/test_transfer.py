# SPDX-License-Identifier: BSD-2-Clause
"""Files from one peer to another."""

import os
import signal

from programs import hash_of
from topology import WAN, Failed, run
from test_connect import expect_path

MIB = 1 << 20


def receive(net, callee, caller, folder, *flags):
    os.makedirs(folder, exist_ok=True)
    verb = callee.start("recv", "--peer", caller.id, "-o", folder, *flags)
    verb.wait_event("registered")
    return verb


def test_64_mib_and_its_hash(programs):
    with programs.net() as net:
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        file = net.make_file("data.tar", 64 * MIB)
        recv = receive(net, callee, caller, net.path("in"))
        send = caller.start("send", file, "--peer", callee.id).expect_exit(0, 90)
        recv.expect_exit(0)
        assert hash_of(file) == hash_of(net.path("in", "data.tar"))
        expect_path(send, "direct", WAN["nat_b"])
        assert recv.events("closed")[-1]["bytes_in"] >= 64 * MIB


def test_folder_with_empty_and_odd_files(programs):
    with programs.net() as net:
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        tree = net.path("tree")
        os.makedirs(os.path.join(tree, "deep", "er"))
        content = {"empty": b"", "deep/one": b"1", "deep/er/two words": b"2" * 70001, "deep/\u00fcml\u00e4ut": b"3"}
        for name, data in content.items():
            with open(os.path.join(tree, name), "wb") as file:
                file.write(data)
        recv = receive(net, callee, caller, net.path("in"))
        caller.start("send", tree, "--peer", callee.id).expect_exit(0)
        recv.expect_exit(0)
        for name, data in content.items():
            with open(net.path("in", "tree", name), "rb") as file:
                assert file.read() == data, name


def test_full_disk_at_the_receiver(programs):
    with programs.net() as net:
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        file = net.make_file("data.tar", 20 * MIB)
        os.makedirs(net.path("tmpfs"))
        run("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", net.path("tmpfs"))
        recv = receive(net, callee, caller, net.path("tmpfs"))
        send = caller.start("send", file, "--peer", callee.id)
        assert send.wait(60) != 0
        assert recv.wait(30) != 0
        assert "space" in send.err() or "full" in send.err(), send.err()
        left = os.listdir(net.path("tmpfs"))
        assert "data.tar" not in left, left
        run("umount", net.path("tmpfs"))


def test_unreadable_file(programs):
    with programs.net() as net:
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        send = caller.start("send", net.path("there-is-no-such-file"), "--peer", callee.id)
        assert send.wait(30) != 0
        assert "there-is-no-such-file" in send.err(), send.err()


def test_name_with_terminal_escapes(programs):
    """Such a name is refused or shown harmlessly; the terminal never gets the escape."""
    with programs.net() as net:
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        evil = net.path("x\x1b]0;owned\x07y")
        with open(evil, "wb") as file:
            file.write(b"x")
        recv = receive(net, callee, caller, net.path("in"))
        send = caller.start("send", evil, "--peer", callee.id)
        send.wait(30)
        recv.stop()
        for verb in (send, recv):
            assert "\x1b]" not in verb.err() and b"\x1b]" not in verb.out(), verb.name


def test_existing_file_is_not_replaced(programs):
    with programs.net() as net:
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        file = net.make_file("data.tar", MIB)
        os.makedirs(net.path("in"))
        with open(net.path("in", "data.tar"), "wb") as old:
            old.write(b"precious")
        recv = receive(net, callee, caller, net.path("in"))
        send = caller.start("send", file, "--peer", callee.id)
        assert send.wait(30) != 0
        recv.stop()
        with open(net.path("in", "data.tar"), "rb") as old:
            assert old.read() == b"precious"


def test_sender_killed_leaves_no_half_file(programs):
    with programs.net() as net:
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        file = net.make_file("data.tar", 64 * MIB)
        net.shell("nat_a", "tc qdisc add dev wan root tbf rate 80mbit burst 64k latency 50ms || true")
        recv = receive(net, callee, caller, net.path("in"))
        send = caller.start("send", file, "--peer", callee.id)
        send.wait_event("connected")
        net.wait_until(lambda: os.listdir(net.path("in")) or not send.running(), 10, "a file grows")
        if not send.running():
            raise Failed("it was over too soon to be killed")
        send.signal(signal.SIGKILL)
        recv.signal(signal.SIGTERM)
        recv.wait(20)
        assert "data.tar" not in os.listdir(net.path("in"))
