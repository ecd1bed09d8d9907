# SPDX-License-Identifier: BSD-2-Clause
"""Where no direct path can be, and until there is one: the mediator relays."""

import subprocess

from programs import patient
from topology import MEDIATOR, NET6, WAN, Failed
from test_connect import TEXT, connect

RTT = {("a", "med"): 20, ("b", "med"): 20, ("a", "b"): 40}


def expect_relay(verb, local=None):
    """It was relayed all the time, over UDP or TLS as said."""
    paths = verb.events("path")
    if not paths or any(path["kind"] != "relay" for path in paths):
        raise Failed(f"{verb.name} took {paths}, expected the relay alone")
    if local and paths[-1]["local"] != local:
        raise Failed(f"{verb.name} is relayed by {paths[-1]}, expected {local}")


def hold(caller, callee, *flags, listen_flags=()):
    """A connection that stays: caller's and callee's run of eyelet."""
    listen = callee.start("listen", "--allow", caller.id, "--exec", "cat", flags=("--json", "-v", *listen_flags))
    listen.wait_event("registered", 20)
    call = caller.start("connect", callee.id, flags=("--json", "-v", *flags), stdin=subprocess.PIPE)
    call.wait_event("connected", 20)
    return call, listen


def say(net, call, text, seconds=10):
    """Bytes there and back."""
    before = len(call.out())
    call.popen.stdin.write(text)
    call.popen.stdin.flush()
    net.wait_until(lambda: len(call.out()) >= before + len(text) or not call.running(), seconds, "the echo")
    assert call.out()[before:] == text, f"{len(call.out()) - before} of {len(text)} bytes came back, or other ones"


def end(call):
    call.popen.stdin.close()
    call.expect_exit(0)


def blocked(programs, nat_a, nat_b, local_a, local_b):
    with programs.net(nat_a=nat_a, nat_b=nat_b) as net:
        net.mediator()
        call, listen = connect(net, net.peer("a"), net.peer("b"))
        expect_relay(call, local_a)
        expect_relay(listen, local_b)


def test_udp_blocked_at_the_caller(programs):
    blocked(programs, "blocked", "drop", "relay-tls", "relay-udp")


def test_udp_blocked_at_the_callee(programs):
    blocked(programs, "drop", "blocked", "relay-udp", "relay-tls")


def test_udp_blocked_on_both_sides(programs):
    blocked(programs, "blocked", "blocked", "relay-tls", "relay-tls")


def test_udp_blocked_and_random_ports(programs):
    blocked(programs, "blocked", "random", "relay-tls", "relay-udp")


def test_relayed_over_tls_over_the_second_port(programs):
    """In networks that let nothing else out."""
    with programs.net(nat_a="blocked") as net:
        net.mediator(config="port = 9856\nport = 443\n")
        for rule in (("-p", "tcp", "!", "--dport", "443", "-j", "DROP"),):
            net.iptables("nat_a", "-A", "FORWARD", "-i", "lan", *rule)
        caller, callee = net.peer("a"), net.peer("b")
        listen = callee.start("listen", "--allow", caller.id, "--exec", "cat")
        listen.wait_event("registered")
        call = caller.start("connect", callee.id, mediator=f"{MEDIATOR[0]}:443", stdin=subprocess.PIPE)
        call.popen.stdin.write(TEXT)
        end(call)
        assert call.out() == TEXT
        expect_relay(call, "relay-tls")


@patient
def test_random_ports_on_both_sides_say_why_and_what_would_help(programs):
    with programs.net(nat_a="random", nat_b="random") as net:
        net.mediator()
        call, listen = hold(net.peer("a"), net.peer("b"))
        say(net, call, TEXT)
        told = call.wait_event("relayed", 30)
        assert told["reason"] and told["remedy"], told
        say(net, call, TEXT)
        end(call)
        for verb in (call, listen):
            expect_relay(verb, "relay-udp")


def test_relay_only_shows_no_address(programs):
    """Nothing is sent to the peer, and the peer hears of no address."""
    with programs.net() as net:
        net.mediator()
        net.iptables("nat_a", "-I", "FORWARD", "-d", WAN["nat_b"], "-j", "ACCEPT")
        net.iptables("nat_b", "-I", "FORWARD", "-d", WAN["nat_a"], "-j", "ACCEPT")
        call, listen = hold(net.peer("a"), net.peer("b"), "--relay-only", "-v")
        say(net, call, TEXT)
        end(call)
        expect_relay(call, "relay-udp")
        expect_relay(listen, "relay-udp")
        for nat in ("nat_a", "nat_b"):
            counted = net.iptables(nat, "-nvxL", "FORWARD").splitlines()[2].split()
            assert counted[0] == "0", f"{nat} has seen packets between the peers: {counted}"
        for address in (WAN["nat_a"], net.address["a"]):
            assert address not in listen.err(), f"the callee knows {address}"


def test_callee_of_relay_only_shows_no_address(programs):
    with programs.net() as net:
        net.mediator()
        call, listen = hold(net.peer("a"), net.peer("b"), "-v", listen_flags=("--relay-only",))
        say(net, call, TEXT)
        end(call)
        expect_relay(call, "relay-udp")
        expect_relay(listen, "relay-udp")
        for address in (WAN["nat_b"], net.address["b"]):
            assert address not in call.err(), f"the caller knows {address}"


def direct_only(programs, nat_a, nat_b):
    with programs.net(nat_a=nat_a, nat_b=nat_b) as net:
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        listen = callee.start("listen", "--allow", caller.id, "--exec", "cat")
        listen.wait_event("registered", 20)
        call = caller.start("connect", callee.id, flags=("--json", "--direct-only"), stdin=subprocess.PIPE).expect_exit(6, 60)
        assert call.error_code() == "no-direct-path", call.err()
        assert not [path for path in call.events("path") if path["kind"] == "relay"], call.err()


@patient
def test_direct_only_with_random_ports_on_both_sides(programs):
    direct_only(programs, "random", "random")


@patient
def test_direct_only_with_udp_blocked(programs):
    direct_only(programs, "drop", "blocked")


@patient
def test_direct_only_of_the_callee(programs):
    """Either side's wish counts."""
    with programs.net(nat_a="random", nat_b="random") as net:
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        listen = callee.start("listen", "--allow", caller.id, "--exec", "cat", flags=("--json", "--direct-only"))
        listen.wait_event("registered", 20)
        call = caller.start("connect", callee.id, stdin=subprocess.PIPE).expect_exit(6, 60)
        assert call.error_code() == "no-direct-path", call.err()


def test_relay_that_is_refused(programs):
    """The mediator relays nothing for a network beyond its share, and says so; what runs goes on."""
    with programs.net(nat_a="random", nat_b="random") as net:
        net.mediator(config="[limits]\nrelay-sessions-per-prefix = 1\n")
        caller, second, callee = net.peer("a"), net.peer("a", "second"), net.peer("b")
        listen = callee.start("listen", "--allow", "any", "--exec", "cat")
        listen.wait_event("registered")
        first = caller.start("connect", callee.id, stdin=subprocess.PIPE)
        first.wait_event("connected")
        say(net, first, TEXT)
        call = second.start("connect", callee.id, flags=("--json", "--relay-only"), stdin=subprocess.PIPE).expect_exit(7, 40)
        assert call.error_code() == "relay-refused", call.err()
        say(net, first, TEXT)
        end(first)


@patient
def test_no_path_and_no_relay(programs):
    with programs.net(nat_a="random", nat_b="random") as net:
        net.mediator(config="[limits]\nrelay-sessions = 0\n")
        caller, callee = net.peer("a"), net.peer("b")
        listen = callee.start("listen", "--allow", caller.id, "--exec", "cat")
        listen.wait_event("registered")
        call = caller.start("connect", callee.id, stdin=subprocess.PIPE).expect_exit(7, 60)
        assert call.error_code() == "relay-refused", call.err()


def test_relay_that_is_refused_does_not_hinder_a_direct_path(programs):
    with programs.net() as net:
        net.mediator(config="[limits]\nrelay-sessions = 0\n")
        call, _ = connect(net, net.peer("a"), net.peer("b"))
        assert call.path()["kind"] == "direct", call.path()


def test_ipv6_only_to_ipv4_only(programs):
    for nat_a, nat_b in (("v6only", "drop"), ("drop", "v6only")):
        with programs.net(nat_a=nat_a, nat_b=nat_b) as net:
            net.mediator()
            call, listen = connect(net, net.peer("a"), net.peer("b"))
            expect_relay(call, "relay-udp")
            expect_relay(listen, "relay-udp")


def test_ipv6_firewalls_are_crossed(programs):
    """IPv4 has random ports on both sides."""
    with programs.net(nat_a="fw6", nat_b="fw6") as net:
        net.mediator()
        call, listen = hold(net.peer("a"), net.peer("b"))
        paths = {}
        for verb, other in ((call, "nat_b"), (listen, "nat_a")):
            paths[verb.name] = net.wait_until(
                lambda verb=verb: [path for path in verb.events("path") if path["kind"] == "direct"], 10, "a direct path")[0]
            assert paths[verb.name]["remote"].startswith(f"[{NET6[other]}:"), paths
        say(net, call, TEXT)
        end(call)


def test_ipv6_only_on_both_sides(programs):
    with programs.net(nat_a="v6only", nat_b="v6only") as net:
        net.mediator()
        call, _ = hold(net.peer("a"), net.peer("b"))
        net.wait_until(lambda: call.path()["kind"] == "direct", 10, "a direct path")
        say(net, call, TEXT)
        end(call)


def test_first_flights_by_the_control_session(programs):
    """Before it is known whether UDP passes, and here nothing else ever does: the router lets out one TCP connection."""
    with programs.net(nat_a="blocked", rtt=RTT) as net:
        net.mediator()
        net.iptables("nat_a", "-A", "FORWARD", "-i", "lan", "-p", "tcp", "--syn", "-m", "connlimit", "--connlimit-above",
                     "1", "-j", "DROP")
        call, listen = connect(net, net.peer("a"), net.peer("b"))
        expect_relay(call, "relay-tls")
        expect_relay(listen, "relay-udp")
