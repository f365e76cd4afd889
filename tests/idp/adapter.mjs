// Where the provider keeps what it issued. Consuming is one step, so that of two who spend one
// refresh token the second is always found out; the provider's own memory adapter lets both win.
import { errors } from 'oidc-provider';

// `audiences` counts the refreshes that were answered, by the audience of their access tokens.
export const counts = { refreshes: 0, reuses: 0, audiences: {} };

const kept = new Map();
const byUid = new Map();
const byGrant = new Map();

export class Adapter {
  constructor(name) {
    this.name = name;
  }

  key(id) {
    return `${this.name}:${id}`;
  }

  async upsert(id, payload, expiresIn) {
    const key = this.key(id);
    kept.set(key, { payload, ends: expiresIn ? Date.now() + expiresIn * 1000 : Infinity });
    if (payload.uid) byUid.set(payload.uid, key);
    if (payload.grantId && this.name !== 'Grant' && this.name !== 'Session') {
      byGrant.set(payload.grantId, [...(byGrant.get(payload.grantId) ?? []), key]);
    }
  }

  at(key) {
    const entry = kept.get(key);
    return entry && entry.ends > Date.now() ? entry.payload : undefined;
  }

  async find(id) {
    return this.at(this.key(id));
  }

  async findByUid(uid) {
    return this.at(byUid.get(uid));
  }

  async findByUserCode() {
    return undefined;
  }

  async consume(id) {
    const payload = this.at(this.key(id));
    if (this.name === 'RefreshToken') {
      if (payload?.consumed) {
        counts.reuses += 1;
        await this.revokeByGrantId(payload.grantId);
        throw new errors.InvalidGrant('refresh token already used');
      }
      counts.refreshes += 1;
    }
    if (payload) payload.consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    const payload = this.at(this.key(id));
    // The provider destroys a consumed refresh token only when it comes again.
    if (this.name === 'RefreshToken' && payload?.consumed) counts.reuses += 1;
    kept.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const key of byGrant.get(grantId) ?? []) kept.delete(key);
    byGrant.delete(grantId);
  }
}
