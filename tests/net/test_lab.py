# SPDX-License-Identifier: BSD-2-Clause
"""The lab itself: what its NATs do (asked by a program that shares no code with them), and that nothing stays."""

import glob
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid

from topology import MEDIATOR, Failed

PROBE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nat_probe.py")
PYTHON = sys.executable


def lab(programs, *words, check=True, timeout=60, **options):
    """`eyelet-lab WORDS`; its output."""
    program = programs.existing(os.path.join(programs.build, "lab", "eyelet-lab"))
    done = subprocess.run([program, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, check=False, **options)
    if check and done.returncode != 0:
        raise Failed(f"eyelet-lab {' '.join(words)}: {done.returncode}: {done.stdout}")
    return done


def probe(programs, *options, what="client $LAB_SERVER $LAB_SERVER2", server="$LAB_SERVER $LAB_SERVER2"):
    """What nat_probe.py says on host a."""
    done = lab(programs, "run", "--rtt-a", "0", "--rtt-b", "0", "--rtt-ab", "0", *options, "--server-ready", "ready",
               "--server", f"{PYTHON} {PROBE} server {server}", "--", f"{PYTHON} {PROBE} {what}")
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise Failed(f"{options}: {done.stdout}") from None


def expect(programs, kind, mapping, filtering=None, allocation=None, hairpin=False, layers=1):
    found = probe(programs, "--a", kind)
    routers = found.pop("hops", [])
    wanted = {"mapping": mapping}
    if filtering:
        wanted.update(filtering=filtering, allocation=allocation, hairpin=hairpin)
        assert len(routers) == layers + 1 and None not in routers, f"{kind}: time exceeded from {routers}"
    if found != wanted:
        raise Failed(f"{kind} does {found}, not {wanted}")


def test_kinds_of_endpoint_independent_mapping(programs):
    expect(programs, "open", "eim", "eif", "preserving", hairpin=True)
    expect(programs, "fw", "eim", "apdf", "preserving", hairpin=True)
    expect(programs, "full-cone", "eim", "eif", "preserving")
    expect(programs, "eim-adf", "eim", "adf", "preserving")
    expect(programs, "cone", "eim", "apdf", "preserving")
    expect(programs, "cone-clash", "eim", "apdf", "random")
    expect(programs, "cone-hairpin", "eim", "apdf", "preserving", hairpin=True)
    expect(programs, "cone-short", "eim", "apdf", "preserving")
    expect(programs, "cone-flood", "eim", "apdf", "preserving")
    expect(programs, "eim-seq", "eim", "apdf", "seq+1")
    expect(programs, "pool", "eim", "apdf", "random")


def test_kinds_of_endpoint_dependent_mapping(programs):
    expect(programs, "adm", "adm", "apdf", "random")
    expect(programs, "sym-seq1", "apdm", "apdf", "seq+1")
    expect(programs, "sym-seq2", "apdm", "apdf", "seq+2")
    expect(programs, "apdm/apdf/seq-3", "apdm", "apdf", "seq-3")
    expect(programs, "block1024", "apdm", "apdf", "block")
    expect(programs, "random", "apdm", "apdf", "random")
    expect(programs, "blocked", "blocked")


def test_kinds_of_two_layers(programs):
    expect(programs, "cgn-cone", "eim", "apdf", "random", layers=2)
    expect(programs, "cgn-block", "apdm", "apdf", "block", layers=2)
    expect(programs, "cgn(nf-drop;nf-ports-random)", "apdm", "apdf", "block", layers=2)
    expect(programs, "cgn(cone;nf-random)", "apdm", "apdf", "random", layers=2)


def test_kinds_of_netfilter(programs):
    expect(programs, "nf-open", "eim", "eif", "preserving", hairpin=True)
    expect(programs, "nf-fw", "eim", "apdf", "preserving", hairpin=True)
    expect(programs, "nf-drop", "eim", "apdf", "preserving")
    expect(programs, "nf-reject", "eim", "apdf", "preserving")
    expect(programs, "nf-cone", "eim", "eif", "preserving")
    expect(programs, "nf-random", "apdm", "apdf", "random")
    expect(programs, "nf-ports", "eim", "apdf", "block")
    expect(programs, "nf-ports-random", "apdm", "apdf", "block")
    expect(programs, "nf-blocked", "blocked")


def test_model_of_linux_agrees_with_linux(programs):
    for model, netfilter in (("linux-drop", "nf-drop"), ("linux-accept", "nf-accept"), ("linux-reject", "nf-reject"),
                             ("linux-random", "nf-random")):
        said = [probe(programs, "--a", kind) for kind in (model, netfilter)]
        if said[0] != said[1]:
            raise Failed(f"{model} does {said[0]}, {netfilter} {said[1]}")


# b knocks for ever. a speaks when several packets of b have long been at its NAT, and listens.
KNOCKS = """
import socket, time, os
mine = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
mine.bind(("", 5000))
for number in range(1000):
    mine.sendto(b"x", (os.environ["LAB_PEER_PUBLIC"], 5000))
    if number == 5:
        print("knocked", flush=True)
    time.sleep(0.05)
"""
ANSWERS = """
import socket, time, os
mine = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
mine.bind(("", 5000))
for _ in range(3):
    mine.sendto(b"x", (os.environ["LAB_PEER_PUBLIC"], 5000))
    time.sleep(0.1)
mine.settimeout(2)
try:
    mine.recv(100)
    print("heard", flush=True)
except TimeoutError:
    print("heard nothing", flush=True)
"""


def hears(programs, kind):
    """Whether a hears b, whose packets came before a had sent any."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for name, script in (("a", ANSWERS), ("b", KNOCKS)):
            paths[name] = os.path.join(folder, name + ".py")
            with open(paths[name], "w", encoding="utf-8") as file:
                file.write(script)
        lab(programs, "run", "--a", kind, "--b", kind, "--b-ready", "knocked", "--log", folder, "--",
            f"{PYTHON} {paths['a']}", "--", f"{PYTHON} {paths['b']}")
        with open(os.path.join(folder, "a.out"), encoding="utf-8") as file:
            return {"heard": True, "heard nothing": False}[file.read().strip()]


def test_early_packets_poison_those_who_accept(programs):
    for kind in ("linux-accept", "nf-accept"):
        assert not hears(programs, kind), kind
    for kind in ("linux-drop", "nf-drop", "linux-reject", "nf-reject", "cone"):
        assert hears(programs, kind), kind


TWO_HOSTS = """
network home {kind}
host server
host a in home
host a2 in home
run server: {python} {probe} server $LAB_SERVER $LAB_SERVER2
run a2 after server "ready": {python} {probe} same-port $LAB_SERVER 5000
run a after a2 "[": {python} {probe} same-port $LAB_SERVER 5000
"""


def test_second_host_with_the_same_port(programs):
    """The second of two flows from one port to one remote gets another port, in the model as in Linux."""
    for kind in ("nf-drop", "linux-drop", "cone"):
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "topology")
            with open(file, "w", encoding="utf-8") as out:
                out.write(TWO_HOSTS.format(kind=kind, python=PYTHON, probe=PROBE))
            lab(programs, "run", "--topology", file, "--log", folder)
            ports = []
            for name in ("a2", "a"):
                with open(os.path.join(folder, name + ".out"), encoding="utf-8") as text:
                    ports.append(json.load(text)[1])
        assert ports[0] == 5000 and ports[1] != 5000, f"{kind}: {ports}"


def test_mappings_expire(programs):
    late = "late $LAB_SERVER 0.3 1.6"
    assert probe(programs, "--a", "eim/apdf/preserving,life=1s", what=late) == [True, False]
    assert probe(programs, "--a", "eim/apdf/preserving,life=3s", what=late) == [True, True]


def test_ipv6_firewall(programs):
    for kind in ("cone,v6=fw", "nf-drop,v6=fw", "cgn-cone"):
        if kind == "cgn-cone":
            kind = "cgn(cone,v6=fw;cone-clash)"
        found = probe(programs, "--a", kind, server="$LAB_SERVER6 $LAB_SERVER6_2", what="client $LAB_SERVER6 $LAB_SERVER6_2")
        assert found == {"mapping": "eim", "filtering": "apdf", "allocation": "preserving"}, f"{kind}: {found}"
    found = probe(programs, "--a", "nf-drop,v6=open", server="$LAB_SERVER6 $LAB_SERVER6_2", what="client $LAB_SERVER6 $LAB_SERVER6_2")
    assert found["filtering"] == "eif", found


def test_neighbours_behind_one_provider(programs):
    """Without hairpinning the homes' outer addresses still reach each other."""
    ping = "ping -c 2 -i 0.2 -W 1 "
    done = lab(programs, "run", "--a", "open", "--b", "open", "--cgn", "cone", "--", ping + "$LAB_PEER")
    assert "2 received" in done.stdout, done.stdout
    done = lab(programs, "run", "--same-lan", "--", ping + "$LAB_PEER")
    assert "2 received" in done.stdout and "ttl=64" in done.stdout, done.stdout


def test_loss_and_delay(programs):
    done = lab(programs, "run", "--rtt-a", "30", "--loss", "20", "--seed", "3", "--", "ping -c 100 -i 0.01 -W 1 $LAB_SERVER; true")
    received = int(done.stdout.split(" received")[0].split()[-1])
    assert 45 <= received <= 82, done.stdout  # 64 are expected
    fastest = float(done.stdout.split("min/avg/max/mdev = ")[1].split("/")[0])
    assert 30 <= fastest <= 34, done.stdout


def test_status_and_output(programs):
    assert lab(programs, "run", "--", "exit 7", check=False).returncode == 7
    assert lab(programs, "run", "--", "kill -9 $$", check=False).returncode == 137
    assert lab(programs, "run", "--timeout", "0.3", "--", "sleep 60", check=False).returncode == 124
    assert lab(programs, "run", "--a", "conus", "--", "true", check=False).returncode == 2
    assert lab(programs, "run", "--a", "nf-conus", "--", "true", check=False).returncode == 125
    done = lab(programs, "run", "--b-ready", "go", "--", "echo a", "--", "echo stop", check=False)
    assert done.returncode == 125 and "never said" in done.stdout, done.stdout
    done = lab(programs, "run", "--", "echo", "one word", "--", "true")
    assert done.stdout.strip() == "one word", done.stdout


def test_errors_of_a_file_name_the_line(programs):
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "topology")
        with open(file, "w", encoding="utf-8") as out:
            out.write("# comment\nnetwork home cone\nhost a in hme\n")
        done = lab(programs, "run", "--topology", file, check=False)
        assert done.returncode == 2 and f"{file}:3:" in done.stdout, done.stdout


def alive(mark):
    """Processes with this in their command line."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                if mark.encode() in file.read():
                    found.append(path)
        except OSError:
            pass
    return found


def test_nothing_survives(programs):
    program = programs.existing(os.path.join(programs.build, "lab", "eyelet-lab"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        mark = uuid.uuid4().hex
        command = f"trap '' TERM INT; (setsid sh -c 'while :; do sleep 1; done' {mark} &) ; while :; do sleep 1; done; : {mark}"
        with subprocess.Popen([program, "run", "--a", "nf-drop", "--", command, "--", command], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as child:
            end = time.monotonic() + 10
            while len(alive(mark)) < 4 and time.monotonic() < end:
                time.sleep(0.02)
            assert len(alive(mark)) >= 4, "it never began"
            child.send_signal(number)
            child.wait(10)
        end = time.monotonic() + 5
        while alive(mark) and time.monotonic() < end:
            time.sleep(0.02)
        assert not alive(mark), f"after signal {number} {alive(mark)} still run"


def test_delay_loses_what_it_is_told_to(programs):
    with programs.net(rtt={("a", "med"): 2}, loss=30) as net:
        said = net.shell("a", f"ping -q -c 100 -i 0.01 -W 1 {MEDIATOR[0]}; true")
        lost = int(re.search(r"(\d+)% packet loss", said).group(1))
        assert 30 <= lost <= 72, said  # 51 per cent of the pings, in one direction or the other


def test_captures(programs):
    with tempfile.TemporaryDirectory() as folder:
        lab(programs, "run", "--pcap", folder, "--", "ping -c 1 $LAB_SERVER")
        sizes = {os.path.basename(path): os.path.getsize(path) for path in glob.glob(folder + "/*.pcap")}
        assert sizes["a.pcap"] == sizes["nat-a.pcap"] == sizes["server.pcap"] == 24 + 2 * (16 + 84), sizes


def test_matrix(programs):
    with tempfile.TemporaryDirectory() as folder:
        data, picture = os.path.join(folder, "m.json"), os.path.join(folder, "m.svg")
        done = lab(programs, "matrix", "--kinds", "cone nf-drop", "--runs", "2", "--limit", "5", "--json", data, "--svg", picture, "--check",
                   timeout=100, check=False)
        assert done.returncode == 0, done.stdout
        with open(data, encoding="utf-8") as file:
            report = json.load(file)
        assert [cell["direct"] for cell in report["cells"]] == [2, 2, 2], report
        with open(picture, encoding="utf-8") as file:
            assert file.read().count("<rect") >= 8
        done = lab(programs, "matrix", "--kinds", "cone", "--runs", "1", "--json", data, "--", "ping -c 1 $LAB_SERVER", timeout=60)
        with open(data, encoding="utf-8") as file:
            assert json.load(file)["cells"][0]["direct"] == 1, done.stdout
