"""An agent's keys, and the sealing side of cxr/1, as docs/security-protocol.md says them. Opening is `open.py`, beside the vectors.

Good for one short life: nothing is kept, no turn of the ratchet is taken. Sections in parentheses are those of the document.
"""

import hashlib
import os
import struct

from nacl.signing import SigningKey

import open as cxr
import wire

CLASSIC, HYBRID = 1, 2
DAY_MS = 24 * 3600 * 1000
INIT, SIGNED = 1, 2  # flags


def sign(key, name, message):
    return key.sign(cxr.label(name) + message).signature


def public_of(key):
    return bytes(key.verify_key)


def encapsulate(ek):
    """FIPS 203, algorithm 17, for a key that was checked."""
    t = [cxr.unpack(ek[384 * n : 384 * n + 384], 12) for n in range(cxr.K)]
    assert all(x < cxr.Q for f in t for x in f), "no key"
    m = os.urandom(32)
    made = hashlib.sha3_512(m + hashlib.sha3_256(ek).digest()).digest()
    return made[:32], cxr.kem_encrypt(t, ek[1152:], m, made[32:])


def aead_seal(key, nonce, associated, text):
    keys = cxr.aes_keys(key)
    sealed = cxr.counted(keys, nonce, text)
    return sealed + cxr.tag_of(keys, nonce, associated, sealed)


class Agent:
    """An agent with one instance: its keys, its certificate, its bundle (Identities)."""

    def __init__(self, name):
        self.name, self.key, self.signing, self.dh = name, SigningKey.generate(), SigningKey.generate(), os.urandom(32)
        self.instance = os.urandom(16)
        self.certificate = self.certify()
        self.spk, self.seed = os.urandom(32), os.urandom(64)
        self.one_time = {number: os.urandom(32) for number in range(2)}
        self.bundle = self.publish()

    @property
    def id(self):
        return public_of(self.key)

    def certify(self):
        now = wire.now()
        body = wire.pack([
            1, self.id, self.name, self.instance, public_of(self.signing), cxr.public(self.dh), [], now, now + 90 * DAY_MS,
            [], now,
        ])
        proof = sign(self.signing, "pop", b"\0" + cxr.sha256(body))
        return wire.pack([body, sign(self.key, "cert", body), proof, []])

    def publish(self):
        now = wire.now()
        *_, ek = cxr.kem_keys(self.seed[:32])
        body = wire.pack([
            1, self.certificate, [CLASSIC, HYBRID], cxr.public(self.spk), ek, now, now, now + 7 * DAY_MS,
        ])
        return wire.pack([body, sign(self.signing, "bundle", body)])

    def one_time_prekeys(self):
        """The public halves, by their numbers."""
        for number, secret in self.one_time.items():
            body = wire.pack([1, self.instance, number, cxr.public(secret)])
            yield number, wire.pack([body, sign(self.signing, "one-time", body)])

    def accept(self, init):
        """A session that somebody began (Handshake); the private halves as they are at rest."""
        prekeys = wire.pack([
            1, 0, 0, [[self.bundle, cxr.sha256(self.certificate), [CLASSIC, HYBRID], self.spk, self.seed, None]],
            [[number, secret, 0, 0] for number, secret in self.one_time.items()],
        ])
        return cxr.Session().accept(bytes(self.signing) + self.dh, prekeys, init)


class Bundle:
    """Somebody else's, verified (Bundles): of this agent, under this name."""

    def __init__(self, bytes_, agent, name):
        body, signature = cxr.msgpack(bytes_)
        version, certificate, self.suites, self.spk, self.ek, self.epoch, created, not_after = cxr.msgpack(body)
        self.certificate = cxr.Certificate(certificate)
        cxr.verify(self.certificate.key, "bundle", body, signature)
        claims = cxr.msgpack(cxr.msgpack(certificate)[0])
        now = wire.now()
        assert version == 1 and created <= now + 300_000 and now < not_after <= created + 7 * DAY_MS
        assert claims[7] <= now + 300_000 and now < claims[8], "the certificate does not hold now"
        assert (self.certificate.agent, claims[2]) == (agent, name.encode()), "the bundle is another one's"
        assert (HYBRID in self.suites) == (self.ek is not None)
        self.hash = cxr.sha256(bytes_)
        self.bytes = bytes_

    def one_time(self, bytes_):
        """One of its one-time prekeys, claimed: its number and the key."""
        body, signature = cxr.msgpack(bytes_)
        cxr.verify(self.certificate.key, "one-time", body, signature)
        version, instance, number, key = cxr.msgpack(body)
        assert version == 1 and instance == self.certificate.instance
        return number, key


class Way:
    """A session that we began, one way: each message carries its init (Handshake, Ratchet, Messages)."""

    def __init__(self, agent, bundle, one_time=None):
        self.agent, self.bundle, self.number = agent, bundle, 0
        self.suite = max({CLASSIC, HYBRID} & set(bundle.suites))
        ek_secret = os.urandom(32)
        ek, created = cxr.public(ek_secret), wire.now()
        number, opk = one_time or (None, None)
        secret = b"\xff" * 32 + cxr.x25519(agent.dh, bundle.spk)
        secret += cxr.x25519(ek_secret, bundle.certificate.dh) + cxr.x25519(ek_secret, bundle.spk)
        secret += cxr.x25519(ek_secret, opk) if opk else b""
        shared, ct = encapsulate(bundle.ek) if self.suite == HYBRID else (b"", None)
        suites = struct.pack(">HH", CLASSIC, HYBRID)
        fields = [
            agent.certificate, bundle.bytes, ek, b"" if number is None else struct.pack(">I", number), ct or b"", suites,
            struct.pack(">Q", created),
        ]
        counted = b"".join(struct.pack(">I", len(field)) + field for field in fields)
        transcript = cxr.sha256(cxr.label("transcript"), struct.pack(">H", self.suite), counted)
        made = cxr.expand(cxr.extract(bytes(32), secret + shared), cxr.label("root") + transcript, 96)
        root, self.id, self.header_key = made[:32], made[32:64], made[64:]
        body = wire.pack([
            1, self.suite, agent.certificate, ek, bundle.hash, number, ct, [CLASSIC, HYBRID], created,
        ])
        self.init = wire.pack([body, sign(agent.signing, "init", transcript)])
        ratchet = os.urandom(32)
        self.ratchet = cxr.public(ratchet)
        turned = cxr.expand(cxr.extract(root, cxr.x25519(ratchet, bundle.spk)), cxr.label("ratchet"), 64)
        self.chain = turned[32:]

    def seal(self, payload, context):
        self.chain, key = cxr.step_chain(self.chain)
        nonce, digest = os.urandom(12), cxr.sha256(cxr.label("context"), context)
        header = bytes([1, 1, INIT | SIGNED, self.suite]) + self.id[:16] + self.ratchet
        header += struct.pack(">II", 0, self.number) + nonce
        header += cxr.mac(self.header_key, header)[:8]
        self.number += 1
        hashes = cxr.sha256(self.agent.certificate) + self.bundle.certificate.hash
        statement = cxr.sha256(cxr.label("statement"), hashes + self.id + header + digest + cxr.sha256(payload))
        plaintext = sign(self.agent.signing, "msg-sig", statement) + payload
        associated = cxr.label("aad") + self.id + header + digest
        return header + struct.pack(">H", len(self.init)) + self.init + aead_seal(key, nonce, associated, plaintext)
