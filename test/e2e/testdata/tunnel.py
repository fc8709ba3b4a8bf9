"""Says to the proxy what ordinary clients would not.

Reads a JSON list of attempts from its input (see tunnel_test.go) and prints the
list of outcomes.
"""
import base64, json, os, socket, ssl, sys, urllib.parse

proxy = urllib.parse.urlsplit(os.environ["HTTPS_PROXY"])


def read_answer(f, method):
    status_line = f.readline().decode("latin-1")
    if not status_line:
        raise EOFError("closed without an answer")
    status = int(status_line.split(" ")[1])
    header = {}
    while True:
        line = f.readline().decode("latin-1").strip()
        if not line:
            break
        name, _, value = line.partition(":")
        header[name.lower()] = value.strip()
    body = b""
    if method == "CONNECT" and status == 200 or status == 101:
        pass
    elif header.get("transfer-encoding") == "chunked":
        while size := int(f.readline().split(b";")[0], 16):
            body += f.read(size)
            f.readline()
        f.readline()
    elif "content-length" in header:
        body = f.read(int(header["content-length"]))
    elif status >= 200 and status not in (204, 304):
        body = f.read()
    return {"status": status, "header": header, "body": body.decode("utf-8", "replace")}


def attempt(a, out):
    conn = socket.create_connection((proxy.hostname, proxy.port), timeout=20)
    if "connect" in a:
        conn.sendall(f"CONNECT {a['connect']} HTTP/1.1\r\nHost: {a['connect']}\r\n\r\n".encode("latin-1"))
        out["connect"] = read_answer(conn.makefile("rb", buffering=0), "CONNECT")
        if out["connect"]["status"] != 200:
            return
        context = ssl.create_default_context()  # the chain is verified, the name is what is played with
        context.check_hostname = False
        try:
            conn = context.wrap_socket(conn, server_hostname=a.get("name"))
        except (ssl.SSLError, OSError) as e:
            out["error"] = f"tls: {e}"
            return
    conn.sendall(base64.b64decode(a["send"]))
    f = conn.makefile("rb")
    for _ in range(a.get("answers", 1)):
        out["answers"].append(read_answer(f, ""))
    if "then" in a:
        conn.sendall(base64.b64decode(a["then"]))
        out["echo"] = base64.b64encode(f.read1(4096)).decode()
    conn.close()


outcomes = []
for a in json.load(sys.stdin):
    out = {"answers": []}
    try:
        attempt(a, out)
    except (OSError, EOFError, ValueError, IndexError) as e:
        out["error"] = f"read: {e!r}"
    outcomes.append(out)
json.dump(outcomes, sys.stdout)
