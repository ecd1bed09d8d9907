#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A home router that tells its own outer address by NAT-PMP (RFC 6886) and opens no port: telling_router.py ADDRESS"""

import socket
import struct
import sys

OUTER = socket.inet_aton(sys.argv[1])
REFUSED = 2
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 5351))
print("ready", flush=True)
while True:
    request, client = server.recvfrom(1100)
    if len(request) >= 2 and request[0] == 0 and request[1] == 0:
        server.sendto(struct.pack("!BBHI4s", 0, 128, 0, 1000, OUTER), client)
    elif len(request) >= 12 and request[0] == 0:
        server.sendto(struct.pack("!BBHIHHI", 0, 128 + request[1], REFUSED, 1000,
                                  *struct.unpack("!H", request[4:6]), 0, 0), client)
