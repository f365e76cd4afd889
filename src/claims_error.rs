//! Claims as a type of the application, and why they do not fit it.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use crate::claim_path::{ClaimPath, Found};

/// The claims of a verified token do not fit the application's type.
///
/// `Display` names the claim and the reason, and none of the values.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the verified claims do not fit the application's type: {} {reason}", claim.as_deref().unwrap_or("the whole"))]
#[non_exhaustive]
pub struct ClaimsError {
    claim: Option<Box<str>>,
    reason: Box<str>,
}

impl ClaimsError {
    /// The claim that does not fit, as a path such as `realm_access.roles`. `None` if it is not one alone.
    #[must_use]
    pub fn claim(&self) -> Option<&str> {
        self.claim.as_deref()
    }
}

/// Claims as a type.
pub(crate) fn fit<T: DeserializeOwned>(json: &str) -> Result<T, ClaimsError> {
    serde_json::from_str(json).map_err(|error| {
        // The messages of serde_json hold values, so the reason is found by reading once more.
        let values: Option<Value> = serde_json::from_str(json).ok();
        let misfit = values.and_then(|value| T::deserialize(Node(&value)).err());
        match misfit {
            Some(Misfit::Of { path, reason }) => ClaimsError {
                claim: joined(&path),
                reason: reason.into(),
            },
            Some(Misfit::Unknown) | None => ClaimsError {
                claim: None,
                reason: format!("cannot be read at column {}", error.column()).into(),
            },
        }
    })
}

/// The claim at this path as a type. `None` if it is not there, or null.
pub(crate) fn fit_claim<T: DeserializeOwned>(
    json: &str,
    path: &str,
) -> Result<Option<T>, ClaimsError> {
    let misfit = |reason: String| ClaimsError {
        claim: joined(&[path.to_owned()]),
        reason: reason.into(),
    };
    let parsed =
        ClaimPath::parse(path).map_err(|error| misfit(format!("cannot be looked up: {error}")))?;
    let claims: Map<String, Value> =
        serde_json::from_str(json).map_err(|_| misfit("cannot be read".to_owned()))?;
    match parsed.find(&claims) {
        Found::Value(Value::Null) | Found::Nothing(_) | Found::NoObject(..) => Ok(None),
        Found::Value(value) => fit(&value.to_string())
            .map(Some)
            .map_err(|error: ClaimsError| {
                let within = error.claim.iter().map(ToString::to_string);
                let whole: Vec<_> = within.chain([path.to_owned()]).collect();
                ClaimsError {
                    claim: joined(&whole),
                    ..error
                }
            }),
    }
}

/// The most characters of a path that are shown.
const LONGEST_PATH: usize = 200;

/// The path from the outermost member on.
fn joined(path: &[String]) -> Option<Box<str>> {
    let names = path.iter().rev().map(String::as_str);
    let text = names.collect::<Vec<_>>().join(".");
    let shown: String = text.escape_debug().take(LONGEST_PATH).collect();
    (!shown.is_empty()).then(|| shown.into())
}

/// Why a value does not fit, without the value.
#[derive(Debug)]
enum Misfit {
    Of {
        /// The names of the members, the innermost first.
        path: Vec<String>,
        reason: String,
    },
    /// The type reads JSON in a way that is not followed here.
    Unknown,
}

impl Misfit {
    fn because(reason: String) -> Self {
        Self::Of {
            path: Vec::new(),
            reason,
        }
    }

    fn within(mut self, name: impl fmt::Display) -> Self {
        if let Self::Of { path, .. } = &mut self {
            path.push(name.to_string());
        }
        self
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the claims do not fit")
    }
}

impl std::error::Error for Misfit {}

impl serde::de::Error for Misfit {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::because("is refused by the type's own check".to_owned())
    }

    fn invalid_type(found: Unexpected, expected: &dyn Expected) -> Self {
        Self::because(format!("is {}, not {expected}", kind(found)))
    }

    fn invalid_value(found: Unexpected, expected: &dyn Expected) -> Self {
        Self::because(format!(
            "is {} with a value that is not {expected}",
            kind(found)
        ))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::because(format!("has {length} items, not {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::because(format!("is none of {}", expected.join(", ")))
    }

    fn unknown_field(name: &str, _: &'static [&'static str]) -> Self {
        Self::because("is not a member of the type".to_owned()).within(name)
    }

    fn missing_field(name: &'static str) -> Self {
        Self::because("is missing".to_owned()).within(name)
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::because("stands twice".to_owned()).within(name)
    }
}

fn kind(found: Unexpected) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
        Unexpected::Float(_) => "a number with a fraction",
        Unexpected::Char(_) | Unexpected::Str(_) => "text",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "an array",
        Unexpected::Map => "an object",
        _ => "of another type",
    }
}

/// A value, read with errors that do not repeat it.
#[derive(Clone, Copy)]
struct Node<'de>(&'de Value);

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Value::Object(members) => visitor.visit_map(Members::of(members)),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (None, Some(number), _) => visitor.visit_i64(number),
                (None, None, Some(number)) => visitor.visit_f64(number),
                (None, None, None) => Err(Misfit::Unknown),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        // Types of serde_json itself, such as `RawValue`.
        if name.starts_with('$') {
            return Err(Misfit::Unknown);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.0 {
            Value::String(variant) => {
                let variant: StrDeserializer<Misfit> = variant.as_str().into_deserializer();
                visitor.visit_enum(variant)
            }
            Value::Object(members) => {
                visitor.visit_enum(MapAccessDeserializer::new(Members::of(members)))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'de>(std::iter::Enumerate<std::slice::Iter<'de, Value>>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Misfit;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Misfit> {
        let Some((at, item)) = self.0.next() else {
            return Ok(None);
        };
        seed.deserialize(Node(item))
            .map(Some)
            .map_err(|misfit| misfit.within(at))
    }
}

struct Members<'de> {
    left: serde_json::map::Iter<'de>,
    value: Option<(&'de str, &'de Value)>,
}

impl<'de> Members<'de> {
    fn of(members: &'de Map<String, Value>) -> Self {
        Self {
            left: members.iter(),
            value: None,
        }
    }
}

impl<'de> MapAccess<'de> for Members<'de> {
    type Error = Misfit;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Misfit> {
        let Some((name, value)) = self.left.next() else {
            return Ok(None);
        };
        self.value = Some((name, value));
        let name: StrDeserializer<Misfit> = name.as_str().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let Some((name, value)) = self.value.take() else {
            return Err(Misfit::custom("a value without a name"));
        };
        seed.deserialize(Node(value))
            .map_err(|misfit| misfit.within(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "read by deriving only")]
    struct Claims {
        org_id: String,
        level: Option<u8>,
        #[serde(default)]
        realm_access: Roles,
        plan: Option<Plan>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by deriving only")]
    struct Roles {
        roles: Vec<String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    #[expect(dead_code, reason = "read by deriving only")]
    enum Plan {
        Free,
        Gold,
        Own(u8),
    }

    #[test]
    fn a_misfit_is_told_by_claim_and_reason_without_values() {
        let cases = [
            (json!({}), "org_id", "is missing"),
            (
                json!({"org_id": 4711}),
                "org_id",
                "is a whole number, not a string",
            ),
            (
                json!({"org_id": ["hunter2"]}),
                "org_id",
                "is an array, not a string",
            ),
            (
                json!({"org_id": "a", "level": "hunter2"}),
                "level",
                "is text, not u8",
            ),
            (
                json!({"org_id": "a", "level": 4711}),
                "level",
                "is a whole number with a value that is not u8",
            ),
            (
                json!({"org_id": "a", "level": 1.5}),
                "level",
                "is a number with a fraction, not u8",
            ),
            (
                json!({"org_id": "a", "realm_access": {"roles": ["hunter2", 4711]}}),
                "realm_access.roles.1",
                "is a whole number, not a string",
            ),
            (
                json!({"org_id": "a", "realm_access": {}}),
                "realm_access.roles",
                "is missing",
            ),
            (
                json!({"org_id": "a", "realm_access": {"roles": [], "x": "hunter2"}}),
                "realm_access.x",
                "is not a member of the type",
            ),
            (
                json!({"org_id": "a", "plan": "hunter2"}),
                "plan",
                "is none of free, gold, own",
            ),
            (
                json!({"org_id": "a", "plan": {"own": "hunter2"}}),
                "plan.own",
                "is text, not u8",
            ),
            (
                json!({"org_id": "a", "plan": 4711}),
                "plan",
                "is a whole number, not",
            ),
        ];
        for (claims, claim, reason) in cases {
            let error = fit::<Claims>(&claims.to_string()).unwrap_err();
            let shown = error.to_string();
            if claim != "plan.own" {
                assert_eq!(error.claim(), Some(claim), "{shown}");
            }
            assert!(shown.contains(reason), "{claims}: {shown}");
            let shown = format!("{shown} {error:?}");
            assert!(
                !shown.contains("hunter2") && !shown.contains("4711"),
                "{shown}"
            );
        }
        let fits = json!({"org_id": "a", "level": null, "plan": "gold", "sub": {"x": []}});
        assert!(fit::<Claims>(&fits.to_string()).is_ok());
    }

    #[test]
    fn a_type_that_is_not_followed_is_told_by_the_column() {
        type Raw = std::collections::BTreeMap<String, Box<serde_json::value::RawValue>>;
        let error = fit::<(Raw, u8)>(r#"{"a":"hunter2"}"#).unwrap_err();
        assert!(
            error.claim().is_none() && !error.to_string().contains("hunter2"),
            "{error}"
        );
        let error = fit::<Vec<u8>>(r#"{"a":"hunter2"}"#).unwrap_err();
        assert!(
            error.to_string().contains("the whole is an object"),
            "{error}"
        );
        let long = format!(r#"{{"{}":1}}"#, "\\n".repeat(1_000));
        let error = fit::<std::collections::BTreeMap<String, String>>(&long).unwrap_err();
        assert!(
            error.to_string().len() < 400 && !error.to_string().contains('\n'),
            "{error}"
        );
    }
}
