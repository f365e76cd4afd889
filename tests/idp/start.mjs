// Starts oidc-provider on a free loopback port and prints its issuer on one line when it is ready.
// Tokens for the resource below are JWTs, or opaque with `?format=opaque`; tokens for no resource are opaque. A visitor who comes to sign
// in is user-1, without a page. Arguments are a JSON object: `lifetime` of access tokens in seconds,
// `origin` of the site whose clients sign in, `publicKey` (JWK) of the client that signs assertions, `apis` that are
// resources of their own, each its own audience, and for services without a secret: `jwksUri` of `service-keys`,
// `platformKey` (JWK) of `service-file`, and `tls` with certificate, key and the client's authority, in PEM, for
// `service-certificate`, whose token endpoint is then on an https port of its own.
//
// Beside the provider's own: GET /test/counts, POST /test/fault?mode=500|429|html|stall|slow|late|none for the
// token endpoint.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';

import Provider, { errors } from 'oidc-provider';

import { Adapter, counts } from './adapter.mjs';

const RESOURCE = 'https://api.example.com';
const options = { lifetime: 300, origin: 'http://127.0.0.1', apis: [], ...JSON.parse(process.argv[2] ?? '{}') };

function signingKey(kid, type, settings, alg) {
  const { privateKey } = generateKeyPairSync(type, settings);
  return { ...privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
}

function browserClient(client_id, authentication) {
  return {
    client_id,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    redirect_uris: [`${options.origin}/oauth/openid/callback`],
    post_logout_redirect_uris: [`${options.origin}/`],
    ...authentication,
  };
}

const clients = [
  {
    client_id: 'service',
    client_secret: 'service-secret',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
  },
  // Those that introspect tokens.
  ...['api', 'api-signed'].map((client_id) => ({
    client_id,
    client_secret: 'api-secret',
    grant_types: [],
    redirect_uris: [],
    response_types: [],
    ...(client_id === 'api-signed' && { introspection_signed_response_alg: 'ES256' }),
  })),
  browserClient('web', { client_secret: 'web-secret' }),
  browserClient('web-post', {
    client_secret: 'web-secret',
    token_endpoint_auth_method: 'client_secret_post',
  }),
  browserClient('web-public', { token_endpoint_auth_method: 'none' }),
];
if (options.publicKey) {
  clients.push(
    browserClient('web-assertion', {
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      jwks: { keys: [options.publicKey] },
    }),
  );
}

function service(client_id, authentication) {
  return {
    client_id,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    ...authentication,
  };
}
const signing = { token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256' };
if (options.jwksUri) clients.push(service('service-keys', { ...signing, jwks_uri: options.jwksUri }));
if (options.platformKey) {
  clients.push(service('service-file', { ...signing, jwks: { keys: [options.platformKey] } }));
}
if (options.tls) {
  clients.push(
    service('service-certificate', {
      token_endpoint_auth_method: 'tls_client_auth',
      tls_client_auth_san_dns: 'orders',
    }),
  );
}
const peer = (context) => context.socket.getPeerX509Certificate?.();
const mTLS = {
  enabled: options.tls !== undefined,
  tlsClientAuth: true,
  getCertificate: peer,
  certificateAuthorized: (context) => context.socket.authorized === true,
  certificateSubjectMatches: (context, _property, expected) => peer(context).subjectAltName === `DNS:${expected}`,
};

let fault = 'none';

let secure;
if (options.tls) {
  const { certificate: cert, key, authority: ca } = options.tls;
  secure = createSecureServer({ cert, key, ca, requestCert: true, rejectUnauthorized: false });
  await new Promise((listening) => secure.listen(0, '127.0.0.1', listening));
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    adapter: Adapter,
    clients,
    claims: { openid: ['sub'], profile: ['name'], email: ['email'] },
    clockTolerance: 0,
    conformIdTokenClaims: false,
    ...(secure && {
      clientAuthMethods: ['client_secret_basic', 'tls_client_auth'],
      discovery: {
        mtls_endpoint_aliases: { token_endpoint: `https://localhost:${secure.address().port}/token` },
      },
    }),
    // Its own does not connect to loopback addresses, where the tests publish keys.
    fetch: (url, { dispatcher: _, ...settings }) => globalThis.fetch(url, settings),
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: `The certified ${id}`, email: `${id}@example.com` }),
    }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: (_context, client) => client.clientId.startsWith('api') },
      jwtIntrospection: { enabled: true },
      mTLS,
      revocation: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        // No question is asked: the page sends itself.
        logoutSource(context, form) {
          context.body = `<!DOCTYPE html><body onload="document.forms[0].submit()">${form.replace(
            '</form>',
            '<input type="hidden" name="logout" value="yes"></form>',
          )}</body>`;
        },
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo(_context, resource) {
          const isApi = options.apis.includes(resource);
          if (!isApi && !resource.startsWith(RESOURCE)) {
            throw new errors.InvalidTarget();
          }
          const algorithm = new URL(resource).searchParams.get('alg') ?? 'RS256';
          return {
            accessTokenFormat: new URL(resource).searchParams.get('format') ?? 'jwt',
            accessTokenTTL: options.lifetime,
            audience: isApi ? resource : RESOURCE,
            jwt: { sign: { alg: algorithm } },
            scope: 'read:messages write:messages',
          };
        },
      },
    },
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: async () => true,
    jwks: {
      keys: [
        signingKey('rsa', 'rsa', { modulusLength: 2048 }, 'RS256'),
        signingKey('ec', 'ec', { namedCurve: 'P-256' }, 'ES256'),
        signingKey('ed', 'ed25519', {}, 'EdDSA'),
      ],
    },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    scopes: ['openid', 'offline_access', 'profile', 'email'],
    ttl: {
      AccessToken: options.lifetime,
      ClientCredentials: 300,
      Grant: 3600,
      IdToken: 300,
      Interaction: 600,
      RefreshToken: 3600,
      Session: 3600,
    },
  });
  provider.on('grant.success', ({ oidc }) => {
    const { AccessToken: token, RotatedRefreshToken: spent } = oidc.entities;
    if (spent) counts.audiences[token.aud] = (counts.audiences[token.aud] ?? 0) + 1;
  });
  provider.on('server_error', (_context, error) => console.error(error));
  const serve = provider.callback();
  secure?.on('request', serve);

  // Each authorization gets a grant of its own: else reuse in one sign-in ends all of them.
  async function interact(request, response) {
    const { params } = await provider.interactionDetails(request, response);
    const grant = new provider.Grant({ accountId: 'user-1', clientId: params.client_id });
    grant.addOIDCScope('openid offline_access profile email');
    for (const resource of [params.resource ?? []].flat()) {
      grant.addResourceScope(resource, 'read:messages write:messages');
    }
    const grantId = await grant.save();
    const result = { login: { accountId: 'user-1' }, consent: { grantId } };
    await provider.interactionFinished(request, response, result);
  }

  function ail(response) {
    switch (fault) {
      case 'stall':
        return;
      case 'html':
        response.writeHead(403, { 'content-type': 'text/html' }).end('<h1>blocked</h1>');
        return;
      default:
        response.writeHead(Number(fault), { 'retry-after': '1' }).end();
    }
  }

  server.on('request', (request, response) => {
    const url = new URL(request.url, issuer);
    if (url.pathname === '/test/counts') {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(counts));
    } else if (url.pathname === '/test/fault') {
      fault = url.searchParams.get('mode');
      response.end();
    } else if (url.pathname.startsWith('/interaction/')) {
      interact(request, response).catch((error) => {
        console.error(error);
        response.writeHead(500).end();
      });
    } else if (url.pathname === '/token' && fault === 'slow') {
      setTimeout(() => serve(request, response), 500);
    } else if (url.pathname === '/token' && fault === 'late') {
      // Does what is asked at once, and says so later.
      const end = response.end.bind(response);
      response.end = (...rest) => setTimeout(() => end(...rest), 1000);
      serve(request, response);
    } else if (url.pathname === '/token' && fault !== 'none') {
      ail(response);
    } else {
      serve(request, response);
    }
  });
  console.log(`ready ${issuer}`);
});
