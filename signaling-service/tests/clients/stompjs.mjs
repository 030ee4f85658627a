// @stomp/stompjs over npm `ws`, as the original pages use it: node stompjs.mjs ws://host:port/streaming
import assert from "node:assert/strict";
import { Client, Versions } from "@stomp/stompjs";
import { WebSocket } from "ws";

const url = process.argv[2];

/** A client that is connected; `closed` resolves with the close code. */
function connect(versions, options = {}) {
  const client = new Client({
    webSocketFactory: () => new WebSocket(url, new Versions(versions).protocolVersions()),
    stompVersions: new Versions(versions),
    heartbeatIncoming: 4000,
    heartbeatOutgoing: 4000,
    reconnectDelay: 0,
    ...options,
  });
  client.errors = [];
  client.onStompError = (frame) => client.errors.push(frame.headers.message);
  const closed = new Promise((resolve) => (client.onWebSocketClose = (event) => resolve(event.code)));
  const connected = new Promise((resolve, reject) => {
    client.onConnect = resolve;
    closed.then((code) => reject(new Error(`closed with ${code}: ${client.errors}`)));
  });
  closed.catch(() => {});
  client.activate();
  return connected.then((frame) => ({ client, frame, closed }));
}

/** A subscription whose messages are awaited one by one. */
function subscribe(client, destination, headers) {
  const waiting = [];
  const arrived = [];
  client.subscribe(
    destination,
    (message) => (waiting.length ? waiting.shift()(message) : arrived.push(message)),
    headers,
  );
  return () => (arrived.length ? Promise.resolve(arrived.shift()) : new Promise((resolve) => waiting.push(resolve)));
}

function receipt(client, id) {
  return new Promise((resolve) => client.watchForReceipt(id, resolve));
}

async function originalFlow(version) {
  const room = `js-${version}`;
  const streamer = await connect([version]);
  const viewer = await connect([version]);
  assert.equal(streamer.frame.headers.version, version);
  const joins = subscribe(streamer.client, `/topic/${room}`);
  const offers = subscribe(viewer.client, `/topic/${room}/k/offer`);
  // Round trip: the streamer's subscription has taken effect.
  const done = receipt(streamer.client, "r1");
  streamer.client.publish({ destination: `/app/${room}/k/ice/streamer`, body: "{}", headers: { receipt: "r1" } });
  await done;
  viewer.client.publish({ destination: `/app/${room}`, body: JSON.stringify({ key: "k" }) });
  assert.equal((await joins()).body, '{"key":"k"}');
  // StompJS escapes in 1.2 only, though 1.1 has escapes too, and takes an escaped backslash before a c for a colon.
  const note = version === "1.2" ? "a:b\n" : "a:b";
  const offer = JSON.stringify({ offer: { sdp: "v=0\r\n".repeat(1200), note: "한🎥" } });
  streamer.client.publish({ destination: `/topic/${room}/k/offer`, body: offer, headers: { "x-note": note } });
  const got = await offers();
  assert.equal(got.body, offer);
  assert.equal(got.headers["x-note"], version === "1.1" ? "a\\cb" : note);
  const bytes = new Uint8Array([0, 255, 10, 0]);
  streamer.client.publish({ destination: `/app/${room}/k/offer`, binaryBody: bytes });
  assert.deepEqual([...(await offers()).binaryBody], [...bytes]);
  for (const side of [streamer, viewer]) {
    await side.client.deactivate();
    assert.ok([1000, 1005].includes(await side.closed));
  }
}

async function acknowledgeAndTransact() {
  const { client } = await connect(["1.2"]);
  const next = subscribe(client, "/topic/js-tx/k/answer", { ack: "client-individual" });
  const transaction = client.begin();
  client.publish({ destination: "/app/js-tx/k/answer", body: "1", headers: { transaction: transaction.id } });
  transaction.commit();
  const first = await next();
  assert.equal(first.body, "1");
  first.ack();
  client.publish({ destination: "/app/js-tx/k/answer", body: "2" });
  (await next()).nack();
  const aborted = client.begin();
  client.publish({ destination: "/app/js-tx/k/answer", body: "never", headers: { transaction: aborted.id } });
  aborted.abort();
  client.publish({ destination: "/app/js-tx/k/answer", body: "3" });
  assert.equal((await next()).body, "3");
  await client.deactivate();
}

async function errorsEndTheConnection() {
  const { client, closed } = await connect(["1.2"]);
  client.publish({ destination: "/app/-/nothing", body: "x" });
  assert.equal(await closed, 1008);
  assert.match(client.errors[0], /unknown destination/);
  await assert.rejects(connect(["1.2"], { connectHeaders: { Authorization: "Bearer a.b.c" } }), /not valid/);
}

async function heartBeatsKeepAnIdleConnection() {
  const { client, closed } = await connect(["1.2"]);
  // StompJS closes when it hears nothing for twice 4 s, and so does the server.
  const ended = await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 10_000, "open"))]);
  assert.equal(ended, "open");
  await client.deactivate();
}

await Promise.all([
  originalFlow("1.2"),
  originalFlow("1.1"),
  originalFlow("1.0"),
  acknowledgeAndTransact(),
  errorsEndTheConnection(),
  heartBeatsKeepAnIdleConnection(),
]);
console.log("stompjs: 6 scenarios passed");
