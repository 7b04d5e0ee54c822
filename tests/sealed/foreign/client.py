#!/usr/bin/env python3
"""An agent in another language that has keys, written from docs/security-protocol.md and docs/wire.md alone.

usage: client.py URL NAMESPACE

It makes the agent `python` under a root of its own, publishes its keys and registers it; sends sealed mail to the agent `desk` of
a live node, which sends two messages to `python`; opens these, and answers the second. One line is printed for each thing. What it
says wrongly on purpose is at the end.
"""

import asyncio
import pathlib
import sys

import nats
from nacl.signing import SigningKey
from nats.js.errors import APIError, NotFoundError

HERE = pathlib.Path(__file__).resolve()
ROOT = HERE.parents[3]
sys.path += [str(ROOT / "tests/nats/foreign"), str(ROOT / "codecs/tests/vectors")]

import open as cxr  # noqa: E402
import sealing  # noqa: E402
import wire  # noqa: E402

PATIENCE_S = 60  # a busy machine
NAME, DESK = "python", "desk"
SEALED = "application/vnd.connectome.cxr1"
ONE_TIME_S = 7 * 24 * 3600
LEFT_OUT = (10, 11, 12)  # trace, its state, attempt: no part of a context


def did(key):
    return "did:key:z" + wire.base58(b"\xed\x01" + key)


def mail_key(agent):
    return f"mail/{did(agent)}"


def envelope(message, body, name=None, sender=None, to=DESK, content_type=None, sent=None):
    fields = {1: message, 2: wire.TYPED, 3: name, 4: sender, 5: to, 8: sent, 14: content_type}
    return wire.pack([1, {key: value for key, value in fields.items() if value is not None}, body])


def context_of(outer):
    version, header, _ = wire.unpack(outer)
    return wire.pack([version, {key: value for key, value in header.items() if key not in LEFT_OUT}, b""])


class Client:
    def __init__(self, connection, namespace):
        self.connection, self.namespace = connection, namespace
        self.streams = connection.jetstream(timeout=10)
        self.agent, self.node = sealing.Agent(NAME), SigningKey.generate()

    async def put(self, bucket, key, value, expected=None, ttl_s=None):
        headers = {} if expected is None else {"Nats-Expected-Last-Subject-Sequence": str(expected)}
        headers |= {} if ttl_s is None else {"Nats-TTL": str(ttl_s)}
        await self.streams.publish(f"$KV.{self.namespace}-{bucket}.{key}", value, headers=headers)

    async def take(self, bucket, key, revision):
        """Removes it; whether nobody was faster."""
        headers = {"Nats-Expected-Last-Subject-Sequence": str(revision), "KV-Operation": "DEL"}
        try:
            await self.streams.publish(f"$KV.{self.namespace}-{bucket}.{key}", b"", headers=headers)
        except APIError as error:
            if error.err_code == 10071:
                return False
            raise
        return True

    async def entry(self, bucket, key):
        """What stands there, once something does, and its revision."""
        stream, subject = f"KV_{self.namespace}-{bucket}", f"$KV.{self.namespace}-{bucket}.{key}"
        while True:
            try:
                found = await self.streams.get_msg(stream, subject=subject)
                if not (found.headers or {}).get("KV-Operation"):
                    return found.data, found.seq
            except NotFoundError:
                pass
            await asyncio.sleep(0.02)

    async def publish_keys(self):
        entry = wire.pack({"bundle": self.agent.bundle, "secret": b""})
        await self.put("keys", mail_key(self.agent.id), entry, expected=0)
        for number, prekey in self.agent.one_time_prekeys():
            await self.put("keys", f"{mail_key(self.agent.id)}/{number}", prekey, expected=0, ttl_s=ONE_TIME_S)

    async def register(self):
        now = wire.now()
        record = wire.pack({
            "agent": {"name": NAME, "id": self.agent.id, "capabilities": [], "version": "1", "in_flight": 0},
            "node": bytes(self.node.verify_key), "incarnation": now, "issued": now, "ttl_s": 600, "presence": "agent",
        })
        signed = f"connectome/registration/v1/{self.namespace}".encode() + b"\0" + record
        body = wire.pack({"record": record, "signature": self.node.sign(signed).signature})
        await self.publish(f"discovery.registered.{NAME}", wire.new_id(), body)
        while (await self.entry("agents", NAME))[0] != body:
            await asyncio.sleep(0.02)

    async def publish(self, subject, message, body):
        headers = {"Nats-Msg-Id": wire.ulid(message)}
        return await self.streams.publish(f"{self.namespace}.{subject}", body, headers=headers)

    async def way_to(self, name):
        """Looks up, verifies and claims what is needed to write to an agent that has keys."""
        registered = wire.unpack(wire.unpack((await self.entry("agents", name))[0])["record"])
        agent = registered["agent"]["id"]
        found, _ = await self.entry("keys", mail_key(agent))
        bundle = sealing.Bundle(wire.unpack(found)["bundle"], agent, name)
        one_time = await self.claim(agent, bundle)
        return sealing.Way(self.agent, bundle, one_time), agent, one_time

    async def claim(self, agent, bundle):
        start = f"$KV.{self.namespace}-keys.{mail_key(agent)}/"
        info = await self.streams.stream_info(f"KV_{self.namespace}-keys", subjects_filter=f"$KV.{self.namespace}-keys.>")
        for subject in sorted(subject for subject in info.state.subjects if subject.startswith(start)):
            found = await self.streams.get_msg(f"KV_{self.namespace}-keys", subject=subject)
            key = subject.removeprefix(f"$KV.{self.namespace}-keys.")
            if found.data and await self.take("keys", key, found.seq):
                return bundle.one_time(found.data)
        return None

    async def has_prekey(self, number):
        """Whether one of our one-time prekeys is still offered."""
        subject = f"$KV.{self.namespace}-keys.{mail_key(self.agent.id)}/{number}"
        return bool((await self.streams.get_msg(f"KV_{self.namespace}-keys", subject=subject)).data)

    def sealed(self, way, text, sender=NAME):
        """An envelope for the store, and its id."""
        message, sent = wire.new_id(), wire.now()
        inner = envelope(message, wire.pack({"text": text}), name="note", sender=sender, sent=sent)
        around = {"content_type": SEALED, "sent": sent}
        body = way.seal(inner, context_of(envelope(message, b"", **around)))
        return message, envelope(message, body, **around)

    async def store(self, message, outer):
        await self.publish(f"message.{wire.shard_of_agent(DESK)}.{DESK}", message, outer)

    async def send(self, way, text):
        message, outer = self.sealed(way, text)
        await self.store(message, outer)
        return outer

    async def mail(self, after):
        """The next message that waits for us behind this one, and its place."""
        stream, subject = f"{self.namespace}_AGENT_MESSAGES", f"message.{wire.shard_of_agent(NAME)}.{NAME}"
        while True:
            try:
                found = await self.streams.get_msg(
                    stream, seq=after + 1, subject=f"{self.namespace}.{subject}", next=True)
                return found.data, found.seq
            except NotFoundError:
                await asyncio.sleep(0.02)

    async def receive(self, session, after, agent):
        """Opens the next message: its session, its place, what it says. It is removed when that was used."""
        outer, place = await self.mail(after)
        _, header, body = wire.unpack(outer)
        assert header[5] == NAME and header[14] == SEALED
        init = body[82 : 82 + int.from_bytes(body[80:82], "big")]
        session = session or self.agent.accept(init)
        inner = session.open(body, context_of(outer))
        _, said, note = wire.unpack(inner)
        assert all(said[key] == header[key] for key in (1, 5, 8)), "an envelope for another place"
        assert session.peer.agent == agent and said[4] == DESK, "not the one that is registered"
        await self.streams.delete_msg(f"{self.namespace}_AGENT_MESSAGES", place)
        return session, place, wire.unpack(note)["text"]


async def main(url, namespace):
    connection = await nats.connect(url)
    client = Client(connection, namespace)
    await client.publish_keys()
    await client.register()
    print("I am", did(client.agent.id))

    way, desk, one_time = await client.way_to(DESK)
    first = await client.send(way, "good day from Python")
    print(f"sent to {did(desk)} in suite {way.suite}, {'with' if one_time else 'without'} a one-time prekey")

    session, place, text = await client.receive(None, 0, desk)
    print("opened:", text)
    session, place, text = await client.receive(session, place, desk)
    print("opened:", text)
    claimed = [number for number in client.agent.one_time if not await client.has_prekey(number)]
    print("one-time prekeys that were claimed:", len(claimed))
    await client.send(way, f"you said: {text}")

    await client.store(wire.new_id(), first)
    await client.store(*client.sealed(way, "the desk speaks", sender=DESK))
    message, outer = client.sealed(way, "changed on the way")
    await client.store(message, outer[:-1] + bytes([outer[-1] ^ 1]))
    await client.send(way, "the end")
    await connection.drain()


async def run():
    await asyncio.wait_for(main(*sys.argv[1:]), 2 * PATIENCE_S)


asyncio.run(run())
