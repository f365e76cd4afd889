//! The checks that several plans share.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tower_oidc::login::LoginBuilder;
use tower_oidc::testing::{Browser, Endpoint, Fault, SigningKey, TokenBuilder};
use tower_oidc::{Algorithm, LoginErrorKind, VerifyErrorKind};

use crate::browsing::{location, query};
use crate::site::{CLIENT, Mode, ResponseMode, START, Site};

pub(crate) type Edit = fn(TokenBuilder) -> TokenBuilder;

async fn site(mode: Mode, responses: ResponseMode) -> Site {
    Site::start_with(mode, responses, |login| login).await
}

/// A claim of a token that is not built yet.
pub(crate) fn claim(token: &TokenBuilder, name: &str) -> String {
    let claims: Value = serde_json::from_str(&token.claims_json()).unwrap();
    claims[name].as_str().unwrap().to_owned()
}

/// A claim with something behind it.
pub(crate) fn lengthened(token: TokenBuilder, name: &str) -> TokenBuilder {
    let longer = format!("{}1", claim(&token, name));
    token.claim(name, longer)
}

/// With a signature that the header denies.
pub(crate) fn signed_by_none(token: TokenBuilder) -> TokenBuilder {
    token.header("alg", "none").without_header("kid")
}

/// Without a signature.
pub(crate) fn unsigned(token: TokenBuilder) -> TokenBuilder {
    signed_by_none(token).signature(|_| Vec::new())
}

/// With one bit of the signature flipped.
pub(crate) fn badly_signed(token: TokenBuilder) -> TokenBuilder {
    token.signature(|mut signature| {
        signature[20] ^= 1;
        signature
    })
}

/// A sign-in fails whose ID token is changed in this way, and succeeds without the change.
pub(crate) async fn refuses(responses: ResponseMode, cause: VerifyErrorKind, edit: Edit) {
    for mode in Mode::BOTH {
        let site = site(mode, responses).await;
        site.idp.edit_id_token(edit);
        site.refuses_id_token(cause).await;
        site.idp.edit_id_token(|token| token);
        site.accepts().await;
    }
}

pub(crate) async fn an_unsigned_id_token(responses: ResponseMode) {
    refuses(responses, VerifyErrorKind::NotAJwt, unsigned).await;
    refuses(responses, VerifyErrorKind::Algorithm, signed_by_none).await;
}

pub(crate) async fn a_sign_in(responses: ResponseMode) {
    for mode in Mode::BOTH {
        let site = site(mode, responses).await;
        let mut browser = Browser::new();
        let answer = site.visit(&mut browser, START).await;
        let asked = query(location(&answer));
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["client_id"], CLIENT);
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"));
        let is_posted = asked.get("response_mode").is_some_and(|m| m == "form_post");
        assert_eq!(is_posted, responses == ResponseMode::FormPost);
        let shown = site.accepts().await;
        assert_eq!(shown["sub"], "user-1");
        assert_eq!(shown["iss"], site.idp.issuer());
        assert_eq!(shown["claims"]["aud"], CLIENT);
        assert_eq!(shown["userinfo"]["sub"], "user-1");
        let hits = site.idp.hits();
        assert_eq!((hits.token, hits.userinfo), (1, 1));
    }
}

pub(crate) async fn a_secret_in_the_header(responses: ResponseMode) {
    for mode in Mode::BOTH {
        let site = site(mode, responses).await;
        site.accepts().await;
        // The provider knows the client by its secret, and the form has none.
        let forms = site.idp.seen(Endpoint::Token);
        let names: Vec<_> = forms[0].iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(forms.len(), 1);
        assert!(names.contains(&"code"), "{names:?}");
        for secret in ["client_secret", "client_assertion"] {
            assert!(!names.contains(&secret), "{names:?}");
        }
    }
}

pub(crate) async fn an_id_token_by_rs256(responses: ResponseMode) {
    for mode in Mode::BOTH {
        let site = site(mode, responses).await;
        let key = site.idp.signing_key(Algorithm::Rs256);
        site.idp
            .edit_id_token(move |token| token.signed_by(key.clone()).claim("by", "RS256"));
        assert_eq!(site.accepts().await["claims"]["by"], "RS256");
    }
}

/// Tokens that name no key, where the provider publishes these keys beside the one that signs.
pub(crate) async fn keys_without_names(responses: ResponseMode, others: usize) {
    for mode in Mode::BOTH {
        let site = site(mode, responses).await;
        let key = site.idp.signing_key(Algorithm::Rs256);
        let other = || SigningKey::generate("other", Algorithm::Rs256);
        let keys = (0..others).map(|_| other().public_jwk());
        let keys: Vec<_> = keys
            .chain([key.public_jwk()])
            .map(|jwk| nameless(&jwk))
            .collect();
        site.idp.set_jwks(json!({ "keys": keys }).to_string());
        site.idp.edit_id_token(|token| token.without_header("kid"));
        site.idp
            .edit_access_token(|token| token.without_header("kid"));
        site.accepts().await;
        // The key of somebody else stays that.
        let stranger = std::sync::Arc::new(other());
        site.idp.edit_id_token(move |token| {
            let token = token.signed_by(stranger.clone());
            token.without_header("kid")
        });
        let mut browser = Browser::new();
        site.try_sign_in(&mut browser).await;
        let (kind, _) = site.failure().unwrap();
        assert_eq!(kind, LoginErrorKind::IdTokenRefused);
        site.has_no_session(&mut browser).await;
    }
}

fn nameless(jwk: &str) -> Value {
    let mut jwk: Value = serde_json::from_str(jwk).unwrap();
    jwk.as_object_mut().unwrap().remove("kid");
    jwk
}

/// UserInfo is about another user, or is a JWT, which the client did not ask for.
pub(crate) async fn unusable_userinfo(responses: ResponseMode) {
    for mode in Mode::BOTH {
        let site = site(mode, responses).await;
        let other = json!({"sub": "user-11", "email": "user-1@example.com"}).to_string();
        let jwt = site.idp.token(CLIENT).subject("user-1").build();
        let answers = [Fault::json(other), Fault::document("application/jwt", jwt)];
        for (answer, asked) in answers.into_iter().zip(1..) {
            site.idp.set_fault(Endpoint::UserInfo, answer);
            let mut browser = Browser::new();
            let answer = site.try_sign_in(&mut browser).await;
            let kind = LoginErrorKind::UserInfoRefused;
            assert_eq!(site.failure(), Some((kind, None)));
            assert_eq!(answer.status(), kind.status());
            assert_eq!(site.idp.hits().userinfo, asked);
            site.has_no_session(&mut browser).await;
        }
    }
}

pub(crate) async fn claims_by_scope(responses: ResponseMode) {
    for mode in Mode::BOTH {
        let choose = |login: LoginBuilder| match mode {
            Mode::Token => login.with_scope("openid email address offline_access"),
            Mode::Identity => login.with_scope("openid email address"),
        };
        let site = Site::start_with(mode, responses, choose).await;
        let told = json!({
            "sub": "user-1",
            "email": "ada@example.com",
            "address": {"country": "GB"},
        });
        site.idp
            .set_fault(Endpoint::UserInfo, Fault::json(told.to_string()));
        assert_eq!(site.accepts().await["userinfo"], told);
        let asked = site.idp.seen(Endpoint::Authorization).remove(0);
        let scope = asked.iter().find(|(name, _)| name == "scope");
        let scope: Vec<_> = scope.unwrap().1.split(' ').collect();
        assert!(scope.contains(&"email") && scope.contains(&"address"));
    }
}

/// The base64url text of a part of a token.
pub(crate) fn part(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}
