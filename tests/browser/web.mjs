// Visits the `web` example as a person would, and fails loudly at the first thing that is not as it
// should be. The one argument is a JSON object: `url`, `folder` for screenshots, `embedded` if the
// provider shows its page, `waits` if tokens are short-lived enough to watch one renew itself.
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { launch } from './chromium.mjs';

const { url, folder, embedded, waits } = JSON.parse(process.argv[2]);
const { context, close } = await launch();
const isSecure = url.startsWith('https:');
const name = isSecure ? '__Host-session' : 'session';
const complaints = [];

function listen(page) {
  page.on('console', (message) => {
    const text = message.text();
    if (message.type() === 'error' && /Content Security Policy|Uncaught/.test(text)) complaints.push(text);
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
}

const shot = (page, title) => page.screenshot({ path: join(folder, `${title}.png`) });
const heading = (page) => page.locator('h1').innerText();
const sessionCookie = async () => (await context.cookies(url)).find((cookie) => cookie.name === name);

async function signIn(page) {
  await page.goto(url);
  assert.equal(await heading(page), 'Welcome');
  await page.locator('a.button').click();
  if (embedded) await page.getByText('I am user-1').click();
  await page.waitForURL(`${url}/`);
  assert.match(await heading(page), /^Hello, /);
}

try {
  const page = await context.newPage();
  listen(page);
  await page.goto(url);
  await shot(page, 'signed-out');
  if (embedded) {
    await page.locator('a.button').click();
    await shot(page, 'provider');
  }
  await signIn(page);
  const cookie = await sessionCookie();
  assert.ok(cookie, `${name} is set`);
  assert.equal(cookie.httpOnly, true);
  assert.equal(cookie.secure, isSecure);
  assert.equal(cookie.sameSite, 'Lax');
  assert.equal(cookie.path, '/');
  assert.ok(!(await page.evaluate(() => document.cookie)).includes('session'), 'no script reads it');
  assert.equal(await page.locator('#sub').innerText(), 'user-1');

  if (waits) {
    // The page polls, two more tabs come at once, and the token renews itself under all of them.
    await page.waitForFunction(() => /once|[1-9] times/.test(document.querySelector('#renewals').textContent), null, {
      timeout: 30_000,
    });
    await page.waitForTimeout(5_500);
    const tabs = await Promise.all([context.newPage(), context.newPage()]);
    tabs.forEach(listen);
    await Promise.all(tabs.map((tab) => tab.goto(url)));
    for (const tab of tabs) assert.match(await heading(tab), /^Hello, /);
    await page.reload();
    assert.match(await heading(page), /^Hello, /);
    assert.equal((await sessionCookie()).value, cookie.value, 'the handle never changes');
    for (const tab of tabs) await tab.close();
  }
  await page.waitForTimeout(300);
  await shot(page, 'signed-in');

  // A page of another site cannot sign anybody out, nor act for them.
  const foreign = await context.newPage();
  await foreign.goto('data:text/html,<p>elsewhere');
  const status = await foreign.evaluate(
    (target) => fetch(target, { method: 'POST', mode: 'no-cors', credentials: 'include' }).then(() => 'sent', String),
    `${url}/oauth/openid/logout`,
  );
  assert.ok(status, 'it tried');
  await foreign.close();
  await page.reload();
  assert.match(await heading(page), /^Hello, /, 'still signed in');

  await page.getByText('Sign out', { exact: true }).click();
  await page.waitForURL((now) => now.href.startsWith(`${url}/`) && !now.pathname.includes('logout'), { timeout: 20_000 });
  assert.equal(await heading(page), 'Welcome');
  assert.equal(await sessionCookie(), undefined, 'the cookie is gone');

  await page.goto(`${url}/oauth/openid/callback?error=%3Cscript%3Ealert(1)%3C/script%3E&state=x`);
  assert.equal(await heading(page), 'Sign-in did not work');
  await shot(page, 'error');
  await page.getByText('Sign in', { exact: true }).click();
  if (embedded) await page.getByText('I am user-2').click();
  await page.waitForURL(`${url}/`);
  assert.match(await heading(page), /^Hello, /);
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.setViewportSize({ width: 360, height: 640 });
  await page.screenshot({ path: join(folder, 'signed-in-phone-dark.png'), fullPage: true });
  await page.getByText('Sign out everywhere').click();
  await page.waitForURL(`${url}/`);
  await page.getByText('You are not signed in').waitFor();
  assert.equal(await sessionCookie(), undefined, 'the cookie is gone');
  assert.deepEqual(complaints, []);
  console.log('ok');
} finally {
  await close();
}
