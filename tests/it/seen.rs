//! The spans and the audit trail of a test.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::log;

/// The fields of a span or an event, by their names.
pub(crate) type Fields = BTreeMap<String, String>;

/// One span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    id: u64,
    pub(crate) name: &'static str,
    pub(crate) parent: Option<&'static str>,
    pub(crate) fields: Fields,
}

/// The spans of this crate and its audit trail, in the order in which they came.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<(Vec<Span>, Vec<Fields>)>>);

impl Seen {
    pub(crate) fn capture(&self) -> DefaultGuard {
        log::ready();
        let subscriber = tracing_subscriber::registry().with(self.clone());
        tracing::subscriber::set_default(subscriber)
    }

    /// The spans since the last look.
    pub(crate) fn spans(&self) -> Vec<Span> {
        std::mem::take(&mut self.0.lock().unwrap().0)
    }

    /// The audit trail since the last look.
    pub(crate) fn audit(&self) -> Vec<Fields> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }
}

impl<S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>> Layer<S> for Seen {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !attributes.metadata().target().starts_with("tower_oidc") {
            return;
        }
        let mut fields = Fields::new();
        attributes.record(&mut Collect(&mut fields));
        let span = context.span(id).unwrap();
        let seen = Span {
            id: id.into_u64(),
            name: attributes.metadata().name(),
            parent: span.parent().map(|parent| parent.name()),
            fields,
        };
        self.0.lock().unwrap().0.push(seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut seen = self.0.lock().unwrap();
        // An id is used again once its span is gone.
        let mut latest = seen.0.iter_mut().rev();
        if let Some(span) = latest.find(|span| span.id == id.into_u64()) {
            values.record(&mut Collect(&mut span.fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "tower_oidc::audit" {
            let mut fields = Fields::new();
            event.record(&mut Collect(&mut fields));
            self.0.lock().unwrap().1.push(fields);
        }
    }
}

struct Collect<'a>(&'a mut Fields);

impl Visit for Collect<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}
