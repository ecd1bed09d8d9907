# SPDX-License-Identifier: BSD-2-Clause
"""A port of the router: with Debian's miniupnpd over real netfilter, and with routers that lie."""

import os
import shutil
import signal
import sys
import time

from programs import Skipped, patient
from router import Miniupnpd, public_homes
from topology import Failed

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT_MS = 5000  # of one try


class State:
    """One line of eyelet-portmap."""

    def __init__(self, line):
        words = line.split(" ", 8)
        self.status, self.protocol, self.mapped, self.router = words[1:5]
        self.lifetime, self.generation, self.ms = (int(word) for word in words[5:8])
        self.reason = words[8] if len(words) > 8 else ""
        self.address, _, self.port = self.mapped.rpartition(":")

    def __repr__(self):
        return str(self.__dict__)


def start(net, *flags):
    return net.start("a", [net.programs.helper("eyelet-portmap"), *flags], "portmap")


def lines(run, kind):
    return [line for line in run.out().decode().splitlines() if line.startswith(kind + " ")]


def state(run):
    """The last one, or None."""
    states = lines(run, "state")
    return State(states[-1]) if states else None


def wait_state(net, run, status, seconds=6, **more):
    """A state of that status, whose other fields are as said."""
    def fits():
        now = state(run)
        if now and now.status == status and all(getattr(now, key) == value for key, value in more.items()):
            return now
        return None
    try:
        return net.wait_until(fits, seconds, f"{status} {more}")
    except Failed as failure:
        raise Failed(f"{failure}; the last state is {state(run)}") from None


def send(net, where, address, port, text):
    """From a socket that nobody has sent to."""
    net.shell(where, f"{sys.executable} -c \"import socket; socket.socket(2, 2).sendto(b'{text}', ('{address}', {port}))\"")


def expect_open(net, run, mapped, text):
    send(net, "med", mapped.address, mapped.port, text)
    net.wait_until(lambda: any(line.endswith(" " + text) for line in lines(run, "packet")), 2, "the packet arrives")
    arrived = lines(run, "packet")[-1].split()
    if not arrived[1].startswith("192.0.2.1:"):
        raise Failed(f"the packet seems to come from {arrived[1]}")


EAR = """
import socket, sys
ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ear.bind(("", int(sys.argv[1])))
print("port", sys.argv[1], flush=True)
while True:
    text, (address, port) = ear.recvfrom(100)
    print(f"packet {address}:{port} {text.decode()}", flush=True)
"""


def expect_closed(net, port, mapped, text):
    """The mapping led to this port of host a, which nobody has any more."""
    ear = net.start("a", [sys.executable, "-c", EAR, port], "ear")
    net.wait_until(lambda: lines(ear, "port"), 5, "somebody listens at the old port")
    send(net, "med", mapped.address, mapped.port, text)
    send(net, "nat_a", net.address["a"], port, "from within")
    net.wait_until(lambda: lines(ear, "packet"), 5, "what was sent last is there")
    if [line.split(" ", 2)[2] for line in lines(ear, "packet")] != ["from within"]:
        raise Failed(f"the port is still open: {lines(ear, 'packet')}")


def stop(run, limit_ms=2000):
    """How long it took."""
    code = run.stop(10)
    took = lines(run, "stopped")
    if code != 0 or not took:
        raise Failed(f"eyelet-portmap ended with {code}")
    if int(took[0].split()[1]) > limit_ms:
        raise Failed(f"portmap_stop took {took[0].split()[1]} ms")
    return int(took[0].split()[1])


def open_and_close(programs, protocol, flags=(), kind="drop", **router_options):
    public_homes()
    with programs.net(nat_a=kind) as net:
        router = Miniupnpd(net, **router_options)
        run = start(net, *flags)
        mapped = wait_state(net, run, "mapped", protocol=protocol)
        print(mapped)
        assert mapped.address == mapped.router == "11.0.113.10" and mapped.ms < LIMIT_MS, mapped
        expect_open(net, run, mapped, "hello")
        assert len(router.mappings()) == 1 and mapped.port in router.mappings()[0], router.mappings()
        if shutil.which("upnpc") and router_options.get("upnp", True):
            listed = net.shell("a", "upnpc -l; true")
            assert f" UDP {mapped.port}->192.168.11.10:" in listed, listed
        stop(run)
        assert not router.mappings(), router.mappings()


def test_upnp(programs):
    open_and_close(programs, "UPnP", pmp=False)


def test_nat_pmp(programs):
    open_and_close(programs, "NAT-PMP", ["-P", "natpmp"], upnp=False)


def test_pcp(programs):
    open_and_close(programs, "PCP", upnp=False)


def test_pcp_is_preferred_and_alone(programs):
    open_and_close(programs, "PCP")


def test_nat_with_random_ports(programs):
    """Which nobody could punch."""
    open_and_close(programs, "PCP", kind="random")


def test_router_behind_a_provider(programs):
    """miniupnpd opens nothing then, and says why in three ways."""
    public_homes()
    with programs.net(nat_a="cgn") as net:
        router = Miniupnpd(net)
        run = start(net)
        none = wait_state(net, run, "none")
        assert "NAT-PMP: the router has no public address" in none.reason, none
        # miniupnpd 2.3.9 tells its address all the same, and refuses what is asked for then.
        assert ("UPnP: the router has no public address" in none.reason or "UPnP: error 501" in none.reason), none
        assert not router.mappings(), none


def test_the_port_is_closed_for_strangers_afterwards(programs):
    public_homes()
    with programs.net() as net:
        Miniupnpd(net)
        first = start(net)
        mapped = wait_state(net, first, "mapped")
        second = start(net)  # a neighbour's: untouched by the end of the first
        other = wait_state(net, second, "mapped")
        port = lines(first, "port")[-1].split()[1]
        stop(first)
        expect_closed(net, port, mapped, "late")
        expect_open(net, second, other, "still")


def test_wanted_port(programs):
    public_homes()
    with programs.net() as net:
        Miniupnpd(net)
        run = start(net, "-e", "30303")
        assert wait_state(net, run, "mapped").port == "30303"


def test_upnp_takes_another_port_when_one_is_taken(programs):
    public_homes()
    with programs.net(same_lan=True) as net:
        Miniupnpd(net, pmp=False)
        if not shutil.which("upnpc"):
            raise Failed("upnpc is not installed (scripts/install-deps test)")
        net.shell("b", "upnpc -a 192.168.11.11 5000 30303 udp")
        run = start(net, "-e", "30303")
        mapped = wait_state(net, run, "mapped")
        assert mapped.port != "30303", mapped
        expect_open(net, run, mapped, "mine")


def renewed(programs, protocol, flags=(), **router_options):
    """Lives on beyond its lifetime, as one and the same mapping."""
    public_homes()
    with programs.net() as net:
        router = Miniupnpd(net, config="min_lifetime=10\nmax_lifetime=86400", **router_options)
        run = start(net, "-l", "12", *flags)
        mapped = wait_state(net, run, "mapped", protocol=protocol)
        if protocol == "PCP" and mapped.lifetime == 120:
            raise Skipped("this miniupnpd keeps to RFC 6887: no mapping ends before two minutes")
        assert mapped.lifetime == 12, mapped
        time.sleep(16)
        now = state(run)
        assert now.status == "mapped" and now.generation == 1 and now.mapped == mapped.mapped, now
        expect_open(net, run, mapped, "renewed")
        assert len(router.mappings()) == 1, router.mappings()


@patient
def test_pcp_is_renewed(programs):
    renewed(programs, "PCP", upnp=False)


@patient
def test_nat_pmp_is_renewed(programs):
    renewed(programs, "NAT-PMP", ["-P", "natpmp"], upnp=False)


@patient
def test_upnp_is_renewed(programs):
    renewed(programs, "UPnP", pmp=False)


def rebooted(programs, protocol, flags=(), **router_options):
    public_homes()
    with programs.net() as net:
        router = Miniupnpd(net, **router_options)
        run = start(net, "-c", "1", *flags)
        mapped = wait_state(net, run, "mapped", protocol=protocol)
        time.sleep(7)  # the router's clock runs, so that it can be seen to start again
        assert state(run).generation == 1, state(run)
        router.reboot()
        net.wait_until(lambda: state(run).generation > 1 and state(run).status == "mapped", 15, "mapped again")
        again = state(run)
        assert again.protocol == protocol, again
        print(mapped, again)
        expect_open(net, run, again, "again")
        assert len(router.mappings()) == 1, router.mappings()
        stop(run)
        assert not router.mappings(), router.mappings()


@patient
def test_pcp_after_a_reboot(programs):
    rebooted(programs, "PCP", upnp=False)


@patient
def test_nat_pmp_after_a_reboot(programs):
    rebooted(programs, "NAT-PMP", ["-P", "natpmp"], upnp=False)


@patient
def test_upnp_after_a_reboot(programs):
    rebooted(programs, "UPnP", pmp=False)


def test_upnp_mapping_removed_by_somebody(programs):
    public_homes()
    with programs.net() as net:
        router = Miniupnpd(net, pmp=False)
        run = start(net, "-c", "1")
        mapped = wait_state(net, run, "mapped")
        net.shell("a", f"upnpc -d {mapped.port} udp")
        again = wait_state(net, run, "mapped", generation=2)
        expect_open(net, run, again, "again")
        assert len(router.mappings()) == 1, router.mappings()


@patient
def test_router_comes_late_and_host_moves(programs):
    public_homes()
    with programs.net() as net:
        run = start(net)
        none = wait_state(net, run, "none")
        assert none.ms < LIMIT_MS and "speaks neither" in none.reason, none
        Miniupnpd(net)
        run.signal(signal.SIGHUP)
        first = wait_state(net, run, "mapped")
        net.ip("a", "addr", "add", "192.168.11.77/24", "dev", "eth0")
        net.ip("a", "route", "replace", "default", "via", "192.168.11.1", "src", "192.168.11.77")
        run.signal(signal.SIGHUP)
        second = wait_state(net, run, "mapped", generation=first.generation + 2)
        expect_open(net, run, second, "moved")
        net.ip("a", "route", "del", "default")
        run.signal(signal.SIGHUP)
        lost = wait_state(net, run, "none")
        assert "no default route" in lost.reason and lost.generation > second.generation, lost


def other_socket(programs, protocol):
    public_homes()
    with programs.net() as net:
        router = Miniupnpd(net)
        run = start(net, "-P", protocol)
        first = wait_state(net, run, "mapped")
        run.signal(signal.SIGUSR1)
        net.wait_until(lambda: state(run).generation > first.generation, 6, "a new mapping")
        second = wait_state(net, run, "mapped")
        expect_open(net, run, second, "other")
        assert len(router.mappings()) == 1, router.mappings()


def test_pcp_for_another_socket(programs):
    other_socket(programs, "pcp")


def test_nat_pmp_for_another_socket(programs):
    other_socket(programs, "natpmp")


def test_upnp_for_another_socket(programs):
    other_socket(programs, "upnp")


def new_public_address(programs, protocol):
    """As when a provider gives another one every night."""
    public_homes()
    with programs.net() as net:
        Miniupnpd(net)
        run = start(net, "-P", protocol, "-c", "1")
        first = wait_state(net, run, "mapped")
        net.ip("nat_a", "addr", "add", "11.0.113.20/25", "dev", "wan")
        net.ip("nat_a", "addr", "del", "11.0.113.10/25", "dev", "wan")
        net.ip("nat_a", "addr", "replace", "11.0.113.20/25", "dev", "wan")  # it was the second one
        net.ip("nat_a", "route", "replace", "default", "via", "11.0.113.1")
        net.wait_until(lambda: state(run).address == "11.0.113.20", 10, "the new address")
        second = wait_state(net, run, "mapped")
        assert second.generation > first.generation and second.router == "11.0.113.20", second
        expect_open(net, run, second, "new")


def test_pcp_with_a_new_public_address(programs):
    new_public_address(programs, "pcp")


def test_upnp_with_a_new_public_address(programs):
    new_public_address(programs, "upnp")


@patient
def test_stop_with_a_dead_router(programs):
    for flags in (["-P", "pcp"], ["-P", "natpmp"], ["-P", "upnp"]):
        public_homes()
        with programs.net() as net:
            Miniupnpd(net)
            run = start(net, *flags)
            wait_state(net, run, "mapped")
            net.iptables("nat_a", "-I", "INPUT", "-i", "lan", "-j", "DROP")
            print(flags, stop(run), "ms")


@patient
def test_stop_in_the_middle(programs):
    """Whenever it is stopped, no mapping stays and nobody waits."""
    public_homes()
    with programs.net() as net:
        router = Miniupnpd(net)
        for flags in ([], ["-P", "upnp"]):
            for ms in (0, 1, 2, 4, 8, 16, 32, 64, 128):
                run = start(net, "-m", str(ms), *flags)
                assert run.wait(10) == 0 and int(lines(run, "stopped")[0].split()[1]) < 2000, run.out()
                net.wait_until(lambda: not router.mappings(), 3, f"the router has removed what was stopped after {ms} ms")
        runs = [start(net, "-c", "1", "-P", protocol, "-m", str(ms))  # while it is renewed
                for protocol in ("pcp", "upnp") for ms in range(2000, 2080, 20)]
        for run in runs:
            assert run.wait(10) == 0, run.out()
        net.wait_until(lambda: not router.mappings(), 3, "a busy router has removed them all")


def test_stop_while_the_router_is_at_it(programs):
    """A mapping whose making was not waited for is removed all the same."""
    with programs.net() as net:
        crooked(net, "nat_a", "ssdp", "http://192.168.11.1:8080/d.xml")
        page = crooked(net, "nat_a", "http", "8080", "slow")
        run = start(net, "-P", "upnp")
        net.wait_until(lambda: b"AddPortMapping" in page.out(), 5, "the mapping is asked for")
        stop(run)
        assert not lines(run, "state") and b"DeletePortMapping" in page.out(), (run.out(), page.out())


@patient
def test_silent_router(programs):
    """Whose firewall drops everything: a try has an end, and so has stopping in the middle of it."""
    with programs.net() as net:
        net.iptables("nat_a", "-I", "INPUT", "-i", "lan", "-j", "DROP")
        run = start(net)
        none = wait_state(net, run, "none")
        assert none.ms < LIMIT_MS, none
        for ms in ("100", "1000", "2500"):
            run = start(net, "-m", ms)
            assert run.wait(10) == 0 and int(lines(run, "stopped")[0].split()[1]) < 800, run.out()


# ---- routers that lie ----

def crooked(net, where, *words):
    run = net.start(where, [sys.executable, os.path.join(HERE, "crooked_router.py"), *words], f"crooked-{words[0]}")
    net.wait_until(lambda: b"ready" in run.out() or not run.running(), 5, f"{words} is ready")
    if not run.running():
        raise Failed(f"crooked_router.py {words}: {run.err()}")
    return run


def lied_to(programs, lie, flags=("-P", "pcp"), **expected):
    with programs.net() as net:
        router = crooked(net, "nat_a", "pcp", lie)
        run = start(net, *flags)
        got = wait_state(net, run, expected.pop("status", "none"))
        print(lie, got)
        assert got.ms < LIMIT_MS, got
        for key, value in expected.items():
            assert getattr(got, key) == value, (lie, key, got)
        stop(run)
        return router.out().decode()


def test_pcp_that_is_honest(programs):
    """So that the others fail because of their lies."""
    said = lied_to(programs, "honest", status="mapped", mapped="11.0.113.10:40000", lifetime=7200)
    assert said.count("pcp remove") == 1, said


def test_pcp_behind_a_provider(programs):
    said = lied_to(programs, "provider", status="inner", mapped="100.64.11.2:40000", router="100.64.11.2")
    assert said.count("pcp remove") == 1, said


@patient
def test_pcp_that_lies_about_addresses(programs):
    for lie in ("loopback", "nowhere", "multicast", "broadcast", "itself"):
        said = lied_to(programs, lie, mapped="-", router="-")
        assert said.count("pcp remove") == 1, (lie, said)  # nothing stays


@patient
def test_pcp_with_broken_answers(programs):
    for lie in ("nonce", "tcp", "short", "odd", "long", "echo", "storm"):
        lied_to(programs, lie, mapped="-", router="-", protocol="none")


@patient
def test_pcp_with_useless_answers(programs):
    for lie in ("port", "other", "moment", "refuses"):
        lied_to(programs, lie, mapped="-", protocol="PCP")


@patient
def test_natpmp_that_lies(programs):
    lied_to(programs, "natpmp", ("-P", "natpmp"), status="mapped", mapped="11.0.113.10:40000")
    lied_to(programs, "natpmp loopback", ("-P", "natpmp"), mapped="-", router="-")
    lied_to(programs, "natpmp moment", ("-P", "natpmp"), mapped="-", router="11.0.113.10")


@patient
def test_pcp_answers_of_somebody_else(programs):
    """The right answer from the wrong address, or the wrong port of the right one."""
    for source in ("192.168.11.99", "192.168.11.1"):
        with programs.net() as net:
            net.ip("nat_a", "addr", "add", "192.168.11.99/24", "dev", "lan")
            crooked(net, "nat_a", "pcp", "honest", source)
            run = start(net, "-P", "pcp")
            none = wait_state(net, run, "none")
            assert none.mapped == none.router == "-", none


def test_ssdp_of_a_neighbour(programs):
    """A host of the LAN that plays the router is not listened to, wherever it points."""
    with programs.net(same_lan=True) as net:
        neighbour = crooked(net, "b", "ssdp", "http://192.168.11.11:8080/d.xml", "http://192.168.11.1:8080/d.xml")
        pages = [crooked(net, "b", "http", "8080", "honest"), crooked(net, "nat_a", "http", "8080", "honest")]
        run = start(net, "-P", "upnp")
        none = wait_state(net, run, "none")
        assert b"search" in neighbour.out(), "the search did not reach the neighbour"
        assert none.router == "-" and none.ms < LIMIT_MS, none
        assert not any(b"description" in page.out() for page in pages), [page.out() for page in pages]


def test_router_that_points_elsewhere(programs):
    with programs.net(same_lan=True) as net:
        victims = [crooked(net, "med", "count", "8080"), crooked(net, "b", "count", "8080")]
        crooked(net, "nat_a", "ssdp", "http://192.0.2.1:8080/d.xml", "http://192.168.11.11:8080/d.xml",
                "http://192.168.11.1@192.0.2.1:8080/d.xml", "http://med:8080/", "ftp://192.168.11.1/", "http://")
        run = start(net, "-P", "upnp")
        wait_state(net, run, "none")
        assert not any(b"called" in victim.out() for victim in victims), [victim.out() for victim in victims]


def upnp_lied_to(programs, lie, status="none"):
    """The state, and what the router was asked."""
    with programs.net() as net:
        victim = crooked(net, "med", "count", "8080")
        crooked(net, "nat_a", "ssdp", "http://192.168.11.1:8080/d.xml")
        page = crooked(net, "nat_a", "http", "8080", lie)
        run = start(net, "-P", "upnp")
        got = wait_state(net, run, status)
        print(lie, got)
        assert got.ms < LIMIT_MS, (lie, got)
        assert b"description" in page.out() and b"called" not in victim.out(), (lie, page.out(), victim.out())
        assert all(" " <= c <= "~" for c in got.reason), got
        stop(run)
        return got, page.out().decode()


def test_upnp_that_is_honest(programs):
    got, asked = upnp_lied_to(programs, "honest", "mapped")
    assert got.protocol == "UPnP" and asked.count("AddPortMapping") == 1 and "DeletePortMapping" in asked, asked


def test_upnp_with_permanent_leases_only(programs):
    got, asked = upnp_lied_to(programs, "permanent", "mapped")
    assert got.lifetime == 0 and asked.count("AddPortMapping") == 2 and "DeletePortMapping" in asked, asked


@patient
def test_upnp_that_leads_elsewhere(programs):
    for lie in ("redirect", "elsewhere", "inject"):
        upnp_lied_to(programs, lie)


@patient
def test_upnp_that_wastes_time(programs):
    for lie in ("drip", "flood", "hang", "silent"):
        upnp_lied_to(programs, lie)


@patient
def test_upnp_with_useless_answers(programs):
    for lie in ("loopback", "words", "empty", "error"):
        got, asked = upnp_lied_to(programs, lie)
        assert got.mapped == "-" and ("AddPortMapping" in asked) == (lie == "error"), (got, asked)
