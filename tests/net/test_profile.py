# SPDX-License-Identifier: BSD-2-Clause
"""What a peer learns about its NAT is how that NAT is configured, over real netfilter."""

from programs import patient
from topology import BLOCK, MEDIATOR, Failed

APDF = "address-and-port-dependent"
CONE = {"mapping": "endpoint-independent", "filtering": APDF, "allocation": "preserving", "pooling": "one address",
        "early": "harmless", "hairpin": "no", "opener_ttl": "2", "block": "0", "step": "0", "servers": "4"}


def measure(net, until="settled", name="a"):
    """What the host learns, as a dictionary of texts; and how many packets it took."""
    counter = ["-p", "udp", "-m", "multiport", "--dports", "3478,3479"]
    net.iptables(name, "-A", "OUTPUT", *counter)
    run = net.start(name, [net.programs.helper("eyelet-profile"), net.path(f"{name}.key"), MEDIATOR[0],
                           net.path(f"{name}.known"), until], "profile")
    if run.wait(110) != 0:
        raise Failed("the profile did not settle")
    learned = dict(line.split(" ", 1) for line in run.out().decode().splitlines())
    rules = net.iptables(name, "-nvxL", "OUTPUT").splitlines()
    learned["packets"] = int(rules[2].split()[0])
    return learned


def check(programs, kind, expected):
    with programs.net(nat_a=kind) as net:
        net.mediator()
        learned = measure(net)
        print(kind, learned)
        wrong = {key: f"{learned[key]}, not {value}" for key, value in expected.items() if learned[key] != value}
        if wrong:
            raise Failed(f"behind {kind}: {wrong}")
        if learned["packets"] > 60:
            raise Failed(f"behind {kind}: {learned['packets']} packets are not polite")


def test_masquerade_that_drops(programs):
    check(programs, "drop", CONE)


def test_masquerade_that_accepts(programs):
    """Its early packets do harm, so that nothing can be said about hairpinning."""
    check(programs, "accept", {**CONE, "early": "poisonous", "hairpin": "unknown"})


def test_masquerade_with_random_ports(programs):
    check(programs, "random", {"mapping": APDF, "filtering": APDF, "allocation": "other", "early": "unknown",
                               "hairpin": "unknown", "opener_ttl": "0", "block": "0"})


def block_of(size):
    return {"allocation": "port block", "block": str(size), "block_first": str(BLOCK[0])}


def test_masquerade_with_a_range_of_ports(programs):
    check(programs, "range", {**CONE, **block_of(BLOCK[1] - BLOCK[0] + 1)})


def test_masquerade_with_random_ports_of_a_range(programs):
    check(programs, "block", {"mapping": APDF, "filtering": APDF, **block_of(BLOCK[1] - BLOCK[0] + 1)})


def test_full_cone(programs):
    check(programs, "full", {**CONE, "filtering": "endpoint-independent", "opener_ttl": "0"})


def test_full_cone_with_hairpin(programs):
    check(programs, "hairpin", {**CONE, "filtering": "endpoint-independent", "opener_ttl": "0", "hairpin": "yes"})


def test_two_layers(programs):
    check(programs, "cgn", {**CONE, "opener_ttl": "3"})


def test_no_nat(programs):
    check(programs, "open", {"mapping": "none", "filtering": "endpoint-independent", "allocation": "preserving",
                             "early": "harmless", "hairpin": "unknown", "opener_ttl": "0"})


def test_firewall(programs):
    check(programs, "firewall", {"mapping": "none", "filtering": APDF, "allocation": "preserving",
                                 "early": "harmless", "hairpin": "unknown", "opener_ttl": "2"})


def test_one_bounce_address(programs):
    """What needs two is unknown. That one port may not answer for another of the same address shows with one."""
    with programs.net() as net:
        net.mediator(addresses=MEDIATOR[:1])
        learned = measure(net)
        assert learned["mapping"] == "unknown" and learned["early"] == "unknown", learned
        assert learned["filtering"] == APDF and learned["opener_ttl"] == "0", learned


def test_two_hosts_behind_one_nat(programs):
    """The server's patience for behaviour tests is shared by a prefix."""
    with programs.net(same_lan=True) as net:
        net.mediator()
        runs = [net.start(name, [net.programs.helper("eyelet-profile"), net.path(f"{name}.key"), MEDIATOR[0],
                                 net.path(f"{name}.known"), "settled"], "profile") for name in "ab"]
        for run in runs:
            assert run.wait(60) == 0
            learned = dict(line.split(" ", 1) for line in run.out().decode().splitlines())
            assert learned["filtering"] == APDF and learned["opener_ttl"] == "2", learned


@patient
def test_lifetime(programs):
    with programs.net() as net:
        net.mediator()
        net.shell("nat_a", "cd /proc/sys/net/netfilter; echo 20 > nf_conntrack_udp_timeout; echo 20 > nf_conntrack_udp_timeout_stream")
        learned = measure(net, "complete")
        assert learned["lifetime"] == "18", learned
