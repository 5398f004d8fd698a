// What the tests call in the page. What happens here is told to them by tell(), which the browser provides.

const CLIENT_EVENTS = ['connecting', 'connected', 'disconnected', 'error'];
const SUBSCRIPTION_EVENTS = ['subscribing', 'subscribed', 'unsubscribed', 'publication', 'error'];

let client;
const subscriptions = new Map();

/** What of an event can leave the page; Protobuf payloads are JSON text in bytes. */
function plain({ data, ...context }) {
  const decoded = data instanceof Uint8Array ? data.length && JSON.parse(new TextDecoder().decode(data)) : data;
  return JSON.parse(JSON.stringify({ ...context, data: decoded }));
}

/** Connects with the official client. `build` is json or protobuf, `transports` an address or a list. */
function connect(build, transports, options) {
  client = new clients[build](transports, { minReconnectDelay: 50, maxReconnectDelay: 200, ...options });
  for (const name of CLIENT_EVENTS) client.on(name, (context) => tell(name, plain(context)));
  client.connect();
}

function subscribe(channel) {
  const subscription = client.newSubscription(channel);
  for (const name of SUBSCRIPTION_EVENTS) subscription.on(name, (context) => tell(`sub:${name}`, plain(context)));
  subscriptions.set(channel, subscription);
  subscription.subscribe();
}

async function publish(build, channel, value) {
  const data = build === 'protobuf' ? new TextEncoder().encode(JSON.stringify(value)) : value;
  await subscriptions.get(channel).publish(data);
}

async function present(channel) {
  return Object.keys((await subscriptions.get(channel).presence()).clients).length;
}

/** Listens with the browser's own EventSource. */
function listen(address) {
  const source = new EventSource(address);
  source.onopen = () => tell('open', {});
  source.onmessage = (event) => tell('message', { data: JSON.parse(event.data) });
  source.onerror = () => tell('error', { closed: source.readyState === EventSource.CLOSED });
}

/** Listens with the browser's own WebSocket. */
function converse(address, first) {
  const socket = new WebSocket(address);
  socket.onopen = () => first && socket.send(JSON.stringify(first));
  socket.onmessage = (event) => {
    for (const line of event.data.split('\n')) tell('message', { data: JSON.parse(line) });
  };
  socket.onclose = ({ code, reason, wasClean }) => tell('close', { code, reason, wasClean });
}

/** Reads a streamed response line by line. */
async function stream(address, request) {
  let response;
  try {
    response = await fetch(address, { method: 'POST', body: JSON.stringify(request) });
  } catch (error) {
    tell('error', { reason: error.name });
    return;
  }
  tell('open', { status: response.status, type: response.headers.get('Content-Type') });
  const lines = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (let part = await lines.read(); !part.done; part = await lines.read()) {
    text += part.value;
    const whole = text.split('\n');
    text = whole.pop();
    for (const line of whole) tell('message', { data: JSON.parse(line) });
  }
  tell('end', {});
}

/** Makes one request, with a preflight before it if the type is not one of a form. */
async function request(address, type, body) {
  try {
    const response = await fetch(address, { method: 'POST', headers: { 'Content-Type': type }, body });
    return response.status;
  } catch (error) {
    return error.name;
  }
}
