//! Pages in the languages of the visitors.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

use crate::error::{ConfigError, LoginErrorKind};
use crate::settings::LANGUAGE;

/// What a [`Page`](crate::login::Page) says, in words of the application. The page stays as it is otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageText {
    pub(super) title: String,
    pub(super) text: String,
    pub(super) remedy: String,
    pub(super) sign_in: String,
}

impl PageText {
    /// A title, what happened, what the visitor can do about it, and the label of the link that signs in. All of it
    /// is plain text.
    #[must_use]
    pub fn new(title: &str, text: &str, remedy: &str, sign_in: &str) -> Self {
        Self {
            title: title.to_owned(),
            text: text.to_owned(),
            remedy: remedy.to_owned(),
            sign_in: sign_in.to_owned(),
        }
    }
}

/// The language of pages that no application has translated.
pub(super) const ENGLISH: &str = "en";

type Texts = dyn Fn(LoginErrorKind) -> Option<PageText> + Send + Sync;

/// A language and what pages say in it.
#[derive(Clone)]
pub(crate) struct Language {
    tag: String,
    texts: Arc<Texts>,
}

/// The languages of a site.
#[derive(Debug, Clone, Default)]
pub(crate) struct Languages {
    /// Where a visitor prefers none of the others. Default: English.
    pub(crate) main: Option<Language>,
    pub(crate) others: Vec<Language>,
}

/// A text and its language.
#[derive(Debug, Clone)]
pub(crate) struct Wording {
    pub(super) language: String,
    pub(super) text: PageText,
}

/// What a visitor prefers, of what there is.
enum Found<'a> {
    English,
    Of(&'a Language),
}

/// The longest tag of a language.
const LONGEST_TAG: usize = 35;

/// A browser sends a handful.
const MOST_PREFERENCES: usize = 32;

impl Language {
    pub(crate) fn new(
        tag: &str,
        texts: impl Fn(LoginErrorKind) -> Option<PageText> + Send + Sync + 'static,
    ) -> Self {
        Self {
            tag: tag.to_owned(),
            texts: Arc::new(texts),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let is_subtag = |part: &str| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        if self.tag.len() <= LONGEST_TAG && self.tag.split('-').all(is_subtag) {
            return Ok(());
        }
        Err(ConfigError::invalid(
            LANGUAGE,
            &self.tag,
            "it is no tag of a language",
            "write it as HTML does, such as de or pt-BR",
        ))
    }
}

impl Languages {
    /// # Errors
    /// [`ConfigError`] naming a tag that is none.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let mut all = self.main.iter().chain(&self.others);
        all.try_for_each(Language::check)
    }

    /// The text of the application for this visitor, if it has one.
    pub(crate) fn wording(&self, headers: &HeaderMap, kind: LoginErrorKind) -> Option<Wording> {
        let language = self.preferred(headers)?;
        Some(Wording {
            language: language.tag.clone(),
            text: (language.texts)(kind)?,
        })
    }

    /// The language that the visitor likes best of those there are; `None` for English
    /// ([RFC 9110 §12.5.4](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.4)).
    fn preferred(&self, headers: &HeaderMap) -> Option<&Language> {
        if self.others.is_empty() {
            return self.main.as_ref();
        }
        let fields = headers.get_all(ACCEPT_LANGUAGE).iter();
        let fields = fields.filter_map(|field| field.to_str().ok());
        let preferences = fields.flat_map(|field| field.split(','));
        let mut preferences: Vec<_> = preferences
            .take(MOST_PREFERENCES)
            .filter_map(preference)
            .collect();
        // The first of those that are liked as much stays the first.
        preferences.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
        let mut found = preferences.iter().filter_map(|(range, _)| self.find(range));
        match found.next() {
            Some(Found::English) => None,
            Some(Found::Of(language)) => Some(language),
            None => self.main.as_ref(),
        }
    }

    /// The language for a range: itself, or the same without its last parts
    /// ([RFC 4647 §3.4](https://www.rfc-editor.org/rfc/rfc4647#section-3.4)).
    fn find(&self, range: &str) -> Option<Found<'_>> {
        let mut range = range;
        loop {
            let mut all = self.main.iter().chain(&self.others);
            if let Some(language) = all.find(|one| one.tag.eq_ignore_ascii_case(range)) {
                return Some(Found::Of(language));
            }
            if self.main.is_none() && range.eq_ignore_ascii_case(ENGLISH) {
                return Some(Found::English);
            }
            range = range.rsplit_once('-')?.0;
        }
    }
}

/// A range and its weight in thousandths, if it is wanted at all.
fn preference(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| !range.is_empty())?;
    let weight = match parts.find_map(|part| part.strip_prefix(['q', 'Q'])) {
        None => 1_000,
        Some(weight) => thousandths(weight.trim_start().strip_prefix('=')?.trim_start())?,
    };
    (weight > 0).then_some((range, weight))
}

/// A weight such as `0.8` ([RFC 9110 §12.4.2](https://www.rfc-editor.org/rfc/rfc9110#section-12.4.2)).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    match (whole, is_number) {
        ("1", true) => Some(1_000),
        ("0", true) => format!("{fraction:0<3}").parse().ok(),
        _ => None,
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Language({})", self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn language(tag: &str) -> Language {
        let title = tag.to_owned();
        Language::new(tag, move |_| Some(PageText::new(&title, "", "", "")))
    }

    fn chosen(languages: &Languages, accepts: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for field in accepts {
            headers.append(ACCEPT_LANGUAGE, HeaderValue::from_str(field).unwrap());
        }
        let wording = languages.wording(&headers, LoginErrorKind::NotSignedIn);
        wording.map_or_else(|| ENGLISH.to_owned(), |wording| wording.text.title)
    }

    #[test]
    fn a_visitor_reads_the_language_that_they_like_best() {
        let both = Languages {
            main: None,
            others: vec![language("de"), language("pt-BR")],
        };
        let no_english = Languages {
            main: Some(language("de")),
            others: vec![language("fr")],
        };
        let only = Languages {
            main: Some(language("de")),
            others: Vec::new(),
        };
        let cases: [(&Languages, &[&str], &str); 20] = [
            (&both, &[], "en"),
            (&both, &["de"], "de"),
            (&both, &["DE-at"], "de"),
            (&both, &["pt-BR"], "pt-BR"),
            // A language of another country is another language.
            (&both, &["pt"], "en"),
            (&both, &["pt-PT,de;q=0.5"], "de"),
            (&both, &["en,de"], "en"),
            (&both, &["en-GB;q=0.9, de;q=0.8"], "en"),
            (&both, &["en;q=0.1, de ; Q = 0.8"], "de"),
            (&both, &["fr, it, de;q=0.01"], "de"),
            (&both, &["fr", "de"], "de"),
            (&both, &["de;q=0, en;q=0.1"], "en"),
            (&both, &["de;q=2", "pt-br;q=x", ";;,,=", "-", "*"], "en"),
            (&no_english, &[], "de"),
            (&no_english, &["en"], "de"),
            (&no_english, &["en, fr;q=0.2"], "fr"),
            (&no_english, &["fr;q=0.2, de;q=0.3"], "de"),
            (&only, &["en"], "de"),
            (&Languages::default(), &["de"], "en"),
            (&Languages::default(), &[], "en"),
        ];
        for (languages, accepts, expected) in cases {
            assert_eq!(chosen(languages, accepts), expected, "{accepts:?}");
        }
        let many = vec!["xx"; 10_000].join(",") + ",de";
        assert_eq!(chosen(&both, &[&many]), "en", "the first are looked at");
    }

    #[test]
    fn a_tag_is_one_that_pages_can_have() {
        for good in ["de", "pt-BR", "zh-Hant-TW", "x-klingon"] {
            assert!(language(good).check().is_ok(), "{good}");
        }
        for bad in [
            "",
            "de_DE",
            "de-",
            "a\"b",
            "deutschland",
            "é",
            &"a-".repeat(18),
        ] {
            assert!(language(bad).check().is_err(), "{bad}");
        }
    }
}
