use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn shape(token: &str) -> Result<(), VerifyErrorKind> {
    CompactJws::split(token.as_bytes())?
        .decode()?
        .signature()
        .map(|_| ())
}

// JS-01
#[test]
fn only_three_segments_are_a_token() {
    let header = encode(r#"{"alg":"RS256"}"#);
    let jwe = encode(r#"{"alg":"dir","enc":"A256GCM"}"#);
    let cases = [
        (
            "one segment",
            "abc".to_owned(),
            Err(VerifyErrorKind::Opaque),
        ),
        ("two", format!("{header}.e30"), Err(VerifyErrorKind::Opaque)),
        ("three", format!("{header}.e30.AA"), Ok(())),
        (
            "four",
            format!("{header}.e30.AA.AA"),
            Err(VerifyErrorKind::Opaque),
        ),
        (
            "five, encrypted",
            format!("{jwe}..AA.AA.AA"),
            Err(VerifyErrorKind::Encrypted),
        ),
        (
            "five, signed",
            format!("{header}.e30.AA.AA.AA"),
            Err(VerifyErrorKind::Opaque),
        ),
        (
            "six",
            format!("{jwe}..AA.AA.AA.AA"),
            Err(VerifyErrorKind::Opaque),
        ),
        (
            "no header",
            ".e30.AA".to_owned(),
            Err(VerifyErrorKind::Opaque),
        ),
        (
            "no signature",
            format!("{header}.e30."),
            Err(VerifyErrorKind::NotAJwt),
        ),
        (
            "an opaque token with four dots",
            "a.b.c.d.e".to_owned(),
            Err(VerifyErrorKind::Opaque),
        ),
        ("dots only", "..".to_owned(), Err(VerifyErrorKind::Opaque)),
        ("empty", String::new(), Err(VerifyErrorKind::Opaque)),
        (
            "opaque with two dots",
            "ya29.a0.bb".to_owned(),
            Err(VerifyErrorKind::Opaque),
        ),
    ];
    for (name, token, expected) in cases {
        assert_eq!(shape(&token), expected, "{name}");
    }
}

// JS-02
#[test]
fn base64url_is_strict() {
    let header = encode(r#"{"alg":"RS256"}"#);
    for signature in ["AA==", "A A", "A+", "A/", "AB", "A", "A\n"] {
        let token = format!("{header}.e30.{signature}");
        assert_eq!(
            shape(&token),
            Err(VerifyErrorKind::NotAJwt),
            "{signature:?}"
        );
    }
}

// JS-03
#[test]
fn header_and_claims_are_objects() {
    for text in [
        "[]",
        "1",
        "null",
        "\"a\"",
        "",
        "{} x",
        "{}{}",
        "\u{feff}{}",
        "[\"iss\",\"sub\"]",
        "{\"a\":1,}",
        "{\"alg\":1e999,\"exp\":1e999}",
    ] {
        assert!(JoseHeader::parse(text).is_err(), "{text}");
        assert!(UnverifiedClaims::parse(text).is_err(), "{text}");
    }
}

// JS-04, JS-05
#[test]
fn no_member_stands_twice() {
    for text in [
        r#"{"alg":"RS256","alg":"none"}"#,
        r#"{"alg":"RS256","\u0061lg":"none"}"#,
        r#"{"x":1,"y":2,"x":3}"#,
        r#"{"crit":null,"crit":["b64"]}"#,
    ] {
        assert!(JoseHeader::parse(text).is_err(), "{text}");
    }
    for (text, claim) in [
        (r#"{"sub":"a","sub":"b"}"#, "sub"),
        (r#"{"cnf":1,"x":1,"c\u006ef":2}"#, "cnf"),
        (
            r#"{"role":"a","rol\u0065":"b"}"#,
            "a claim that stands twice",
        ),
    ] {
        let error = UnverifiedClaims::parse(text).unwrap_err();
        assert_eq!(error.kind(), VerifyErrorKind::InvalidClaim, "{text}");
        assert_eq!(error.claim_name(), Some(claim), "{text}");
    }
}

/// What no JSON reader reads: half of a surrogate pair, a number too large, nesting too deep.
fn unreadable() -> Vec<String> {
    let mut values: Vec<_> = [
        r#""\ud800""#,
        r#""\udc00x""#,
        r#""\ud800\u0041""#,
        r#"["a","\ud800"]"#,
        r#"[["\ud800"]]"#,
        r#"{"a":"\ud800"}"#,
        r#"{"\ud800":"a"}"#,
        "1e400",
        "[1e400]",
        r#"{"a":{"b":-1e400}}"#,
    ]
    .map(str::to_owned)
    .into();
    for depth in [127, 1_000, 100_000] {
        values.push(format!("{}1{}", "[".repeat(depth), "]".repeat(depth)));
        values.push(format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth)));
    }
    values
}

// JS-16, JS-17
#[test]
fn what_no_reader_reads_later_is_refused_now() {
    for value in unreadable() {
        for name in ["x", "scope", "aud", "events", "alg", "crit"] {
            let text = format!(r#"{{"{name}":{value}}}"#);
            let shown = &text[..text.len().min(40)];
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_err());
            assert!(CallerClaims::parse(&text).is_err(), "{shown}");
            assert!(JoseHeader::parse(&text).is_err(), "{shown}");
        }
        let text = format!(r#"{{"\ud800":{value}}}"#);
        assert!(CallerClaims::parse(&text).is_err());
    }
    let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(126), "]".repeat(126));
    assert!(CallerClaims::parse(&deep).is_ok());
    let pair = r#"{"x":"\ud83d\ude00","y":1e300,"aud":[["a"]]}"#;
    assert_eq!(UnverifiedClaims::parse(pair).unwrap().aud, Json::Other);
}

// CL-14
#[test]
fn a_null_is_kept_only_where_it_refuses() {
    let names = |text: &str| format!("{{{text}}}");
    for name in ["iss", "sub", "aud", "exp", "nbf", "iat", "cnf"] {
        let text = names(&format!(r#""{name}":null"#));
        let claims = UnverifiedClaims::parse(&text).unwrap();
        let shown = format!("{claims:?}");
        assert!(shown.contains(&format!("{name}: Null")), "{shown}");
    }
    for name in [
        "jti",
        "client_id",
        "azp",
        "scope",
        "scp",
        "nonce",
        "events",
        "at_hash",
        "htm",
    ] {
        let text = names(&format!(r#""{name}":null"#));
        let claims = format!("{:?}", UnverifiedClaims::parse(&text).unwrap());
        assert!(!claims.contains("Null"), "{claims}");
        let twice = names(&format!(r#""{name}":null,"{name}":null"#));
        assert!(UnverifiedClaims::parse(&twice).is_err(), "{twice}");
    }
}

// AL-11
#[test]
fn both_names_of_ed25519_name_one_algorithm() {
    assert_eq!(Algorithm::from_name("EdDSA"), Some(Algorithm::EdDsa));
    assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDsa));
    for name in [
        "none", "nOnE", "HS256", "rs256", "RS256 ", "", "ES256K", "Ed448",
    ] {
        assert_eq!(Algorithm::from_name(name), None, "{name}");
    }
}

/// JSON values, most of them well-formed.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        "-?[0-9]{1,20}(\\.[0-9]{1,3})?(e-?[0-9]{1,3})?",
        "\"([ -!#-\\[\\]-~]|\\\\u[0-9a-fd][0-9a-f]{3}|\\\\n){0,8}\"",
    ];
    leaf.prop_recursive(6, 40, 5, |inner| {
        let items = proptest::collection::vec(inner, 0..5);
        prop_oneof![
            items
                .clone()
                .prop_map(|items| format!("[{}]", items.join(","))),
            items.prop_map(|items| {
                let members = items.iter().enumerate();
                let members: Vec<_> = members
                    .map(|(at, item)| format!("\"{at}\":{item}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    // JS-16
    #[test]
    fn no_text_makes_the_parser_panic(token in "\\PC*") {
        let _ = shape(&token);
    }

    // JS-16
    #[test]
    fn no_segments_make_the_parser_panic(
        header in "[ -~]{0,40}", payload in "\\PC{0,40}", signature in proptest::collection::vec(any::<u8>(), 0..80)
    ) {
        let token = format!("{}.{}.{}", encode(&format!("{{{header}")), encode(&payload), URL_SAFE_NO_PAD.encode(signature));
        if let Ok(decoded) = CompactJws::split(token.as_bytes()).and_then(|jws| jws.decode()) {
            let _ = JoseHeader::parse(decoded.header());
            let _ = UnverifiedClaims::parse(decoded.payload());
            prop_assert_eq!(decoded.payload(), payload);
        }
    }

    // JS-17
    #[test]
    fn claims_that_are_taken_can_be_read(value in any_json()) {
        let text = format!("{{\"x\":{value}}}");
        let is_readable = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        prop_assert_eq!(CallerClaims::parse(&text).is_ok(), is_readable);
    }

    // JS-05
    #[test]
    fn a_repeated_name_is_always_found(names in proptest::collection::vec("[a-z]{1,8}", 1..20), at in any::<prop::sample::Index>()) {
        let twice = at.get(&names).clone();
        let members: Vec<_> = names.iter().chain([&twice]).map(|name| format!("\"{name}\":0")).collect();
        let text = format!("{{{}}}", members.join(","));
        prop_assert!(UnverifiedClaims::parse(&text).is_err());
    }
}
