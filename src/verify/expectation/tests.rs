//! One row for each claim and header that is screened.

use super::*;

const NOW: UnixTime = UnixTime::from_seconds(1_000_000);

fn expectation(profile: TokenProfile, leeway: u64) -> Expectation {
    Expectation {
        audiences: vec![
            Audience::new("api").unwrap(),
            Audience::new("https://b/").unwrap(),
        ],
        clients: vec![Audience::new("shop").unwrap()],
        kind: TokenKind::Access(profile),
        leeway: Duration::from_secs(leeway),
        max_age: None,
        allow_sender_constrained: false,
    }
}

fn screen(expectation: &Expectation, claims: &str) -> Result<(), (Kind, Option<&'static str>)> {
    let claims = UnverifiedClaims::parse(claims).unwrap();
    expectation
        .screen(&claims, false, NOW)
        .map(|_| ())
        .map_err(|error| (error.kind(), error.claim_name()))
}

fn lenient(claims: &str) -> Result<(), (Kind, Option<&'static str>)> {
    screen(&expectation(TokenProfile::Lenient, 0), claims)
}

// CL-01, CL-02, CL-03, CL-04, CL-05
#[test]
fn times_that_a_token_may_carry() {
    let with = |claims: &str| lenient(&format!(r#"{{"aud":"api",{claims}}}"#));
    let cases = [
        (r#""exp":1000001"#, Ok(())),
        (r#""exp":1000000"#, Err((Kind::Expired, "exp"))),
        (r#""exp":4.1e9"#, Ok(())),
        (r#""exp":1000000.9"#, Err((Kind::Expired, "exp"))),
        (r#""exp":1e18"#, Ok(())),
        (r#""exp":18446744073709551616"#, Ok(())),
        (r#""exp":18446744073709551615"#, Ok(())),
        (r#""exp":0"#, Err((Kind::Expired, "exp"))),
        (r#""exp":-1"#, Err((Kind::InvalidClaim, "exp"))),
        (r#""exp":-1.5"#, Err((Kind::InvalidClaim, "exp"))),
        (r#""exp":"1000001""#, Err((Kind::InvalidClaim, "exp"))),
        (r#""exp":true"#, Err((Kind::InvalidClaim, "exp"))),
        (r#""exp":null"#, Err((Kind::InvalidClaim, "exp"))),
        (r#""exp":[1000001]"#, Err((Kind::InvalidClaim, "exp"))),
        (r#""x":1"#, Err((Kind::MissingClaim, "exp"))),
        (r#""exp":2000000,"nbf":1000000"#, Ok(())),
        (
            r#""exp":2000000,"nbf":1000001"#,
            Err((Kind::NotYetValid, "nbf")),
        ),
        (
            r#""exp":2000000,"nbf":"1""#,
            Err((Kind::InvalidClaim, "nbf")),
        ),
        (
            r#""exp":2000000,"iat":1000001"#,
            Err((Kind::NotYetValid, "iat")),
        ),
        (
            r#""exp":2000000,"iat":"1""#,
            Err((Kind::InvalidClaim, "iat")),
        ),
        (r#""exp":2000000,"iat":0"#, Ok(())),
    ];
    for (claims, expected) in cases {
        assert_eq!(
            with(claims),
            expected.map_err(|(kind, claim): (Kind, &'static str)| (kind, Some(claim))),
            "{claims}"
        );
    }
}

// CL-02
#[test]
fn the_leeway_is_added_on_both_sides() {
    let expectation = expectation(TokenProfile::Lenient, 60);
    let at = |claims: &str| screen(&expectation, &format!(r#"{{"aud":"api",{claims}}}"#));
    assert_eq!(at(r#""exp":999941"#), Ok(()));
    assert_eq!(at(r#""exp":999940"#), Err((Kind::Expired, Some("exp"))));
    assert_eq!(at(r#""exp":2000000,"nbf":1000060"#), Ok(()));
    assert_eq!(
        at(r#""exp":2000000,"nbf":1000061"#),
        Err((Kind::NotYetValid, Some("nbf")))
    );
}

// D29
#[test]
fn a_named_client_stands_for_an_audience_that_is_not_there() {
    let at = |claims: &str| lenient(&format!(r#"{{"exp":2000000{claims}}}"#));
    assert_eq!(at(r#","client_id":"shop""#), Ok(()));
    let missing = Err((Kind::MissingClaim, Some("aud")));
    for other in [
        "",
        r#","client_id":"Shop""#,
        r#","azp":"shop""#,
        r#","cid":"shop""#,
    ] {
        assert_eq!(at(other), missing, "{other}");
    }
    // It is never a way around an audience that is there.
    for (aud, kind) in [
        (r#""other""#, Kind::WrongAudience),
        ("[]", Kind::WrongAudience),
        (r#"["other"]"#, Kind::WrongAudience),
        ("null", Kind::InvalidClaim),
        ("7", Kind::InvalidClaim),
    ] {
        let told = at(&format!(r#","client_id":"shop","aud":{aud}"#));
        assert_eq!(told, Err((kind, Some("aud"))), "{aud}");
    }
}

// CL-05
#[test]
fn a_maximum_age_makes_iat_required() {
    let expectation = Expectation {
        max_age: Some(Duration::from_secs(300)),
        ..expectation(TokenProfile::Lenient, 0)
    };
    let at = |claims: &str| {
        screen(
            &expectation,
            &format!(r#"{{"aud":"api","exp":2000000{claims}}}"#),
        )
    };
    assert_eq!(at(r#","iat":999700"#), Ok(()));
    assert_eq!(at(r#","iat":999699"#), Err((Kind::TooOld, Some("iat"))));
    assert_eq!(at(""), Err((Kind::MissingClaim, Some("iat"))));
}

// CL-09, CL-10
#[test]
fn audiences_are_compared_whole() {
    let with = |aud: &str| lenient(&format!(r#"{{"exp":2000000,"aud":{aud}}}"#));
    for good in [
        r#""api""#,
        r#"["api"]"#,
        r#"["evil","api"]"#,
        r#""https://b/""#,
    ] {
        assert_eq!(with(good), Ok(()), "{good}");
    }
    for wrong in [
        r#""evil""#,
        r#"["evil"]"#,
        "[]",
        r#""""#,
        r#""API""#,
        r#""ap""#,
        r#""apis""#,
        r#""api ""#,
        r#""evil api""#,
        r#""https://b""#,
        r#""https://b/c""#,
        r#"["openid api"]"#,
    ] {
        assert_eq!(
            with(wrong),
            Err((Kind::WrongAudience, Some("aud"))),
            "{wrong}"
        );
    }
    for bad in [
        r#"["api",7]"#,
        "[7]",
        "7",
        "{}",
        "null",
        r#"{"api":1}"#,
        r#"[["api"]]"#,
        "true",
    ] {
        assert_eq!(with(bad), Err((Kind::InvalidClaim, Some("aud"))), "{bad}");
    }
    assert_eq!(
        lenient(r#"{"exp":2000000}"#),
        Err((Kind::MissingClaim, Some("aud")))
    );
}

// CL-11
#[test]
fn a_subject_is_a_text_that_is_not_empty() {
    let with = |sub: &str| lenient(&format!(r#"{{"aud":"api","exp":2000000,"sub":{sub}}}"#));
    assert_eq!(with(r#""auth0|7""#), Ok(()));
    for bad in ["7", r#""""#, "null", "[]", "{}"] {
        assert_eq!(with(bad), Err((Kind::InvalidClaim, Some("sub"))), "{bad}");
    }
}

// CL-12
#[test]
fn other_kinds_of_token_are_refused() {
    for (name, value) in [
        ("nonce", "\"n\""),
        ("at_hash", "\"h\""),
        ("c_hash", "\"h\""),
        ("s_hash", "\"h\""),
        ("events", "{}"),
        ("htm", "\"GET\""),
        ("htu", "\"https://a\""),
        ("token_introspection", "{}"),
    ] {
        let claims = format!(r#"{{"aud":"api","exp":2000000,"{name}":{value}}}"#);
        assert_eq!(
            lenient(&claims),
            Err((Kind::TokenKind, Some(name))),
            "{name}"
        );
    }
}

/// The claims of the tokens that providers issue in one sign-in, as far as they tell the kinds apart.
struct Issued {
    provider: &'static str,
    access_typ: &'static str,
    access: &'static str,
    id: &'static str,
}

const ISSUED: [Issued; 7] = [
    Issued {
        provider: "Keycloak before 25",
        access_typ: "JWT",
        access: r#""typ":"Bearer","azp":"web","nonce":"n","scope":"openid email""#,
        id: r#""typ":"ID","azp":"web","nonce":"n","at_hash":"h","acr":"1""#,
    },
    Issued {
        provider: "Keycloak before 25, without a scope",
        access_typ: "JWT",
        access: r#""typ":"Bearer","azp":"web","nonce":"n","scope":"""#,
        id: r#""typ":"ID","azp":"web","acr":"1""#,
    },
    Issued {
        provider: "authentik",
        access_typ: "JWT",
        access: r#""azp":"web","uid":"u","nonce":"n","scope":"openid profile""#,
        id: r#""azp":"web","uid":"u","nonce":"n","at_hash":"h""#,
    },
    Issued {
        provider: "Azure AD B2C",
        access_typ: "JWT",
        access: r#""azp":"web","ver":"1.0","nonce":"n","scp":"read""#,
        id: r#""ver":"1.0","nonce":"n","auth_time":1"#,
    },
    Issued {
        provider: "RFC 9068 with a nonce",
        access_typ: "at+jwt",
        access: r#""client_id":"web","iat":1,"jti":"j","sub":"s","nonce":"n""#,
        id: r#""nonce":"n","sid":"s""#,
    },
    Issued {
        provider: "hybrid flow",
        access_typ: "at+jwt",
        access: r#""client_id":"web","iat":1,"jti":"j","sub":"s","nonce":"n","scope":"a""#,
        id: r#""nonce":"n","c_hash":"h","s_hash":"h""#,
    },
    Issued {
        provider: "scopes as an array",
        access_typ: "JWT",
        access: r#""nonce":"n","scope":["read"]"#,
        id: r#""nonce":"n""#,
    },
];

// CL-12
#[test]
fn a_nonce_is_tolerated_in_what_is_told_to_be_no_id_token() {
    const GOOD: &str = r#""nonce":"n","scope":"read","client_id":"c","iat":1,"jti":"j","sub":"s""#;
    let judge = |profile, typ: &str, claims: &str| {
        let header = format!(r#"{{"alg":"RS256","typ":"{typ}"}}"#);
        let header = JoseHeader::parse(&header).unwrap();
        let expectation = expectation(profile, 0);
        screen_header(&header, expectation.kind)?;
        let claims = format!(r#"{{"aud":"api","exp":2000000,{claims}}}"#);
        let claims = UnverifiedClaims::parse(&claims).unwrap();
        expectation.screen(&claims, says_access_token(&header), NOW)
    };
    for issued in ISSUED {
        let Issued {
            provider,
            access_typ,
            access,
            id,
        } = issued;
        for profile in [TokenProfile::Lenient, TokenProfile::Strict] {
            let expected = profile == TokenProfile::Lenient || access_typ == "at+jwt";
            let judged = judge(profile, access_typ, access);
            assert_eq!(judged.is_ok(), expected, "{provider} {profile:?}");
            // The ID token is refused, whatever header it has.
            for typ in ["JWT", access_typ] {
                let is_marked = id.contains("_hash") || id.contains(r#""typ":"ID""#);
                if typ == "JWT" || is_marked {
                    let judged = judge(profile, typ, id);
                    assert!(judged.is_err(), "{provider} {profile:?} {typ}");
                }
            }
        }
    }
    // What marks another kind counts whatever else is there.
    let both = [TokenProfile::Lenient, TokenProfile::Strict];
    for profile in both {
        assert!(judge(profile, "at+jwt", GOOD).is_ok());
        for (mark, name) in [
            (r#""at_hash":"h""#, "at_hash"),
            (r#""c_hash":"h""#, "c_hash"),
            (r#""s_hash":"h""#, "s_hash"),
            (r#""typ":"ID""#, "typ"),
            (r#""typ":"id""#, "typ"),
            (r#""typ":"Refresh""#, "typ"),
            (r#""typ":"Offline""#, "typ"),
            (r#""typ":"Logout""#, "typ"),
        ] {
            let error = judge(profile, "at+jwt", &format!("{GOOD},{mark}"))
                .err()
                .unwrap();
            assert_eq!(
                (error.kind(), error.claim_name()),
                (Kind::TokenKind, Some(name))
            );
        }
    }
    for nothing in [
        "",
        r#","scope":"""#,
        r#","scope":" ""#,
        r#","scope":[]"#,
        r#","scope":7"#,
        r#","scp":[""]"#,
        r#","typ":"JWT""#,
        r#","typ":"bearer""#,
    ] {
        let error = judge(
            TokenProfile::Lenient,
            "JWT",
            &format!(r#""nonce":"n"{nothing}"#),
        );
        assert_eq!(
            error.err().unwrap().claim_name(),
            Some("nonce"),
            "{nothing}"
        );
    }
}

// MT-02
#[test]
fn a_bound_token_is_no_bearer_token_unless_allowed() {
    let claims = r#"{"aud":"api","exp":2000000,"cnf":{"jkt":"x"}}"#;
    assert_eq!(lenient(claims), Err((Kind::SenderConstrained, Some("cnf"))));
    let allowing = Expectation {
        allow_sender_constrained: true,
        ..expectation(TokenProfile::Lenient, 0)
    };
    assert_eq!(screen(&allowing, claims), Ok(()));
}

// AT-02
#[test]
fn the_strict_profile_wants_every_claim() {
    let strict = expectation(TokenProfile::Strict, 0);
    let all = [
        ("aud", "\"api\""),
        ("exp", "2000000"),
        ("iat", "1"),
        ("sub", "\"s\""),
        ("client_id", "\"c\""),
        ("jti", "\"j\""),
    ];
    let without = |left_out: &str| {
        let members: Vec<_> = all
            .iter()
            .filter(|(name, _)| *name != left_out)
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("{{{}}}", members.join(","))
    };
    assert_eq!(screen(&strict, &without("")), Ok(()));
    for (name, _) in all {
        assert_eq!(
            screen(&strict, &without(name)),
            Err((Kind::MissingClaim, Some(name)))
        );
    }
}

// AT-01, AT-03, JS-12
#[test]
fn typ_is_compared_as_a_media_type() {
    let typ = |typ: &str, profile| {
        let text = format!(r#"{{"alg":"RS256"{typ}}}"#);
        screen_header(
            &JoseHeader::parse(&text).unwrap(),
            TokenKind::Access(profile),
        )
        .is_ok()
    };
    let cases = [
        (r#","typ":"at+jwt""#, true, true),
        (r#","typ":"AT+JWT""#, true, true),
        (r#","typ":"application/at+jwt""#, true, true),
        (r#","typ":"Application/AT+jwt""#, true, true),
        (r#","typ":"JWT""#, true, false),
        (r#","typ":"jwt""#, true, false),
        (r#","typ":"application/jwt""#, true, false),
        ("", true, false),
        (r#","typ":"logout+jwt""#, false, false),
        (r#","typ":"dpop+jwt""#, false, false),
        (r#","typ":"at+jwt; a=b""#, false, false),
        (r#","typ":"JOSE""#, false, false),
        (r#","typ":"""#, false, false),
        (r#","typ":null"#, false, false),
        (r#","typ":7"#, false, false),
    ];
    for (text, in_lenient, in_strict) in cases {
        assert_eq!(
            typ(text, TokenProfile::Lenient),
            in_lenient,
            "lenient {text}"
        );
        assert_eq!(typ(text, TokenProfile::Strict), in_strict, "strict {text}");
    }
}

// JS-08, JS-14
#[test]
fn critical_and_nested_headers_are_refused() {
    for text in [
        r#"{"crit":[]}"#,
        r#"{"crit":["b64"],"b64":false}"#,
        r#"{"crit":["exp"],"exp":1}"#,
        r#"{"crit":null}"#,
        r#"{"crit":"b64"}"#,
        r#"{"cty":"JWT"}"#,
        r#"{"cty":"application/jwt"}"#,
        r#"{"cty":7}"#,
    ] {
        let header = JoseHeader::parse(text).unwrap();
        assert!(
            screen_header(&header, TokenKind::Access(TokenProfile::Lenient)).is_err(),
            "{text}"
        );
    }
    // Without crit, b64 is a member that is not read (JS-09).
    let header = JoseHeader::parse(r#"{"b64":false}"#).unwrap();
    assert!(screen_header(&header, TokenKind::Access(TokenProfile::Lenient)).is_ok());
}
