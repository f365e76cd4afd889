//! The picture: four curves in each of four fields, readable on light and on dark pages.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::load::Rate;
use crate::server::Kind;
use crate::{Fallible, Row};

/// Of a field, in pixels.
const WIDTH: f64 = 370.0;
const HEIGHT: f64 = 220.0;

/// Above the fields, for the names of the stores.
const TOP: f64 = 44.0;

/// Within a field, around its curves.
const LEFT: f64 = 58.0;
const RIGHT: f64 = 20.0;
const ABOVE: f64 = 30.0;
const BELOW: f64 = 36.0;

const STYLE: &str = "<style>
svg { background: #ffffff; font: 12px sans-serif; }
text { fill: #24292f; } .title { font-size: 13px; font-weight: bold; } .grid { stroke: #d0d7de; }
.c0 { stroke: #6e7781; fill: #6e7781; } .c1 { stroke: #cf3a2c; fill: #cf3a2c; }
.c2 { stroke: #1f6feb; fill: #1f6feb; } .c3 { stroke: #1a8a4c; fill: #1a8a4c; }
polyline { fill: none !important; stroke-width: 2; } .range { stroke-width: 1; }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; } text { fill: #e6edf3; } .grid { stroke: #30363d; }
.c0 { stroke: #9ea7b3; fill: #9ea7b3; } .c1 { stroke: #ff7b6b; fill: #ff7b6b; }
.c2 { stroke: #6cb6ff; fill: #6cb6ff; } .c3 { stroke: #4ac77e; fill: #4ac77e; }
}
</style>";

/// What a field shows of a row.
type Value = fn(&Row) -> Rate;

/// Its title, its values, and whether its axis begins at zero instead of being logarithmic.
const FIELDS: [(&str, Value, bool); 4] = [
    ("requests per second, near cache on", |row| row.near, false),
    ("requests per second, near cache off", |row| row.far, false),
    ("refreshes per second", |row| row.refreshes, false),
    ("KiB of a session", kibibytes, true),
];

fn kibibytes(row: &Row) -> Rate {
    let size = row.bytes_each / 1_024.0;
    Rate {
        slowest: size,
        median: size,
        fastest: size,
    }
}

pub(crate) fn draw(rows: &[Row]) -> Fallible<()> {
    let (width, height) = (2.0 * WIDTH, 2.0 * HEIGHT + TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>What sessions cost in each store, by their number</title>\n{STYLE}\n"
    );
    for (at, kind) in Kind::ALL.into_iter().enumerate() {
        let x = LEFT + 130.0 * to_float(at);
        writeln!(
            svg,
            "<line class=\"c{at}\" stroke-width=\"3\" x1=\"{x}\" y1=\"22\" x2=\"{}\" y2=\"22\"/>\
             <text x=\"{}\" y=\"26\">{}</text>",
            x + 20.0,
            x + 28.0,
            kind.name()
        )?;
    }
    for (at, (title, value, is_linear)) in FIELDS.into_iter().enumerate() {
        let (x, y) = (WIDTH * to_float(at % 2), TOP + HEIGHT * to_float(at / 2));
        writeln!(svg, "<g transform=\"translate({x} {y})\">")?;
        field(&mut svg, title, rows, value, is_linear)?;
        writeln!(svg, "</g>")?;
    }
    svg.push_str("</svg>\n");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/figures/sessions.svg");
    Ok(std::fs::write(path, svg)?)
}

/// A straight line from values to pixels.
struct Axis {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let share = (value - self.least) / (self.most - self.least);
        let pixel = self.from + share * (self.to - self.from);
        (pixel * 10.0).round() / 10.0
    }
}

fn field(
    svg: &mut String,
    title: &str,
    rows: &[Row],
    value: Value,
    is_linear: bool,
) -> Fallible<()> {
    let size = |row: &Row| to_float(row.sessions).log10();
    let scaled = |value: f64| if is_linear { value } else { value.log10() };
    let least = |of: &dyn Fn(&Row) -> f64| rows.iter().map(of).fold(f64::INFINITY, f64::min);
    let most = |of: &dyn Fn(&Row) -> f64| rows.iter().map(of).fold(0.0, f64::max);
    let across = Axis {
        least: least(&size),
        most: most(&size),
        from: LEFT + 10.0,
        to: WIDTH - RIGHT - 10.0,
    };
    let up = Axis {
        least: if is_linear {
            0.0
        } else {
            least(&|row| scaled(value(row).slowest)).floor()
        },
        most: most(&|row| scaled(value(row).fastest)).ceil(),
        from: HEIGHT - BELOW,
        to: ABOVE,
    };
    writeln!(
        svg,
        "<text class=\"title\" x=\"{LEFT}\" y=\"18\">{title}</text>"
    )?;
    let mut mark = up.least;
    while mark <= up.most {
        let y = up.at(mark);
        let label = if is_linear { mark } else { 10_f64.powf(mark) };
        writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\"/>\
             <text text-anchor=\"end\" x=\"{}\" y=\"{}\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0,
            short(label)
        )?;
        mark += 1.0;
    }
    for row in rows.iter().filter(|row| row.kind == Kind::ALL[0]) {
        writeln!(
            svg,
            "<text text-anchor=\"middle\" x=\"{}\" y=\"{}\">{}</text>",
            across.at(size(row)),
            HEIGHT - BELOW + 16.0,
            short(to_float(row.sessions))
        )?;
    }
    for (at, kind) in Kind::ALL.into_iter().enumerate() {
        let mut points = String::new();
        for row in rows.iter().filter(|row| row.kind == kind) {
            let (x, rate) = (across.at(size(row)), value(row));
            let y = |value: f64| up.at(scaled(value));
            write!(points, "{x},{} ", y(rate.median))?;
            writeln!(
                svg,
                "<line class=\"c{at} range\" x1=\"{x}\" x2=\"{x}\" y1=\"{}\" y2=\"{}\"/>\
                 <circle class=\"c{at}\" r=\"2.5\" cx=\"{x}\" cy=\"{}\"/>",
                y(rate.slowest),
                y(rate.fastest),
                y(rate.median)
            )?;
        }
        let points = points.trim_end();
        writeln!(svg, "<polyline class=\"c{at}\" points=\"{points}\"/>")?;
    }
    Ok(())
}

/// Thousands and millions as a letter.
fn short(number: f64) -> String {
    match number {
        number if number >= 999_999.5 => format!("{:.0} M", number / 1_000_000.0),
        number if number >= 999.5 => format!("{:.0} k", number / 1_000.0),
        number => format!("{number:.0}"),
    }
}

fn to_float(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}
