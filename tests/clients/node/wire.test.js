// Below the protocol: pings, compression, what the server says when it stops.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import WebSocket from 'ws';

import { Events } from './support/events.js';
import { json, protocols } from './support/protocols.js';
import { startServer } from './support/server.js';
import { Stage } from './support/stage.js';

let server;
before(async () => {
  server = await startServer({
    client: { ping_interval: '2s', pong_timeout: '1500ms' },
    websocket: { compression: true, compression_min_size: 64 },
  });
});
after(() => server.stop());

/** A WebSocket class whose instances offer compression and report the extensions that were agreed on. */
function compressingSocket(extensions) {
  return class extends WebSocket {
    constructor(address, subprotocols) {
      super(address, subprotocols, { perMessageDeflate: true });
      this.on('open', () => extensions.push(this.extensions));
    }
  };
}

for (const protocol of protocols) {
  describe(`over ${protocol.name}`, () => {
    test('pings are answered, so the connection lives on', async (t) => {
      const stage = new Stage(t, server, protocol);
      const pings = [];
      let thirdPing;
      const threePings = new Promise((resolve) => (thirdPing = resolve));
      const ping = protocol.name === 'JSON' ? '{}' : '\0';
      class Watched extends WebSocket {
        constructor(address, subprotocols) {
          super(address, subprotocols, { perMessageDeflate: false });
          this.on('message', (data) => {
            if (Buffer.from(data).toString() === ping && pings.push(data) === 3) thirdPing();
          });
        }
      }
      const { client, events } = await stage.connected({ websocket: Watched });
      await threePings;
      await client.ready();
      assert.equal(events.rest('disconnected').length, 0);
      assert.equal(events.rest('connecting').length, 1);
    });

    test('compressed messages arrive whole', async (t) => {
      const stage = new Stage(t, server, protocol);
      const extensions = [];
      const channel = stage.channel('live');
      const { client } = await stage.connected({ websocket: compressingSocket(extensions) });
      const { subscription, events } = await stage.subscribed(client, channel);
      assert.match(extensions[0], /permessage-deflate/);
      const plain = await stage.subscribed((await stage.connected()).client, channel);
      const payloads = [{ s: 'x' }, { s: 'compress me '.repeat(2000) }, { s: '' }, { s: 'é€😀'.repeat(500) }];
      for (const payload of payloads) await subscription.publish(protocol.write(payload));
      assert.deepEqual(await stage.publications(events, payloads.length), payloads);
      assert.deepEqual(await stage.publications(plain.events, payloads.length), payloads);
    });
  });
}

test('a client that does not answer a ping is disconnected with 3012', async (t) => {
  const stage = new Stage(t, server, json);
  const socket = new WebSocket(server.url(), { perMessageDeflate: false });
  t.after(() => socket.terminate());
  const closed = new Promise((resolve) => socket.once('close', (code, reason) => resolve([code, String(reason)])));
  await new Promise((resolve) => socket.once('open', resolve));
  socket.send(JSON.stringify({ id: 1, connect: { token: stage.token('alice') } }));
  assert.deepEqual(await closed, [3012, 'no pong']);
});

test('native pings replace those of the protocol when asked for', async (t) => {
  const stage = new Stage(t, server, json);
  const socket = new WebSocket(server.url('?cf_ws_frame_ping_pong=true'), { perMessageDeflate: false });
  t.after(() => socket.terminate());
  const messages = [];
  socket.on('message', (data) => messages.push(JSON.parse(data)));
  const pinged = new Promise((resolve) => socket.once('ping', resolve));
  await new Promise((resolve) => socket.once('open', resolve));
  socket.send(JSON.stringify({ id: 1, connect: { token: stage.token('alice') } }));
  await pinged;
  assert.equal(messages.length, 1);
  assert.equal(messages[0].connect.ping, undefined);
});

test('replies keep the order of a batch of mixed commands', async (t) => {
  const stage = new Stage(t, server, json);
  const socket = new WebSocket(server.url(), { perMessageDeflate: false });
  t.after(() => socket.terminate());
  const channel = stage.channel('live');
  const replies = [];
  const done = new Promise((resolve) => {
    socket.on('message', (data) => {
      for (const line of String(data).split('\n')) if (line !== '{}') replies.push(JSON.parse(line));
      if (replies.length >= 5) resolve();
    });
  });
  await new Promise((resolve) => socket.once('open', resolve));
  socket.send([
    { id: 1, connect: { token: stage.token('alice') } },
    { id: 2, subscribe: { channel } },
    { id: 3, publish: { channel, data: { n: 1 } } },
    { id: 4, unsubscribe: { channel } },
  ].map((command) => JSON.stringify(command)).join('\n'));
  await done;
  assert.deepEqual(replies.map((reply) => reply.id ?? 'push'), [1, 2, 'push', 3, 4]);
});

test('an ending server sends clients away with 3001 and exits with 0', async (t) => {
  const leaving = await startServer();
  const { Centrifuge } = await import('centrifuge');
  const stage = new Stage(t, leaving, json);
  const client = new Centrifuge(leaving.url(), {
    websocket: WebSocket, token: stage.token('alice'), minReconnectDelay: 60_000, maxReconnectDelay: 60_000,
  });
  t.after(() => client.disconnect());
  const events = new Events(client, 'connected', 'connecting');
  client.connect();
  await events.take('connected');
  await events.take('connecting');
  const status = await leaving.stop();
  const connecting = await events.take('connecting');
  assert.deepEqual([connecting.code, connecting.reason], [3001, 'shutdown']);
  assert.equal(status, 0);
});
