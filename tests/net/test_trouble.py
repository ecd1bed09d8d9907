# SPDX-License-Identifier: BSD-2-Clause
"""What goes wrong between peers and mediators, and what is said about it."""

import os
import shutil
import signal
import subprocess

from programs import patient
from topology import MEDIATOR, WAN, Failed
from test_connect import connect_directly, expect_path

def nobody(net):
    """An ID that is never registered."""
    return net.peer("b", "nobody").id


def test_wrong_id(programs):
    with programs.net() as net:
        net.mediator()
        caller = net.peer("a")
        call = caller.start("connect", nobody(net)).expect_exit(4)
        assert call.error_code() == "no-such-peer", call.err()
        ms = call.events("error")[-1].get("ms")
        assert ms is None or ms >= 900, "the answer for an ID that does not exist takes one second"


def test_malformed_id(programs):
    with programs.net() as net:
        net.mediator()
        net.peer("a").start("connect", "not-an-id!").expect_exit(2)


def test_mediator_down(programs):
    with programs.net() as net:
        caller = net.peer("a")
        call = caller.start("connect", nobody(net)).expect_exit(3, 40)
        assert call.events("error"), call.err()


def test_mediator_silent(programs):
    """Its address answers nothing at all."""
    with programs.net() as net:
        net.mediator()
        net.iptables("med", "-A", "INPUT", "-p", "tcp", "-j", "DROP")
        net.peer("a").start("connect", nobody(net), flags=("--json", "--timeout", "5")).expect_exit(3, 40)


def test_mediator_restarted(programs):
    with programs.net() as net:
        first = net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        listen = callee.start("listen", "--allow", caller.id, "--exec", "cat")
        listen.wait_event("registered")
        first.stop()
        net.mediator()
        net.wait_until(lambda: len(listen.events("registered")) >= 2, 30, "the callee registers again")
        call = caller.start("connect", callee.id, stdin=subprocess.PIPE)
        call.popen.stdin.write(b"again")
        call.popen.stdin.close()
        call.expect_exit(0)
        assert call.out() == b"again"


def test_mediator_killed_during_a_connection(programs):
    """A direct link does not notice."""
    with programs.net() as net:
        mediator = net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        listen = callee.start("listen", "--allow", caller.id, "--exec", "cat")
        listen.wait_event("registered")
        call = caller.start("connect", callee.id, stdin=subprocess.PIPE)
        call.wait_event("connected")
        mediator.signal(signal.SIGKILL)
        call.popen.stdin.write(b"still here")
        call.popen.stdin.close()
        call.expect_exit(0)
        assert call.out() == b"still here"


BOUNCE = ["-p", "udp", "--dport", "3478:3479", "-j", "DROP"]


def test_bounce_servers_unreachable(programs):
    """The link is reported as down, and punching is tried all the same: towards the address that the other
    side has learned about itself."""
    with programs.net() as net:
        net.mediator()
        net.iptables("med", "-A", "INPUT", "-s", WAN["nat_a"], *BOUNCE)
        caller, callee = net.peer("a"), net.peer("b")
        listen = callee.start("listen", "--allow", caller.id, "--exec", "cat")
        listen.wait_event("registered", 20)
        call = caller.start("connect", callee.id, flags=("--json", "-v", "--timeout", "8"), stdin=subprocess.PIPE)
        net.wait_until(lambda: "link down" in call.err(), 10, "the link is reported as down")
        net.wait_until(lambda: WAN["nat_b"] in net.shell("nat_a", "cat /proc/net/nf_conntrack"), 15,
                       "something is sent to the callee's public address")
        call.stop()


def test_bounce_servers_unreachable_for_both(programs):
    """Both NATs keep the port, and the mediator has seen the addresses: that is enough."""
    with programs.net() as net:
        net.mediator()
        net.iptables("med", "-A", "INPUT", *BOUNCE)
        call, _ = connect_directly(net, net.peer("a"), net.peer("b"), "-v")
        expect_path(call, "direct", net.public["b"])


def test_udp_blocked(programs):
    with programs.net() as net:
        net.mediator()
        net.iptables("nat_a", "-A", "FORWARD", "-p", "udp", "-j", "DROP")
        caller, callee = net.peer("a"), net.peer("b")
        listen = callee.start("listen", "--allow", caller.id, "--exec", "cat")
        listen.wait_event("registered", 20)
        call = caller.start("connect", callee.id, flags=("--json", "-v", "--direct-only", "--timeout", "8"))
        code = call.wait(40)
        assert "link down" in call.err(), call.err()
        assert code == 6, f"exit code {code}"


def test_same_lan_without_bounce_servers(programs):
    """No public address is known, but the private one works."""
    with programs.net(same_lan=True) as net:
        net.mediator()
        net.iptables("med", "-A", "INPUT", "-p", "udp", "--dport", "3478:3479", "-j", "DROP")
        call, _ = connect_directly(net, net.peer("a"), net.peer("b"))
        expect_path(call, "direct", net.address["b"])


def test_one_bounce_address_unreachable(programs):
    """A dead server delays nothing."""
    with programs.net() as net:
        net.mediator()
        net.iptables("med", "-A", "INPUT", "-p", "udp", "-d", MEDIATOR[1], "-j", "DROP")
        call, _ = connect_directly(net, net.peer("a"), net.peer("b"))
        expect_path(call, "direct", WAN["nat_b"])


def test_caller_not_on_the_list(programs):
    """It learns exactly what it would learn about an ID that does not exist."""
    with programs.net() as net:
        net.mediator()
        caller, callee, friend = net.peer("a"), net.peer("b"), net.peer("b", "friend")
        listen = callee.start("listen", "--allow", friend.id, "--exec", "cat")
        listen.wait_event("registered")
        call = caller.start("connect", callee.id).expect_exit(4)
        absent = caller.start("connect", friend.id).expect_exit(4)
        said = [verb.events("error")[-1] for verb in (call, absent)]
        assert said[0].get("code") == said[1].get("code") == "no-such-peer", said
        assert not listen.events("path"), "the callee heard of it"


def test_two_peers_dial_each_other_at_once(programs):
    """One of the dials survives, and the mediator keeps nothing of the other."""
    with programs.net() as net:
        mediator = net.mediator()
        one, two = net.peer("a"), net.peer("b")
        runs = []
        for peer, other in ((one, two), (two, one)):
            runs.append(net.start(peer.host, [programs.helper("eyelet-mutual"), peer.config("key"), MEDIATOR[0],
                                              peer.config("known_mediators"), other.id],
                                  f"mutual-{peer.name}", stdin=subprocess.PIPE))
        for run in runs:
            net.wait_until(lambda: b"registered" in run.out() or not run.running(), 10, "registered")
        for run in runs:
            run.popen.stdin.write(b"\n")
            run.popen.stdin.flush()
        for run in runs:
            net.wait_until(lambda: b"going" in run.out() or b"coming" in run.out() or not run.running(), 20, "connected")
        mediator.signal(signal.SIGUSR1)
        net.wait_until(lambda: "relay sessions now" in mediator.err(), 5, "counters")
        assert "relay sessions now 1;" in mediator.err(), mediator.err()
        for run in runs:
            run.popen.stdin.write(b"\n")
            run.popen.stdin.flush()
        for run in runs:
            code = run.wait(30)
            assert code == 0, f"{run.name} ended with {code}"
            assert b"echoed" in run.out(), run.out()


def test_a_link_and_a_bare_socket_do_not_meet(programs):
    """Dialled by either side at once: both come about."""
    with programs.net() as net:
        net.mediator()
        one, two = net.peer("a"), net.peer("b")
        runs = []
        for peer, other, flags in ((one, two, ()), (two, one, ("bare",))):
            runs.append(net.start(peer.host, [programs.helper("eyelet-mutual"), peer.config("key"), MEDIATOR[0],
                                              peer.config("known_mediators"), other.id, *flags],
                                  f"mutual-{peer.name}", stdin=subprocess.PIPE))
        for run in runs:
            net.wait_until(lambda: b"registered" in run.out() or not run.running(), 10, "registered")
        for run in runs:
            run.popen.stdin.write(b"\n\n")
            run.popen.stdin.flush()
        for run, role in zip(runs, (b"outgoing", b"incoming")):
            code = run.wait(30)
            assert code == 0, f"{run.name} ended with {code}"
            assert role in run.out() and b"echoed" in run.out(), run.out()


def test_mediator_with_another_key(programs):
    """Pinned on first contact; a change is refused loudly, and nothing is told to it."""
    with programs.net() as net:
        first = net.mediator()
        caller = net.peer("a")
        absent = nobody(net)
        caller.start("connect", absent).expect_exit(4)
        assert os.path.exists(caller.config("known_mediators"))
        first.stop()
        shutil.rmtree(net.path("state"))
        net.mediator()
        call = caller.start("connect", absent).expect_exit(3)
        assert call.error_code() == "mediator-key-changed", call.err()
        assert "key" in call.err(), call.err()


def test_mediator_with_another_key_than_given(programs):
    with programs.net() as net:
        net.mediator()
        caller = net.peer("a")
        wrong = net.peer("b").id
        call = caller.start("connect", nobody(net), mediator=f"{MEDIATOR[0]}#{wrong}")
        code = call.wait(30)
        assert code in (3, 8), f"exit code {code}"


def test_mediator_with_the_key_given(programs):
    with programs.net() as net:
        mediator = net.mediator()
        caller = net.peer("a")
        call = caller.start("connect", nobody(net), mediator=f"{MEDIATOR[0]}#{net.mediator_id(mediator)}")
        call.wait(30)
        assert call.error_code() == "no-such-peer", call.err()


@patient
def test_replayed_dial(programs):
    """A dial that was recorded gets no datagram from the callee and never reaches its application, neither from
    its own caller's key nor from another, also where the mediator has forgotten it."""
    with programs.net(nat_a="open") as net:
        first = net.mediator()
        callee = net.peer("b")
        listen = callee.start("listen", "--allow", "any", "--exec", "cat")
        listen.wait_event("registered")

        def reaction(mode, key):
            """Datagrams from the callee, and calls that its application heard of."""
            before = len(listen.events("incoming"))
            process = net.start("a", [programs.helper("eyelet-replay"), mode, net.path(key), MEDIATOR[0], net.address["a"],
                                      callee.id, net.path("recorded")], "replay")
            assert process.wait(20) == 0, process.err()
            return int(process.out().split()[0]) + len(listen.events("incoming")) - before

        assert reaction("record", "caller.key") > 0, "the callee does not react to a dial at all"
        assert reaction("replay", "caller.key") == 0, "replayed at once"
        first.stop()
        net.mediator()
        net.wait_until(lambda: len(listen.events("registered")) >= 2, 30, "the callee registers again")
        assert reaction("replay", "caller.key") == 0, "replayed after the mediator had forgotten"
        assert reaction("replay", "thief.key") == 0, "replayed by somebody else"
        assert reaction("record", "caller.key") > 0, "the callee does not react to a new dial any more"
