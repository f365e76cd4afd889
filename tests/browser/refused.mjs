// Signs in to the `web` example as a user whom its settings do not let in, on a desktop and on a phone. The one
// argument is a JSON object: `url`, `folder` for screenshots, `text` that the visitor reads.
import assert from 'node:assert/strict';
import { join } from 'node:path';

import { launch } from './chromium.mjs';

const { url, folder, text } = JSON.parse(process.argv[2]);
const { context, close } = await launch();
const complaints = [];

try {
  const page = await context.newPage();
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (/Content Security Policy|Uncaught/.test(message.text())) complaints.push(message.text());
  });
  for (const [title, width, height] of [['desktop', 1280, 800], ['phone', 375, 667]]) {
    await page.setViewportSize({ width, height });
    await page.goto(url);
    assert.equal(await page.locator('h1').innerText(), 'Welcome');
    await page.locator('a.button').click();
    await page.getByText(text).waitFor();
    assert.equal(await page.locator('h1').innerText(), 'You may not sign in here');
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(overflow <= 0, `the page fits a ${title}`);
    await page.screenshot({ path: join(folder, `${title}.png`) });
    const names = (await context.cookies(url)).map((cookie) => cookie.name);
    assert.ok(!names.includes('session'), `no session: ${names}`);
  }
  // The way back in is a link, which leads to the same answer.
  await page.getByText('Sign in', { exact: true }).click();
  await page.getByText(text).waitFor();
  await page.goto(url);
  assert.equal(await page.locator('h1').innerText(), 'Welcome', 'still signed out');
  assert.deepEqual(complaints, []);
  console.log('ok');
} finally {
  await close();
}
