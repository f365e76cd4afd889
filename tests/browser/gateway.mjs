// Visits the `gateway` example as a person would, with its own provider and its own service behind. The
// one argument is a JSON object: `url`, and `folder` for screenshots.
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { launch } from './chromium.mjs';

const { url, folder } = JSON.parse(process.argv[2]);
const { context, close } = await launch();

try {
  const page = await context.newPage();
  const shot = (title) => page.screenshot({ path: join(folder, `${title}.png`) });
  // A visitor without a session signs in first, and then gets the page that was asked for.
  await page.goto(`${url}/upstream/me`);
  await page.getByText('I am user-1').click();
  await page.waitForURL(`${url}/upstream/me`);
  const me = JSON.parse(await page.locator('body').innerText());
  assert.equal(me.sub, 'user-1');
  await page.goto(url);
  assert.equal(await page.locator('h1').innerText(), 'Hello, user-1');
  await shot('signed-in');
  await page.getByText('/upstream/').click();
  await page.waitForURL(`${url}/upstream/`);
  assert.equal(JSON.parse(await page.locator('body').innerText()).sub, 'user-1');
  await page.goBack();

  // What reaches the service behind, of what a page can send.
  const names = await page.evaluate(async () => {
    document.cookie = 'mine=1';
    const headers = { 'x-forwarded-user': 'admin', authorization: 'Bearer mine' };
    const answer = await fetch('/upstream/headers', { headers });
    return answer.json();
  });
  assert.equal(names.authorization, '(a token)');
  assert.ok(!('cookie' in names) && !('x-forwarded-user' in names), JSON.stringify(names));

  // A socket, and a stream of events.
  const said = await page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/upstream/socket`);
        socket.onopen = () => socket.send('hello');
        socket.onmessage = ({ data }) => resolve(data);
        socket.onerror = () => reject(new Error('the socket failed'));
      }),
  );
  assert.equal(said, 'user-1: hello');
  const events = await page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const heard = [];
        const source = new EventSource('/upstream/events');
        source.onmessage = ({ data }) => heard.push(data) === 2 && (source.close(), resolve(heard));
        source.onerror = () => reject(new Error('the stream failed'));
      }),
  );
  assert.deepEqual(events, ['0 for user-1', '1 for user-1']);

  // The service behind is as close to the page as the gateway: another site is not.
  const foreign = await context.newPage();
  await foreign.goto('data:text/html,<p>elsewhere');
  const outcome = await foreign.evaluate(
    (target) =>
      new Promise((resolve) => {
        const socket = new WebSocket(target);
        socket.onopen = () => resolve('opened');
        socket.onerror = () => resolve('refused');
      }),
    `${url.replace('http', 'ws')}/upstream/socket`,
  );
  assert.equal(outcome, 'refused');
  await foreign.close();

  await page.getByText('Sign out').click();
  await page.waitForURL((now) => now.href.startsWith(`${url}/`) && !now.pathname.includes('logout'));
  await page.goto(url);
  assert.equal(await page.locator('h1').innerText(), 'Welcome');
  await shot('signed-out');
  const status = await page.evaluate(() => fetch('/upstream/me').then((answer) => answer.status));
  assert.equal(status, 401);
  console.log('ok');
} finally {
  await close();
}
