// The two builds of the published client, behind one way to make clients and to write and read payloads.

import { Centrifuge as JsonClient } from 'centrifuge';
import { Centrifuge as ProtobufClient } from 'centrifuge/build/protobuf';
import WebSocket from 'ws';

const COMMON = { websocket: WebSocket, minReconnectDelay: 50, maxReconnectDelay: 200, timeout: 5000 };

// Offering no compression keeps frames readable; the test of compression makes clients of its own.
class PlainSocket extends WebSocket {
  constructor(address, protocols) {
    super(address, protocols, { perMessageDeflate: false });
  }
}

export const json = {
  name: 'JSON',
  query: '',
  client: (url, options = {}) => new JsonClient(url, { ...COMMON, websocket: PlainSocket, ...options }),
  write: (value) => value,
  read: (payload) => payload,
};

export const protobuf = {
  name: 'Protobuf',
  query: '?cf_protocol=protobuf',
  client: (url, options = {}) => new ProtobufClient(url, { ...COMMON, websocket: PlainSocket, ...options }),
  write: (value) => new TextEncoder().encode(JSON.stringify(value)),
  read: (payload) => JSON.parse(new TextDecoder().decode(payload)),
};

export const protocols = [json, protobuf];
