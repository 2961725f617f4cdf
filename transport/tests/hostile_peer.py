"""A client made with aiortc that connects as others do and then sends what no honest one would.

Reads the answer as one JSON line on standard input after it wrote its offer as one JSON line on standard output. Writes
one JSON line once it has a picture, then sends COUNT packets of the kind that its argument names, all under valid keys:

  rtp   media that nobody asked for: of ever other SSRCs, this side's own among them, with headers that lie
  rtcp  feedback of ever other senders
  sctp  packets for SCTP inside DTLS: chunks of every type, lengths that lie, TSNs and streams that jump
  gap   whole messages after one that never comes, though nobody can tell that it has them all
  endless  a message that never ends, however small the window says that it is
  dtls  records of DTLS and datagrams of nothing in particular, under no keys

and writes how many it sent, in one JSON line. Then it waits for one more line or the end of its input, and meanwhile sends
the like of rtp and rtcp, and gap and endless again: a node that has no time loses what comes so fast, and is to see enough
of it. Last it writes how many it sent in all.
"""

import asyncio
import json
import random
import struct
import sys

from aiortc import RTCPeerConnection, RTCSessionDescription
from google_crc32c import value as crc32c

COUNT = 4000
# Chunks of SCTP (RFC 9260 §3.2, RFC 3758, RFC 6525) but ABORT and SHUTDOWN, which merely end it.
CHUNKS = [0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 64, 128, 130, 132, 192, 193, 255]


def rtp(chance: random.Random, n: int) -> bytes:
    csrcs, extension = chance.randrange(16), chance.randrange(2)
    head = 0x80 | extension << 4 | csrcs
    body = chance.randbytes(4 * csrcs)
    if extension:
        words = chance.randrange(8)
        body += struct.pack("!HH", chance.choice([0xBEDE, 0x1000, 0x1234]), words) + chance.randbytes(4 * words)
    kind = chance.choice([0x60 | chance.randrange(32), chance.randrange(128)])
    return struct.pack("!BBHLL", head, kind, n & 0xFFFF, n, chance.getrandbits(32)) + body + chance.randbytes(chance.randrange(900))


def rtcp(chance: random.Random, n: int) -> bytes:
    words = chance.randrange(1, 40)
    return struct.pack("!BBHL", 0x80 | chance.randrange(32), 192 + n % 17, words, chance.getrandbits(32)) + chance.randbytes(4 * (words - 1))


def sctp(chance: random.Random, association) -> bytes:
    chunks = b""
    for _ in range(chance.randrange(1, 4)):
        kind = chance.choice(CHUNKS)
        body = chance.randbytes(chance.randrange(0, 300) & ~3)
        if kind == 0:
            # DATA beyond what was sent, of any stream: nothing ever fills the gap before it.
            tsn = (association._local_tsn + chance.choice([1, 2, 3, 1000, 1 << 30])) & 0xFFFFFFFF
            body = struct.pack("!LHHL", tsn, chance.randrange(1 << 16), chance.randrange(1 << 16), chance.choice([50, 51, 53, 7])) + body
        length = chance.choice([len(body) + 4, len(body) + 4, chance.randrange(1 << 16), 0, 3])
        chunks += struct.pack("!BBH", kind, chance.randrange(256), length) + body
    tag = chance.choice([association._remote_verification_tag] * 7 + [0])
    head = struct.pack("!HHL", association._local_port, association._remote_port, tag)
    return head + struct.pack("<L", crc32c(head + bytes(4) + chunks)) + chunks


def data(association, n: int, flags: int, body: bytes) -> bytes:
    tsn = (association._local_tsn + n) & 0xFFFFFFFF
    chunk = struct.pack("!BBHLHHL", 0, flags, 16 + len(body), tsn, 9, 0, 53) + body
    return chunk + bytes(-len(chunk) % 4)


def packed(association, chunks: bytes) -> bytes:
    head = struct.pack("!HHL", association._local_port, association._remote_port, association._remote_verification_tag)
    return head + struct.pack("<L", crc32c(head + bytes(4) + chunks)) + chunks


def gap(association, n: int) -> bytes:
    # The newest comes first, so that all others are older than it. Unordered, each whole.
    if n == 0:
        return packed(association, data(association, 1 << 20, 7, b"9"))
    return packed(association, b"".join(data(association, 1 + 40 * n + m, 7, b"9") for m in range(40)))


def endless(association, n: int) -> bytes:
    return packed(association, data(association, n, 2 if n == 0 else 0, bytes(1000)))


def dtls(chance: random.Random) -> bytes:
    if chance.randrange(2):
        return chance.randbytes(chance.randrange(1, 1200))
    body = chance.randbytes(chance.randrange(900))
    # Handshakes, changes of cipher and application data; an alert is taken for an alert.
    kind, version = chance.choice([20, 22, 23, 26, 63]), chance.choice([0xFEFD, 0xFEFF, 0x0303])
    length = chance.choice([len(body), chance.randrange(1 << 16)])
    return struct.pack("!BHHLHH", kind, version, chance.randrange(3), 0, chance.randrange(1 << 16), length) + body


async def main() -> None:
    kind, chance = sys.argv[1], random.Random(11)
    peer = RTCPeerConnection()
    peer.addTransceiver("video", direction="recvonly")
    control = peer.createDataChannel("control", negotiated=True, id=0)
    pictured, opened = asyncio.Event(), asyncio.Event()
    control.on("open", opened.set)

    async def read(track):
        while True:
            await track.recv()
            pictured.set()

    @peer.on("track")
    def on_track(track):
        asyncio.ensure_future(read(track))

    def say(what):
        print(json.dumps(what), flush=True)

    await peer.setLocalDescription(await peer.createOffer())
    say({"sdp": peer.localDescription.sdp})
    loop = asyncio.get_running_loop()
    line = await loop.run_in_executor(None, sys.stdin.readline)
    await peer.setRemoteDescription(RTCSessionDescription(json.loads(line)["sdp"], "answer"))
    await asyncio.wait_for(asyncio.gather(pictured.wait(), opened.wait()), timeout=60)
    say({"pictured": True})
    association = peer.sctp
    transport = association.transport

    async def send_all(stopped):
        for n in range(COUNT):
            if stopped():
                return n
            try:
                if kind == "rtp":
                    await transport._send_rtp(rtp(chance, n))
                elif kind == "rtcp":
                    await transport._send_rtp(rtcp(chance, n))
                elif kind == "sctp":
                    await transport._send_data(sctp(chance, association))
                elif kind == "gap":
                    await transport._send_data(gap(association, n))
                elif kind == "endless":
                    await transport._send_data(endless(association, n))
                else:
                    await transport.transport._send(dtls(chance))
            except ConnectionError:
                # The node has had enough.
                return n
            # As fast as they come a socket loses most of them.
            if n % 20 == 0:
                await asyncio.sleep(0.005)
        return COUNT

    sent = total = await send_all(lambda: False)
    say({"sent": sent})
    ended = loop.run_in_executor(None, sys.stdin.readline)
    while sent == COUNT and kind not in ("sctp", "dtls") and not ended.done():
        sent = await send_all(ended.done)
        total += sent
    await ended
    say({"total": total})


asyncio.run(main())
