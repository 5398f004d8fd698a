// The main job: connect with a token, subscribe, receive what the backend publishes, and miss nothing when the
// connection drops.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { protocols } from './support/protocols.js';
import { startServer } from './support/server.js';
import { Stage } from './support/stage.js';

let server;
before(async () => (server = await startServer()));
after(() => server.stop());

for (const protocol of protocols) {
  describe(`over ${protocol.name}`, () => {
    test('a client receives publications and recovers those that it missed', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('chat');
      const cable = await stage.cable();
      const { client, events } = await stage.connected({ token: stage.token('alice') }, cable.url(protocol.query));
      const { events: heard, subscribed } = await stage.subscribed(client, channel);
      assert.equal(subscribed.recoverable, true);
      assert.equal(subscribed.wasRecovering, false);

      await server.publish(channel, { n: 1 });
      assert.deepEqual(await stage.publications(heard, 1), [{ n: 1 }]);

      cable.cut();
      assert.equal((await events.take('connecting')).code, 0);
      assert.equal((await events.take('connecting')).code, 1);
      for (let n = 2; n <= 21; n++) await server.publish(channel, { n });
      cable.mend();

      const again = await heard.take('subscribed');
      assert.equal(again.wasRecovering, true);
      assert.equal(again.recovered, true);
      assert.equal(again.hasRecoveredPublications, true);
      await server.publish(channel, { n: 22 });
      const taken = await heard.takeMany('publication', 21);
      assert.deepEqual(taken.map((p) => protocol.read(p.data).n), Array.from({ length: 21 }, (_, i) => i + 2));
      assert.deepEqual(taken.map((p) => p.offset), Array.from({ length: 21 }, (_, i) => i + 2));
      assert.equal(heard.rest('publication').length, 0);
    });

    test('a client that missed more than the history holds is told so', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('short');
      const cable = await stage.cable();
      const { client } = await stage.connected({}, cable.url(protocol.query));
      const { events: heard } = await stage.subscribed(client, channel);
      await server.publish(channel, { n: 1 });
      await stage.publications(heard, 1);

      cable.cut();
      for (let n = 2; n <= 6; n++) await server.publish(channel, { n });
      cable.mend();

      const again = await heard.take('subscribed');
      assert.equal(again.wasRecovering, true);
      assert.equal(again.recovered, false);
      await server.publish(channel, { n: 7 });
      assert.deepEqual(await stage.publications(heard, 1), [{ n: 7 }]);
    });

    test('a returning client of a cache channel gets the newest publication', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('cache');
      await server.publish(channel, { n: 1 });
      const cable = await stage.cable();
      const { client } = await stage.connected({}, cable.url(protocol.query));
      const { events: heard } = await stage.subscribed(client, channel, { since: { offset: 0, epoch: '' } });
      assert.deepEqual(await stage.publications(heard, 1), [{ n: 1 }]);

      cable.cut();
      for (let n = 2; n <= 6; n++) await server.publish(channel, { n });
      cable.mend();

      const again = await heard.take('subscribed');
      assert.equal(again.recovered, true);
      assert.deepEqual(await stage.publications(heard, 1), [{ n: 6 }]);
    });
  });
}
