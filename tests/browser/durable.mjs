// Signs in at the `web` example in a first run, and is still signed in in a second one, with the cookies of the first.
// The one argument is a JSON object: `url`, `folder` for screenshots, `cookies` a file that keeps them in between.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { launch } from './chromium.mjs';

const { url, folder, cookies } = JSON.parse(process.argv[2]);
const { context, close } = await launch();

try {
  const isFirst = !existsSync(cookies);
  const page = await context.newPage();
  if (isFirst) {
    await page.goto(url);
    assert.equal(await page.locator('h1').innerText(), 'Welcome');
    await page.locator('a.button').click();
    await page.getByText('I am user-1').click();
    await page.waitForURL(`${url}/`);
    writeFileSync(cookies, JSON.stringify(await context.cookies(url)));
  } else {
    await context.addCookies(JSON.parse(readFileSync(cookies, 'utf8')));
    await page.goto(url);
  }
  assert.match(await page.locator('h1').innerText(), /^Hello, /);
  assert.equal(await page.locator('#sub').innerText(), 'user-1');
  await page.screenshot({ path: join(folder, isFirst ? 'signed-in.png' : 'after-the-restart.png') });
  console.log('ok');
} finally {
  await close();
}
