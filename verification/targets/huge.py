"""A server that is nothing but long lines: it greets, and answers every other request after one line of the size it was given."""

__all__ = ["SERVER"]

SERVER = r"""
import json, sys
size = int(sys.argv[1])
head = b'{"method":"item/completed","params":{"threadId":"t","turnId":"u","item":{"type":"agentMessage","id":"i","text":"'
line = head + b"x" * (size - len(head) - 5) + b'"}}}\n'
out = sys.stdout.buffer
for text in sys.stdin.buffer:
    message = json.loads(text)
    if message.get("method") == "initialize":
        out.write(json.dumps({"id": message["id"], "result": {"userAgent": "huge/0.163.0"}}).encode() + b"\n")
    elif "id" in message:
        out.write(line)
        out.write(json.dumps({"id": message["id"], "result": {}}).encode() + b"\n")
    out.flush()
"""
