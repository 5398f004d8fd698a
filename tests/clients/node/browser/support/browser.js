// Headless Chromium with one page per test.

import { access, constants, copyFile, cp, mkdtemp, rm } from 'node:fs/promises';
import { EventEmitter } from 'node:events';
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { chromium } from 'playwright-core';

import { Events } from '../../support/events.js';
import { freePort, untilAnswers } from '../../support/server.js';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const PAGE = new URL('../page/', import.meta.url);
const BUILDS = new URL('../../node_modules/centrifuge/dist/', import.meta.url);
const EVENTS = ['connecting', 'connected', 'disconnected', 'open', 'message', 'close', 'end', 'error'];
const SUBSCRIPTION_EVENTS = ['subscribing', 'subscribed', 'unsubscribed', 'publication', 'error'];

/** The path of Chromium: CHROMIUM from the environment, or what is on PATH. */
async function findChromium() {
  const folders = process.env.PATH.split(path.delimiter);
  const names = process.env.CHROMIUM ? [process.env.CHROMIUM] : NAMES;
  for (const place of names.flatMap((name) => folders.map((folder) => path.resolve(folder, name)))) {
    if (await access(place, constants.X_OK).then(() => true, () => false)) return place;
  }
  throw new Error(`no Chromium: ${names.join(', ')} not found`);
}

/** A browser, and the test page served by `centripetal serve --dir`. Make one with startBrowser(). */
class Browser {
  constructor(browser, files, folder, port) {
    this.browser = browser;
    this.files = files;
    this.folder = folder;
    this.port = port;
  }

  /** Where the page is. Any name leads to it. */
  origin(host = '127.0.0.1') {
    return `http://${host}:${this.port}`;
  }

  /**
   * Opens the page with a profile of its own.
   *
   * @param {object} profile options of the profile
   * @returns {{page: object, events: Events}} the page, and what it tells.
   */
  async open(test, address = `${this.origin()}/index.html`, profile = {}) {
    const context = await this.browser.newContext(profile);
    test.after(() => context.close());
    const emitter = new EventEmitter();
    emitter.on('error', () => {}); // or an event of this name would be thrown
    const events = new Events(emitter, ...EVENTS, ...SUBSCRIPTION_EVENTS.map((name) => `sub:${name}`));
    await context.exposeFunction('tell', (name, told) => void emitter.emit(name, told));
    const page = await context.newPage();
    await page.goto(address);
    return { page, events };
  }

  async stop() {
    await this.browser.close();
    this.files.kill('SIGTERM');
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Starts Chromium and a server for the page. */
export async function startBrowser() {
  const folder = await mkdtemp(path.join(tmpdir(), 'centripetal-page-'));
  await cp(PAGE, folder, { recursive: true });
  for (const build of ['centrifuge.js', 'centrifuge.protobuf.js']) {
    await copyFile(new URL(build, BUILDS), path.join(folder, build));
  }
  const port = await freePort();
  const [program, ...words] = (process.env.CENTRIPETAL_SERVER || 'centripetal').split(/\s+/);
  const files = spawn(program, [...words, 'serve', '--dir', folder, '--port', port], { stdio: 'ignore' });
  try {
    await untilAnswers(files, `http://127.0.0.1:${port}/index.html`);
    const browser = await chromium.launch({
      executablePath: await findChromium(),
      // Root, as in a container, cannot have the sandbox; every name leads to this machine, so that pages have origins.
      args: [...(process.getuid() ? [] : ['--no-sandbox']), '--host-resolver-rules=MAP *.test 127.0.0.1'],
    });
    return new Browser(browser, files, folder, port);
  } catch (error) {
    files.kill('SIGTERM');
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}
