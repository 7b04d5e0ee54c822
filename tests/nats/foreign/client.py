#!/usr/bin/env python3
"""A client of a Connectome cluster in another language, written from docs/wire.md alone.

usage: client.py URL NAMESPACE NODE

It does each thing once against a live node whose id is NODE, and prints one line for each. The node has an agent `diary` (takes
`line`, answers `lines`), workers for `sum`, an offered agent `desk`, and submits a task for `shout` when it reads an event of
the type SHOUT_PLEASE.
"""

import asyncio
import sys

import nats
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import APIError, KeyNotFoundError, NotFoundError

import link
import wire

PATIENCE_S = 60  # a busy machine
LONG = 3_000  # characters: three such lines do not fit one message of the server that this is tried on
AT_ONCE = 50
CALLS = 1_500  # more answers than a node sends without being told that they were read


class Client:
    def __init__(self, connection, namespace, node):
        self.connection, self.namespace, self.node = connection, namespace, node
        self.streams = connection.jetstream(timeout=10)

    async def publish(self, subject, message_id, body):
        """Until it is acknowledged, and stored once."""
        for _ in range(6):
            try:
                return await self.streams.publish(
                    f"{self.namespace}.{subject}", body, headers={"Nats-Msg-Id": wire.ulid(message_id)}, timeout=5)
            except (nats.errors.TimeoutError, nats.errors.NoRespondersError):
                continue
        raise TimeoutError(f"{subject} is not acknowledged")

    async def send(self, agent, name, value):
        message = wire.new_id()
        envelope = wire.envelope(message, wire.TYPED, agent, wire.pack(value), name=name)
        await self.publish(f"message.{wire.shard_of_agent(agent)}.{agent}", message, envelope)
        return message

    async def emit(self, kind, fact):
        event = wire.new_id()
        body = wire.pack({
            "id": event, "at": wire.now(), "source": {"agent": "python"}, "type": kind, "body": wire.pack(fact),
        })
        await self.publish(f"event.{kind}.python", event, body)
        return event

    async def read(self, subject, wanted):
        """The first stored message, from the beginning, that is wanted."""
        subscription = await self.streams.subscribe(f"{self.namespace}.{subject}", ordered_consumer=True)
        try:
            while True:
                message = await subscription.next_msg(timeout=PATIENCE_S)
                value = wire.unpack(message.data)
                if wanted(value):
                    return value
        finally:
            await subscription.unsubscribe()

    async def submit(self, capability, name, value):
        task = wire.new_id()
        body = wire.pack({
            "id": task, "capability": capability, "input": wire.pack(value), "content_type": "application/msgpack",
            "attempts_max": 3,
        })
        envelope = wire.envelope(task, wire.TASK, f"can:{capability}", body, name=name, correlation=task)
        token = capability.replace(".", "/")
        await self.publish(f"task.{token}.{wire.shard_of_task(task)}", task, envelope)
        return task

    async def bucket(self, name):
        return await self.streams.key_value(f"{self.namespace}-{name}")

    async def task(self, task):
        """Its record and revision, once there is one."""
        try:
            entry = await (await self.bucket("tasks")).get(wire.ulid(task))
        except (KeyNotFoundError, NotFoundError):
            return None, 0
        return wire.unpack(entry.value), entry.revision

    async def ended(self, task):
        while True:
            record, _ = await self.task(task)
            if record and record["state"] in ("completed", "canceled", "failed", "rejected"):
                return record
            await asyncio.sleep(0.02)

    async def change(self, record, revision):
        """Writes it where it was read; whether nobody was faster."""
        subject = f"$KV.{self.namespace}-tasks.{wire.ulid(record['id'])}"
        headers = {"Nats-Expected-Last-Subject-Sequence": str(revision), "Nats-TTL": "604800"}
        try:
            await self.streams.publish(subject, wire.pack(record), headers=headers)
        except APIError as error:
            if error.err_code == 10071:
                return False
            raise
        return True

    async def work(self, capability, do):
        """One task, as a worker."""
        token = capability.replace(".", "/")
        durable = f"workers-{token}".replace("/", "=")
        stream = f"{self.namespace}_TASK_ROUTING"
        config = ConsumerConfig(
            durable_name=durable, filter_subject=f"{self.namespace}.task.{token}.>", ack_policy=AckPolicy.EXPLICIT,
            ack_wait=30, max_ack_pending=4096)
        await self.streams.add_consumer(stream, config)
        pull = await self.streams.pull_subscribe_bind(durable, stream)
        [delivery] = await pull.fetch(1, timeout=PATIENCE_S)
        _, header, body = wire.unpack(delivery.data)
        task = wire.unpack(body)
        while True:
            record, revision = await self.task(task["id"])
            record = record or wire.submitted(task)
            term = wire.claim(record, wire.key_of(self.node), "python")
            if await self.change(record, revision):
                break
        answer = do(header[3], wire.unpack(task["input"]))
        while True:
            record, revision = await self.task(task["id"])
            if record["term"] != term or record["state"] != "working":
                raise RuntimeError(f"the task is another's: {record}")
            wire.complete(record, wire.pack(answer))
            if await self.change(record, revision):
                break
        await delivery.ack_sync()
        return task["id"], answer


async def main(url, namespace, node):
    connection = await nats.connect(url)
    client = Client(connection, namespace, node)

    await client.send("diary", "line", {"text": "from Python"})
    async with link.Link(connection, namespace, node) as way:
        while (lines := await way.call("diary", "lines", {"least": 1})) != ["from Python"]:
            await asyncio.sleep(0.02)
        print("sent, and read back by a call over the link:", lines)
        for _ in range(3):
            await client.send("diary", "line", {"text": "x" * LONG})
        while len(lines := await way.call("diary", "lines", {"least": 4})) < 4:
            await asyncio.sleep(0.02)
        answers = []
        while len(answers) < CALLS:
            answers += await asyncio.gather(*(way.call("diary", "lines", {"least": 9}) for _ in range(AT_ONCE)))
        print(f"called: an answer of {sum(map(len, lines))} characters in {way.parts_read} parts, and {len(answers)} more")

    task = await client.submit("sum", "sum", {"numbers": [1, 2, 39]})
    record = await client.ended(task)
    print("submitted:", record["state"], "under term", record["term"], "->", wire.unpack(record["result"]))

    await client.emit("SHOUT_PLEASE", {"text": "quietly"})
    task, answer = await client.work("shout", lambda name, value: value["text"].upper())
    record = await client.ended(task)
    print("worked:", record["state"], "by", answer, [step["state"] for step in record["history"]])

    heard = await client.read("event.AGENT_REGISTERED.>", lambda _: True)
    fact = wire.unpack(heard["body"])
    print("event:", heard["type"], fact["agent"]["name"], "on", wire.node_text(fact["node"]))

    odd = await client.send("diary", "nonsense", {})
    letter = await client.read("dead.message.diary", lambda letter: wire.unpack(letter["payload"])[1][1] == odd)
    print("dead letter:", letter["cause"], "after", letter["attempts"])

    lease = wire.unpack((await (await client.bucket("leases")).get("desk")).value)
    print("lease:", "desk is", wire.node_text(lease["holder"]), "under term", lease["term"])
    await connection.drain()


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 2 * PATIENCE_S))
