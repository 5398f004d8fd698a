// Fossil deltas and tag filters, decoded and applied by the published client.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { protocols } from './support/protocols.js';
import { startServer } from './support/server.js';
import { Stage } from './support/stage.js';

let server;
before(async () => (server = await startServer()));
after(() => server.stop());

/** Documents that differ a little from one to the next, with characters of one to four bytes. */
function* documents(count) {
  for (let n = 1; n <= count; n++) {
    yield { n, lines: Array.from({ length: 40 }, (_, i) => `line ${i} of the document: é € 😀 ${i % 7 === n % 7 ? n : ''}`) };
  }
}

for (const protocol of protocols) {
  describe(`over ${protocol.name}`, () => {
    test('patches give the same documents as full publications', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('delta');
      const { client } = await stage.connected();
      const { subscription, events } = await stage.subscribed(client, channel, { delta: 'fossil' });
      const plain = await stage.subscribed((await stage.connected()).client, channel);
      const all = [...documents(12)];
      for (const document of all) await server.publish(channel, document);
      assert.deepEqual(await stage.publications(events, all.length), all);
      assert.deepEqual(await stage.publications(plain.events, all.length), all);
      const stats = subscription.deltaStats();
      assert.equal(stats.numDeltaPayloads, all.length - 1);
      assert.equal(stats.numFullPayloads, 1);
      assert.ok(stats.bytesReceived * 3 < stats.bytesDecoded, JSON.stringify(stats));
    });

    test('a returning client recovers with patches', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('delta');
      const cable = await stage.cable();
      const { client } = await stage.connected({}, cable.url(protocol.query));
      const { subscription, events } = await stage.subscribed(client, channel, { delta: 'fossil' });
      const all = [...documents(10)];
      await server.publish(channel, all[0]);
      await server.publish(channel, all[1]);
      assert.deepEqual(await stage.publications(events, 2), all.slice(0, 2));
      cable.cut();
      for (const document of all.slice(2, 8)) await server.publish(channel, document);
      cable.mend();
      assert.equal((await events.take('subscribed')).recovered, true);
      for (const document of all.slice(8)) await server.publish(channel, document);
      assert.deepEqual(await stage.publications(events, 8), all.slice(2));
      assert.ok(subscription.deltaStats().numDeltaPayloads >= 6);
    });

    test('a publication unlike the one before it comes in full', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('delta');
      const { client } = await stage.connected();
      const { subscription, events } = await stage.subscribed(client, channel, { delta: 'fossil' });
      const unlike = [{ a: 'x'.repeat(50) }, { b: 1 }, { c: [] }, { d: 'y'.repeat(200) }];
      for (const document of unlike) await server.publish(channel, document);
      assert.deepEqual(await stage.publications(events, unlike.length), unlike);
      assert.ok(subscription.deltaStats().numFullPayloads > 1);
    });

    test('a tag filter lets through only what matches', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('tags');
      const { client } = await stage.connected();
      const tagsFilter = {
        op: 'and',
        nodes: [
          { key: 'city', cmp: 'in', vals: ['Bonn', 'Köln'] },
          { op: 'not', nodes: [{ key: 'level', cmp: 'lt', val: '3' }] },
        ],
      };
      const { events } = await stage.subscribed(client, channel, { tagsFilter });
      const tags = [
        { city: 'Bonn', level: '3' }, { city: 'Köln', level: '2' }, { city: 'Paris', level: '9' },
        { level: '9' }, { city: 'Köln', level: '10' },
      ];
      for (const [n, each] of tags.entries()) await server.publish(channel, { n }, { tags: each });
      const taken = await events.takeMany('publication', 2);
      assert.deepEqual(taken.map((p) => protocol.read(p.data).n), [0, 4]);
      assert.deepEqual(taken.map((p) => p.tags), [tags[0], tags[4]]);
      assert.equal(events.rest('publication').length, 0);
    });

    test('a filtered client recovers what matches and nothing else', async (t) => {
      const stage = new Stage(t, server, protocol);
      const channel = stage.channel('tags');
      const cable = await stage.cable();
      const { client } = await stage.connected({}, cable.url(protocol.query));
      const { events } = await stage.subscribed(client, channel, { tagsFilter: { key: 'even', cmp: 'eq', val: 'yes' } });
      const publish = (n) => server.publish(channel, { n }, { tags: { even: n % 2 ? 'no' : 'yes' } });
      for (let n = 1; n <= 3; n++) await publish(n);
      assert.deepEqual(await stage.publications(events, 1), [{ n: 2 }]);
      cable.cut();
      for (let n = 4; n <= 9; n++) await publish(n);
      cable.mend();
      const again = await events.take('subscribed');
      assert.equal(again.recovered, true);
      await publish(10);
      assert.deepEqual(await stage.publications(events, 4), [{ n: 4 }, { n: 6 }, { n: 8 }, { n: 10 }]);
      assert.equal(events.rest('publication').length, 0);
    });
  });
}
