// A browser as far as a sign-in needs one: it follows redirects and keeps cookies. The fetch of Node marks its
// requests as those of a script, which are not sent to sign in.
import { get } from 'node:http';

export class Browser {
  cookies = new Map();

  async visit(address) {
    for (let hop = 0; hop < 20; hop += 1) {
      const answer = await this.ask(address);
      if (!answer.location) {
        return answer;
      }
      address = new URL(answer.location, address).href;
    }
    throw new Error(`${address} redirects without end`);
  }

  async ask(address) {
    const headers = { accept: 'text/html', cookie: this.cookie };
    const answer = await new Promise((resolve, reject) => {
      get(address, { headers }, resolve).on('error', reject);
    });
    answer.headers['set-cookie']?.forEach((field) => this.keep(field));
    const parts = await answer.toArray();
    return {
      status: answer.statusCode,
      location: answer.headers.location,
      text: Buffer.concat(parts).toString(),
    };
  }

  keep(field) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(field);
    const expires = /; *expires=([^;]+)/i.exec(field)?.[1];
    if (/; *max-age=0/i.test(field) || (expires && new Date(expires) < new Date())) {
      this.cookies.delete(name);
    } else {
      this.cookies.set(name, value);
    }
  }

  get cookie() {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }
}
