// HTTP/2 as Node speaks it: requests, streams that stay open, and WebSockets by extended CONNECT (RFC 8441).

import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import http2 from 'node:http2';

const TEXT = 1;
const CLOSE = 8;

/** A connection with prior knowledge; ends with the test. */
export class Connection {
  #session;

  constructor(t, port) {
    this.#session = http2.connect(`http://127.0.0.1:${port}`);
    this.#session.on('error', () => {});
    t.after(() => this.#session.destroy());
  }

  get session() {
    return this.#session;
  }

  /** Resolves when the server's settings are known. */
  async settled() {
    if (this.#session.pendingSettingsAck || !this.#session.remoteSettings?.enableConnectProtocol) {
      await once(this.#session, 'remoteSettings');
    }
    return this.#session.remoteSettings;
  }

  /** Sends a request and returns the stream and the head of its answer. */
  async open(headers, body) {
    const stream = this.#session.request(headers, { endStream: body === undefined && headers[':method'] !== 'CONNECT' });
    stream.on('error', () => {});
    if (body !== undefined) stream.end(body);
    const [head] = await once(stream, 'response');
    return { stream, head };
  }

  /** Sends a request and returns status and text of the whole answer. */
  async fetch(headers, body) {
    const { stream, head } = await this.open(headers, body);
    let text = '';
    stream.setEncoding('utf8');
    for await (const part of stream) text += part;
    return { status: head[':status'], headers: head, text };
  }

  /** Opens a WebSocket; its events are `message` (parsed JSON) and `close` (code and reason). */
  async webSocket(path, headers = {}) {
    const { stream, head } = await this.open({
      ':method': 'CONNECT', ':protocol': 'websocket', ':path': path, 'sec-websocket-version': '13', ...headers,
    });
    return { socket: head[':status'] === 200 ? new Socket(stream) : null, stream, head };
  }
}

class Socket extends EventEmitter {
  #stream;
  #unread = Buffer.alloc(0);

  constructor(stream) {
    super();
    this.#stream = stream;
    stream.on('data', (data) => this.#read(data));
  }

  send(value) {
    this.#stream.write(frame(TEXT, Buffer.from(JSON.stringify(value))));
  }

  close(code) {
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code);
    this.#stream.end(frame(CLOSE, payload));
  }

  #read(data) {
    this.#unread = Buffer.concat([this.#unread, data]);
    for (;;) {
      const unread = this.#unread;
      if (unread.length < 2) return;
      let [size, start] = [unread[1], 2];
      if (size === 126) [size, start] = unread.length < 4 ? [Infinity, 4] : [unread.readUInt16BE(2), 4];
      if (unread.length < start + size) return;
      const payload = unread.subarray(start, start + size);
      this.#unread = unread.subarray(start + size);
      if ((unread[0] & 15) === CLOSE) {
        if (!this.#stream.writableEnded) this.close(payload.readUInt16BE(0));
        this.emit('close', payload.readUInt16BE(0), payload.subarray(2).toString());
      } else {
        for (const line of payload.toString().split('\n')) this.emit('message', JSON.parse(line));
      }
    }
  }
}

function frame(opcode, payload) {
  if (payload.length > 125) throw new Error('these tests send short frames only');
  const mask = randomBytes(4);
  const masked = payload.map((byte, index) => byte ^ mask[index % 4]);
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length]), mask, masked]);
}
