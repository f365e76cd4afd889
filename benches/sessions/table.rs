//! The table, in the form of Markdown.

use crate::Row;
use crate::load::Rate;

pub(crate) const HEAD: &str = "\
| store | sessions | requests per second, near cache on | near cache off | sign-ins per second | refreshes per second \
| the store alone: sign-ins per second | the store alone: refreshes per second | bytes of a session \
| round trips of a request, near cache on / off | round trips of a refresh |
|---|---|---|---|---|---|---|---|---|---|---|";

pub(crate) fn line(row: &Row) -> String {
    let rates = [
        &row.near,
        &row.far,
        &row.sign_ins,
        &row.refreshes,
        &row.creates,
        &row.swaps,
    ];
    let rates = rates.map(rate).join(" | ");
    let trips = match &row.trips {
        Some(trips) => format!(
            "{:.2} / {:.2} | {:.2}",
            trips.near_request, trips.far_request, trips.refresh
        ),
        None => "– | –".to_owned(),
    };
    let (kind, bytes) = (row.kind.name(), grouped(row.bytes_each));
    let sessions = grouped(u32::try_from(row.sessions).map_or(f64::INFINITY, f64::from));
    format!("| {kind} | {sessions} | {rates} | {bytes} | {trips} |")
}

/// The median of the rounds, and how far the one that is farthest from it is away.
fn rate(rate: &Rate) -> String {
    let off = (rate.fastest - rate.median).max(rate.median - rate.slowest);
    let percent = 100.0 * off / rate.median;
    format!("{} ±{percent:.0} %", grouped(rate.median))
}

/// With a gap between thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
