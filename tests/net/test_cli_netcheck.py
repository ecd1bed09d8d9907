# SPDX-License-Identifier: BSD-2-Clause
"""What `eyelet netcheck` says about a network is how that network is made, over real netfilter."""

import json

from router import Miniupnpd, public_homes
from topology import BLOCK, MEDIATOR, Failed

APDF = "address-and-port-dependent"
CONE = {"udp": True, "mapping": "endpoint-independent", "filtering": APDF, "allocation": "preserving",
        "pooling": "one address", "hairpin": False, "step": None, "foreign_per_1000_s": None, "block_ports": None,
        "block_first": None, "servers": 4, "settled": True}
# steady, sequential, block, random
ALL_AT_ONCE = ["direct", "direct", "direct", "direct"]
SOME_AFTER_A_SEARCH = ["direct", "direct", "search", "search"]
STEADY_AFTER_A_SEARCH = ["search", "no", "no", "no"]
NONE = ["no", "no", "no", "no"]


def answer(run):
    """The one object on stdout."""
    lines = run.out().decode().splitlines()
    assert len(lines) == 1, lines
    return json.loads(lines[0])


def netcheck(net, *words, host="a", code=0):
    run = net.peer(host, f"checker-{host}").start("netcheck", *words).expect_exit(code, 60)
    said = answer(run)
    assert said["v"] == 1 and said["event"] == "netcheck" and said["ms"] > 0, said
    return said


def expect(said, network, reaches):
    wrong = {key: f"{said['nat'][key]}, not {value}" for key, value in network.items() if said["nat"][key] != value}
    if wrong:
        raise Failed(f"{wrong} in {said}")
    verdict = said["verdict"]["reaches"]
    got = [verdict[kind] for kind in ("steady", "sequential", "block", "random")]
    assert got == reaches and verdict["udp_blocked"] == "no", said["verdict"]
    assert said["verdict"]["text"], said


def check(programs, kind, network, reaches):
    with programs.net(nat_a=kind) as net:
        net.mediator()
        said = netcheck(net)
        print(kind, said)
        expect(said, network, reaches)
        if network["udp"]:
            assert said["nat"]["public_ipv4"].rsplit(":", 1)[0] == net.public["a"], said
        return said


def test_masquerade(programs):
    said = check(programs, "drop", {**CONE, "early": "harmless", "opener_ttl": 2, "behind_provider": False}, SOME_AFTER_A_SEARCH)
    assert said["mediator"]["name"] == MEDIATOR[0], said


def test_masquerade_that_early_packets_harm(programs):
    check(programs, "accept", {**CONE, "early": "poisonous", "hairpin": None}, SOME_AFTER_A_SEARCH)


def test_random_ports(programs):
    said = check(programs, "random", {**CONE, "mapping": APDF, "allocation": "other", "early": None, "hairpin": None},
                 STEADY_AFTER_A_SEARCH)
    assert said["verdict"]["advice"], said


def test_block_of_ports(programs):
    size = BLOCK[1] - BLOCK[0] + 1
    check(programs, "block", {**CONE, "mapping": APDF, "allocation": "port block", "block_ports": size,
                              "block_first": BLOCK[0], "hairpin": None}, STEADY_AFTER_A_SEARCH)


def test_full_cone(programs):
    check(programs, "full", {**CONE, "filtering": "endpoint-independent", "early": "harmless"}, ALL_AT_ONCE)


def test_full_cone_with_hairpin(programs):
    check(programs, "hairpin", {**CONE, "filtering": "endpoint-independent", "hairpin": True}, ALL_AT_ONCE)


def test_no_nat(programs):
    check(programs, "open", {"udp": True, "mapping": "none", "filtering": "endpoint-independent", "hairpin": None}, ALL_AT_ONCE)


def test_firewall(programs):
    check(programs, "firewall", {"udp": True, "mapping": "none", "filtering": APDF}, SOME_AFTER_A_SEARCH)


def test_two_layers(programs):
    """The home router's own outer address is private: it stands behind another NAT."""
    check(programs, "cgn", {**CONE, "opener_ttl": 3, "behind_provider": True}, SOME_AFTER_A_SEARCH)


def test_udp_blocked(programs):
    with programs.net(nat_a="blocked") as net:
        net.mediator()
        said = netcheck(net)
        expect(said, {"udp": False, "public_ipv4": None, "mapping": None, "filtering": None, "servers": 0,
                      "behind_provider": None}, NONE)
        assert any("UDP" in advice for advice in said["verdict"]["advice"]), said
        page = net.peer("a", "reader").run("netcheck").out().decode()
        assert "no: nothing answers over UDP" in page and "nobody" in page, page


def test_with_ipv6(programs):
    with programs.net(nat_a="random+fw6") as net:
        net.mediator()
        said = netcheck(net)
        assert said["nat"]["public_ipv6"].startswith(f"[{net.address6['a']}]:"), said
        assert said["verdict"]["reaches"]["ipv6"] == "direct", said


def test_one_bounce_address(programs):
    with programs.net() as net:
        net.mediator(addresses=MEDIATOR[:1])
        said = netcheck(net)
        assert said["nat"]["mapping"] is None and said["verdict"]["reaches"]["steady"] is None, said


def test_what_the_mediator_offers(programs):
    with programs.net(rtt={("a", "med"): 30, ("b", "med"): 30, ("a", "b"): 40}) as net:
        net.mediator()
        said = netcheck(net)
        assert said["mediator"]["relay"] is True, said
        assert 28 <= said["mediator"]["rtt_ms"] <= 60, said


def test_port_mapping_is_turned_off(programs):
    with programs.net() as net:
        net.mediator()
        said = netcheck(net, "--no-port-mapping")
        assert said["nat"]["port_mapping"] == "off" and said["nat"]["mapped_address"] is None, said


def test_a_router_that_opens_ports(programs):
    """Then nobody minds that it is random."""
    public_homes()
    with programs.net(nat_a="random") as net:
        net.mediator()
        Miniupnpd(net)
        said = netcheck(net)
        assert said["nat"]["port_mapping"] in ("UPnP", "NAT-PMP", "PCP"), said
        assert said["nat"]["mapped_address"].startswith(net.public["a"] + ":"), said
        expect(said, {"mapping": APDF, "allocation": "other"}, ALL_AT_ONCE)
        assert not said["verdict"]["advice"], said


def test_an_answer_that_cannot_be_written(programs):
    with programs.net() as net:
        net.mediator()
        with open("/dev/full", "wb") as full:
            run = net.peer("a").start("netcheck", stdout=full).expect_exit(1, 30)
        assert run.error_code() == "file", run.err()


def test_no_mediator(programs):
    with programs.net() as net:
        run = net.peer("a").start("netcheck").expect_exit(3, 30)
        assert run.out() == b"" and run.error_code() == "mediator-unreachable", run.err()


def test_a_mediator_that_is_silent(programs):
    with programs.net() as net:
        net.iptables("med", "-A", "INPUT", "-p", "tcp", "-j", "DROP")
        run = net.peer("a").start("netcheck", "--timeout", "2").expect_exit(3, 30)
        assert run.out() == b"" and run.error_code() == "mediator-unreachable", run.err()


def test_the_page_for_people(programs):
    with programs.net() as net:
        net.mediator()
        page = net.peer("a").run("netcheck").out().decode()
        for text in ("\nUDP               yes (4 bounce endpoints answered)\n",
                     "\nNAT mapping       endpoint-independent: one public port for all destinations\n",
                     "\nDirectly          everybody except peers whose UDP is blocked"):
            assert text in page, page
        assert all(len(line) < 80 for line in page.splitlines()), page
