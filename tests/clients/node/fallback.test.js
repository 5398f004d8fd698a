// Where WebSockets do not get through, the client falls back to HTTP streaming, and from there to server-sent events.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Centrifuge } from 'centrifuge';
import EventSource from 'eventsource';
import WebSocket from 'ws';

import { json } from './support/protocols.js';
import { startServer } from './support/server.js';
import { Stage } from './support/stage.js';

const STREAMS = { sse: { enabled: true }, http_stream: { enabled: true }, uni_sse: { enabled: true } };
const COMMON = { websocket: WebSocket, eventsource: EventSource, fetch, readableStream: ReadableStream };
const PACE = { minReconnectDelay: 50, maxReconnectDelay: 200, timeout: 5000 };

/** The published client with a list of transports in place of one address. */
const streaming = {
  ...json,
  client: (transports, options) => new Centrifuge(transports, { ...COMMON, ...PACE, ...options }),
};

function transports(server, websocketPath, streamPath) {
  const http = `http://127.0.0.1:${server.port}`;
  return [
    { transport: 'websocket', endpoint: `ws://127.0.0.1:${server.port}${websocketPath}` },
    { transport: 'http_stream', endpoint: `${http}${streamPath}` },
    { transport: 'sse', endpoint: `${http}/connection/sse` },
  ];
}

const LADDER = [
  ['websocket', '/connection/websocket', '/connection/http_stream'],
  ['http_stream', '/nowhere', '/connection/http_stream'],
  ['sse', '/nowhere', '/nowhere'],
];

describe('fallback', () => {
  let server;
  before(async () => (server = await startServer(STREAMS)));
  after(() => server.stop());

  for (const [name, websocketPath, streamPath] of LADDER) {
    test(`ends at ${name}, where everything works`, async (t) => {
      const stage = new Stage(t, server, streaming);
      const channel = stage.channel('chat');
      const options = { emulationEndpoint: `http://127.0.0.1:${server.port}/emulation` };
      const { client, connected } = await stage.connected(options, transports(server, websocketPath, streamPath));
      assert.equal(connected.transport, name);
      const { subscription, events } = await stage.subscribed(client, channel);
      await subscription.publish({ n: 1 });
      await server.publish(channel, { n: 2 });
      assert.deepEqual(await stage.publications(events, 2), [{ n: 1 }, { n: 2 }]);
      const { clients } = await subscription.presence();
      assert.equal(Object.keys(clients).length, 1);
    });
  }

  test('a disconnect by the server reaches a stream with its code', async (t) => {
    const stage = new Stage(t, server, streaming);
    const options = { emulationEndpoint: `http://127.0.0.1:${server.port}/emulation`, token: stage.token('gone') };
    const { events } = await stage.connected(options, transports(server, '/nowhere', '/connection/http_stream'));
    await server.api('disconnect', { user: 'gone', disconnect: { code: 4501, reason: 'enough' } });
    const { code, reason } = await events.take('disconnected');
    assert.deepEqual([code, reason], [4501, 'enough']);
  });

  test('EventSource alone receives pushes', async (t) => {
    const stage = new Stage(t, server, streaming);
    const connect = encodeURIComponent(JSON.stringify({ token: stage.token('alice', { channels: ['live:one'] }) }));
    const source = new EventSource(`http://127.0.0.1:${server.port}/connection/uni_sse?cf_connect=${connect}`);
    t.after(() => source.close());
    const next = () => new Promise((resolve) => (source.onmessage = (event) => resolve(JSON.parse(event.data))));
    assert.ok((await next()).connect.client);
    const push = next();
    await server.publish('live:one', { n: 1 });
    assert.deepEqual(await push, { channel: 'live:one', pub: { data: { n: 1 } } });
  });
});
