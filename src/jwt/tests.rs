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

// JS-16
#[test]
fn nesting_is_passed_over_without_recursion() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{{\"x\":{}1{}}}", open.repeat(5_000), close.repeat(5_000));
        assert!(UnverifiedClaims::parse(&deep).is_ok());
        let deep = format!("{{\"aud\":{}1{}}}", open.repeat(5_000), close.repeat(5_000));
        let _ = UnverifiedClaims::parse(&deep).map(|claims| assert_eq!(claims.aud, Json::Other));
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

    // JS-05
    #[test]
    fn a_repeated_name_is_always_found(names in proptest::collection::vec("[a-z]{1,8}", 1..20), at in any::<prop::sample::Index>()) {
        let twice = at.get(&names).clone();
        let members: Vec<_> = names.iter().chain([&twice]).map(|name| format!("\"{name}\":0")).collect();
        let text = format!("{{{}}}", members.join(","));
        prop_assert!(UnverifiedClaims::parse(&text).is_err());
    }
}
