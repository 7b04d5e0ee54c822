#!/usr/bin/env python3
"""Keeps every frame that passes any device of this network namespace, until its input ends. It needs root.

usage: capture.py FILE DATAGRAM

It says "ready" first, then sends the bytes of the file DATAGRAM to itself, in the open, so that there is something to be
found; at the end it says how many frames it kept, and how many it missed.
"""

import os
import pathlib
import select
import socket
import struct
import sys

EVERYTHING = 0x0003  # ETH_P_ALL
RECEIVE_BUFFER_FORCED, PACKET, STATISTICS = 33, 263, 6  # SO_RCVBUFFORCE, SOL_PACKET, PACKET_STATISTICS
BUFFER = 64 << 20  # bytes: seconds of what two nodes say
FRAME_MAX = 1 << 17  # bytes: more than loopback carries at once


def main(path, datagram):
    frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERYTHING))
    frames.setsockopt(socket.SOL_SOCKET, RECEIVE_BUFFER_FORCED, BUFFER)
    print("ready", flush=True)
    said = pathlib.Path(datagram).read_bytes()
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(said, ("127.0.0.1", 9))
    over = False
    with open(path, "wb") as kept:
        while not over:
            ready, _, _ = select.select([frames, sys.stdin], [], [])
            over = sys.stdin in ready and not os.read(sys.stdin.fileno(), 1)
            drain(frames, kept)
    count, missed = struct.unpack("II", frames.getsockopt(PACKET, STATISTICS, 8))
    print(f"{count} kept, {missed} missed", flush=True)


def drain(frames, kept):
    while True:
        try:
            kept.write(frames.recv(FRAME_MAX, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return


main(*sys.argv[1:])
