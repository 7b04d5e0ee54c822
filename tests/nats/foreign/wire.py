"""Ids, envelopes and task records, as docs/wire.md says them."""

import os
import time

import msgpack

TASK, RESPONSE, ERROR, TYPED = 2, 3, 5, 8
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
LEASE_MS = 30_000


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def unpack(data):
    return msgpack.unpackb(data, raw=False, strict_map_key=False)


def now():
    return time.time_ns() // 1_000_000


def new_id():
    return now().to_bytes(6, "big") + os.urandom(10)


def ulid(message_id):
    number = int.from_bytes(message_id, "big")
    return "".join(CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def node_text(key):
    return "node:z" + base58(b"\xed\x01" + key)


def key_of(node):
    number = 0
    for letter in node.removeprefix("node:z"):
        number = number * 58 + BASE58.index(letter)
    return number.to_bytes(34, "big")[2:]


def base58(data):
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return text


def shard_of_agent(name):
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % (1 << 64)
    return value % 16


def shard_of_task(task):
    return task[15] % 16


def envelope(message_id, kind, to, body, name=None, correlation=None, reply_to=None, expires=None):
    fields = {
        1: message_id, 2: kind, 3: name, 5: to, 6: correlation, 7: reply_to, 8: now(), 9: expires,
    }
    return pack([1, {key: value for key, value in fields.items() if value is not None}, body])


def submitted(task):
    """The record that a task begins with."""
    at = now()
    return {
        "id": task["id"], "capability": task["capability"], "state": "submitted", "term": 0, "attempt": 0,
        "attempts_max": task["attempts_max"], "submitted": at, "updated": at,
        "content_type": task.get("content_type", "application/msgpack"), "input": task["input"], "history": [],
    }


def claim(record, owner, worker):
    """Takes it; the term to show from now on."""
    over = record.get("lease_until", 0) <= now()
    if record["state"] != "submitted" and not (record["state"] == "working" and over):
        raise RuntimeError(f"it can't be claimed now: {record}")
    record.update(
        term=record["term"] + 1, attempt=record["attempt"] + 1, owner=owner, worker=worker, lease_until=now() + LEASE_MS)
    step(record, "working")
    return record["term"]


def complete(record, result):
    record.update(result=result, input=b"")
    for field in ("owner", "worker", "lease_until"):
        record.pop(field, None)
    step(record, "completed")


def step(record, state):
    record.update(state=state, updated=now())
    said = {"state": state, "term": record["term"], "at": record["updated"], "note": ""}
    record["history"] = [*record["history"], said][-32:]
