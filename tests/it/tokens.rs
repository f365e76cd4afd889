//! `docs/rules.md` §2 to §4: which tokens are accepted, and why others are not.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tower_oidc::testing::SigningKey;
use tower_oidc::{Algorithm, Principal, Provider, TokenProfile, VerifyErrorKind};

use crate::support::{API, Api, judging, judging_as, seconds, verdict};

#[tokio::test]
async fn every_default_algorithm_is_accepted() {
    let api = Api::start().await;
    for algorithm in Algorithm::DEFAULT {
        let token = api.idp.token_by(algorithm, API).build();
        assert_eq!(api.verdict(token).await, "accepted", "{algorithm}");
    }
}

// JS-01, JS-02, JS-03, JS-04
#[tokio::test]
async fn a_token_that_is_malformed_is_refused() {
    let api = Api::start().await;
    let good = api.token().build();
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("three segments");
    };
    let cases = [
        (good.clone(), "accepted"),
        (format!("{header}.{claims}"), "opaque"),
        (format!("{header}.{claims}."), "not_a_jwt"),
        (format!(".{claims}.{signature}"), "opaque"),
        (format!("{header}..{signature}"), "not_a_jwt"),
        (format!("{good}.{signature}"), "opaque"),
        (format!("{good}."), "opaque"),
        (format!("{good}="), "not_a_jwt"),
        (format!("{header}=.{claims}.{signature}"), "malformed"),
        (
            format!("{header}.{claims}.{}", signature.replace(['-', '_'], "+")),
            "not_a_jwt",
        ),
        (format!("{header}.{claims}.{signature}A"), "bad_signature"),
        (format!("{{\"payload\":\"{claims}\"}}"), "malformed"),
        (api.idp.opaque_token(), "opaque"),
        (api.idp.encrypted_token(), "encrypted"),
    ];
    for (token, expected) in cases {
        let found = api.verdict(&token).await;
        // The reason for a changed signature depends on its last bits.
        let is_alike = expected == "bad_signature" && found == "not_a_jwt";
        assert!(
            found == expected || is_alike,
            "{token}: {found}, not {expected}"
        );
    }
    for text in [r#"["RS256"]"#, "\"RS256\"", "null", "\u{feff}{}", "{} "] {
        assert_ne!(
            api.verdict(api.token().header_text(text).build()).await,
            "accepted",
            "{text}"
        );
    }
    for text in [r#"["iss"]"#, "1", "null", "\u{feff}{}", "{}x", ""] {
        assert_eq!(
            api.verdict(api.token().claims_text(text).build()).await,
            "not_a_jwt",
            "{text}"
        );
    }
    for text in [
        r#"{"alg":"RS256","alg":"RS256","kid":"rs256-1"}"#,
        r#"{"alg":"RS256","kid":"rs256-1","kid":"rs256-1"}"#,
        r#"{"alg":"RS256","kid":"rs256-1","typ":"JWT","typ":"JWT"}"#,
        r#"{"alg":"RS256","kid":"rs256-1","x":1,"x":1}"#,
    ] {
        assert_eq!(
            api.verdict(api.token().header_text(text).build()).await,
            "not_a_jwt",
            "{text}"
        );
    }
}

// JS-05
#[tokio::test]
async fn a_claim_that_stands_twice_is_refused() {
    let api = Api::start().await;
    let once = api.token().claims_json();
    assert_eq!(
        api.verdict(api.token().claims_text(&once).build()).await,
        "accepted"
    );
    for name in [
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "role",
        "\\u0073ub",
        "\\u0061ud",
    ] {
        let claims = format!("{{\"role\":\"a\",\"{name}\":\"x\",{}", &once[1..]);
        assert_ne!(
            api.verdict(api.token().claims_text(&claims).build()).await,
            "accepted",
            "{name}"
        );
    }
}

// JS-06, JS-07, AT-04
#[tokio::test]
async fn algorithms_that_are_not_accepted_are_refused() {
    let api = Api::start().await;
    for alg in [
        json!("none"),
        json!("nOnE"),
        json!("NONE"),
        json!("rs256"),
        json!("RS256 "),
        json!(""),
        json!(null),
        json!(["RS256"]),
        json!(256),
        json!("HS256"),
        json!("ES256K"),
        json!("RS384"),
    ] {
        let token = api.token().header("alg", &alg).build();
        assert_eq!(api.verdict(token).await, "algorithm", "{alg}");
        let unsigned = api
            .token()
            .header("alg", &alg)
            .signature(|_| vec![0])
            .build();
        assert_eq!(api.verdict(unsigned).await, "algorithm", "{alg}");
    }
    assert_eq!(
        api.verdict(api.token().without_header("alg").build()).await,
        "algorithm"
    );
}

// JS-08, JS-09, JS-10, JS-11, JS-12, JS-13, JS-14
#[tokio::test]
async fn headers_that_ask_for_an_extension_are_refused() {
    let api = Api::start().await;
    let cases = [
        ("crit", json!(["b64"]), "critical_header"),
        ("crit", json!([]), "critical_header"),
        ("crit", json!(null), "critical_header"),
        ("crit", json!(["exp"]), "critical_header"),
        ("b64", json!(false), "accepted"),
        ("kid", json!(1), "not_a_jwt"),
        ("kid", json!(null), "not_a_jwt"),
        ("kid", json!("R1"), "unknown_key"),
        ("cty", json!("JWT"), "token_type"),
        ("typ", json!("AT+JWT"), "accepted"),
        ("typ", json!("application/at+jwt"), "accepted"),
        ("typ", json!("JWT"), "accepted"),
        ("typ", json!("logout+jwt"), "token_type"),
        ("typ", json!("at+jwt;a=b"), "token_type"),
    ];
    for (name, value, expected) in cases {
        let token = api.token().header(name, &value).build();
        assert_eq!(api.verdict(token).await, expected, "{name}: {value}");
    }
    assert_eq!(
        api.verdict(api.token().without_header("typ").build()).await,
        "accepted"
    );
}

// JS-10
#[tokio::test]
async fn a_header_never_brings_or_fetches_a_key() {
    let api = Api::start().await;
    let own = Arc::new(SigningKey::generate("attacker", Algorithm::Rs256));
    let jwk: Value = serde_json::from_str(&own.public_jwk()).unwrap();
    let trap = format!("{}/attacker/jwks.json", api.idp.issuer());
    let forged = || api.token().signed_by(Arc::clone(&own));
    let tokens = [
        forged().header("jwk", &jwk).build(),
        forged().header("jwk", &jwk).without_header("kid").build(),
        forged().header("jku", &trap).build(),
        forged().header("x5u", &trap).build(),
        forged()
            .header("x5c", ["MIIB"])
            .header("kid", "rs256-1")
            .build(),
        forged()
            .header("x5t", "AA")
            .header("x5t#S256", "AA")
            .build(),
    ];
    for token in tokens {
        assert_ne!(api.verdict(token).await, "accepted");
    }
    assert_eq!(api.idp.hits().other, 0);
}

// JS-11
#[tokio::test]
async fn a_kid_is_compared_byte_for_byte() {
    let api = Api::start().await;
    for kid in [
        "RS256-1",
        "rs256-1\0",
        "rs256-1 ",
        "../rs256-1",
        "rs256-",
        "",
        "' OR 1=1 --",
    ] {
        let verdict = api.verdict(api.token().header("kid", kid).build()).await;
        assert_eq!(verdict, "unknown_key", "{kid:?}");
        // One more fetch is allowed.
        api.clock.advance(seconds(30));
    }
}

// AL-01
#[tokio::test]
async fn the_list_is_not_widened_by_token_or_provider() {
    let api = Api::verifying(|verifier| verifier.with_algorithms([Algorithm::Rs256])).await;
    assert_eq!(api.verdict(api.token().build()).await, "accepted");
    for algorithm in [Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa] {
        let token = api.idp.token_by(algorithm, API).build();
        assert_eq!(api.verdict(token).await, "algorithm", "{algorithm}");
    }
}

// AL-01
#[tokio::test]
async fn the_providers_list_narrows_the_default_and_no_explicit_choice() {
    let narrow = |issuer: &str, jwks: String| {
        json!({
            "issuer": issuer, "jwks_uri": jwks,
            "id_token_signing_alg_values_supported": ["RS256", "HS256"],
        })
        .to_string()
    };
    let api = Api::start().await;
    api.idp
        .set_discovery(narrow(api.idp.issuer(), api.idp.jwks_url()));
    let es256 = api.idp.token_by(Algorithm::Es256, API).build();
    assert_eq!(api.verdict(&es256).await, "algorithm");
    assert_eq!(api.verdict(api.token().build()).await, "accepted");
    let explicit = judging_as(&api.provider, API)
        .with_algorithms([Algorithm::Es256])
        .build()
        .unwrap();
    assert_eq!(verdict(&explicit, &es256).await, "accepted");
}

// AL-02, AL-03
#[tokio::test]
async fn a_key_is_not_used_for_what_it_is_not() {
    let api = Api::start().await;
    let rsa = api.idp.signing_key(Algorithm::Rs256);
    // The key is for RS256. The token has a valid PS256 signature of it.
    let confused = Arc::new(rsa.for_algorithm("rs256-1", Algorithm::Ps256));
    assert_eq!(
        api.verdict(api.token().signed_by(confused).build()).await,
        "algorithm"
    );

    // The public key as an HMAC secret, and a symmetric key that the provider published.
    let published = json!({"kty": "oct", "kid": "oct", "alg": "HS256", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"});
    let own: Value = serde_json::from_str(&rsa.public_jwk()).unwrap();
    api.idp
        .set_jwks(json!({"keys": [published, own]}).to_string());
    for (kid, secret) in [
        ("oct", b"secretsecretsecretsecret".to_vec()),
        ("rs256-1", rsa.public_jwk().into_bytes()),
    ] {
        let signed = api
            .token()
            .header("alg", "HS256")
            .header("kid", kid)
            .build();
        let (input, _) = signed.rsplit_once('.').unwrap();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
        let tag = aws_lc_rs::hmac::sign(&key, input.as_bytes());
        let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag));
        assert_eq!(api.verdict(token).await, "algorithm", "{kid}");
    }
    // A token with an accepted algorithm that names the symmetric key.
    assert_eq!(
        api.verdict(api.token().header("kid", "oct").build()).await,
        "unknown_key"
    );
}

/// Signatures made outside of this crate: see `tests/fixtures/forge.py`.
// AL-04, AL-05, AL-06, AL-07, AL-08, AL-09, AL-10, AL-11, AL-12
#[tokio::test]
async fn signatures_no_honest_library_writes() {
    let fixture: Value = serde_json::from_str(include_str!("../fixtures/forged.json")).unwrap();
    let keys = fixture["jwks"].to_string();
    let provider = Provider::with_keys("https://id.example", &keys).unwrap();
    let verifier = judging(&provider, API);
    let tokens = fixture["tokens"].as_array().unwrap();
    assert!(tokens.len() > 25);
    for entry in tokens {
        let verdict = verdict(&verifier, entry["token"].as_str().unwrap()).await;
        let is_good = entry["good"].as_bool().unwrap();
        assert_eq!(
            verdict == "accepted",
            is_good,
            "{}: {verdict}",
            entry["name"]
        );
    }
}

// JS-02, JS-15
#[tokio::test]
async fn any_changed_bit_is_refused() {
    let api = Api::start().await;
    for algorithm in Algorithm::DEFAULT {
        let token = api.idp.token_by(algorithm, API).build();
        for at in (0..token.len()).step_by(7) {
            let mut bytes = token.clone().into_bytes();
            if bytes[at] == b'.' {
                continue;
            }
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_ne!(
                api.verdict(&changed).await,
                "accepted",
                "{algorithm} at {at}"
            );
        }
    }
}

// CL-01, CL-02, CL-03, CL-04, CL-05, CL-06, CL-07, CL-08, CL-09, CL-10, CL-11
#[tokio::test]
async fn a_claim_that_breaks_one_rule_refuses_the_token() {
    let api = Api::start().await;
    let now = i64::MAX / 4_000_000_000;
    let cases = [
        ("exp", json!("4102444800"), "invalid_claim"),
        ("exp", json!(true), "invalid_claim"),
        ("exp", json!(null), "invalid_claim"),
        ("exp", json!(-5), "invalid_claim"),
        ("exp", json!(4.1e9), "accepted"),
        ("exp", json!(1e18), "accepted"),
        ("exp", json!(u64::MAX), "accepted"),
        ("exp", json!(0), "expired"),
        ("nbf", json!(4_102_444_800_u64), "not_yet_valid"),
        ("nbf", json!("0"), "invalid_claim"),
        ("nbf", json!(now / now), "accepted"),
        ("iat", json!(4_102_444_800_u64), "not_yet_valid"),
        ("iat", json!([]), "invalid_claim"),
        ("iss", json!(["x"]), "invalid_claim"),
        ("iss", json!(null), "invalid_claim"),
        (
            "iss",
            json!(format!("{}/", api.idp.issuer())),
            "wrong_issuer",
        ),
        (
            "iss",
            json!(api.idp.issuer().to_uppercase()),
            "wrong_issuer",
        ),
        (
            "iss",
            json!(format!("{}.evil.example", api.idp.issuer())),
            "wrong_issuer",
        ),
        ("iss", json!([api.idp.issuer()]), "invalid_claim"),
        ("aud", json!([API]), "accepted"),
        ("aud", json!(["x", API]), "accepted"),
        ("aud", json!([API, 7]), "invalid_claim"),
        ("aud", json!({API: true}), "invalid_claim"),
        ("aud", json!(null), "invalid_claim"),
        ("aud", json!([]), "wrong_audience"),
        ("aud", json!(""), "wrong_audience"),
        ("aud", json!("openid read"), "wrong_audience"),
        ("aud", json!(format!("{API}/")), "wrong_audience"),
        ("sub", json!(7), "invalid_claim"),
        ("sub", json!(""), "invalid_claim"),
    ];
    for (name, value, expected) in cases {
        let token = api.token().claim(name, &value).build();
        assert_eq!(api.verdict(token).await, expected, "{name}: {value}");
    }
    for name in ["exp", "iss", "aud"] {
        let token = api.token().without_claim(name).build();
        assert_eq!(api.verdict(token).await, "missing_claim", "{name}");
    }
    for name in ["sub", "iat", "jti", "client_id"] {
        assert_eq!(
            api.verdict(api.token().without_claim(name).build()).await,
            "accepted",
            "{name}"
        );
    }
}

// CL-14
#[tokio::test]
async fn a_null_refuses_where_it_could_loosen_a_check_and_is_absent_elsewhere() {
    let api = Api::start().await;
    let strict = judging_as(&api.provider, API)
        .with_profile(TokenProfile::Strict)
        .build()
        .unwrap();
    for name in ["iss", "sub", "aud", "exp", "nbf", "iat", "cnf"] {
        let token = api.token().claim(name, json!(null)).build();
        let error = api.verifier.verify(&token).await.unwrap_err();
        assert_eq!(error.kind(), VerifyErrorKind::InvalidClaim, "{name}");
        assert_eq!(error.claim_name(), Some(name));
    }
    for (name, in_strict) in [
        ("jti", "missing_claim"),
        ("client_id", "missing_claim"),
        ("azp", "accepted"),
        ("scope", "accepted"),
        ("scp", "accepted"),
        ("nonce", "accepted"),
        ("at_hash", "accepted"),
        ("c_hash", "accepted"),
        ("events", "accepted"),
        ("htm", "accepted"),
        ("auth_time", "accepted"),
    ] {
        let token = api.token().claim(name, json!(null)).build();
        assert_eq!(api.verdict(&token).await, "accepted", "{name}");
        assert_eq!(verdict(&strict, &token).await, in_strict, "{name}");
    }
}

// JS-17
#[tokio::test]
async fn claims_that_no_reader_reads_are_refused_with_the_token() {
    let api = Api::start().await;
    let claims = |value: &str| {
        let all = api.token().claims_json();
        let text = format!(r#"{{"x":{value},{}"#, &all[1..]);
        api.token().claims_text(&text).build()
    };
    let deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
    for value in [r#""\ud800""#, r#"{"a":["\udfff"]}"#, "1e400", &deep] {
        assert_eq!(api.verdict(claims(value)).await, "not_a_jwt");
    }
    let deep = format!("{}1{}", "[".repeat(126), "]".repeat(126));
    for value in [r#""\ud83d\ude00""#, "1e300", &deep] {
        let principal = api.verifier.verify(&claims(value)).await.unwrap();
        assert!(principal.claims::<Value>().unwrap()["x"] != json!(null));
    }
}

// CL-02
#[tokio::test]
async fn the_leeway_counts_and_can_be_zero() {
    let api = Api::start().await;
    let token = api.token().expires_in(seconds(10)).build();
    assert_eq!(api.verdict(&token).await, "accepted");
    api.clock.advance(seconds(69));
    assert_eq!(api.verdict(&token).await, "accepted");
    api.clock.advance(seconds(1));
    assert_eq!(api.verdict(&token).await, "expired");

    let strict = Api::verifying(|verifier| verifier.with_leeway(seconds(0))).await;
    assert_eq!(
        strict
            .verdict(strict.token().expires_in(seconds(0)).build())
            .await,
        "expired"
    );
    let builder = judging_as(&api.provider, API).with_leeway(seconds(301));
    assert!(
        builder
            .build()
            .unwrap_err()
            .to_string()
            .contains("0s to 5m")
    );
}

// CL-08
#[tokio::test]
async fn nothing_builds_without_an_audience() {
    let api = Api::start().await;
    for audience in ["", " ", "\n"] {
        assert!(api.provider.verifier(audience).is_err(), "{audience:?}");
    }
    assert!(
        judging_as(&api.provider, API)
            .add_audience("")
            .build()
            .is_err()
    );
    assert!(
        judging_as(&api.provider, API)
            .with_algorithms([])
            .build()
            .is_err()
    );
}

// CL-12
#[tokio::test]
async fn an_id_token_is_no_access_token() {
    let api = Api::start().await;
    for (name, value) in [
        ("nonce", json!("n")),
        ("at_hash", json!("h")),
        ("events", json!({})),
        ("htm", json!("GET")),
        ("htu", json!("https://a")),
        ("token_introspection", json!({})),
    ] {
        for typ in [Some("JWT"), None] {
            let token = api.token().claim(name, &value);
            let token = match typ {
                Some(typ) => token.header("typ", typ),
                None => token.without_header("typ"),
            };
            assert_eq!(api.verdict(token.build()).await, "token_kind", "{name}");
        }
    }
    // What says that it is an access token, beside a nonce.
    let with_nonce = |typ| api.token().header("typ", typ).claim("nonce", "n");
    for (name, token) in [
        ("at+jwt", with_nonce("at+jwt")),
        ("Keycloak", with_nonce("JWT").claim("typ", "Bearer")),
        ("authentik", with_nonce("JWT").scope("openid")),
        ("B2C", with_nonce("JWT").claim("scp", "read")),
    ] {
        assert_eq!(api.verdict(token.build()).await, "accepted", "{name}");
    }
    for (name, token) in [
        ("nothing", with_nonce("JWT")),
        (
            "at_hash",
            with_nonce("at+jwt").scope("a").claim("at_hash", "h"),
        ),
        ("ID", api.token().scope("a").claim("typ", "ID")),
    ] {
        assert_eq!(api.verdict(token.build()).await, "token_kind", "{name}");
    }
}

// CL-13
#[tokio::test]
async fn claims_reach_the_application_unchanged() {
    let api = Api::start().await;
    let text = format!(
        r#"{{"iss":"{}","aud":"{API}","exp":4102444800,"sub":" a\u0000b\u00e9 ","n":12345678901234567890123,"f":1.10,"e":1e2}}"#,
        api.idp.issuer()
    );
    let token = api.token().claims_text(&text).build();
    let principal = api.verifier.verify(&token).await.unwrap();
    assert_eq!(principal.claims_json(), text);
    assert_eq!(principal.subject(), Some(" a\0bé "));
}

// AT-01, AT-02
#[tokio::test]
async fn the_strict_profile_is_rfc_9068_to_the_letter() {
    let api = Api::verifying(|verifier| verifier.with_profile(TokenProfile::Strict)).await;
    assert_eq!(api.verdict(api.token().build()).await, "accepted");
    assert_eq!(
        api.verdict(api.token().header("typ", "JWT").build()).await,
        "token_type"
    );
    assert_eq!(
        api.verdict(api.token().without_header("typ").build()).await,
        "token_type"
    );
    for name in ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"] {
        let token = api.token().without_claim(name).build();
        assert_eq!(api.verdict(token).await, "missing_claim", "{name}");
    }
}

// AT-08, AT-09, AT-10
#[tokio::test]
async fn a_principal_tells_how_a_user_signed_in_and_a_user_from_a_client() {
    #[derive(serde::Deserialize)]
    struct StepUp {
        auth_time: u64,
        acr: String,
        amr: Vec<String>,
    }
    let api = Api::start().await;
    let token = api
        .token()
        .claim("auth_time", 5)
        .claim("acr", "gold")
        .claim("amr", ["pwd", "otp"])
        .claim("aud", [API, "other"])
        .scope("a b")
        .build();
    let principal = api.verifier.verify(&token).await.unwrap();
    let step_up: StepUp = principal.claims().unwrap();
    assert_eq!((step_up.auth_time, step_up.acr.as_str()), (5, "gold"));
    assert_eq!(step_up.amr, ["pwd", "otp"]);
    assert_eq!(principal.issuer().as_str(), api.idp.issuer());
    assert_eq!(principal.audiences().collect::<Vec<_>>(), [API, "other"]);
    assert_eq!(principal.scopes().iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(principal.client_id(), Some("development"));
    assert!(principal.issued_at().unwrap() < principal.expires_at());
    assert!(!principal.is_client());
    let error = principal.claims::<Vec<u8>>().unwrap_err().to_string();
    assert!(!error.contains("gold"), "{error}");

    let program = api.token().subject("development").build();
    assert!(api.verifier.verify(&program).await.unwrap().is_client());
    let okta = api
        .token()
        .without_claim("client_id")
        .claim("cid", "user-1");
    let okta = api.verifier.verify(&okta.build()).await.unwrap();
    assert!(okta.is_client() && okta.client_id() == Some("user-1"));
    let nobody = api
        .token()
        .without_claim("sub")
        .without_claim("client_id")
        .build();
    let nobody: Principal = api.verifier.verify(&nobody).await.unwrap();
    assert!(!nobody.is_client() && nobody.subject().is_none());
}

// MT-02
#[tokio::test]
async fn a_bound_token_is_refused_unless_danger_says_otherwise() {
    let api = Api::start().await;
    let token = api.token().claim("cnf", json!({"jkt": "x"})).build();
    assert_eq!(api.verdict(&token).await, "sender_constrained");
    let verifier = judging_as(&api.provider, API)
        .danger()
        .allow_sender_constrained()
        .build()
        .unwrap();
    assert_eq!(verdict(&verifier, &token).await, "accepted");
}

// F1, AT-04
#[tokio::test]
async fn tokens_that_cannot_be_verified_here_name_the_setting_that_cures_them() {
    let api = Api::start().await;
    for token in [api.idp.opaque_token(), api.idp.encrypted_token()] {
        let error = api.verifier.verify(&token).await.unwrap_err();
        assert!(error.kind().is_structural());
        assert!(
            error.remedy().contains("OPENID_AUDIENCE"),
            "{}",
            error.remedy()
        );
        assert!(error.remedy().contains("/.default"), "{}", error.remedy());
        assert!(error.remedy().contains("OPENID_INTROSPECTION=opaque"));
    }
    let expired = api
        .verifier
        .verify(&api.token().expired().build())
        .await
        .unwrap_err();
    assert_eq!(expired.kind(), VerifyErrorKind::Expired);
    assert!(!expired.kind().is_structural());
    assert!(expired.remedy().contains("clock"));
}
