//! JSON objects, read in one pass: registered members are kept, and all others are passed over, or read to their
//! end, so that the text can be read by every JSON reader.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A JSON value as far as registered members need it: of nested values only arrays of strings.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Json<'a> {
    #[default]
    Absent,
    Null,
    Text(Cow<'a, str>),
    Unsigned(u64),
    Float(f64),
    /// An array of strings only.
    Texts(Vec<Cow<'a, str>>),
    /// Anything else: a truth value, a negative whole number, an object, a mixed array.
    Other,
}

impl Json<'_> {
    fn is_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// Forgets a null.
    pub(super) fn without_null(&mut self) {
        if *self == Self::Null {
            *self = Self::Absent;
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Whether a member is there, where its value does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Presence {
    #[default]
    Absent,
    Null,
    Present,
}

/// Reads one value. The items of an array are kept, what is nested deeper is not.
struct JsonSeed {
    in_array: bool,
}

impl<'de> DeserializeSeed<'de> for JsonSeed {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonSeed {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Unsigned(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(u64::try_from(number).map_or(Json::Other, Json::Unsigned))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(number))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json<'de>, E> {
        Ok(Json::Other)
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        if self.in_array {
            Unkept.visit_seq(items)?;
            return Ok(Json::Other);
        }
        let mut texts = Some(Vec::new());
        while let Some(item) = items.next_element_seed(Self { in_array: true })? {
            match (&mut texts, item) {
                (Some(texts), Json::Text(text)) => texts.push(text),
                _ => texts = None,
            }
        }
        Ok(texts.map_or(Json::Other, Json::Texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Json<'de>, A::Error> {
        Unkept.visit_map(members)?;
        Ok(Json::Other)
    }
}

/// Reads one value to its end and keeps nothing of it. Unlike serde's `IgnoredAny` it refuses what a
/// reader of the value would refuse later: half of a surrogate pair, a number that is too large, and
/// nesting deeper than `serde_json` follows.
struct Unkept;

impl<'de> DeserializeSeed<'de> for Unkept {
    type Value = Presence;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Presence, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unkept {
    type Value = Presence;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_str<E>(self, _: &str) -> Result<Presence, E> {
        Ok(Presence::Present)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Presence, E> {
        Ok(Presence::Present)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Presence, E> {
        Ok(Presence::Present)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Presence, E> {
        Ok(Presence::Present)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Presence, E> {
        Ok(Presence::Present)
    }

    fn visit_unit<E>(self) -> Result<Presence, E> {
        Ok(Presence::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Presence, A::Error> {
        while items.next_element_seed(Self)?.is_some() {}
        Ok(Presence::Present)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Presence, A::Error> {
        while members.next_key_seed(Self)?.is_some() {
            members.next_value_seed(Self)?;
        }
        Ok(Presence::Present)
    }
}

/// A struct with a place for some members of an object.
pub(super) trait Members<'de> {
    /// How many members without a place there usually are.
    const USUAL_OTHERS: usize;

    fn place(&mut self, name: &str) -> Place<'_, 'de>;

    /// The same name, if it is that of a member with a place.
    fn known_name(name: &str) -> Option<&'static str>;
}

/// What is read of a member.
pub(super) enum Place<'a, 'de> {
    Value(&'a mut Json<'de>),
    /// Only whether it is there.
    Presence(&'a mut Presence),
    Nothing,
}

/// Why an object could not be read.
pub(super) enum ObjectError {
    NotAnObject,
    /// A member stands twice. Its name, if it is known.
    Duplicate(Option<&'static str>),
}

/// What is done with the values of members without a place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// They are passed over.
    Skipped,
    /// They are read to their end.
    Read,
}

/// Reads one JSON object into `members`, and returns whether any of them is null. An object with a member twice is
/// refused, known or not.
pub(super) fn read_object<'de, M: Members<'de>>(
    text: &'de str,
    members: &mut M,
    treatment: Others,
) -> Result<bool, ObjectError> {
    let mut object = ObjectVisitor {
        members,
        has_null: false,
        treatment,
        others: Vec::with_capacity(M::USUAL_OTHERS),
        duplicate: None,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer
        .deserialize_map(&mut object)
        .and_then(|()| deserializer.end())
        .map_err(|_| ObjectError::NotAnObject)?;
    let ObjectVisitor {
        mut others,
        duplicate,
        has_null,
        ..
    } = object;
    others.sort_unstable();
    let mut pairs = others.windows(2);
    let duplicate = duplicate.or_else(|| {
        let pair = pairs.find(|pair| pair[0] == pair[1])?;
        Some(pair[0].clone())
    });
    match duplicate {
        Some(name) => Err(ObjectError::Duplicate(M::known_name(&name))),
        None => Ok(has_null),
    }
}

struct ObjectVisitor<'a, 'de, M> {
    members: &'a mut M,
    has_null: bool,
    treatment: Others,
    others: Vec<Cow<'de, str>>,
    duplicate: Option<Cow<'de, str>>,
}

impl<'de, M: Members<'de>> Visitor<'de> for &mut ObjectVisitor<'_, 'de, M> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(NameSeed)? {
            match self.members.place(&name) {
                Place::Value(value) => {
                    let read = map.next_value_seed(JsonSeed { in_array: false })?;
                    self.has_null |= matches!(read, Json::Null);
                    if value.is_present() {
                        self.duplicate = Some(name);
                    } else {
                        // What is absent holds nothing to be dropped.
                        std::mem::forget(std::mem::replace(value, read));
                    }
                    continue;
                }
                Place::Presence(presence) => {
                    *presence = map.next_value_seed(Unkept)?;
                    self.has_null |= *presence == Presence::Null;
                }
                Place::Nothing if self.treatment == Others::Skipped => {
                    map.next_value::<IgnoredAny>()?;
                }
                Place::Nothing => {
                    map.next_value_seed(Unkept)?;
                }
            }
            self.others.push(name);
        }
        Ok(())
    }
}

struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for NameSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}
