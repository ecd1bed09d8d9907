# SPDX-License-Identifier: BSD-2-Clause
"""What the library offers beyond streams: the bare punched socket, datagrams, speaking first, refusals."""

import signal
import subprocess

from topology import Failed


def answerer(net, programs, refuse=False):
    net.mediator()
    peer = net.peer("b")
    if refuse:
        with open(net.path("refuse"), "wb"):
            pass
    process = net.start("b", [programs.helper("eyelet-calls"), peer.config("key"), net.mediator_name("b"),
                              peer.config("known_mediators"), "answer"], "calls", cwd=net.path())
    net.wait_until(lambda: b"registered" in process.out() or not process.running(), 15, "the callee is registered")
    return peer


def call(net, programs, peer, what, name="a"):
    caller = net.peer("a", name)
    process = net.start("a", [programs.helper("eyelet-calls"), caller.config("key"), net.mediator_name("a"),
                              caller.config("known_mediators"), what, peer.id], "calls")
    if process.wait(30) != 0:
        raise Failed(f"{what}: exit code {process.popen.returncode}")


def test_bare_socket(programs):
    with programs.net() as net:
        peer = answerer(net, programs)
        call(net, programs, peer, "socket")
        call(net, programs, peer, "socket", "again")  # the warm socket that was handed over has been replaced


def test_bare_socket_over_ipv6(programs):
    with programs.net(nat_a="v6only", nat_b="v6only") as net:
        peer = answerer(net, programs)
        call(net, programs, peer, "socket")
        call(net, programs, peer, "socket", "again")


def test_bare_socket_by_the_family_that_works(programs):
    """Ports at random on both sides: only IPv6 can be punched."""
    with programs.net(nat_a="fw6", nat_b="fw6") as net:
        call(net, programs, answerer(net, programs), "socket")


def test_bare_socket_where_both_families_work(programs):
    """Both sides give the socket of the same one away."""
    with programs.net(nat_a="drop+fw6", nat_b="drop+fw6") as net:
        peer = answerer(net, programs)
        call(net, programs, peer, "socket")
        call(net, programs, peer, "socket", "again")


def test_bare_socket_on_the_same_lan(programs):
    with programs.net(same_lan=True) as net:
        call(net, programs, answerer(net, programs), "socket")


def test_datagrams_and_the_callee_speaks_first(programs):
    with programs.net() as net:
        call(net, programs, answerer(net, programs), "message")


def test_refusal_reaches_the_caller(programs):
    with programs.net() as net:
        peer = answerer(net, programs, refuse=True)
        call(net, programs, peer, "refused")
        said = net.peer("a", "other").start("connect", peer.id).expect_exit(5)
        assert said.error_code() == "refused", said.err()
        assert "caller: refused" in net.logs() and "now failed" not in net.logs(), net.logs()


def test_a_dial_that_is_given_up_leaves_nothing_behind(programs):
    """Also where the caller has not heard of the callee yet."""
    with programs.net() as net:
        mediator = net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        listen = callee.start("listen", "--allow", caller.id, "--exec", "cat")
        listen.wait_event("registered")
        process = net.start("a", [programs.helper("eyelet-calls"), caller.config("key"), net.mediator_name("a"),
                                  caller.config("known_mediators"), "withdraw", callee.id], "calls",
                            stdin=subprocess.PIPE)
        net.wait_until(lambda: b"withdrawn" in process.out() or not process.running(), 15, "withdrawn")

        def is_over():
            mediator.signal(signal.SIGUSR1)
            said = mediator.err()
            return "dials 1," in said and "relay sessions now 0;" in said.split("dials 1,")[-1]

        net.wait_until(is_over, 5, "the mediator keeps nothing of it")
        process.popen.stdin.write(b"\n")
        process.popen.stdin.flush()
        if process.wait(10) != 0:
            raise Failed(f"exit code {process.popen.returncode}")
