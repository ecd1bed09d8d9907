# SPDX-License-Identifier: BSD-2-Clause
"""Every command in the README is run, or at least exists."""

import os
import re
import shutil

from topology import MEDIATOR

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def shell_blocks():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        return re.findall(r"```sh\n(.*?)```", file.read(), flags=re.S)


def test_commands_of_eyelet(programs):
    """Those with "# on a" or "# on b" behind them, in their order: all but the last go on until it ends."""
    lines = [(line, match.group(1)) for block in shell_blocks() for line in block.splitlines()
             if (match := re.search(r"# on ([ab])\b", line))]
    assert lines
    with programs.net() as net:
        net.mediator()
        peers = {"a": net.peer("a"), "b": net.peer("b")}
        with open(net.path("data.tar"), "wb") as file:
            file.write(b"x" * 100000)
        os.makedirs(net.path("inbox"), exist_ok=True)
        started = []
        for line, host in lines:
            environment = peers[host].environment(MEDIATOR[0])
            environment.update(ID_OF_A=peers["a"].id, ID_OF_B=peers["b"].id,
                               PATH=os.path.dirname(programs.eyelet) + ":" + os.environ["PATH"])
            command = ["sh", "-c", f"cd {net.path()} && {line}"]
            process = net.start(host, command, "readme", env=environment)
            started.append(process)
            if line is not lines[-1][0]:
                net.wait_until(lambda said=process, own=peers[host].id: own in said.err() or not said.running(), 10,
                               "it says under which ID it waits")
        for process in reversed(started):
            assert process.wait(30) == 0, process.err()
        assert os.path.getsize(net.path("inbox", "data.tar")) == 100000


def test_other_commands_exist(programs):  # pylint: disable=unused-argument
    for block in shell_blocks():
        for line in block.splitlines():
            words = [word for word in line.split("#")[0].split() if not re.match(r"[A-Z]+=", word)]
            if words and words[0] not in ("eyelet", "eyeletd", "export"):
                path = os.path.join(ROOT, words[0])
                assert shutil.which(words[0]) or os.access(path, os.X_OK), line
