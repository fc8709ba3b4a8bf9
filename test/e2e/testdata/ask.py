# An agent that asks: calls one tool of the MCP server over streamable HTTP and
# prints its structured answer. Input: {"tool": ..., "arguments": ...}.
import json, os, sys, urllib.request

url = os.environ["BOTTLE_MCP_URL"]
session = None


def post(message):
    global session
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    if session:
        headers["Mcp-Session-Id"] = session
        headers["MCP-Protocol-Version"] = "2025-06-18"
    request = urllib.request.Request(url, json.dumps(message).encode(), headers)
    with urllib.request.urlopen(request, timeout=80) as response:
        session = response.headers.get("Mcp-Session-Id") or session
        for line in response:
            line = line.decode().strip()
            if line.startswith("data:") and len(line) > 6:
                reply = json.loads(line[5:])
                if reply.get("id") == message.get("id") and ("result" in reply or "error" in reply):
                    return reply


call = json.load(sys.stdin)
post({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
    "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "ask", "version": "1"}}})
post({"jsonrpc": "2.0", "method": "notifications/initialized"})
reply = post({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": call["tool"], "arguments": call["arguments"]}})
result = reply.get("result") or {"isError": True, "content": [reply]}
print(json.dumps(result.get("structuredContent") or {"status": "error", "detail": json.dumps(result["content"])}))
