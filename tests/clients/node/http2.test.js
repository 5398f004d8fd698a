// HTTP/2 in clear text, with Node's own client: the server API, streams, and WebSockets by extended CONNECT.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';

import { Events } from './support/events.js';
import { Connection } from './support/http2.js';
import { freePort, startServer } from './support/server.js';

const CHANNEL = 'live:h2';

describe('HTTP/2', () => {
  let server;
  before(async () => {
    const internal_port = String(await freePort());
    server = await startServer({
      http_server: { h2c_external: true, internal_port },
      http_api: { external: true },
      client: { insecure: true },
      sse: { enabled: true },
      uni_sse: { enabled: true },
      uni_websocket: { enabled: true },
    });
  });
  after(() => server.stop());

  const api = (connection, method, params) =>
    connection.fetch(
      { ':method': 'POST', ':path': `/api/${method}`, 'x-api-key': server.apiKey, 'content-type': 'application/json' },
      JSON.stringify(params),
    );

  test('many publications at once on one connection, and HTTP/1.1 on the same port', async (t) => {
    const connection = new Connection(t, server.port);
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) => api(connection, 'publish', { channel: CHANNEL, data: { n } })),
    );
    assert.deepEqual(new Set(answers.map(({ status, text }) => `${status} ${text}`)), new Set(['200 {"result":{}}']));
    assert.deepEqual(await server.publish(CHANNEL, {}), {});
  });

  test('refusals: no key, no such path, a body that is too large', async (t) => {
    const connection = new Connection(t, server.port);
    const post = { ':method': 'POST', ':path': '/api/publish' };
    assert.equal((await connection.fetch(post, '{}')).status, 401);
    assert.equal((await connection.fetch({ ':path': '/nowhere' })).status, 404);
    const large = { ':method': 'POST', ':path': '/emulation', 'content-length': '70000' };
    assert.equal((await connection.open(large, 'x'.repeat(70000))).head[':status'], 413);
    assert.equal((await connection.fetch({ ':path': '/connection/websocket' })).status, 400);
  });

  test('server-sent events', async (t) => {
    const connection = new Connection(t, server.port);
    const connect = encodeURIComponent(JSON.stringify({ subs: { [CHANNEL]: {} } }));
    const { stream, head } = await connection.open({ ':path': `/connection/uni_sse?cf_connect=${connect}` });
    assert.equal(head[':status'], 200);
    assert.equal(head['content-type'], 'text/event-stream; charset=utf-8');
    let text = '';
    stream.setEncoding('utf8').on('data', (part) => (text += part));
    while (!text.includes('"connect"')) await once(stream, 'data');
    await api(connection, 'publish', { channel: CHANNEL, data: { n: 1 } });
    while (!text.includes('"pub"')) await once(stream, 'data');
    const events = text.trim().split('\n\n').map((event) => JSON.parse(event.replace(/^data: /, '')));
    assert.deepEqual(events[1], { channel: CHANNEL, pub: { data: { n: 1 } } });
  });

  test('emulation over one connection', async (t) => {
    const connection = new Connection(t, server.port);
    const connect = encodeURIComponent(JSON.stringify({ id: 1, connect: {} }));
    const { stream } = await connection.open({ ':path': `/connection/sse?cf_connect=${connect}` });
    let text = '';
    stream.setEncoding('utf8').on('data', (part) => (text += part));
    while (!text.includes('"session"')) await once(stream, 'data');
    const { session, node } = JSON.parse(text.trim().replace(/^data: /, '')).connect;
    const command = JSON.stringify({ id: 2, subscribe: { channel: CHANNEL } });
    const sent = await connection.fetch(
      { ':method': 'POST', ':path': '/emulation' }, JSON.stringify({ session, node, data: command }),
    );
    assert.equal(sent.status, 204);
    while (!text.includes('"subscribe"')) await once(stream, 'data');
  });

  test('WebSockets by extended CONNECT, two on one connection', async (t) => {
    const connection = new Connection(t, server.port);
    assert.equal((await connection.settled()).enableConnectProtocol, true);
    const sockets = await Promise.all([1, 2].map(async () => {
      const { socket, head } = await connection.webSocket('/connection/websocket');
      assert.equal(head[':status'], 200);
      const events = new Events(socket, 'message');
      socket.send({ id: 1, connect: {} });
      assert.equal((await events.take('message')).id, 1);
      socket.send({ id: 2, subscribe: { channel: CHANNEL } });
      assert.equal((await events.take('message')).id, 2);
      return { socket, events };
    }));
    const [first] = sockets;
    first.socket.send({ id: 3, publish: { channel: CHANNEL, data: { text: 'x'.repeat(40) } } });
    for (const { events } of sockets) {
      const { push } = await events.take('message');
      assert.deepEqual(push, { channel: CHANNEL, pub: { ...push.pub, data: { text: 'x'.repeat(40) } } });
    }
    const closed = once(first.socket, 'close');
    await api(connection, 'disconnect', { user: '' });
    assert.deepEqual(await closed, [3503, 'force disconnect']);
  });

  test('a subprotocol is agreed on, a foreign protocol and an old version are refused', async (t) => {
    const connection = new Connection(t, server.port);
    await connection.settled();
    const agreed = await connection.webSocket('/connection/websocket', { 'sec-websocket-protocol': 'centrifuge-json' });
    assert.equal(agreed.head['sec-websocket-protocol'], 'centrifuge-json');
    const foreign = await connection.webSocket('/connection/websocket', { ':protocol': 'connect-udp' });
    assert.equal(foreign.head[':status'], 501);
    const old = await connection.webSocket('/connection/websocket', { 'sec-websocket-version': '8' });
    assert.equal(old.head[':status'], 426);
  });

  test('a one-way WebSocket', async (t) => {
    const connection = new Connection(t, server.port);
    await connection.settled();
    const { socket } = await connection.webSocket('/connection/uni_websocket');
    const events = new Events(socket, 'message');
    socket.send({ subs: { [CHANNEL]: {} } });
    assert.ok((await events.take('message')).connect);
    await server.publish(CHANNEL, { n: 1 });
    assert.deepEqual((await events.take('message')).pub.data, { n: 1 });
  });

  test('a stop of the server closes WebSockets with 3001 and ends the connection', async (t) => {
    const other = await startServer({
      http_server: { h2c_external: true, internal_port: String(await freePort()) },
      client: { insecure: true },
    });
    t.after(() => other.stop());
    const connection = new Connection(t, other.port);
    await connection.settled();
    const { socket } = await connection.webSocket('/connection/websocket');
    const events = new Events(socket, 'message');
    socket.send({ id: 1, connect: {} });
    await events.take('message');
    const closed = once(socket, 'close');
    const [goaway, status] = await Promise.all([once(connection.session, 'goaway'), other.stop()]);
    assert.deepEqual(await closed, [3001, 'shutdown']);
    assert.equal(goaway[0], 0);
    assert.equal(status, 0);
  });

  test('a client that closes its WebSocket gets the answer, and the stream ends', async (t) => {
    const connection = new Connection(t, server.port);
    await connection.settled();
    const { socket, stream } = await connection.webSocket('/connection/websocket');
    const closed = once(socket, 'close');
    const ended = once(stream, 'end');
    socket.close(1000);
    assert.equal((await closed)[0], 1000);
    await ended;
  });
});
