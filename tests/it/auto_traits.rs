//! Which types are `Send` and `Sync`, so that they stay so.

use tower_oidc::bearer::Bearer;
use tower_oidc::grpc::GrpcLayer;
use tower_oidc::login::{
    LiveToken, Login, LoginHosts, LoginOfHosts, LoginSite, SiteSource, SiteSourceBuilder,
};
use tower_oidc::outbound::{
    CallError, ClientCredentials, Destination, OnBehalfOf, Outbound, ReqwestClient, TokenExchange,
};
use tower_oidc::require::Require;
use tower_oidc::{
    BearerLayer, Client, ConfigError, HttpClient, IssuerSource, IssuerSourceBuilder, KeyRing,
    LoginError, LoginLayer, OutboundError, OutboundLayer, Policy, Principal, ProtectedResource,
    Provider, ProviderBuilder, ProviderError, Rejection, RequireLayer, Revocations,
    RevocationsFull, SameOrigin, Session, StreamExpiryLayer, TokenPlace, Verifier, VerifierBuilder,
    VerifyError,
};

use crate::support::Inner;

#[test]
fn everything_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Unpin + 'static>() {}
    fn cloned<T: Clone + std::fmt::Debug>() {}
    fn error<T: std::error::Error + Send + Sync + 'static>() {}
    shared::<Provider>();
    shared::<ProviderBuilder>();
    shared::<Verifier>();
    shared::<IssuerSource>();
    shared::<IssuerSourceBuilder>();
    cloned::<IssuerSource>();
    shared::<Revocations>();
    shared::<VerifierBuilder>();
    shared::<Principal>();
    shared::<Policy>();
    shared::<HttpClient>();
    shared::<ProtectedResource>();
    shared::<BearerLayer>();
    shared::<TokenPlace>();
    shared::<SameOrigin>();
    shared::<RequireLayer>();
    shared::<Bearer<Inner>>();
    shared::<Require<Inner>>();
    shared::<Rejection>();
    cloned::<Provider>();
    cloned::<Verifier>();
    cloned::<Revocations>();
    cloned::<Principal>();
    cloned::<Policy>();
    cloned::<Rejection>();
    cloned::<BearerLayer>();
    cloned::<TokenPlace>();
    cloned::<SameOrigin>();
    cloned::<RequireLayer>();
    error::<ConfigError>();
    error::<RevocationsFull>();
    error::<VerifyError>();
    error::<ProviderError>();
    shared::<Client>();
    shared::<KeyRing>();
    shared::<LoginLayer>();
    shared::<Login<Inner>>();
    shared::<LoginHosts>();
    shared::<LoginOfHosts<Inner>>();
    shared::<LoginSite>();
    shared::<SiteSource>();
    shared::<SiteSourceBuilder>();
    cloned::<LoginHosts>();
    cloned::<LoginOfHosts<Inner>>();
    cloned::<LoginSite>();
    cloned::<SiteSource>();
    shared::<Session>();
    shared::<LiveToken>();
    shared::<LoginError>();
    cloned::<Client>();
    cloned::<LoginLayer>();
    cloned::<Login<Inner>>();
    cloned::<Session>();
    cloned::<LiveToken>();
    cloned::<LoginError>();
    error::<LoginError>();
    shared::<OutboundLayer>();
    shared::<Outbound<Inner>>();
    shared::<ClientCredentials>();
    shared::<TokenExchange>();
    shared::<OnBehalfOf>();
    shared::<Destination>();
    cloned::<OutboundLayer>();
    cloned::<ClientCredentials>();
    cloned::<TokenExchange>();
    cloned::<OnBehalfOf>();
    cloned::<Destination>();
    error::<OutboundError>();
    shared::<ReqwestClient>();
    cloned::<ReqwestClient>();
    error::<CallError>();
    shared::<GrpcLayer>();
    shared::<StreamExpiryLayer>();
    cloned::<GrpcLayer>();
    cloned::<StreamExpiryLayer>();
}

#[test]
fn verifying_can_be_spawned() {
    fn sendable<T: Send>(_: &T) {}
    let verifier = Provider::discover("https://id.example")
        .unwrap()
        .verifier("a")
        .unwrap();
    sendable(&verifier.verify("x"));
    let provider = Provider::discover("https://id.example").unwrap();
    sendable(&provider.ready());
    let client = OutboundLayer::relay("https://orders.internal").unwrap();
    let client = client.client().unwrap();
    sendable(&client.get("https://orders.internal/").send());
}
