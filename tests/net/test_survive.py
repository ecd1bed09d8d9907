# SPDX-License-Identifier: BSD-2-Clause
"""A transfer goes on, byte for byte, while the network changes under it. How long it stood still is printed and
decides nothing here; bench/survive measures it, with a GiB."""

import signal
import time

import events
from flow import MIB, Flow
from programs import patient
from topology import Failed

RTT = {("a", "med"): 20, ("b", "med"): 20, ("a", "b"): 40}
SIZE, RATE = 64 * MIB, 12 * MIB  # bytes, bytes a second
BLACKOUT_S = 10
# What is relayed here is not to be slowed down by the mediator's quotas.
CONFIG = "[limits]\nrelay-rate = 0\nrelay-peer-rate = 0\nrelay-prefix-rate = 0\nrelay-total = 0\n"


class Scene:
    """A network with a transfer in it."""

    def __init__(self, net, size_bytes, rate_bytes, flags=()):
        self.net = net
        self.mediator = net.mediator(config=CONFIG)
        self.caller, self.callee = net.peer("a"), net.peer("b")
        self.flow = Flow(self.caller, self.callee, size_bytes, rate_bytes, flags)
        self.size = size_bytes

    def underway(self, kind):
        """Until it runs on that path, and an eighth of it has arrived."""
        self.flow.wait_kind(kind, 20)
        self.flow.wait_bytes(max(self.size // 8, self.flow.got + 2 * MIB), 60)

    def restart_mediator(self, down_s):
        self.mediator.signal(signal.SIGKILL)
        self.mediator.popen.wait()
        time.sleep(down_s)
        self.mediator = self.net.mediator(config=CONFIG)
        return time.monotonic()


def relay_to_direct(scene):
    """The search for a random port ends while bytes flow; one in a hundred finds nothing (docs/nat.md)."""
    scene.flow.wait_bytes(MIB)
    assert scene.flow.kinds()[0] == "relay", scene.flow.kinds()
    scene.net.wait_until(lambda: "direct" in scene.flow.kinds() or not scene.flow.call.running(), 60, "the search has ended")
    return time.monotonic() - 1


def nat_reboot(scene):
    scene.underway("direct")
    return events.reboot_nat(scene.net, "nat_a")


def nat_reboot_of_the_receiver(scene):
    scene.underway("direct")
    return events.reboot_nat(scene.net, "nat_b")


def nat_reboot_that_ends_the_session(scene):
    """The TCP connection to the mediator does not survive it either."""
    scene.underway("direct")
    return events.reboot_nat(scene.net, "nat_a", tcp=True)


def nat_reboot_relayed(scene):
    scene.underway("relay")
    return events.reboot_nat(scene.net, "nat_a")


def change_of_address(scene):
    scene.underway("direct")
    return events.change_address(scene.net, "a", "nat_a")


def interface_gone(scene):
    events.second_interface(scene.net, "a", "nat_a")
    scene.underway("direct")
    return events.vanish(scene.net, "a")


def blackout(scene):
    """What is measured is the time after it."""
    scene.underway("direct")
    with events.silence(scene.net, "nat_a"):
        time.sleep(BLACKOUT_S)
    return time.monotonic()


def mediator_killed_direct(scene):
    scene.underway("direct")
    scene.mediator.signal(signal.SIGKILL)
    return time.monotonic()


def mediator_restarted_direct(scene):
    scene.underway("direct")
    return scene.restart_mediator(1)


def mediator_restarted_relayed(scene):
    """What is measured is the time after its restart."""
    scene.underway("relay")
    return scene.restart_mediator(1)


# name: what happens, what the network is, flags of the caller
SCENES = {
    "relay to direct": (relay_to_direct, {"nat_b": "random"}, ()),
    "NAT reboot": (nat_reboot, {}, ()),
    "NAT reboot at the receiver": (nat_reboot_of_the_receiver, {}, ()),
    "NAT reboot, session lost": (nat_reboot_that_ends_the_session, {}, ()),
    "NAT reboot, relayed": (nat_reboot_relayed, {}, ("--relay-only",)),
    "change of address": (change_of_address, {}, ()),
    "interface gone": (interface_gone, {}, ()),
    "blackout of 10 s": (blackout, {}, ()),
    "mediator killed, direct": (mediator_killed_direct, {}, ()),
    "mediator restarted, direct": (mediator_restarted_direct, {}, ()),
    "mediator restarted, relayed": (mediator_restarted_relayed, {}, ("--relay-only",)),
}


def survive(programs, name, size_bytes, rate_bytes):
    """Plays a scene to its end: stall_s (the longest silence that ended after the event), resumed_s (from the event
    until its end), kinds (the caller's paths)."""
    act, network, flags = SCENES[name]
    with programs.net(rtt=RTT, **network) as net:
        scene = Scene(net, size_bytes, rate_bytes, flags)
        when = act(scene)
        scene.flow.finish(60 + 3 * size_bytes / rate_bytes)
        stall, resumed = scene.flow.stall(when)
        result = {"stall_s": round(stall, 3), "resumed_s": round(resumed, 3), "kinds": scene.flow.kinds()}
        print(name, result, flush=True)
        return result


def check(programs, name):
    survive(programs, name, SIZE, RATE)


def test_relay_to_direct(programs):
    for _ in range(3):
        if survive(programs, "relay to direct", SIZE, RATE)["kinds"][-1] == "direct":
            return
    raise Failed("three searches in a row found nothing")


def test_nat_reboot(programs):
    result = survive(programs, "NAT reboot", SIZE, RATE)
    assert result["kinds"][-1] == "direct", result["kinds"]


def test_nat_reboot_at_the_receiver(programs):
    check(programs, "NAT reboot at the receiver")


def test_nat_reboot_that_ends_the_session(programs):
    check(programs, "NAT reboot, session lost")


def test_nat_reboot_while_relayed(programs):
    check(programs, "NAT reboot, relayed")


def test_change_of_address(programs):
    check(programs, "change of address")


def test_interface_gone(programs):
    check(programs, "interface gone")


@patient
def test_blackout_of_10_s(programs):
    check(programs, "blackout of 10 s")


def test_mediator_killed_while_direct(programs):
    """It is not noticed: no other path, and no more silence than at other times."""
    result = survive(programs, "mediator killed, direct", SIZE, RATE)
    assert result["kinds"][-1] == "direct", result["kinds"]


def test_mediator_restarted_while_direct(programs):
    check(programs, "mediator restarted, direct")


def test_mediator_restarted_while_relayed(programs):
    check(programs, "mediator restarted, relayed")
