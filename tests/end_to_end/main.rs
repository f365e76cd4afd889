//! The examples as programs, against foreign ones: a certified provider, a browser, a proxy, Redis,
//! PostgreSQL. They need Node with `npm install` in `tests/idp`, `tests/browser` and `tests/mcp`, Chromium, Caddy, nginx,
//! HAProxy, glewlwyd, redis-server, postgresql, pgbouncer and promtool: the full test run brings them.
// The programs are stopped by signals.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alerts;
mod api;
mod calls;
mod chromium;
mod doctor;
mod durable;
mod forward_auth;
mod gateway;
mod glewlwyd;
mod haproxy;
mod hyper;
mod identity;
mod introspection;
mod mcp;
mod mcp_official;
mod nginx;
#[cfg(feature = "openidconnect")]
mod openidconnect;
mod postgres;
mod programs;
mod redis;
mod secretless;
mod sqlite;
mod stores;
mod token_places;
mod web;
