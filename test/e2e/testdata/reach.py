"""Knocks at doors: reads a JSON list of them (see isolation_test.go), prints what
each did. All at once, so that those that swallow packets cost their time once."""
import concurrent.futures, json, socket, sys

PATIENCE = 4


def knock(d):
    proto, host, port = d["proto"], d["host"], d["port"]
    if proto == "tcp":
        socket.create_connection((host, port), PATIENCE).close()
    elif proto == "tcp6":
        info = socket.getaddrinfo(host, port, socket.AF_INET6, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)[0]
        s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        s.settimeout(PATIENCE)
        s.connect(info[4])
    elif proto == "udp":
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(3):
            s.sendto(b"knock", (host, port))
    elif proto == "ping":
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
        s.settimeout(PATIENCE)
        s.sendto(b"\x08\x00\xf7\xff\x00\x00\x00\x00", (host, 0))
        s.recv(64)
    elif proto == "raw":
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    elif proto == "packet":
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    return "it worked"


def result(d):
    try:
        return {"open": True, "seen": knock(d)}
    except OSError as e:
        return {"open": False, "seen": repr(e)}


with concurrent.futures.ThreadPoolExecutor(64) as pool:
    json.dump(list(pool.map(result, json.load(sys.stdin))), sys.stdout)
