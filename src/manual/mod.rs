//! The manual.
//!
//! A page for each shape of service, complete and short:
//! [an API](api), [a site](site), [a gateway](gateway), [a service that calls others](service_to_service),
//! [gRPC](grpc), [plain hyper](hyper), [an MCP server](mcp).
//!
//! | to | read |
//! |---|---|
//! | know what issuer, audience, scope and the other words mean | [`words`] |
//! | set up a provider, and know which claim is which | [`providers`] |
//! | have a program look for what is wrong | [`doctor`] |
//! | find out what is wrong, by what one sees | [`symptoms`] |
//! | say who may do what | [`policies`] |
//! | call other services | [`outbound`] |
//! | put a proxy in front | [`proxies`] |
//! | choose a store, or write one | [`stores`] |
//! | watch it: metrics, traces, the audit trail, the log | [`observability`] |
//! | run several replicas, and know what failures look like | [`replicas`] |
//! | take tokens from elsewhere than the `Authorization` field | [`token_places`] |
//! | come from another library or proxy | [`moving`] |
//! | keep a client of the `openidconnect` crate | [`openidconnect`] |
//! | know what is decided when, and which answer means what | [`decisions`] |
//! | know what is defended, and what is not | [`threat_model`] |
//! | know every default, and why it is so | [`defaults`] |
//! | know every setting of the environment | [`mod@crate::env`] |
//! | test a service of your own | [`crate::testing`] |

#[doc = include_str!("words.md")]
pub mod words {}

#[doc = include_str!("api.md")]
pub mod api {}

#[doc = include_str!("site.md")]
pub mod site {}

#[doc = include_str!("gateway.md")]
pub mod gateway {}

#[doc = include_str!("service_to_service.md")]
pub mod service_to_service {}

#[doc = include_str!("grpc.md")]
pub mod grpc {}

#[doc = include_str!("hyper.md")]
pub mod hyper {}

#[doc = include_str!("mcp.md")]
pub mod mcp {}

#[doc = include_str!("providers.md")]
pub mod providers {}

#[doc = include_str!("policies.md")]
pub mod policies {}

#[doc = include_str!("outbound.md")]
pub mod outbound {}

#[doc = include_str!("proxies.md")]
pub mod proxies {}

#[doc = include_str!("stores.md")]
pub mod stores {}

#[doc = include_str!("observability.md")]
pub mod observability {}

#[doc = include_str!("doctor.md")]
pub mod doctor {}

#[doc = include_str!("../../docs/operations.md")]
pub mod replicas {}

#[doc = include_str!("../../docs/token-places.md")]
pub mod token_places {}

#[doc = include_str!("symptoms.md")]
pub mod symptoms {}

#[doc = include_str!("decisions.md")]
pub mod decisions {}

#[doc = include_str!("moving.md")]
pub mod moving {}

#[doc = include_str!("threat_model.md")]
pub mod threat_model {}

#[doc = include_str!("defaults.md")]
pub mod defaults {}

#[cfg(feature = "openidconnect")]
#[cfg_attr(feature = "axum", doc = include_str!("../../docs/openidconnect.md"))]
#[cfg_attr(
    not(feature = "axum"),
    doc = "Moving from openidconnect: `docs/openidconnect.md` of the repository."
)]
pub mod openidconnect {}
