#!/usr/bin/env python3
"""A wire with delay, jitter, loss and a rate limit, for kernels without netem.

Runs in a namespace that holds one end of two veth pairs and carries every Ethernet frame from one to the
other. Each direction draws from its own seeded generator, so that a run can be repeated. A control line on
standard input changes the settings while it runs: `delay=50 jitter=5 loss=5 rate=400` (ms, ms, percent,
kbit/s; rate 0 is unlimited). Ends after --seconds, or when standard input closes.
"""

import argparse
import heapq
import random
import select
import socket
import sys
import time

ETH_P_ALL = 0x0003
ETHERTYPE_ARP = b"\x08\x06"
QUEUE_SECONDS = 0.5  # what a narrow wire holds before it drops, as a router would
BATCH = 64


class Settings:
    """What the wire does to frames; times in seconds, loss as a share, rate in bytes a second."""

    def __init__(self, delay, jitter, loss, rate):
        self.delay, self.jitter, self.loss, self.rate = delay / 1000, jitter / 1000, loss / 100, rate * 125

    def change(self, line):
        for word in line.split():
            key, _, value = word.partition("=")
            number = float(value)
            if key in ("delay", "jitter"):
                setattr(self, key, number / 1000)
            elif key == "loss":
                self.loss = number / 100
            elif key == "rate":
                self.rate = number * 125
            else:
                print(f"unknown setting {key}", file=sys.stderr)


class Direction:
    """Frames from one interface to the other, in order unless jitter reorders them."""

    def __init__(self, source, sink, seed):
        self.source, self.sink = source, sink
        self.random = random.Random(seed)
        self.free_at = 0.0
        self.queue = []
        self.seen = self.lost = 0

    def accept(self, frame, now, settings):
        self.seen += 1
        arp = frame[12:14] == ETHERTYPE_ARP
        if not arp and self.random.random() < settings.loss:
            self.lost += 1
            return
        at = now
        if settings.rate:
            self.free_at = max(self.free_at, now) + len(frame) / settings.rate
            if self.free_at - now > QUEUE_SECONDS:
                self.free_at -= len(frame) / settings.rate
                self.lost += 1
                return
            at = self.free_at
        at += settings.delay + self.random.uniform(-settings.jitter, settings.jitter)
        heapq.heappush(self.queue, (max(now, at), self.seen, frame))

    def deliver(self, now):
        while self.queue and self.queue[0][0] <= now:
            _, _, frame = heapq.heappop(self.queue)
            try:
                self.sink.send(frame)
            except OSError:
                self.lost += 1


def open_interface(name):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    raw.bind((name, ETH_P_ALL))
    raw.setblocking(False)
    return raw


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("left")
    parser.add_argument("right")
    parser.add_argument("--delay", type=float, default=0, help="ms each way")
    parser.add_argument("--jitter", type=float, default=0, help="ms")
    parser.add_argument("--loss", type=float, default=0, help="percent each way")
    parser.add_argument("--rate", type=float, default=0, help="kbit/s each way, 0 is unlimited")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    settings = Settings(args.delay, args.jitter, args.loss, args.rate)
    left, right = open_interface(args.left), open_interface(args.right)
    directions = {left: Direction(left, right, args.seed), right: Direction(right, left, args.seed + 1)}
    end = time.monotonic() + args.seconds
    print("wire up", flush=True)

    while (now := time.monotonic()) < end:
        for direction in directions.values():
            direction.deliver(now)
        due = [d.queue[0][0] for d in directions.values() if d.queue]
        wait = min([0.2, *(max(0.0, at - now) for at in due)])
        readable, _, _ = select.select([left, right, sys.stdin], [], [], wait)
        now = time.monotonic()
        if sys.stdin in readable:
            line = sys.stdin.readline()
            if not line:
                break
            settings.change(line)
        for source in readable:
            if source is sys.stdin:
                continue
            for _ in range(BATCH):
                try:
                    frame, address = source.recvfrom(65535)
                except BlockingIOError:
                    break
                if address[2] != socket.PACKET_OUTGOING:
                    directions[source].accept(frame, now, settings)

    for direction in directions.values():
        print(f"frames {direction.seen} lost {direction.lost}", flush=True)


if __name__ == "__main__":
    main()
