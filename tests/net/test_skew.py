# SPDX-License-Identifier: BSD-2-Clause
"""One side learns late that it is to punch, while the other is already sending, over NATs that do harm to what
comes too early: the mediator's TCP towards one side is held back from just before the dial on, which the mediator
does not know. bench/skew runs all of it and prints a table."""

import json
import os
import time

from programs import slow
from topology import MEDIATOR, Failed

PAIRS = [("accept", "accept"), ("accept", "drop"), ("drop", "accept")]
SKEWS_MS = [0, 20, 50, 100, 200, 500, 1000, 2000]
WARM_MS = 1500  # until both profiles are known
RTT = {("a", "med"): 20, ("b", "med"): 20, ("a", "b"): 40}
LIMIT_MS = 10000


def dial(programs, kinds, late, skew_ms):
    """What the caller (a) says of one dial, if `late` ("a" or "b") hears of it skew_ms later than it should."""
    with programs.net(nat_a=kinds[0], nat_b=kinds[1], rtt=RTT, late={("med", late): skew_ms}) as net:
        net.mediator()
        peer = programs.existing(os.path.join(programs.build, "bench", "eyelet-lab-peer"))
        files = {side: [net.path(f"{side}.key"), MEDIATOR[0], net.path(f"{side}.known")] for side in "ab"}
        identity = net.start("b", [peer, "id", files["b"][0]], "id")
        identity.wait(5)
        callee = net.start("b", [peer, "--direct-only", "echo", *files["b"]], "echo")
        net.wait_until(lambda: b"ready" in callee.out() or not callee.running(), 15, "the callee is registered")
        call = net.start("a", [peer, "--direct-only", "call", *files["a"], identity.out().decode().strip(), str(WARM_MS),
                               str(LIMIT_MS)], "call")
        net.wait_until(lambda: b"registered" in call.out() or not call.running(), 15, "the caller is registered")
        time.sleep(WARM_MS / 1000 - 0.3)
        net.be_late()
        call.wait(30)
        lines = [line for line in call.out().decode().splitlines() if line.startswith("{")]
        if not lines:
            raise Failed(f"the caller ended with {call.popen.returncode}")
        return json.loads(lines[-1])


def check(programs, kinds, late, skew_ms):
    said = dial(programs, kinds, late, skew_ms)
    print(kinds, f"{late} {skew_ms} ms late:", said)
    if said["result"] != "direct":
        raise Failed(f"{' x '.join(kinds)}, {late} {skew_ms} ms late: {said['result']}: {said['why']}")


def test_both_accept_early_packets_and_the_caller_is_late(programs):
    check(programs, ("accept", "accept"), "a", 100)


def test_both_accept_early_packets_and_the_callee_is_late(programs):
    check(programs, ("accept", "accept"), "b", 500)


def test_one_that_accepts_early_packets_is_late(programs):
    check(programs, ("accept", "drop"), "a", 1000)


def test_cone_is_late_at_one_that_accepts_early_packets(programs):
    check(programs, ("accept", "drop"), "b", 200)


def test_one_that_accepts_early_packets_is_called_late(programs):
    check(programs, ("drop", "accept"), "b", 2000)


@slow(600)
def test_every_skew(programs):
    bad = []
    for kinds in PAIRS:
        for late in "ab":
            for skew_ms in SKEWS_MS:
                said = dial(programs, kinds, late, skew_ms)
                print(kinds, f"{late} {skew_ms} ms late:", said["result"], said["ms"], flush=True)
                if said["result"] != "direct":
                    bad.append((kinds, late, skew_ms))
    if bad:
        raise Failed(f"not direct: {bad}")
