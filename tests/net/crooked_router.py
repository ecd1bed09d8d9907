# SPDX-License-Identifier: BSD-2-Clause
"""A router that lies, run inside a namespace: crooked_router.py KIND [ARGUMENTS]

  pcp LIE [SOURCE]   on UDP 5351; SOURCE: answers come from this address
  ssdp LOCATION...   answers every search with these
  http PORT LIE      serves a description, or something else
  count PORT         says "called" for every connection that comes in
Says "ready" first. The functions that are called by a LIE are below."""

import socket
import struct
import sys
import time


def say(text):
    print(text, flush=True)


def mapped(address):
    return bytes(10) + b"\xff\xff" + socket.inet_aton(address)


def pcp_answer(request, address="11.0.113.10", lifetime=7200, nonce=None, result=0, port=40000, epoch=1000,
               internal=None, protocol=17):
    internal = internal or struct.unpack("!H", request[40:42])[0]
    return (struct.pack("!BBBBII", 2, 129, 0, result, lifetime, epoch) + bytes(12) + (nonce or request[24:36])
            + bytes([protocol, 0, 0, 0]) + struct.pack("!HH", internal, port) + mapped(address))


def natpmp_answer(request, address="11.0.113.10", lifetime=7200, port=40000):
    if request[1] == 0:
        return struct.pack("!BBHI", 0, 128, 0, 1000) + socket.inet_aton(address)
    internal = struct.unpack("!H", request[4:6])[0]
    return struct.pack("!BBHIHHI", 0, 129, 0, 1000, internal, port, lifetime)


LIES = {
    "honest": lambda r: pcp_answer(r),
    "provider": lambda r: pcp_answer(r, address="100.64.11.2"),
    "nonce": lambda r: pcp_answer(r, nonce=bytes(12)),
    "loopback": lambda r: pcp_answer(r, address="127.0.0.1"),
    "nowhere": lambda r: pcp_answer(r, address="0.0.0.0"),
    "multicast": lambda r: pcp_answer(r, address="239.255.255.250"),
    "broadcast": lambda r: pcp_answer(r, address="255.255.255.255"),
    "itself": lambda r: pcp_answer(r, address="192.168.11.1"),
    "port": lambda r: pcp_answer(r, port=0),
    "other": lambda r: pcp_answer(r, internal=53),
    "tcp": lambda r: pcp_answer(r, protocol=6),
    "short": lambda r: pcp_answer(r)[:58],
    "odd": lambda r: pcp_answer(r) + b"x",
    "long": lambda r: pcp_answer(r) + bytes(1400),
    "moment": lambda r: pcp_answer(r, lifetime=1),
    "echo": lambda r: r,
    "refuses": lambda r: pcp_answer(r, result=2),
    "storm": lambda r: [b"\x02\x81" + bytes(58)] * 2000,
    "natpmp": lambda r: natpmp_answer(r) if r[0] == 0 else None,
    "natpmp loopback": lambda r: natpmp_answer(r, address="127.0.0.1") if r[0] == 0 else None,
    "natpmp moment": lambda r: natpmp_answer(r, lifetime=1) if r[0] == 0 else None,
}


def pcp(lie, source=None):
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", 5351))
    sender = listener
    if source:
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sender.bind((source, 5351) if source != "192.168.11.1" else (source, 5352))
    say("ready")
    while True:
        request, client = listener.recvfrom(2000)
        wants = "pcp" if request[0] == 2 else "natpmp"
        removal = wants == "pcp" and request[4:8] == bytes(4)
        say(f"{wants} {'remove' if removal else 'ask'}")
        if request[0] == 0 and not lie.startswith("natpmp"):
            continue
        answer = LIES[lie](request)
        for packet in answer if isinstance(answer, list) else [answer] if answer else []:
            sender.sendto(packet, client)


def ssdp(*locations):
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", 1900))
    address = socket.inet_aton(own_address())
    listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.255.255.250") + address)
    say("ready")
    while True:
        _, client = listener.recvfrom(2000)
        say("search")
        for location in locations:
            listener.sendto(("HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nEXT:\r\n"
                             "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
                             "USN: uuid:1::urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
                             f"LOCATION: {location}\r\n\r\n").encode(), client)


def own_address():
    """The one in the LAN."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.connect(("192.168.11.77", 9))
    return probe.getsockname()[0]


def description(control):
    kind = "urn:schemas-upnp-org"
    return ("<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\"><device>"
            f"<deviceType>{kind}:device:InternetGatewayDevice:1</deviceType><deviceList><device>"
            f"<deviceType>{kind}:device:WANDevice:1</deviceType><deviceList><device>"
            f"<deviceType>{kind}:device:WANConnectionDevice:1</deviceType><serviceList><service>"
            f"<serviceType>{kind}:service:WANIPConnection:1</serviceType><serviceId>WANIPConn1</serviceId>"
            f"<controlURL>{control}</controlURL><eventSubURL>/e</eventSubURL><SCPDURL>/s</SCPDURL>"
            "</service></serviceList></device></deviceList></device></deviceList></device></root>")


def reply(body, status="200 OK", more=""):
    return (f"HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n{more}\r\n{body}").encode()


def soap(action, inside):
    return reply("<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>"
                 f"<u:{action}Response xmlns:u=\"urn:schemas-upnp-org:service:WANIPConnection:1\">{inside}"
                 f"</u:{action}Response></s:Body></s:Envelope>")


def drip(client, packet):
    for byte in packet:
        client.sendall(bytes([byte]))
        time.sleep(0.05)


def flood(client, packet):
    client.sendall(packet)
    while True:
        client.sendall(b"<a>" * 10000)


def serve(client, request, lie):
    if request.startswith(b"POST"):
        action = request.split(b"#")[1].split(b'"')[0].decode()
        say(action)
        if lie == "silent":
            time.sleep(60)
        if lie == "slow" and action == "AddPortMapping":
            time.sleep(0.5)
        if action == "GetExternalIPAddress":
            address = {"loopback": "127.0.0.1", "words": "\x1b[31mevil", "empty": ""}.get(lie, "11.0.113.10")
            client.sendall(soap(action, f"<NewExternalIPAddress>{address}</NewExternalIPAddress>"))
        elif lie == "error":
            client.sendall(reply("<s:Envelope><s:Body><s:Fault><detail><UPnPError><errorCode>606</errorCode>"
                                 "</UPnPError></detail></s:Fault></s:Body></s:Envelope>", "500 Internal Server Error"))
        elif lie == "permanent" and b"<NewLeaseDuration>0<" not in request and action == "AddPortMapping":
            client.sendall(reply("<s:Envelope><s:Body><s:Fault><detail><UPnPError><errorCode>725</errorCode>"
                                 "</UPnPError></detail></s:Fault></s:Body></s:Envelope>", "500 Internal Server Error"))
        else:
            client.sendall(soap(action, ""))
        return
    say("description")
    if lie == "redirect":
        client.sendall(reply("", "302 Found", "Location: http://192.0.2.1:8080/rootDesc.xml\r\n"))
    elif lie == "elsewhere":
        client.sendall(reply(description("http://192.0.2.1:8080/ctl")))
    elif lie == "inject":
        client.sendall(reply(description("/ctl HTTP/1.1\r\nX: y\r\n")))
    elif lie == "drip":
        drip(client, reply(description("/ctl")))
    elif lie == "flood":
        flood(client, reply("x" * 100).replace(b"100", b"99999999"))
    elif lie == "hang":
        time.sleep(60)
    else:
        client.sendall(reply(description("/ctl")))


def http(port, lie):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", int(port)))
    listener.listen()
    say("ready")
    while True:
        client, _ = listener.accept()
        try:
            request = client.recv(4000)
            serve(client, request, lie)
        except OSError:
            pass
        client.close()


def count(port):
    listener = socket.socket()
    listener.bind(("0.0.0.0", int(port)))
    listener.listen()
    say("ready")
    while True:
        client, _ = listener.accept()
        say("called")
        client.close()


if __name__ == "__main__":
    {"pcp": pcp, "ssdp": ssdp, "http": http, "count": count}[sys.argv[1]](*sys.argv[2:])
