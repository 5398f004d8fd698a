// The pages in examples/, each served as its target in the Makefile does it, in two windows and more.

import assert from 'node:assert/strict';
import { copyFile, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { startDevelopment } from '../support/server.js';
import { startBrowser } from './support/browser.js';

const EXAMPLES = new URL('../../../../examples/', import.meta.url);
const BUILD = new URL('../node_modules/centrifuge/dist/centrifuge.js', import.meta.url);

let browser;
before(async () => (browser = await startBrowser()));
after(() => browser?.stop());

/** Serves a copy of an example, with `change` made to its configuration. */
async function startExample(name, change = () => {}) {
  const folder = await mkdtemp(path.join(tmpdir(), 'centripetal-example-'));
  await cp(new URL(`${name}/`, EXAMPLES), folder, { recursive: true });
  await copyFile(BUILD, path.join(folder, 'page', 'centrifuge.js'));
  const file = path.join(folder, 'config.json');
  const config = JSON.parse(await readFile(file, 'utf8'));
  change(config);
  await writeFile(file, JSON.stringify(config));
  const server = await startDevelopment(['--config', file, '--dir', path.join(folder, 'page')]);
  return { server, stop: () => server.stop().then(() => rm(folder, { recursive: true, force: true })) };
}

/** Opens the page of an example in a window; what goes wrong in it fails the test. */
async function windowOf(t, example, query = '') {
  const { page } = await browser.open(t, `http://localhost:${example.server.port}/${query}`);
  const errors = [];
  page.on('pageerror', (error) => errors.push(error));
  t.after(() => assert.deepEqual(errors, []));
  return page;
}

describe('the board of cursors', () => {
  let example;
  before(async () => (example = await startExample('cursors')));
  after(() => example?.stop());

  /** A window of somebody who is on the board. */
  async function visitor(t, name, where = example) {
    const page = await windowOf(t, where, `?name=${name}`);
    await page.getByText(`You are ${name}.`).waitFor();
    return page;
  }

  const cursor = (page, name) => page.locator('.cursor', { hasText: name });

  /** Moves the mouse to a place on the board, in parts of its width and height. */
  async function move(page, x, y) {
    const board = await page.locator('#board').boundingBox();
    await page.mouse.move(board.x + board.width * x, board.y + board.height * y);
  }

  /** Waits until a cursor is shown at a place. */
  function waitUntilAt(page, name, x, y) {
    return page.waitForFunction(([text, left, top]) => {
      const found = [...document.querySelectorAll('.cursor')].find((one) => one.textContent === text);
      const near = (value, wanted) => Math.abs(parseFloat(value) - wanted * 100) < 1;
      return found && near(found.style.left, left) && near(found.style.top, top);
    }, [name, x, y]);
  }

  test('two windows see each other move', async (t) => {
    const [alice, bob] = [await visitor(t, 'alice'), await visitor(t, 'bob')];
    await move(alice, 0.25, 0.5);
    await waitUntilAt(bob, 'alice', 0.25, 0.5);
    await move(bob, 0.75, 0.25);
    await waitUntilAt(alice, 'bob', 0.75, 0.25);
    await move(alice, 0.5, 0.75);
    await waitUntilAt(bob, 'alice', 0.5, 0.75);
    assert.equal(await cursor(alice, 'alice').count(), 0);
  });

  test('who comes later sees the cursors that are there', async (t) => {
    const alice = await visitor(t, 'early');
    const witness = await visitor(t, 'witness');
    await move(alice, 0.3, 0.4);
    await waitUntilAt(witness, 'early', 0.3, 0.4);
    await waitUntilAt(await visitor(t, 'late'), 'early', 0.3, 0.4);
  });

  test('a cursor goes with its window', async (t) => {
    const [alice, bob] = [await visitor(t, 'alice'), await visitor(t, 'goes')];
    await move(bob, 0.5, 0.5);
    await cursor(alice, 'goes').waitFor();
    await bob.close();
    await cursor(alice, 'goes').waitFor({ state: 'detached' });
  });

  test('a cursor goes when the mouse leaves the board', async (t) => {
    const [alice, bob] = [await visitor(t, 'alice'), await visitor(t, 'outside')];
    await move(bob, 0.5, 0.5);
    await cursor(alice, 'outside').waitFor();
    await bob.locator('header').hover();
    await cursor(alice, 'outside').waitFor({ state: 'detached' });
  });

  test('a cursor that rests goes after the time of its key, and comes back when it moves', async (t) => {
    const short = await startExample('cursors', ({ channel }) => (channel.namespaces[0].map.key_ttl = '3s'));
    t.after(() => short.stop());
    const [alice, bob] = [await visitor(t, 'alice', short), await visitor(t, 'rests', short)];
    await move(bob, 0.5, 0.5);
    await cursor(alice, 'rests').waitFor();
    await cursor(alice, 'rests').waitFor({ state: 'detached' });
    await move(bob, 0.6, 0.6);
    await waitUntilAt(alice, 'rests', 0.6, 0.6);
  });

  test('the development page shows what happens on the board', async (t) => {
    const alice = await visitor(t, 'seen');
    const { page } = await browser.open(t, `http://localhost:${example.server.port}/development/`);
    await page.getByText(/^a map with \d+ keys?$/).waitFor();
    await move(alice, 0.5, 0.5);
    await page.locator('.message', { hasText: '"name":"seen"' }).first().waitFor();
    await alice.close();
    await page.locator('.message', { hasText: 'removed' }).first().waitFor();
  });
});

describe('the list of who is online', () => {
  let example;
  before(async () => (example = await startExample('online')));
  after(() => example?.stop());

  const entry = (page, user, text = user) => page.locator(`[data-user="${user}"]`).getByText(text, { exact: true });

  test('users come, are counted once whatever they open, and leave', async (t) => {
    const alice = await windowOf(t, example, '?user=alice');
    await entry(alice, 'alice').waitFor();
    const bob = await windowOf(t, example, '?user=bob');
    await entry(alice, 'bob').waitFor();
    await entry(bob, 'alice').waitFor();
    const second = await windowOf(t, example, '?user=bob');
    await entry(alice, 'bob', 'bob, in 2 windows').waitFor();
    await second.close();
    await entry(alice, 'bob').waitFor();
    await bob.close();
    await entry(alice, 'bob', 'bob, just left').waitFor();
    await alice.locator('[data-user="bob"]').waitFor({ state: 'detached' });
    // By now the first key of alice is older than its time: she is there because it was renewed.
    await entry(alice, 'alice').waitFor();
  });

  test('a reload is no event', async (t) => {
    const alice = await windowOf(t, example, '?user=alice');
    const bob = await windowOf(t, example, '?user=reloading');
    await entry(alice, 'reloading').waitFor();
    await alice.evaluate(() => {
      globalThis.wentAway = false;
      new MutationObserver(() => {
        if (!document.querySelector('[data-user="reloading"]')) globalThis.wentAway = true;
      }).observe(document.getElementById('users'), { childList: true });
    });
    await bob.reload();
    await entry(bob, 'reloading').waitFor();
    await entry(alice, 'reloading').waitFor();
    assert.equal(await alice.evaluate(() => globalThis.wentAway), false);
  });

  test('who only watches on the development page is not listed', async (t) => {
    const { page } = await browser.open(t, `http://localhost:${example.server.port}/development/`);
    const watched = (name) => page.locator(`[data-channel="${name}"][data-watched=true]`);
    const alice = await windowOf(t, example, '?user=alice');
    await watched('users:page:home').waitFor();
    await watched('clients:page:home').waitFor();
    await entry(alice, 'alice').waitFor();
    assert.equal(await watched('page:home').count(), 0);
    assert.equal(await alice.locator('[data-user="page"]').count(), 0);
  });

  test('a name can be chosen on the page', async (t) => {
    const page = await windowOf(t, example);
    await page.getByLabel('Come as').fill('Zoë & Co.');
    await page.getByRole('button').click();
    await entry(page, 'Zoë & Co.').waitFor();
  });
});
