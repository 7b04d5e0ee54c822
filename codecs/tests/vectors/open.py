"""Opens the frozen vectors of cxr/1 with nothing but Python's standard library and docs/security-protocol.md.

A second implementation of the opening side: slow, not constant in time, and good for nothing else. Sections in
parentheses are those of the document. The sealing side, for a client that talks to nodes, is in tests/sealed/foreign.
"""

import hashlib
import hmac
import json
import pathlib
import struct

P = 2**255 - 19


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def label(name):
    return b"\xffconnectome/cxr1/" + name.encode()


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def extract(salt, secret):
    return mac(salt, secret)


def expand(key, info, length):
    made, block, counter = b"", b"", 1
    while len(made) < length:
        block = mac(key, block + info + bytes([counter]))
        made, counter = made + block, counter + 1
    return made[:length]


# X25519 (RFC 7748, section 5).


def x25519(scalar, point):
    k = int.from_bytes(scalar, "little") & ~7 & (2**255 - 1) & ~(1 << 255) | 1 << 254
    u = int.from_bytes(point, "little") & (2**255 - 1)
    x2, z2, x3, z3, swap = 1, 0, u, 1, 0
    for t in reversed(range(255)):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    shared = (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")
    assert any(shared), "a key that gives everyone the same secret"
    return shared


def public(scalar):
    return x25519(scalar, b"\x09" + bytes(31))


# Ed25519 (RFC 8032, section 5.1).

ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def decompress(bytes_):
    y = int.from_bytes(bytes_, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    assert y < P
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    assert (x * x - square) % P == 0 and not (x == 0 and sign)
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, p):
    q = (0, 1, 1, 0)
    while n:
        if n & 1:
            q = add(q, p)
        p, n = add(p, p), n >> 1
    return q


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def verify(key, name, message, signature):
    message = label(name) + message
    s = int.from_bytes(signature[32:], "little")
    assert s < ORDER
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    left, right = times(s, BASE), add(decompress(signature[:32]), times(k, decompress(key)))
    same = (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0
    assert same, f"the signature for {name} does not hold"


# AES-256-GCM (FIPS 197, SP 800-38D).


def doubled(a):
    return a << 1 ^ (0x11B if a & 0x80 else 0)


def sbox():
    box, p, q = [0x63] * 256, 1, 1
    while True:
        p ^= doubled(p)
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q = (q ^ 0x09 if q & 0x80 else q) & 0xFF
        turned = q
        for n in range(1, 5):
            turned ^= (q << n | q >> 8 - n) & 0xFF
        box[p] = turned ^ 0x63
        if p == 1:
            return box


SBOX = sbox()


def aes_keys(key):
    words, constant = [list(key[n : n + 4]) for n in range(0, 32, 4)], 1
    for n in range(8, 60):
        word = words[-1]
        if n % 8 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= constant
            constant = doubled(constant)
        elif n % 8 == 4:
            word = [SBOX[b] for b in word]
        words.append([a ^ b for a, b in zip(words[n - 8], word)])
    return [sum(words[n : n + 4], []) for n in range(0, 60, 4)]


def aes(keys, block):
    state = [a ^ b for a, b in zip(block, keys[0])]
    for turn in range(1, 15):
        state = [SBOX[state[(n + 4 * (n % 4)) % 16]] for n in range(16)]
        if turn < 14:
            mixed = []
            for n in range(0, 16, 4):
                a = state[n : n + 4]
                every = a[0] ^ a[1] ^ a[2] ^ a[3]
                mixed += [a[m] ^ every ^ doubled(a[m] ^ a[(m + 1) % 4]) for m in range(4)]
            state = mixed
        state = [a ^ b for a, b in zip(state, keys[turn])]
    return bytes(state)


def ghash_product(x, y):
    product = 0
    for bit in reversed(range(128)):
        if x >> bit & 1:
            product ^= y
        y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
    return product


def counted(keys, nonce, text):
    """Sealed or opened: the same."""
    stream = b"".join(aes(keys, nonce + struct.pack(">I", n + 2)) for n in range(-(-len(text) // 16)))
    return bytes(a ^ b for a, b in zip(text, stream))


def tag_of(keys, nonce, associated, text):
    h = int.from_bytes(aes(keys, bytes(16)), "big")
    pad = lambda part: part + bytes(-len(part) % 16)
    data = pad(associated) + pad(text) + struct.pack(">QQ", len(associated) * 8, len(text) * 8)
    hashed = 0
    for n in range(0, len(data), 16):
        hashed = ghash_product(hashed ^ int.from_bytes(data[n : n + 16], "big"), h)
    mask = int.from_bytes(aes(keys, nonce + b"\0\0\0\1"), "big")
    return (hashed ^ mask).to_bytes(16, "big")


def aead_open(key, nonce, associated, sealed):
    keys, text, tag = aes_keys(key), sealed[:-16], sealed[-16:]
    assert tag_of(keys, nonce, associated, text) == tag, "forged or damaged"
    return counted(keys, nonce, text)


# ML-KEM-768 (FIPS 203).

Q, K = 3329, 3
ZETAS = [pow(17, int(f"{n:07b}"[::-1], 2), Q) for n in range(128)]
GAMMAS = [pow(17, 2 * int(f"{n:07b}"[::-1], 2) + 1, Q) for n in range(128)]


def ntt(f):
    f, n, length = list(f), 1, 128
    while length >= 2:
        for start in range(0, 256, 2 * length):
            for j in range(start, start + length):
                t = ZETAS[n] * f[j + length] % Q
                f[j], f[j + length] = (f[j] + t) % Q, (f[j] - t) % Q
            n += 1
        length //= 2
    return f


def inverse_ntt(f):
    f, n, length = list(f), 127, 2
    while length <= 128:
        for start in range(0, 256, 2 * length):
            for j in range(start, start + length):
                t = f[j]
                f[j], f[j + length] = (t + f[j + length]) % Q, ZETAS[n] * (f[j + length] - t) % Q
            n -= 1
        length *= 2
    return [x * 3303 % Q for x in f]


def product(f, g):
    made = []
    for n in range(128):
        a, b, c, d = f[2 * n], f[2 * n + 1], g[2 * n], g[2 * n + 1]
        made += [(a * c + b * d * GAMMAS[n]) % Q, (a * d + b * c) % Q]
    return made


def plus(f, g):
    return [(a + b) % Q for a, b in zip(f, g)]


def dot(f, g):
    total = [0] * 256
    for a, b in zip(f, g):
        total = plus(total, product(a, b))
    return total


def sample_ntt(seed):
    stream, at, made = hashlib.shake_128(seed).digest(2048), 0, []
    while len(made) < 256:
        a, b, c = stream[at : at + 3]
        at += 3
        made += [d for d in (a | (b & 15) << 8, b >> 4 | c << 4) if d < Q]
    return made[:256]


def sample_cbd(seed, counter):
    bits = int.from_bytes(hashlib.shake_256(seed + bytes([counter])).digest(128), "little")
    pair = lambda n: (bits >> n & 1) + (bits >> n + 1 & 1)
    return [(pair(4 * n) - pair(4 * n + 2)) % Q for n in range(256)]


def pack(f, width):
    return sum(x << n * width for n, x in enumerate(f)).to_bytes(32 * width, "little")


def unpack(bytes_, width):
    number = int.from_bytes(bytes_, "little")
    return [number >> n * width & (1 << width) - 1 for n in range(256)]


def compress(f, width):
    return [((x << width) * 2 + Q) // (2 * Q) % (1 << width) for x in f]


def decompress_poly(f, width):
    return [(x * Q * 2 + (1 << width)) >> width + 1 for x in f]


def matrix(rho):
    return [[sample_ntt(rho + bytes([j, i])) for j in range(K)] for i in range(K)]


def kem_keys(d):
    rho_sigma = hashlib.sha3_512(d + bytes([K])).digest()
    rho, sigma = rho_sigma[:32], rho_sigma[32:]
    s = [ntt(sample_cbd(sigma, n)) for n in range(K)]
    e = [ntt(sample_cbd(sigma, K + n)) for n in range(K)]
    t = [plus(dot(row, s), e[n]) for n, row in enumerate(matrix(rho))]
    return s, t, rho, b"".join(pack(f, 12) for f in t) + rho


def kem_encrypt(t, rho, m, r):
    a = matrix(rho)
    y = [ntt(sample_cbd(r, n)) for n in range(K)]
    u = [plus(inverse_ntt(dot([a[i][j] for i in range(K)], y)), sample_cbd(r, K + j)) for j in range(K)]
    v = plus(plus(inverse_ntt(dot(t, y)), sample_cbd(r, 2 * K)), decompress_poly(unpack(m, 1), 1))
    return b"".join(pack(compress(f, 10), 10) for f in u) + pack(compress(v, 4), 4)


def decapsulate(seed, ciphertext):
    s, t, rho, ek = kem_keys(seed[:32])
    u = [decompress_poly(unpack(ciphertext[320 * n : 320 * n + 320], 10), 10) for n in range(K)]
    v = decompress_poly(unpack(ciphertext[960:], 4), 4)
    masked = inverse_ntt(dot(s, [ntt(f) for f in u]))
    m = pack(compress([(a - b) % Q for a, b in zip(v, masked)], 1), 1)
    shared_r = hashlib.sha3_512(m + hashlib.sha3_256(ek).digest()).digest()
    if kem_encrypt(t, rho, m, shared_r[32:]) != ciphertext:
        return hashlib.shake_256(seed[32:] + ciphertext).digest(32)
    return shared_r[:32]


# MessagePack, as far as it is used.


def unpack_one(b, at=0):
    def take(n, start):
        assert start + n <= len(b)
        return b[start : start + n], start + n

    def number(n, start):
        digits, end = take(n, start)
        return int.from_bytes(digits, "big"), end

    kind = b[at]
    if kind < 0x80:
        return kind, at + 1
    if kind == 0xC0:
        return None, at + 1
    if 0xA0 <= kind < 0xC0:
        return take(kind - 0xA0, at + 1)
    if 0x90 <= kind < 0xA0:
        return unpack_array(b, kind - 0x90, at + 1)
    lengths = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2}
    if kind in lengths:
        length, start = number(lengths[kind], at + 1)
        return take(length, start)
    if kind in (0xDC, 0xDD):
        length, start = number(2 if kind == 0xDC else 4, at + 1)
        return unpack_array(b, length, start)
    return number({0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}[kind], at + 1)


def unpack_array(b, length, at):
    items = []
    for _ in range(length):
        item, at = unpack_one(b, at)
        items.append(item)
    return items, at


def msgpack(b):
    value, end = unpack_one(b)
    assert end == len(b), "bytes after the end"
    return value


# The protocol.


class Certificate:
    """An agent stands behind an instance (Certificates)."""

    def __init__(self, bytes_):
        body, by_agent, by_instance, proofs = msgpack(bytes_)
        claims = msgpack(body)
        assert claims[0] == 1 and not proofs and not claims[6]
        self.hash, self.agent, self.instance, self.key, self.dh = sha256(bytes_), claims[1], *claims[3:6]
        verify(self.agent, "cert", body, by_agent)
        verify(self.key, "pop", b"\0" + sha256(body), by_instance)


def own_bundles(prekeys):
    """The private halves (Prekeys), by the hash of their bundle."""
    version, _, _, bundles, one_time = msgpack(prekeys)
    assert version == 1
    return {sha256(bundle[0]): bundle for bundle in bundles}, {prekey[0]: prekey[1] for prekey in one_time}


def step_chain(key, name="chain"):
    both = expand(key, label(name), 64)
    return both[:32], both[32:]


class Session:
    """One end, opening only (Handshake, Ratchet)."""

    def accept(self, keys, prekeys, init):
        dh_secret = keys[32:]
        body, signature = msgpack(init)
        version, suite, certificate, ek, bundle_hash, opk, ct, suites, created = msgpack(body)
        bundles, one_time = own_bundles(prekeys)
        bundle, self.own_certificate, own_suites, spk, seed, _ = bundles[bundle_hash]
        assert version == 1 and suite == max(set(suites) & set(own_suites))
        self.peer = Certificate(certificate)
        listed = b"".join(struct.pack(">H", code) for code in suites)
        fields = [certificate, bundle, ek, b"" if opk is None else struct.pack(">I", opk), ct or b"", listed, struct.pack(">Q", created)]
        counted = b"".join(struct.pack(">I", len(field)) + field for field in fields)
        transcript = sha256(label("transcript"), struct.pack(">H", suite), counted)
        verify(self.peer.key, "init", transcript, signature)
        secret = b"\xff" * 32 + x25519(spk, self.peer.dh) + x25519(dh_secret, ek) + x25519(spk, ek)
        secret += b"" if opk is None else x25519(one_time[opk], ek)
        secret += decapsulate(seed, ct) if ct else b""
        made = expand(extract(bytes(32), secret), label("root") + transcript, 96)
        self.root, self.id, self.header_key = made[:32], made[32:64], made[64:]
        self.suite, self.own, self.chains, self.skipped = suite, spk, {}, {}
        return self

    def restore(self, record):
        fields = msgpack(record)
        assert len(fields) == 15 and fields[0] == 1
        self.id, self.header_key, self.suite, self.own_certificate = fields[1:5]
        self.peer, self.root, self.own = Certificate(fields[5]), fields[9], fields[10]
        self.chains = {chain[0]: (chain[2], chain[1]) for chain in fields[13]}
        self.skipped = {}
        return self

    def key(self, ratchet, number):
        if ratchet not in self.chains:
            made = extract(self.root, x25519(self.own, ratchet))
            made = expand(made, label("ratchet"), 64)
            self.root, self.chains[ratchet] = made[:32], (0, made[32:])
        at, chain = self.chains[ratchet]
        while at <= number:
            chain, self.skipped[ratchet, at] = step_chain(chain)
            at += 1
        self.chains[ratchet] = (at, chain)
        return self.skipped.pop((ratchet, number))

    def open(self, message, context):
        header, rest = message[:80], message[80:]
        version, kind, flags, suite = header[:4]
        assert (version, kind, suite, header[4:20]) == (1, 1, self.suite, self.id[:16])
        assert mac(self.header_key, header[:72])[:8] == header[72:], "somebody else wrote the header"
        if flags & 1:
            rest = rest[2 + struct.unpack(">H", rest[:2])[0] :]
        ratchet, number, nonce = header[20:52], struct.unpack(">I", header[56:60])[0], header[60:72]
        digest = sha256(label("context"), context)
        text = aead_open(self.key(ratchet, number), nonce, label("aad") + self.id + header + digest, rest)
        length, check = self.proof(flags & 14, text, header, digest)
        payload = text[length:]
        if flags & 32:
            payload = payload.rstrip(b"\0")
            assert payload[-1] == 0x80
            payload = payload[:-1]
        check(payload)
        return payload

    def proof(self, form, text, header, digest):
        """The proof before the payload (Signatures): its length, and what checks it."""
        key = self.peer.key

        def statement(payload):
            parts = self.peer.hash + self.own_certificate + self.id + header + digest + sha256(payload)
            return sha256(label("statement"), parts)

        if form == 2:
            return 64, lambda payload: verify(key, "msg-sig", statement(payload), text[:64])
        if form == 8:
            return 64, lambda payload: verify(key, "step-sig", self.id + header[20:56], text[:64])
        if form == 4:
            size, index = text[:2]
            way = directions(size, index)
            end = 2 + 32 * len(way)

            def check(payload):
                node = statement(payload)
                for n, is_left in enumerate(way):
                    beside = text[2 + 32 * n : 34 + 32 * n]
                    node = sha256(label("batch-node"), *((node, beside) if is_left else (beside, node)))
                verify(key, "batch-sig", bytes([size]) + node, text[end : end + 64])

            return end + 64, check
        return 0, lambda payload: None


def directions(size, index):
    """For each step from the leaf up, whether it is the left one."""
    assert index < size <= 64
    if size == 1:
        return []
    middle = 1 << (size - 1).bit_length() - 1
    below = directions(middle, index) if index < middle else directions(size - middle, index - middle)
    return below + [index < middle]


def open_once(name, prekey_name, dh, seed, message, start, bound):
    """A seal to a prekey (Seals without a session)."""
    head, ek, rest = message[:start], message[start : start + 32], message[start + 32 :]
    ct = rest[:1088] if seed else b""
    nonce, sealed = rest[len(ct) : len(ct) + 12], rest[len(ct) + 12 :]
    secret = b"\xff" * 32 + x25519(dh, ek) + (decapsulate(seed, ct) if seed else b"")
    key = expand(extract(bytes(32), secret), label(name) + sha256(prekey_name, ek, ct), 32)
    return aead_open(key, nonce, label(name) + head + bound, sealed)


def check_evidence(evidence, payload):
    version, certificate, receiver, session, header, context, said, form, proof = msgpack(evidence)
    assert version == 1 and said == payload and form in (2, 4)
    end = Session()
    end.peer, end.own_certificate, end.id = Certificate(certificate), receiver, session
    _, check = end.proof(form, proof, header, sha256(label("context"), context))
    check(payload)


def conversation(vector):
    keys, prekeys = (bytes.fromhex(vector["receiver"][name]) for name in ("instance_keys", "prekeys"))
    context = bytes.fromhex(vector["context"])
    opened = lambda session, one: session.open(bytes.fromhex(one["bytes"]), context)
    message = bytes.fromhex(vector["first"][0]["bytes"])
    init = message[82 : 82 + struct.unpack(">H", message[80:82])[0]]
    session = Session().accept(keys, prekeys, init)
    assert session.id == bytes.fromhex(vector["session"])
    for one in vector["first"]:
        payload = opened(session, one)
        assert payload == bytes.fromhex(one["payload"])
        if one["evidence"]:
            check_evidence(bytes.fromhex(one["evidence"]), payload)
    later = Session().restore(bytes.fromhex(vector["record"]))
    assert opened(later, vector["later"]) == bytes.fromhex(vector["later"]["payload"])


def pool(vector):
    prekey, dh, seed = msgpack(bytes.fromhex(vector["shared"]))
    body, signature = msgpack(prekey)
    verify(msgpack(body)[1], "pool", body, signature)
    message, context = bytes.fromhex(vector["message"]["bytes"]), bytes.fromhex(vector["context"])
    digest = sha256(label("context"), context)
    text = open_once("rpk-seal", sha256(prekey), dh, seed, message, 8, digest)
    certificate, sent, signature, payload = msgpack(text)
    sender = Certificate(certificate)
    parts = sha256(prekey) + sender.hash + digest + struct.pack(">Q", sent) + sha256(payload)
    verify(sender.key, "rpk-sig", sha256(label("rpk-sig"), parts), signature)
    assert payload == bytes.fromhex(vector["message"]["payload"])


def group(vector):
    body, certificate, signature = msgpack(bytes.fromhex(vector["roster"]))
    verify(Certificate(certificate).key, "members", body, signature)
    sender = Certificate(bytes.fromhex(vector["certificate"]))
    given = bytes.fromhex(vector["distribution"])
    assert given.startswith(label("skd"))
    version, group_id, epoch, certificate, chain, at, key = msgpack(given[len(label("skd")) :])
    assert version == 1 and certificate == sender.hash and sender.agent in msgpack(body)[4]
    digest = sha256(label("context"), bytes.fromhex(vector["context"]))
    for one in vector["messages"]:
        message = bytes.fromhex(one["bytes"])
        header, sealed, signature = message[:76], message[76:-64], message[-64:]
        assert header[:48] == bytes([1, 3, 0, 0]) + group_id + struct.pack(">Q", epoch) + chain + struct.pack(">I", at)
        verify(sender.key, "group-sig", sender.hash + header + digest + sha256(sealed), signature)
        key, message_key = step_chain(key, "group-chain")
        at += 1
        assert expand(message_key, label("commit") + header[:60], 16) == header[60:76]
        associated = label("group-aad") + sender.hash + header + digest
        assert aead_open(message_key, header[48:60], associated, sealed) == bytes.fromhex(one["payload"])


def request(vector):
    message = bytes.fromhex(vector["bytes"])
    bundles, _ = own_bundles(bytes.fromhex(vector["receiver"]["prekeys"]))
    name = message[4:36]
    _, _, _, spk, seed, _ = bundles[name]
    certificate, body, signature = msgpack(open_once("request-seal", name, spk, seed, message, 36, b""))
    verify(Certificate(certificate).key, "resend", body, signature)
    version, kind, bundle, session, _, messages = msgpack(body)
    assert (version, kind, bundle) == (1, 2, name)
    assert session == bytes.fromhex(vector["session"]) and messages == bytes.fromhex(vector["messages"])


def store(vector):
    record = bytes.fromhex(vector["record"]["bytes"])
    associated = label("store") + record[:9] + vector["name"].encode()
    opened = aead_open(bytes.fromhex(vector["key"]), record[9:21], associated, record[21:])
    assert opened == bytes.fromhex(vector["record"]["payload"])


def main():
    vectors = json.loads(pathlib.Path(__file__).with_name("cxr1.json").read_text())
    openers = {"pool": pool, "group": group, "request": request, "store": store}
    for name, vector in vectors.items():
        openers.get(name, conversation)(vector)
        print(f"{name}: opens")
    print(f"all vectors open ({len(vectors)})")


if __name__ == "__main__":
    main()
