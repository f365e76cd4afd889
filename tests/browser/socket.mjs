// Opens WebSockets from a page, and sends requests from a page of another origin of the same site. The one argument is
// a JSON object: `url` and `elsewhere` of one service, its `token` and an `expired` one, and `folder` for screenshots.
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { launch } from './chromium.mjs';

const { url, elsewhere, token, expired, folder } = JSON.parse(process.argv[2]);
const { context, close } = await launch();

// What a page gets of a socket: the chosen subprotocol and the first message, or nothing.
const open = (page, protocols) =>
  page.evaluate(
    ([address, protocols]) =>
      new Promise((resolve) => {
        const socket = new WebSocket(address, protocols);
        socket.onmessage = ({ data }) => resolve({ protocol: socket.protocol, data });
        socket.onclose = () => resolve(null);
      }),
    [`${url.replace('http', 'ws')}/socket`, protocols],
  );

const order = (page) =>
  page.evaluate(
    (target) => fetch(target, { method: 'POST', mode: 'no-cors', credentials: 'include' }).then(() => 'sent', String),
    `${url}/orders`,
  );

try {
  const page = await context.newPage();
  await page.goto(url);
  const opened = { protocol: 'chat', data: 'user-1 ["chat"]' };
  assert.deepEqual(await open(page, ['chat', `bearer.${token}`]), opened);
  assert.deepEqual(await open(page, [`bearer.${token}`, 'chat']), opened);
  // A browser closes a socket whose server chose none of its subprotocols, and a token is none.
  assert.equal(await open(page, [`bearer.${token}`]), null);
  assert.equal(await open(page, ['chat', `bearer.${expired}`]), null);
  assert.equal(await open(page, ['chat']), null);
  await page.screenshot({ path: join(folder, 'socket.png') });

  // The same token in a cookie, which another origin of the same site sends along.
  await page.goto(`${url}/sign-in`);
  assert.deepEqual(await open(page, ['chat']), opened);
  assert.equal(await order(page), 'sent');
  const foreign = await context.newPage();
  await foreign.goto(elsewhere);
  assert.equal(await open(foreign, ['chat']), null);
  assert.equal(await order(foreign), 'sent');
  assert.deepEqual(await open(foreign, ['chat', `bearer.${token}`]), opened);
  console.log('ok');
} finally {
  await close();
}
