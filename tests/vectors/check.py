#!/usr/bin/env python3
"""Reads the envelope vectors with the Python standard library alone, and compares them with index.json.

Written from the documentation of the envelope (codecs/src/envelope.rs), not from its code: if the two disagree, one
of them is wrong. Usage: check.py (no arguments; exits with 0 when all envelopes agree)
"""

import json
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).parent


class Reader:
    """MessagePack, as its specification says it."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        if self.at + length > len(self.data):
            raise ValueError(f"byte {self.at}: {length} more bytes are promised")
        self.at += length
        return self.data[self.at - length:self.at]

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(form)))[0]

    def value(self):
        head = self.number("B")
        if head < 0x80:
            return head
        if head < 0x90:
            return self.map(head & 0x0F)
        if head < 0xA0:
            return self.array(head & 0x0F)
        if head < 0xC0:
            return self.take(head & 0x1F).decode()
        if head >= 0xE0:
            return head - 0x100
        constants = {0xC0: None, 0xC2: False, 0xC3: True}
        if head in constants:
            return constants[head]
        numbers = dict(zip(range(0xCA, 0xD4), "fdBHIQbhiq"))
        if head in numbers:
            return self.number(numbers[head])
        if 0xC4 <= head <= 0xC6:
            return bytes(self.take(self.number("BHI"[head - 0xC4])))
        if 0xC7 <= head <= 0xC9:
            return self.extension(self.number("BHI"[head - 0xC7]))
        if 0xD4 <= head <= 0xD8:
            return self.extension(1 << (head - 0xD4))
        if 0xD9 <= head <= 0xDB:
            return self.take(self.number("BHI"[head - 0xD9])).decode()
        if 0xDC <= head <= 0xDD:
            return self.array(self.number("HI"[head - 0xDC]))
        if 0xDE <= head <= 0xDF:
            return self.map(self.number("HI"[head - 0xDE]))
        raise ValueError(f"byte {self.at - 1}: 0xc1")

    def array(self, length):
        return [self.value() for _ in range(length)]

    def map(self, length):
        """The pairs in their order, each value with the bytes that it came as."""
        pairs = []
        for _ in range(length):
            key, start = self.value(), self.at
            pairs.append((key, self.value(), self.data[start:self.at]))
        return pairs

    def extension(self, length):
        return (self.number("b"), bytes(self.take(length)))


FIELDS = {
    1: "id", 2: "kind", 3: "name", 4: "from", 5: "to", 6: "correlation", 7: "reply_to", 8: "sent", 9: "expires",
    10: "trace", 11: "trace_state", 12: "attempt", 13: "idempotency_key", 14: "content_type", 15: "encoding",
    16: "call_chain",
}
WHEN_LEFT_OUT = {"attempt": 1, "content_type": "application/msgpack", "encoding": 0, "call_chain": []}


def envelope(data):
    reader = Reader(data)
    version, header, body = reader.value()
    if reader.at != len(data):
        raise ValueError("bytes after the end")
    keys = [key for key, _, _ in header]
    if keys != sorted(set(keys)):
        raise ValueError(f"keys do not rise: {keys}")
    fields = {name: WHEN_LEFT_OUT.get(name) for name in FIELDS.values()}
    fields |= {FIELDS[key]: shown(FIELDS[key], value) for key, value, _ in header if key in FIELDS}
    unknown = [[key, raw.hex()] for key, _, raw in header if key not in FIELDS]
    return fields | {"version": version, "unknown": unknown, "body": body.hex()}


def shown(name, value):
    """A field as index.json writes it."""
    if name == "trace":
        return f"00-{value[:16].hex()}-{value[16:24].hex()}-{value[24]:02x}"
    if not isinstance(value, bytes):
        return value
    return {"key": value.hex()} if name in ("from", "to") else value.hex()


def main():
    index = json.loads((HERE / "index.json").read_text())
    wrong = 0
    entries = [entry for entry in index if "envelope" in entry]
    for entry in entries:
        found = envelope(bytes.fromhex((HERE / (entry["name"] + ".hex")).read_text()))
        for field in sorted(found.keys() | entry["envelope"].keys()):
            expected = entry["envelope"].get(field, "(missing)")
            if found.get(field, "(missing)") != expected:
                print(f"{entry['name']}: {field} is {found.get(field)!r} in the bytes, {expected!r} in the index")
                wrong += 1
    if wrong or not entries:
        sys.exit(f"{wrong} fields of {len(entries)} envelopes differ")
    print(f"{len(entries)} envelopes agree")


if __name__ == "__main__":
    main()
