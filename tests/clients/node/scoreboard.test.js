// The example of a scoreboard, run as it is: its games, its website and a server.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { Events } from './support/events.js';
import { json } from './support/protocols.js';
import { freePort, untilAnswers } from './support/server.js';

const SCRIPT = fileURLToPath(new URL('../../../examples/scoreboard/scoreboard.py', import.meta.url));
const CHANNEL = 'scores:live';

test('a scoreboard shows the games that are looked at', async (t) => {
  const [port, serverPort] = [await freePort(), await freePort()];
  const environment = { ...process.env, SCOREBOARD_PORT: port, SCOREBOARD_SERVER_PORT: serverPort };
  const child = spawn('python', [SCRIPT], { env: environment, stdio: 'ignore' });
  t.after(() => new Promise((resolve) => child.once('exit', resolve).kill('SIGINT')));
  await untilAnswers(child, `http://127.0.0.1:${port}/games`);
  await untilAnswers(child, `http://127.0.0.1:${serverPort}/health`);

  const website = (path, body) => fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', body: JSON.stringify(body) });
  const { games } = await (await fetch(`http://127.0.0.1:${port}/games`)).json();
  assert.match(await (await fetch(`http://127.0.0.1:${port}/`)).text(), /Scoreboard/);
  assert.equal((await website('/centripetal/refresh', { channel: CHANNEL, items: [] })).status, 403);

  const client = json.client(`ws://127.0.0.1:${serverPort}/connection/websocket`);
  t.after(() => client.disconnect());
  const subscription = client.newSharedPollSubscription(CHANNEL, {
    delta: 'fossil',
    getSignature: async ({ keys }) => (await website('/sign', { channel: CHANNEL, keys })).json(),
  });
  const events = new Events(subscription, 'update', 'error');
  subscription.subscribe();
  client.connect();
  subscription.track([games[0], 'no such game']);
  const revoked = await events.take('update');
  assert.deepEqual([revoked.key, revoked.removed], ['no such game', true]);
  const first = await events.take('update');
  const second = await events.take('update');
  assert.deepEqual([first.key, second.key], [games[0], games[0]]);
  assert.notEqual(first.data.minute, second.data.minute);
  assert.equal(second.data.home, first.data.home);
  assert.equal(events.rest('error').length, 0);
});
