// Starts the server under test on a free port, and calls its HTTP API.

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const CONFIG = new URL('../../config.json', import.meta.url);
const START_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 20_000;
const FIRST_PORT = 10_000; // tests in Python have those from 12,000 on, and may run at the same time
const PORTS = 2_000;

/** A running server. Make one with startServer(). */
class Server {
  constructor(port, child, folder, { apiPort = port, apiKey, secret, token }) {
    this.port = port;
    this.apiPort = apiPort;
    this.child = child;
    this.folder = folder;
    this.apiKey = apiKey;
    this.secret = secret; // of tokens, where it is known
    this.token = token; // that the server itself has made, in development
  }

  url(query = '') {
    return `ws://127.0.0.1:${this.port}/connection/websocket${query}`;
  }

  /** Calls a method of the server API and returns its result; throws on any error. */
  async api(method, params) {
    const response = await fetch(`http://127.0.0.1:${this.apiPort}/api/${method}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-API-Key': this.apiKey },
      body: JSON.stringify(params),
    });
    if (!response.ok) throw new Error(`${method}: HTTP ${response.status}`);
    const body = await response.json();
    if (body.error) throw new Error(`${method}: ${body.error.code} ${body.error.message}`);
    return body.result;
  }

  publish(channel, data, options = {}) {
    return this.api('publish', { channel, data, ...options });
  }

  /** Sends SIGTERM and returns the exit code once the process has ended. */
  async stop() {
    const { pid, exitCode, signalCode } = this.child;
    if (pid !== undefined && exitCode === null && signalCode === null) {
      const ended = new Promise((resolve) => this.child.once('exit', resolve));
      this.child.kill('SIGTERM');
      const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_LIMIT_MS);
      await ended;
      clearTimeout(timer);
    }
    await rm(this.folder, { recursive: true, force: true });
    return this.child.exitCode;
  }
}

/**
 * Starts the command in CENTRIPETAL_SERVER (`centripetal` when unset) with the tests' configuration.
 *
 * @param {object} overlay options laid over config.json; without `http_server.port`, the port is a free one
 */
export async function startServer(overlay = {}) {
  const port = overlay.http_server?.port ?? (await freePort());
  const base = JSON.parse(await readFile(CONFIG, 'utf8'));
  const config = merge(merge(base, overlay), { http_server: { port } });
  const folder = await mkdtemp(path.join(tmpdir(), 'centripetal-'));
  const file = path.join(folder, 'config.json');
  await writeFile(file, JSON.stringify(config));
  const internalPort = Number(config.http_server.internal_port || port);
  const { child } = await run(['-c', file], internalPort, folder);
  return new Server(port, child, folder, {
    apiPort: config.http_api.external ? port : internalPort,
    apiKey: config.http_api.key,
    secret: config.client.token.hmac_secret_key,
  });
}

/**
 * Starts the command in development mode, as `make run` does; what to know is in its greeting.
 *
 * @param {string[]} words further flags
 */
export async function startDevelopment(words = []) {
  const port = await freePort();
  const folder = await mkdtemp(path.join(tmpdir(), 'centripetal-'));
  const { child, output } = await run(['serve', '--dev', '--port', port, ...words], port, folder);
  const [, apiKey] = /^ *API key +(\S+)$/m.exec(output());
  const [, token] = /^ *Token +(\S+)$/m.exec(output());
  return new Server(port, child, folder, { apiKey, token });
}

/** Runs the command with further words until it is healthy. */
async function run(more, port, folder) {
  const [program, ...words] = (process.env.CENTRIPETAL_SERVER || 'centripetal').split(/\s+/);
  const child = spawn(program, [...words, ...more], { stdio: ['ignore', 'pipe', 'pipe'], cwd: folder });
  let output = '';
  for (const pipe of [child.stdout, child.stderr]) pipe.on('data', (part) => (output = (output + part).slice(-8000)));
  child.on('error', (error) => (output += error.message));
  try {
    await untilAnswers(child, `http://127.0.0.1:${port}/health`);
  } catch (error) {
    await new Server(port, child, folder, {}).stop();
    throw new Error(`${program} did not start: ${error.message}\n${output}`);
  }
  return { child, output: () => output };
}

/** Waits until a process that was just started answers requests for an address. */
export async function untilAnswers(child, address) {
  const limit = Date.now() + START_LIMIT_MS;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
    if (child.pid === undefined) throw new Error('the program cannot be run');
    const answered = await fetch(address).then((response) => response.ok, () => false);
    if (answered) return;
    if (Date.now() > limit) throw new Error(`no answer after ${START_LIMIT_MS} ms`);
    await pause(25);
  }
}

/** A port that nobody listens on, below those that systems take for outgoing connections. */
export async function freePort() {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
    const free = await new Promise((resolve) => {
      const probe = createServer().once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

function merge(base, overlay) {
  const result = { ...base };
  for (const [key, value] of Object.entries(overlay)) {
    const both = isObject(value) && isObject(base[key]);
    result[key] = both ? merge(base[key], value) : value;
  }
  return result;
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
