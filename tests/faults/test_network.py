"""No network at all: everything works, and nothing is attempted."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import need

# A network of its own with one way out that leads nowhere and counts; whoever asks for a name asks there too.
SCRIPT = r"""
set -eu
ip link set lo up
ip link add out type veth peer name nowhere
# Else the system itself looks for neighbours and routers.
ip link set nowhere addrgenmode none
ip link set out addrgenmode none
ip link set nowhere up
ip link set out up
ip address add 192.0.2.2/24 dev out
ip neighbour add 192.0.2.1 lladdr 02:00:00:00:00:01 dev out
ip route add default via 192.0.2.1
mount --bind "$RESOLV" /etc/resolv.conf
sent() { echo "sent $1 $(cat /proc/net/dev | sed -n 's/^ *out: *//p' | awk '{print $10}')"; }
sent before
"$PYTHON" -m flows.cli up --no-dashboards --json
if [ "$EVERYTHING" ]; then
    "$PYTHON" -m flows.cli train --json
    "$PYTHON" -m flows.cli nightly --force --json
fi
"$PYTHON" -m flows.cli status --json
"$PYTHON" -m flows.cli down --json
sent after
"$PYTHON" -c 'import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("198.51.100.1", 9))'
"$PYTHON" -c 'import urllib.request; urllib.request.urlopen("http://name.invalid", timeout=1)' 2>/dev/null || true
sent attempts
"""


@pytest.mark.timeout(900)
def test_without_a_network_everything_works_and_nothing_is_attempted(open_folder: Path, everything: bool) -> None:
    able = os.geteuid() == 0 and shutil.which("unshare") and shutil.which("ip")
    need(able, "Only root with unshare and ip can take the network away.")
    resolv = open_folder / "resolv.conf"
    resolv.write_text("nameserver 192.0.2.1\noptions timeout:1 attempts:1\n")
    state = open_folder / "no-network"
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CREDITLENS_", "PREFECT_", "DATABASE_URL", "DO_NOT_TRACK"))
    }
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", SCRIPT],
        env={
            **kept,
            "PYTHON": sys.executable,
            "EVERYTHING": "yes" if everything else "",
            "RESOLV": str(resolv),
            "CREDITLENS_STATE": str(state),
            "CREDITLENS_SYNTHETIC_FORMER": "1500",
            "CREDITLENS_SYNTHETIC_NEW": "200",
            "CREDITLENS_TRIALS": "0",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=860,
    )
    forbidden = "Operation not permitted" in done.stderr and "sent" not in done.stdout
    need(not forbidden, f"This machine lets nobody have a network of one's own: {done.stderr.strip()}.")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    nights = [answer["outcome"] for answer in answers if "outcome" in answer]
    assert nights == ["published"] * (2 if everything else 1)
    assert [answer["healthy"] for answer in answers if "healthy" in answer] == [True]
    packets = {name: int(count) for name, count in re.findall(r"sent (\w+) (\d+)", done.stdout)}
    print(packets)
    assert packets["after"] == packets["before"]
    # The counter does count: a packet, and a question for a name.
    assert packets["attempts"] >= packets["after"] + 2
