// The official client of the specification, which knows the address of the server alone. It prints each request for
// authorization, and what the tools answer.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';

const server = new URL(process.argv[2]);
const REDIRECT = 'http://127.0.0.1/callback';
let tokens, verifier, code;

const auth = {
  redirectUrl: REDIRECT,
  clientMetadata: { redirect_uris: [REDIRECT], token_endpoint_auth_method: 'none' },
  clientInformation: () => ({ client_id: 'development-public' }),
  tokens: () => tokens,
  saveTokens: (saved) => { tokens = saved; },
  codeVerifier: () => verifier,
  saveCodeVerifier: (saved) => { verifier = saved; },
  // What the browser of a user does.
  redirectToAuthorization: async (url) => {
    const asked = url.searchParams;
    console.log(`authorize scope=${asked.get('scope')} resource=${asked.get('resource')} pkce=${asked.get('code_challenge_method')}`);
    const answer = await fetch(url, { redirect: 'manual' });
    code = new URL(answer.headers.get('location')).searchParams.get('code');
  },
};

async function authorized(act) {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    await transport.finishAuth(code);
    return act();
  }
}

let transport, client;
async function connect() {
  transport = new StreamableHTTPClientTransport(server, { authProvider: auth });
  client = new Client({ name: 'test', version: '1' });
  await client.connect(transport);
}
await authorized(connect);
const text = (result) => result.content.map((part) => part.text).join('');
console.log(`list_notes ${text(await client.callTool({ name: 'list_notes' }))}`);
const add = () => client.callTool({ name: 'add_note', arguments: { text: 'buy pears' } });
console.log(`add_note ${text(await authorized(add))}`);
console.log(`list_notes ${text(await client.callTool({ name: 'list_notes' }))}`);
await client.close();
