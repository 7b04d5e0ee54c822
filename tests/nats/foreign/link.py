"""The link protocol of docs/wire.md, for a client that calls: a node with a key of its own and no agents."""

import asyncio
import os
import struct

from nacl.signing import SigningKey, VerifyKey

import wire

CONTEXT = b"connectome/nats/link/v1"
OPEN = b"\x01\x07"  # an envelope that nobody sealed: to a node that was told not to
ANNOUNCE, HELLO, DATA, PART, CREDIT, KEEP_ALIVE, FAREWELL, REFUSED = range(1, 9)
KEEP_ALIVE_S = 0.5
MEET_S = 30
CREDIT_EVERY = 256  # frames: well before the node's 1,024 are used up
CALL_MS = 10_000


class Link:
    """A link to one node, for as long as the block lasts."""

    def __init__(self, connection, namespace, node):
        self.connection, self.namespace, self.node = connection, namespace, node
        self.key = SigningKey.generate()
        self.id, self.peer = bytes(self.key.verify_key), wire.key_of(node)
        self.incarnation, self.mine = os.urandom(8), os.urandom(16)
        self.theirs = None
        self.sent = self.read = 0
        self.parts, self.parts_read = bytearray(), 0
        self.up = asyncio.Event()
        self.answers = {}

    async def __aenter__(self):
        self.inbox = f"{self.namespace}.node.{wire.node_text(self.id)}"
        self.subscription = await self.connection.subscribe(self.inbox, cb=self.heard)
        await self.connection.flush()
        announce = self.signed(ANNOUNCE, self.id + self.incarnation)
        await self.connection.publish(f"{self.namespace}.nodes", announce)
        await asyncio.wait_for(self.up.wait(), MEET_S)
        self.living = asyncio.create_task(self.live())
        return self

    async def __aexit__(self, *_):
        self.living.cancel()
        await self.tell(FAREWELL, self.theirs + struct.pack(">Q", self.sent))
        await self.subscription.unsubscribe()

    async def call(self, agent, name, value):
        """Asks an agent of that node; its answer, or the error that it gives instead."""
        message = wire.new_id()
        frame = wire.envelope(
            message, wire.TYPED, agent, wire.pack(value), name=name, correlation=message, reply_to=self.id,
            expires=wire.now() + CALL_MS)
        self.answers[message] = asyncio.get_running_loop().create_future()
        head = self.theirs + struct.pack(">QQ", self.sent, self.read)
        self.sent += 1
        await self.tell(DATA, head + OPEN + frame)
        kind, body = await asyncio.wait_for(self.answers[message], CALL_MS / 1000)
        answer = wire.unpack(body)
        if kind == wire.ERROR:
            raise RuntimeError(f"{answer['code']}: {answer['message']}")
        return wire.unpack(answer["result"])

    async def live(self):
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            numbers = struct.pack(">QQ", self.sent, self.read)
            await self.tell(KEEP_ALIVE, self.theirs + numbers, reply=self.inbox)

    async def tell(self, kind, rest, reply=""):
        packet = bytes([0x43, 1, kind]) + rest
        await self.connection.publish(f"{self.namespace}.node.{self.node}", packet, reply=reply)

    async def heard(self, message):
        packet = message.data
        if packet[:2] != b"\x43\x01":
            return
        kind, rest = packet[2], packet[3:]
        if kind == HELLO:
            await self.greeted(packet)
        elif kind in (DATA, PART) and rest[:16] == self.mine:
            sequence, _ = struct.unpack(">QQ", rest[16:32])
            await self.came(kind, sequence, rest[32:])
        elif kind == REFUSED:
            raise RuntimeError("the node does not know this link")

    async def greeted(self, packet):
        sender, incarnation = packet[3:35], packet[35:43]
        receiver, token, echo = packet[43:75], packet[83:99], packet[99:115]
        if sender != self.peer or receiver != self.id:
            return
        VerifyKey(sender).verify(self.to_sign(packet[:-64]), packet[-64:])
        if echo == self.mine:
            self.theirs = token
            self.up.set()
            return
        hello = self.id + self.incarnation + self.peer + incarnation + self.mine + token
        await self.connection.publish(f"{self.namespace}.node.{self.node}", self.signed(HELLO, hello))

    async def came(self, kind, sequence, rest):
        if kind == PART:
            offset, size = struct.unpack(">II", rest[:8])
            self.parts = self.parts[:offset] + rest[8:]
            self.parts_read += 1
            if len(self.parts) < size:
                return
            rest, self.parts = bytes(self.parts), bytearray()
        self.read = sequence + 1
        if self.read % CREDIT_EVERY == 0:
            await self.tell(CREDIT, self.theirs + struct.pack(">Q", self.read))
        if rest[:2] != OPEN:
            return  # where the node is, and with which keys
        _, header, body = wire.unpack(rest[2:])
        answer = self.answers.pop(header.get(6), None)
        if header[2] in (wire.RESPONSE, wire.ERROR) and answer and not answer.done():
            answer.set_result((header[2], body))

    def signed(self, kind, rest):
        packet = bytes([0x43, 1, kind]) + rest
        return packet + self.key.sign(self.to_sign(packet)).signature

    def to_sign(self, packet):
        return CONTEXT + b"\0" + self.namespace.encode() + b"\0" + packet
