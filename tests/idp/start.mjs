// Starts oidc-provider on a free loopback port and prints its issuer on one line when it is ready.
// Tokens for the resource below are JWTs; tokens for no resource are opaque.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';

import Provider, { errors } from 'oidc-provider';

const RESOURCE = 'https://api.example.com';

function signingKey(kid, type, options, alg) {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
}

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'service',
        client_secret: 'service-secret',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
    ],
    clockTolerance: 0,
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo(_context, resource) {
          if (!resource.startsWith(RESOURCE)) {
            throw new errors.InvalidTarget();
          }
          const algorithm = new URL(resource).searchParams.get('alg') ?? 'RS256';
          return {
            accessTokenFormat: 'jwt',
            accessTokenTTL: 300,
            audience: RESOURCE,
            jwt: { sign: { alg: algorithm } },
            scope: 'read:messages write:messages',
          };
        },
      },
    },
    jwks: {
      keys: [
        signingKey('rsa', 'rsa', { modulusLength: 2048 }, 'RS256'),
        signingKey('ec', 'ec', { namedCurve: 'P-256' }, 'ES256'),
        signingKey('ed', 'ed25519', {}, 'EdDSA'),
      ],
    },
    ttl: { ClientCredentials: 300 },
  });
  server.on('request', provider.callback());
  console.log(`ready ${issuer}`);
});
