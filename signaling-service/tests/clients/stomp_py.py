"""stomp.py over WebSocket: python stomp_py.py PORT"""

import queue
import sys

import stomp

PATIENCE = 20


class Listener(stomp.ConnectionListener):
    def __init__(self):
        self.messages = queue.Queue()
        self.errors = queue.Queue()
        self.receipts = queue.Queue()
        self.gone = queue.Queue()

    def on_message(self, frame):
        self.messages.put(frame)

    def on_error(self, frame):
        self.errors.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_disconnected(self):
        self.gone.put(True)


def connect(port, **credentials):
    connection = stomp.WSStompConnection(
        [("127.0.0.1", port)], ws_path="/streaming", heartbeats=(4000, 4000), reconnect_attempts_max=1
    )
    listener = Listener()
    connection.set_listener("", listener)
    connection.connect(wait=True, **credentials)
    return connection, listener


def flow(port):
    streamer, joins = connect(port)
    viewer, offers = connect(port, username="guest", passcode="guest")
    streamer.subscribe("/topic/py", id=1, receipt="subscribed")
    assert joins.receipts.get(timeout=PATIENCE) == "subscribed"
    viewer.subscribe("/topic/py/k/offer", id="a:b", ack="client-individual", receipt="subscribed")
    assert offers.receipts.get(timeout=PATIENCE) == "subscribed"
    viewer.send("/app/py", '{"key":"k"}')
    assert joins.messages.get(timeout=PATIENCE).body == '{"key":"k"}'
    offer = '{"offer":"' + "x" * 6000 + '한"}'
    transaction = streamer.begin()
    streamer.send("/topic/py/k/offer", offer, transaction=transaction, content_type="application/json", note="a:\\b\n")
    streamer.commit(transaction)
    frame = offers.messages.get(timeout=PATIENCE)
    assert frame.body == offer
    assert frame.headers["subscription"] == "a:b", frame.headers
    assert frame.headers["note"] == "a:\\b\n", frame.headers
    viewer.ack(frame.headers["ack"])
    viewer.unsubscribe("a:b")
    for connection, listener in [(streamer, joins), (viewer, offers)]:
        connection.disconnect(receipt="bye")
        assert listener.receipts.get(timeout=PATIENCE) == "bye"
        assert listener.errors.empty()


def error(port):
    connection, listener = connect(port)
    connection.send("/queue/nobody", "x")
    assert "unknown destination" in listener.errors.get(timeout=PATIENCE).headers["message"]
    listener.gone.get(timeout=PATIENCE)


if __name__ == "__main__":
    port = int(sys.argv[1])
    flow(port)
    error(port)
    print("stomp.py: 2 scenarios passed")
