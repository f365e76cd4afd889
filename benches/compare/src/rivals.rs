//! The same request through four crates, and without a layer.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use jwt_authorizer::{Authorizer, IntoLayer, JwtAuthorizer, RegisteredClaims, Validation};
use oauth_resource_server::http_layer::HttpAuthLayer;
use oauth_resource_server::{KeyNaming, OAuthConfig, OAuthValidator};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_oauth2_resource_server::claims::DefaultClaims;
use tower_oauth2_resource_server::server::OAuth2ResourceServer;
use tower_oauth2_resource_server::tenant::TenantConfiguration;
use tower_oidc::testing::DevelopmentProvider;
use tower_oidc::{BearerLayer, Verifier};

use crate::{AUDIENCE, Error, microseconds, middle, picture};

type Erased = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

fn inner() -> Erased {
    BoxCloneSyncService::new(service_fn(|_: Request<Body>| async {
        Ok(Response::new(Body::empty()))
    }))
}

fn request(token: &str) -> Request<Body> {
    Request::builder()
        .uri("/")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .expect("a request")
}

pub(crate) async fn compare() -> Result<(), Error> {
    const ROUNDS: usize = 2_000;
    let idp = DevelopmentProvider::start().await?;
    let provider = idp.provider()?;
    let ours = |verifier: Verifier| -> Erased {
        BoxCloneSyncService::new(BearerLayer::new(verifier).layer(inner()))
    };
    let uncached = Verifier::builder(&provider, AUDIENCE)
        .without_cache()
        .build()?;
    let services = [
        ("no layer", inner()),
        (
            "tower-oidc, seen before",
            ours(provider.verifier(AUDIENCE)?),
        ),
        ("tower-oidc, new", ours(uncached)),
        (
            "oauth-resource-server 0.4",
            oauth_resource_server(&idp).await?,
        ),
        ("jwt-authorizer 0.15", jwt_authorizer(&idp).await?),
        (
            "tower-oauth2-resource-server 0.12",
            tower_oauth2(&idp).await?,
        ),
    ];
    let good = idp.token(AUDIENCE).scope("read:messages").build();
    let expired = idp.token(AUDIENCE).expired().build();
    println!(
        "## Beside other crates\n\nRS256, a token of {} bytes, microseconds per request.\n",
        good.len()
    );
    println!("| | accepted | expired |\n|---|---|---|");
    let mut bars = Vec::new();
    for (name, mut service) in services {
        let is_bare = name == "no layer";
        let mut figures = Vec::new();
        for (token, expected) in [
            (&good, StatusCode::OK),
            (&expired, StatusCode::UNAUTHORIZED),
        ] {
            let mut once = async || {
                let service = service.ready().await.expect("ready");
                service
                    .call(request(token))
                    .await
                    .expect("an answer")
                    .status()
            };
            let status = once().await;
            if status != expected && !is_bare {
                return Err(format!("{name} answered {status}").into());
            }
            let time = middle(ROUNDS, async |_| {
                once().await;
            });
            figures.push(microseconds(time.await));
        }
        let expired = if is_bare {
            "–".to_owned()
        } else {
            format!("{:.2}", figures[1])
        };
        println!("| {name} | {:.2} | {expired} |", figures[0]);
        bars.push((name.to_owned(), figures[0]));
    }
    println!();
    picture::bars(
        "rivals",
        "Microseconds for an accepted request (RS256)",
        &bars,
    )
}

async fn oauth_resource_server(idp: &DevelopmentProvider) -> Result<Erased, Error> {
    let mut config = OAuthConfig::default();
    config.enabled = true;
    config.issuer = idp.issuer().to_owned();
    config.audience = AUDIENCE.to_owned();
    config.resource = AUDIENCE.to_owned();
    config.allow_unscoped_tokens = true;
    config.allow_insecure_http = true;
    let resolved = config
        .resolve(KeyNaming::Dotted("oauth"))
        .map_err(|error| format!("{error:?}"))?
        .ok_or("not enabled")?;
    let validator = Arc::new(OAuthValidator::new(&resolved)?);
    validator
        .refresh_now()
        .await
        .map_err(|error| format!("{error:?}"))?;
    let layer = HttpAuthLayer::builder()
        .oauth(validator)
        .build()
        .map_err(|error| format!("{error:?}"))?;
    Ok(BoxCloneSyncService::new(layer.layer(inner())))
}

async fn jwt_authorizer(idp: &DevelopmentProvider) -> Result<Erased, Error> {
    let validation = Validation::new()
        .iss(&[idp.issuer()])
        .aud(&[AUDIENCE])
        .nbf(true);
    let authorizer: Authorizer<RegisteredClaims> = JwtAuthorizer::from_jwks_url(&idp.jwks_url())
        .validation(validation)
        .build()
        .await
        .map_err(|error| format!("{error:?}"))?;
    // Its refusals are responses of axum 0.7.
    let inner = service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(axum07::body::Body::empty()))
    });
    let service = authorizer.into_layer().layer(inner);
    Ok(BoxCloneSyncService::new(service.map_response(|response| {
        response.map(|_: axum07::body::Body| Body::empty())
    })))
}

async fn tower_oauth2(idp: &DevelopmentProvider) -> Result<Erased, Error> {
    let tenant = TenantConfiguration::builder(idp.issuer())
        .audiences(&[AUDIENCE])
        .build()
        .await
        .map_err(|error| format!("{error:?}"))?;
    let server = OAuth2ResourceServer::<DefaultClaims>::builder()
        .add_tenant(tenant)
        .build()
        .await
        .map_err(|error| format!("{error:?}"))?;
    Ok(BoxCloneSyncService::new(server.into_layer().layer(inner())))
}
