//! A claim with a value that is asked for, and the answers that are remembered of one token.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use serde_json::{Map, Number, Value};

use crate::claim_path::{ClaimPath, Found};
use crate::error::ConfigError;
use crate::settings::CLAIM_VALUE;

/// A value that a claim is asked to have: text, a number, or true or false. Made from these types of Rust. An array
/// has it if one of its items is it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimValue(Wanted);

#[derive(Debug, Clone, PartialEq)]
enum Wanted {
    Text(Box<str>),
    Whole(i128),
    Fraction(f64),
    Truth(bool),
}

/// Beyond it not every whole number has a double of its own.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// Whether a claim is, or an array of it holds, a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClaimTest {
    path: ClaimPath,
    value: ClaimValue,
}

/// Registered claims of a verified token that are always of one type.
const NUMBERS: [&str; 3] = ["exp", "iat", "nbf"];
const TEXTS: [&str; 3] = ["iss", "sub", "aud"];

impl ClaimTest {
    /// # Errors
    /// [`ConfigError`] if no token that is accepted can have such a claim.
    pub(crate) fn new(path: ClaimPath, value: ClaimValue) -> Result<Self, ConfigError> {
        let is_text = matches!(value.0, Wanted::Text(_));
        let is_number = matches!(value.0, Wanted::Whole(_) | Wanted::Fraction(_));
        let refuse = |problem: &str, remedy: &str| {
            Err(ConfigError::invalid(
                CLAIM_VALUE,
                format!("{path} = {value}"),
                problem.to_owned(),
                remedy.to_owned(),
            ))
        };
        if matches!(value.0, Wanted::Fraction(number) if !number.is_finite()) {
            return refuse("no claim has such a number", "write a finite number");
        }
        if path.is_one_name() && NUMBERS.contains(&path.first()) && !is_number {
            return refuse("this claim is a number", "write a number");
        }
        if path.is_one_name() && TEXTS.contains(&path.first()) && !is_text {
            return refuse("this claim is text", "write text");
        }
        Ok(Self { path, value })
    }

    fn is_met_by(&self, claims: &Map<String, Value>) -> bool {
        let value = self.path.value(claims);
        value.is_some_and(|value| self.value.is_in(value))
    }

    /// What the claims hold instead of what is asked for.
    pub(crate) fn unmet(&self, claims: &str) -> Unmet {
        let claims: Map<String, Value> = serde_json::from_str(claims).unwrap_or_default();
        let path = &self.path;
        match path.find(&claims) {
            Found::Nothing(at) => Unmet {
                told: format!("the token has no claim {}", path.beginning(at + 1)),
                cure: path
                    .meant(&claims)
                    .map(|meant| format!("it has {meant}, which is written like this")),
            },
            Found::NoObject(at, value) => Unmet {
                told: format!(
                    "{} is the value of the claim {}",
                    kind(value),
                    path.beginning(at)
                ),
                cure: Some("only an object has members: shorten the path".to_owned()),
            },
            Found::Value(value) => self.value.unmet(path, value),
        }
    }
}

/// Why a claim does not suffice. `Display` shows no value.
#[derive(Debug)]
pub(crate) struct Unmet {
    told: String,
    /// What to change where no token like this one can meet the requirement.
    cure: Option<String>,
}

impl Unmet {
    /// Whether tokens of this form never meet it.
    pub(crate) fn is_of_another_form(&self) -> bool {
        self.cure.is_some()
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.told)?;
        match &self.cure {
            Some(cure) => write!(formatter, " ({cure})"),
            None => Ok(()),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

impl ClaimValue {
    /// Whether a claim is this value, or an array with it. Text is compared whole and case-sensitively.
    pub(crate) fn is_in(&self, claim: &Value) -> bool {
        match claim {
            Value::Array(items) => items.iter().any(|item| self.is(item)),
            value => self.is(value),
        }
    }

    fn is(&self, value: &Value) -> bool {
        match (&self.0, value) {
            (Wanted::Text(wanted), Value::String(text)) => **wanted == *text,
            (Wanted::Truth(wanted), Value::Bool(truth)) => wanted == truth,
            (Wanted::Whole(wanted), Value::Number(number)) => is_whole(number, *wanted),
            (Wanted::Fraction(wanted), Value::Number(number)) => {
                whole(number).is_none() && number.as_f64() == Some(*wanted)
            }
            _ => false,
        }
    }

    fn kind(&self) -> &'static str {
        match self.0 {
            Wanted::Text(_) => "text",
            Wanted::Whole(_) | Wanted::Fraction(_) => "a number",
            Wanted::Truth(_) => "true or false",
        }
    }

    fn unmet(&self, path: &ClaimPath, value: &Value) -> Unmet {
        let wanted = self.kind();
        let tell = |held: String, cure: Option<&str>| Unmet {
            told: format!("{held} is the value of the claim {path}"),
            cure: cure.map(str::to_owned),
        };
        match value {
            Value::Array(items) => {
                let others = items.iter().any(|item| kind(item) != wanted);
                let none = !items.iter().any(|item| kind(item) == wanted);
                if none && others {
                    let cure = "require a value of the type that it holds";
                    return tell(format!("an array without {wanted}"), Some(cure));
                }
                let that = match self.0 {
                    Wanted::Text(_) => "text",
                    _ => "value",
                };
                tell(format!("an array without that {that}"), None)
            }
            value if kind(value) == wanted => {
                let held = match self.0 {
                    Wanted::Text(_) => "another text",
                    Wanted::Truth(_) => "the opposite",
                    _ => "another number",
                };
                tell(held.to_owned(), None)
            }
            Value::Null => tell(format!("null and not {wanted}"), None),
            Value::Bool(_) => tell(
                format!("true or false and not {wanted}"),
                Some("require true or false, without quotation marks"),
            ),
            Value::Number(_) => tell(
                format!("a number and not {wanted}"),
                Some("require a number, without quotation marks"),
            ),
            Value::String(_) => tell(
                format!("text and not {wanted}"),
                Some("require text, in quotation marks"),
            ),
            Value::Object(_) => tell(
                format!("an object and not {wanted}"),
                Some("lengthen the path to one of its members"),
            ),
        }
    }
}

fn whole(number: &Number) -> Option<i128> {
    let signed = number.as_i64().map(i128::from);
    signed.or_else(|| number.as_u64().map(i128::from))
}

/// Whether a number of JSON is this whole one, however it is written: 3, 3.0 and 3e0 are the same.
fn is_whole(number: &Number, wanted: i128) -> bool {
    if let Some(whole) = whole(number) {
        return whole == wanted;
    }
    let Some(double) = number
        .as_f64()
        .filter(|double| double.abs() < LARGEST_EXACT)
    else {
        return false;
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is less than 2^53, and fractions are compared as doubles before"
    )]
    let truncated = double as i64;
    double.fract() == 0.0 && i128::from(truncated) == wanted
}

impl From<&str> for ClaimValue {
    fn from(text: &str) -> Self {
        Self(Wanted::Text(text.into()))
    }
}

impl From<String> for ClaimValue {
    fn from(text: String) -> Self {
        Self(Wanted::Text(text.into()))
    }
}

impl From<bool> for ClaimValue {
    fn from(truth: bool) -> Self {
        Self(Wanted::Truth(truth))
    }
}

impl From<f64> for ClaimValue {
    fn from(number: f64) -> Self {
        if number.abs() < LARGEST_EXACT && number.fract() == 0.0 {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it is whole and less than 2^53"
            )]
            let whole = number as i64;
            return Self(Wanted::Whole(whole.into()));
        }
        Self(Wanted::Fraction(number))
    }
}

macro_rules! whole_numbers {
    ($($number:ty),+) => {
        $(impl From<$number> for ClaimValue {
            fn from(number: $number) -> Self {
                Self(Wanted::Whole(number.into()))
            }
        })+
    };
}

whole_numbers!(i32, i64, u32, u64);

impl fmt::Display for ClaimValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Wanted::Text(text) => write!(formatter, "{text:?}"),
            Wanted::Whole(number) => number.fmt(formatter),
            Wanted::Fraction(number) => number.fmt(formatter),
            Wanted::Truth(truth) => truth.fmt(formatter),
        }
    }
}

impl fmt::Display for ClaimTest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "claim {} = {}", self.path, self.value)
    }
}

/// What the claims of one token answered to tests, so that they are read once for each.
///
/// A test is found by its address, which no other test can have while it is kept here.
#[derive(Default)]
pub(crate) struct ClaimAnswers(ArcSwapOption<Vec<Answer>>);

#[derive(Clone)]
struct Answer {
    test: Arc<ClaimTest>,
    is_met: bool,
}

/// Answers that are kept of one token, sorted by address: those of an application with many policies fit, and take
/// a KiB.
const MOST_ANSWERS: usize = 64;

impl ClaimAnswers {
    #[inline]
    pub(crate) fn to(&self, test: &Arc<ClaimTest>, claims: &str) -> bool {
        let known = self.0.load();
        let known = known.as_deref().map_or(&[][..], Vec::as_slice);
        match place(known, test) {
            Ok(at) => known[at].is_met,
            Err(_) => self.ask(test, claims),
        }
    }

    #[cold]
    fn ask(&self, test: &Arc<ClaimTest>, claims: &str) -> bool {
        let is_met = serde_json::from_str(claims).is_ok_and(|claims| test.is_met_by(&claims));
        self.0.rcu(|known| {
            let mut answers = known.as_deref().cloned().unwrap_or_default();
            if answers.len() >= MOST_ANSWERS {
                answers.clear();
            }
            if let Err(at) = place(&answers, test) {
                let test = Arc::clone(test);
                answers.insert(at, Answer { test, is_met });
            }
            Some(Arc::new(answers))
        });
        is_met
    }
}

/// Where the answer to a test is, or belongs.
#[inline]
fn place(answers: &[Answer], test: &Arc<ClaimTest>) -> Result<usize, usize> {
    let address = |test: &Arc<ClaimTest>| Arc::as_ptr(test).addr();
    answers.binary_search_by_key(&address(test), |answer| address(&answer.test))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(path: &str, value: impl Into<ClaimValue>) -> ClaimTest {
        ClaimTest::new(ClaimPath::parse(path).unwrap(), value.into()).unwrap()
    }

    fn is_met(test: &ClaimTest, claims: &str) -> bool {
        test.is_met_by(&serde_json::from_str(claims).unwrap())
    }

    // D25
    #[test]
    fn text_numbers_and_truth_match_their_own_kind_alone() {
        let cases: [(ClaimValue, &[&str], &[&str]); 9] = [
            (
                "gold".into(),
                &[r#""gold""#, r#"["x","gold"]"#, r#"[7,"gold"]"#],
                &[
                    r#""Gold""#,
                    r#""golden""#,
                    r#"" gold""#,
                    r#"[["gold"]]"#,
                    r#"{"gold":true}"#,
                    "null",
                    "[]",
                ],
            ),
            ("true".into(), &[r#""true""#], &["true", "[true]"]),
            (
                true.into(),
                &["true", "[true]"],
                &[r#""true""#, "false", "1"],
            ),
            (false.into(), &["false"], &["true", "null", "0"]),
            (
                3.into(),
                &["3", "3.0", "3e0", "[1,3]"],
                &[r#""3""#, "3.5", "4", "-3", "true"],
            ),
            (3.0.into(), &["3", "3.0"], &["3.5"]),
            (2.5.into(), &["2.5", "25e-1"], &["2", "3"]),
            (
                9_007_199_254_740_993_u64.into(),
                &["9007199254740993"],
                &["9007199254740992", "9007199254740993.0"],
            ),
            (
                u64::MAX.into(),
                &["18446744073709551615"],
                &["-1", "18446744073709551616"],
            ),
        ];
        for (value, met, unmet) in cases {
            let test = test("tier", value);
            for claim in met {
                assert!(
                    is_met(&test, &format!(r#"{{"tier":{claim}}}"#)),
                    "{test}: {claim}"
                );
            }
            for claim in unmet {
                assert!(
                    !is_met(&test, &format!(r#"{{"tier":{claim}}}"#)),
                    "{test}: {claim}"
                );
            }
            assert!(!is_met(&test, "{}"), "{test}");
        }
    }

    // D22, D25
    #[test]
    fn a_value_is_compared_by_type_and_an_array_by_its_items() {
        let is_in = |value: ClaimValue, claim: &str| {
            let claim: Value = serde_json::from_str(claim).unwrap();
            value.is_in(&claim)
        };
        for (is_met, expected) in [
            (is_in("a".into(), r#"["b","a"]"#), true),
            (is_in("a".into(), r#""A""#), false),
            (is_in("a".into(), r#""a b""#), false),
            (is_in("7".into(), "7"), false),
            (is_in("a".into(), "null"), false),
            (is_in(7.into(), "[6,7]"), true),
            (is_in((-7).into(), "-7"), true),
            (is_in(i64::MAX.into(), &u64::MAX.to_string()), false),
            (is_in(i64::MAX.into(), "9.3e18"), false),
            (is_in(i64::MAX.into(), "1e300"), false),
            (is_in(true.into(), "[false,true]"), true),
            (is_in(true.into(), "1"), false),
        ] {
            assert_eq!(is_met, expected);
        }
    }

    // D25
    #[test]
    fn what_is_held_instead_is_told_without_its_value() {
        for (test, claims, told, is_of_another_form) in [
            (test("a.b", "x"), "{}", "the token has no claim a", false),
            (
                test("a.b", "x"),
                r#"{"a":{}}"#,
                "the token has no claim a.b",
                false,
            ),
            (
                test("a.b", "x"),
                r#"{"a.b":"x"}"#,
                "the token has no claim a (it has ['a.b'], which is written like this)",
                true,
            ),
            (
                test("a.b", "x"),
                r#"{"a":["x"]}"#,
                "an array is the value of the claim a (only an object has members: shorten the path)",
                true,
            ),
            (
                test("a", "true"),
                r#"{"a":true}"#,
                "true or false and not text is the value of the claim a (require true or false, without quotation marks)",
                true,
            ),
            (
                test("a", true),
                r#"{"a":"true"}"#,
                "text and not true or false is the value of the claim a (require text, in quotation marks)",
                true,
            ),
            (
                test("a", 1),
                r#"{"a":["1"]}"#,
                "an array without a number is the value of the claim a (require a value of the type that it holds)",
                true,
            ),
            (
                test("a", 1),
                r#"{"a":[2]}"#,
                "an array without that value is the value of the claim a",
                false,
            ),
            (
                test("a", "x"),
                r#"{"a":[]}"#,
                "an array without that text is the value of the claim a",
                false,
            ),
            (
                test("a", 1),
                r#"{"a":2}"#,
                "another number is the value of the claim a",
                false,
            ),
        ] {
            let unmet = test.unmet(claims);
            assert_eq!(unmet.to_string(), told);
            assert_eq!(unmet.is_of_another_form(), is_of_another_form, "{told}");
        }
    }

    // D25
    #[test]
    fn a_test_that_no_token_can_meet_is_an_error() {
        for (path, value) in [
            ("exp", ClaimValue::from("1700000000")),
            ("iat", true.into()),
            ("iss", 7.into()),
            ("aud", false.into()),
            ("level", f64::NAN.into()),
            ("level", f64::INFINITY.into()),
        ] {
            let error = ClaimTest::new(ClaimPath::parse(path).unwrap(), value).unwrap_err();
            assert_eq!(error.setting(), "claim value", "{error}");
        }
        assert!(ClaimTest::new(ClaimPath::parse("a.exp").unwrap(), "x".into()).is_ok());
    }

    // D25
    #[test]
    fn answers_are_of_their_own_test_and_bounded() {
        let answers = ClaimAnswers::default();
        let claims = r#"{"n":[0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30,32,34,36,38]}"#;
        let tests: Vec<_> = (0..200).map(|n| Arc::new(test("n", n))).collect();
        for _ in 0..2 {
            for (n, test) in tests.iter().enumerate() {
                for _ in 0..2 {
                    let expected = n % 2 == 0 && n < 40;
                    assert_eq!(answers.to(test, claims), expected, "{n}");
                }
                let kept = answers.0.load().as_ref().unwrap().len();
                assert!(kept <= MOST_ANSWERS, "{kept}");
            }
        }
        // What is remembered is not read again.
        let answers = ClaimAnswers::default();
        for test in &tests[..MOST_ANSWERS] {
            answers.to(test, claims);
        }
        for (n, test) in tests[..MOST_ANSWERS].iter().enumerate() {
            assert_eq!(answers.to(test, "{}"), n % 2 == 0 && n < 40, "{n}");
        }
        assert!(!answers.to(&Arc::new(test("n", 38)), "{}"));
    }

    // D25
    #[test]
    fn answers_stay_right_while_many_ask() {
        let answers = ClaimAnswers::default();
        let tests: Vec<_> = (0..100).map(|n| Arc::new(test("n", n))).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        for (n, test) in tests.iter().enumerate() {
                            assert_eq!(answers.to(test, r#"{"n":[7]}"#), n == 7);
                        }
                    }
                });
            }
        });
    }
}
