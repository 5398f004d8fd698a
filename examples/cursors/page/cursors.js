// Everybody's mouse cursor on one board. Each cursor is a key of a map channel, which the server names after the connection.

const SEND_EVERY_MS = 50;

const board = document.getElementById('board');
const state = document.getElementById('state');
const name = new URLSearchParams(location.search).get('name') ?? `guest ${Math.ceil(Math.random() * 999)}`;

const client = new Centrifuge(`${location.protocol.replace('http', 'ws')}//${location.host}/connection/websocket`);
const cursors = client.newMapSubscription('cursors:board');
let me = '';
client.on('connected', (context) => (me = context.client));

// -- the cursors of others: first all that are there, then every change

const shown = new Map(); // key -> element

cursors.on('sync', ({ entries }) => {
  for (const key of shown.keys()) hide(key);
  entries.forEach(show);
});
cursors.on('update', (entry) => (entry.removed ? hide(entry.key) : show(entry)));

function show({ key, data }) {
  if (key === me) return;
  if (!shown.has(key)) {
    const cursor = document.createElement('div');
    cursor.className = 'cursor';
    board.append(cursor);
    shown.set(key, cursor);
  }
  const cursor = shown.get(key);
  cursor.textContent = data.name; // what others sent is text, never HTML
  cursor.style.left = `${data.x * 100}%`;
  cursor.style.top = `${data.y * 100}%`;
}

function hide(key) {
  shown.get(key)?.remove();
  shown.delete(key);
}

// -- one's own: the last place, at most every 50 ms; gone when the mouse leaves the board or the page is closed

let place = null;
let timer = null;

board.addEventListener('pointermove', ({ clientX, clientY }) => {
  const { left, top, width, height } = board.getBoundingClientRect();
  place = { x: (clientX - left) / width, y: (clientY - top) / height };
  timer ??= setTimeout(send, SEND_EVERY_MS);
});

board.addEventListener('pointerleave', () => {
  place = null;
  timer ??= setTimeout(send, SEND_EVERY_MS);
});

function send() {
  timer = null;
  // Whatever key is given, the server takes the connection's id.
  const sent = place ? cursors.publish(me, { ...place, name }) : cursors.remove(me);
  sent.catch(() => {}); // not connected: the next movement is sent again
}

cursors.on('subscribed', () => (state.textContent = `You are ${name}.`));
cursors.on('subscribing', () => (state.textContent = 'connecting'));
cursors.on('unsubscribed', ({ code, reason }) => (state.textContent = `not on the board: ${reason} (${code})`));
cursors.subscribe();
client.connect();
