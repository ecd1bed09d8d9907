# SPDX-License-Identifier: BSD-2-Clause
"""Which paths connections may take and do take, why, and what `eyelet ping` and `eyelet netcheck PEER` say about it."""

import json
import signal

from programs import patient
from test_cli_netcheck import answer
from test_connect import connect, connect_directly, expect_path
from topology import WAN

RTT = {("a", "med"): 20, ("b", "med"): 20, ("a", "b"): 40}


def callee_of(net, *words):
    callee = net.peer("b")
    listen = callee.start("listen", "--allow", "any", "--exec", "cat", *words)
    listen.wait_event("listening")
    return callee


def objects(run, kind=None):
    found = [json.loads(line) for line in run.out().decode().splitlines()]
    assert all(one["v"] == 1 for one in found), found
    return [one for one in found if kind in (None, one["event"])]


# ---- ping ----

def test_ping_names_the_path_of_each_reply(programs):
    with programs.net(rtt=RTT) as net:
        net.mediator()
        callee = callee_of(net)
        ping = net.peer("a").start("ping", callee.id, "-c", "5", "-i", "0.1").expect_exit(0)
        replies = objects(ping, "reply")
        assert [reply["number"] for reply in replies] == [1, 2, 3, 4, 5], replies
        last = replies[-1]
        assert last["kind"] == "direct" and last["remote"].startswith(WAN["nat_b"] + ":"), last
        assert 38 <= last["rtt_ms"] <= 80, last
        statistics = objects(ping, "statistics")[0]
        assert statistics["sent"] == statistics["answered"] == 5, statistics
        assert statistics["direct"]["answered"] + statistics["relay"]["answered"] == 5, statistics
        assert statistics["rtt_ms"]["min"] <= statistics["rtt_ms"]["avg"] <= statistics["rtt_ms"]["max"], statistics
        assert objects(ping, "connected")[0]["kind"] in ("direct", "relay")


def test_ping_by_the_relay_only(programs):
    with programs.net(rtt=RTT) as net:
        net.mediator()
        callee = callee_of(net)
        ping = net.peer("a").start("ping", callee.id, "-c", "3", "-i", "0.1", flags=("--json", "--relay-only")).expect_exit(0)
        for reply in objects(ping, "reply"):
            assert reply["kind"] == "relay" and reply["local"].startswith("relay-"), reply
            assert 38 <= reply["rtt_ms"] <= 90, reply
        assert not ping.events("error") and not objects(ping, "relayed"), ping.out()


def test_ping_for_people(programs):
    with programs.net() as net:
        net.mediator()
        callee = callee_of(net)
        ping = net.peer("a").run("ping", callee.id, "-c", "2", "-i", "0.1")
        text = ping.out().decode()
        assert f"reply from {callee.id[:8]}: direct {WAN['nat_b']}:" in text, text
        assert f"--- {callee.id[:8]}: 2 sent, 2 answered, 0% lost" in text, text


def test_ping_until_interrupted(programs):
    with programs.net() as net:
        net.mediator()
        callee = callee_of(net)
        ping = net.peer("a").start("ping", callee.id, "-i", "0.05")
        net.wait_until(lambda: ping.out().count(b'"reply"') > 2, 10, "three replies")
        ping.signal(signal.SIGINT)
        ping.expect_exit(0)
        assert objects(ping, "statistics")[0]["answered"] > 2, ping.out()


def test_ping_sees_the_path_change(programs):
    """Both NATs let nothing of each other in for a while: by the relay; then directly again."""
    with programs.net(rtt=RTT) as net:
        net.mediator()
        callee = callee_of(net)
        ping = net.peer("a").start("ping", callee.id, "-i", "0.1")
        def kind():
            replies = [line for line in ping.out().splitlines() if b'"reply"' in line and line.endswith(b"}")]
            return json.loads(replies[-1])["kind"] if replies else None
        net.wait_until(lambda: kind() == "direct", 20, "replies come directly")
        net.iptables("nat_a", "-I", "FORWARD", "-p", "udp", "-d", WAN["nat_b"], "-j", "DROP")
        net.iptables("nat_a", "-I", "FORWARD", "-p", "udp", "-s", WAN["nat_b"], "-j", "DROP")
        net.wait_until(lambda: kind() == "relay", 20, "replies come by the relay")
        ping.signal(signal.SIGINT)
        ping.expect_exit(0)
        kinds = [path["kind"] for path in objects(ping, "path")]
        assert kinds[-1] == "relay" and "direct" in kinds, kinds
        statistics = objects(ping, "statistics")[0]
        assert statistics["direct"]["answered"] and statistics["relay"]["answered"], statistics


def test_ping_of_nobody(programs):
    with programs.net() as net:
        net.mediator()
        ping = net.peer("a").start("ping", net.peer("b").id, "-c", "1").expect_exit(4)
        assert ping.error_code() == "no-such-peer" and not objects(ping, "statistics"), ping.out()


# ---- netcheck PEER ----

def diagnose(net, *flags, code=0):
    callee = callee_of(net)
    caller = net.peer("a")
    said = answer(caller.start("netcheck", callee.id, flags=("--json", *flags)).expect_exit(code, 60))
    assert said["v"] == 1 and said["event"] == "diagnosis" and said["peer"] == callee.id, said
    return caller, callee, said


@patient
def test_story_of_a_direct_path(programs):
    with programs.net(rtt=RTT) as net:
        net.mediator()
        caller, callee, said = diagnose(net)
        assert said["outcome"] == "direct" and said["path"]["kind"] == "direct", said
        assert said["reason"] is None and said["remedy"] is None and said["plan"], said
        assert said["mine"]["mapping"] == said["theirs"]["mapping"] == "endpoint-independent", said
        assert said["mine"]["settled"] is True and said["theirs"]["udp"] is None, said
        assert 38 <= said["echo_ms"]["min"] <= 80, said
        assert said["steps"] and all(set(step) >= {"ms", "what", "text"} for step in said["steps"]), said
        assert [step["ms"] for step in said["steps"]] == sorted(step["ms"] for step in said["steps"]), said
        page = caller.run("netcheck", callee.id).out().decode()
        for text in ("this side", "the other side", "What happened", "Path              direct", "Outcome           direct"):
            assert text in page, page


@patient
def test_story_of_a_relayed_path(programs):
    with programs.net(nat_a="random", nat_b="random") as net:
        net.mediator()
        caller, callee, said = diagnose(net)
        assert said["outcome"] == "relayed" and said["path"]["kind"] == "relay", said
        assert "random" in said["reason"] and said["remedy"], said
        assert said["mine"]["allocation"] == said["theirs"]["allocation"] == "other", said
        page = caller.run("netcheck", callee.id).out().decode()
        assert "Reason" in page and "Remedy" in page and "relay (udp)" in page, page


@patient
def test_story_with_udp_blocked(programs):
    with programs.net(nat_a="blocked") as net:
        net.mediator()
        _, _, said = diagnose(net)
        assert said["outcome"] == "relayed" and said["path"]["local"] == "relay-tls", said
        assert said["mine"]["udp"] is False and "UDP" in said["reason"], said


@patient
def test_story_of_no_path_at_all(programs):
    with programs.net(nat_a="random", nat_b="random") as net:
        net.mediator()
        _, _, said = diagnose(net, "--direct-only", code=6)
        assert said["outcome"] == "none" and said["path"] is None and said["reason"], said


# ---- the verbs that carry data ----

@patient
def test_direct_only_fails_where_there_is_no_direct_path(programs):
    with programs.net(nat_a="random", nat_b="random") as net:
        net.mediator()
        callee = callee_of(net)
        call = net.peer("a").start("connect", callee.id, flags=("--json", "--direct-only")).expect_exit(6, 60)
        error = call.events("error")[-1]
        assert error["code"] == "no-direct-path" and error["hint"], error
        assert not [path for path in call.events("path") if path["kind"] == "relay"], call.err()


def test_direct_only_where_there_is_one(programs):
    with programs.net() as net:
        net.mediator()
        call, _ = connect(net, net.peer("a"), net.peer("b"), "--json", "--direct-only")
        assert [path["kind"] for path in call.events("path")] == ["direct"] * len(call.events("path"))
        assert call.events("connected")[0]["kind"] == "direct", call.err()


def test_relay_only_shows_no_address(programs):
    with programs.net() as net:
        net.mediator()
        call, listen = connect(net, net.peer("a"), net.peer("b"), "--json", "--relay-only")
        for verb in (call, listen):
            assert {path["kind"] for path in verb.events("path")} <= {"relay", "none"}, verb.err()
            assert WAN["nat_a"] not in verb.err() or verb is call, verb.err()
        assert call.events("connected")[0]["kind"] == "relay"


@patient
def test_why_it_is_relayed_is_said_once(programs):
    with programs.net(nat_a="random", nat_b="random") as net:
        net.mediator()
        callee = callee_of(net)
        told, quiet, wanted = (net.peer("a", name).start("ping", callee.id, "-i", "0.5", flags=flags)
                               for name, flags in (("told", ()), ("quiet", ("-q",)), ("wanted", ("--relay-only",))))
        net.wait_until(lambda: "relayed: " in told.err(), 20, "it is said why it is relayed")
        replies = {run: run.out().count(b"\n") for run in (told, wanted)}
        net.wait_until(lambda: all(run.out().count(b"\n") >= before + 2 for run, before in replies.items()), 20, "pings go on")
        for run, expected in ((told, 1), (quiet, 0), (wanted, 0)):
            run.signal(signal.SIGINT)
            run.expect_exit(0)
            assert run.err().count("relayed: ") == expected, run.err()
        assert "random" in told.err(), told.err()


def test_steps_are_told_with_v(programs):
    with programs.net() as net:
        net.mediator()
        call, _ = connect_directly(net, net.peer("a"), net.peer("b"), "-v", "--json")
        steps = call.events("step")
        assert {"dial", "path"} <= {step["what"] for step in steps}, steps
        assert all(step["text"] and step["peer"] for step in steps), steps
        expect_path(call, "direct", WAN["nat_b"])
