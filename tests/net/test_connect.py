# SPDX-License-Identifier: BSD-2-Clause
"""Two peers find each other and get a path: which one, behind which NATs."""

import os
import subprocess

from topology import LAN, MEDIATOR, WAN, Failed

TEXT = b"through the eyelet\n" * 1000


def connect(net, caller, callee, *flags):
    """caller's bytes to callee and back, by any path if no flags say otherwise. Both runs of eyelet."""
    listen = callee.start("listen", "--allow", caller.id, "--exec", "cat")
    listen.wait_event("registered")
    with open(net.path("text"), "wb") as file:
        file.write(TEXT)
    with open(net.path("text"), "rb") as file:
        call = caller.start(*flags, "connect", callee.id, stdin=file)
        call.expect_exit(0)
    if call.out() != TEXT:
        raise Failed(f"{len(call.out())} of {len(TEXT)} bytes came back, or other ones")
    return call, listen


def connect_directly(net, caller, callee, *flags):
    """What is so short would else often be over before the direct path is proven."""
    return connect(net, caller, callee, "--direct-only", *flags)


def expect_path(verb, kind, address):
    path = verb.path()
    if path["kind"] != kind or path["remote"].rsplit(":", 1)[0] != address:
        raise Failed(f"{verb.name} took {path}, expected {kind} to {address}")


def between(programs, nat_a, nat_b):
    with programs.net(nat_a=nat_a, nat_b=nat_b) as net:
        net.mediator()
        call, listen = connect_directly(net, net.peer("a"), net.peer("b"))
        expect_path(call, "direct", net.public["b"])
        expect_path(listen, "direct", net.public["a"])


def test_cone_and_cone(programs):
    between(programs, "drop", "drop")


def test_cone_and_cone_that_accept_early_packets(programs):
    between(programs, "accept", "accept")


def test_cone_calls_one_that_accepts_early_packets(programs):
    between(programs, "drop", "accept")


def test_one_that_accepts_early_packets_calls_cone(programs):
    between(programs, "accept", "drop")


def test_open_calls_cone(programs):
    between(programs, "open", "drop")


def test_cone_calls_open(programs):
    between(programs, "drop", "open")


def test_open_calls_open(programs):
    between(programs, "open", "open")


def test_same_lan_takes_the_private_path(programs):
    with programs.net(same_lan=True) as net:
        net.mediator()
        call, listen = connect_directly(net, net.peer("a"), net.peer("b"))
        expect_path(call, "direct", net.address["b"])
        expect_path(listen, "direct", net.address["a"])
        for address in (net.address["a"], net.address["b"]):
            assert address.startswith(LAN["nat_a"]), address


def test_private_addresses_are_not_shown_to_others(programs):
    with programs.net() as net:
        net.mediator()
        call, listen = connect_directly(net, net.peer("a"), net.peer("b"))
        for verb in (call, listen):
            for event in verb.events("path"):
                assert not event["remote"].startswith("192.168."), event


def test_many_callers_one_after_another(programs):
    with programs.net() as net:
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        listen = callee.start("listen", "--allow", "any", "--exec", "cat")
        listen.wait_event("registered")
        for number in range(5):
            call = caller.start("--direct-only", "connect", callee.id, stdin=subprocess.PIPE)
            call.popen.stdin.write(b"%d" % number)
            call.popen.stdin.close()
            call.expect_exit(0)
            assert call.out() == b"%d" % number, call.out()
            expect_path(call, "direct", WAN["nat_b"])


def test_delay_of_the_first_path(programs):
    """With 40 ms between the peers a path takes what physics asks for, not a second of timers."""
    rtt = {("a", "med"): 20, ("b", "med"): 20, ("a", "b"): 40}
    with programs.net(rtt=rtt) as net:
        net.mediator()
        call, _ = connect_directly(net, net.peer("a"), net.peer("b"))
        expect_path(call, "direct", WAN["nat_b"])
        ms = call.events("path")[0]["ms"]
        assert ms < 500, f"first path after {ms} ms"


def test_example_program(programs):
    """examples/hello.c, which the README shows."""
    hello = os.path.join(programs.build, "examples", "hello")
    with programs.net() as net:
        name = f"{MEDIATOR[0]}#{net.mediator_id(net.mediator())}"
        callee = net.start("b", [hello, name], "hello")
        peer = net.wait_until(lambda: callee.err().split(), 10, "the callee says its ID")[0]
        net.wait_until(lambda: ask(net, hello, name, peer) == b"hello, world\n", 10, "the answer")


def test_example_of_a_bare_socket(programs):
    """examples/socket.c"""
    example = os.path.join(programs.build, "examples", "socket")
    with programs.net() as net:
        name = f"{MEDIATOR[0]}#{net.mediator_id(net.mediator())}"
        callee = net.start("b", [example, name], "socket")
        peer = net.wait_until(lambda: callee.err().split(), 10, "the callee says its ID")[0]
        net.wait_until(lambda: ask(net, example, name, peer) == b"hello\n", 20, "the greeting")
        assert callee.wait(10) == 0 and callee.out() == b"hello\n", callee.out()


def ask(net, example, name, peer):
    call = net.start("a", [example, name, peer], "example")
    call.wait(20)
    return call.out()
