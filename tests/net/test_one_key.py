# SPDX-License-Identifier: BSD-2-Clause
"""Several programs with one key: one waits for calls, others dial, all at the same time."""

import subprocess
import time

from flow import MIB
from test_connect import TEXT
from test_relay import end, expect_relay, hold, say
from topology import WAN


def serve(callee):
    listen = callee.start("listen", "--allow", "any", "--exec", "cat")
    listen.wait_event("registered", 20)
    return listen


def call_all(net, caller, callee, count, *flags):
    """So many calls that are there at the same time, and the echo of each."""
    calls = [caller.start("connect", callee.id, flags=("--json", *flags), stdin=subprocess.PIPE) for _ in range(count)]
    for call in calls:
        call.wait_event("connected", 20)
    for number, call in enumerate(calls):
        say(net, call, b"%d " % number + TEXT)
    return calls


def test_calls_at_the_same_time(programs):
    with programs.net() as net:
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        serve(callee)
        for call in call_all(net, caller, callee, 12, "--direct-only"):
            assert call.path()["remote"].startswith(WAN["nat_b"]), call.path()
            end(call)


def test_who_calls_can_be_called(programs):
    with programs.net() as net:
        net.mediator()
        one, other = net.peer("a"), net.peer("b")
        listens = [serve(one), serve(other)]
        for caller, callee in ((one, other), (other, one)):
            for call in call_all(net, caller, callee, 2):
                end(call)
        for listen in listens:
            assert len(listen.events("registered")) == 1 and not listen.events("mediator_lost"), listen.err()


def test_relayed_calls_at_the_same_time(programs):
    """Each over a TLS connection of its own."""
    with programs.net(nat_a="blocked") as net:
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        serve(callee)
        calls = call_all(net, caller, callee, 3)
        say(net, calls[1], bytes(MIB), 30)
        for call in calls:
            expect_relay(call, "relay-tls")
            end(call)


def test_relayed_calls_outlive_the_mediator(programs):
    """Each program resumes what is its own."""
    with programs.net(nat_a="blocked") as net:
        mediator = net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        first, _ = hold(caller, callee)
        second = caller.start("connect", callee.id, stdin=subprocess.PIPE)
        second.wait_event("connected", 20)
        mediator.stop()
        net.mediator()
        for call in (first, second):
            say(net, call, b"still here", 30)
            end(call)


def test_the_listener_that_came_last_is_called(programs):
    with programs.net() as net:
        net.mediator()
        caller, callee = net.peer("a"), net.peer("b")
        older = callee.start("listen", "--allow", "any", "--exec", "cat", flags=())
        net.wait_until(lambda: "listening as" in older.err(), 10, "the older one listens")
        newer = serve(callee)
        net.wait_until(lambda: "another program waits for calls with this key now" in older.err(), 5,
                       "the older one says why nobody calls it")
        for call in call_all(net, caller, callee, 1):
            end(call)
        time.sleep(14)  # the older one asks every 10 s or so
        assert not newer.events("mediator_lost"), newer.err()
        assert older.err().count("lost the mediator") == 1, older.err()
        newer.stop()
        net.wait_until(lambda: "registered with the mediator again" in older.err(), 20, "the older one is back")
        for call in call_all(net, caller, callee, 1):
            end(call)
