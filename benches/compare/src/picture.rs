//! Pictures of the measurements, with logarithmic axes.

use std::path::PathBuf;

use plotters::prelude::*;

use crate::Error;

const COLOURS: [RGBColor; 4] = [
    RGBColor(31, 94, 207),
    RGBColor(201, 76, 40),
    RGBColor(38, 138, 92),
    RGBColor(122, 74, 168),
];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../figures/{name}.svg"))
}

pub(crate) fn bars(name: &str, title: &str, bars: &[(String, f64)]) -> Result<(), Error> {
    let path = path(name);
    let root =
        SVGBackend::new(&path, (760, 60 + 44 * u32::try_from(bars.len())?)).into_drawing_area();
    root.fill(&WHITE)?;
    root.draw(&Text::new(title, (16, 14), ("sans-serif", 18)))?;
    let most = bars.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    for (at, (name, value)) in bars.iter().enumerate() {
        let top = 52 + 44 * i32::try_from(at)?;
        #[expect(clippy::cast_possible_truncation, reason = "pixels")]
        let width = (value / most * 380.0).max(1.0) as i32;
        root.draw(&Text::new(name.as_str(), (16, top + 6), ("sans-serif", 15)))?;
        let colour = if name.starts_with("tower-oidc") {
            COLOURS[0]
        } else {
            RGBColor(150, 158, 170)
        };
        root.draw(&Rectangle::new(
            [(270, top), (270 + width, top + 28)],
            colour.filled(),
        ))?;
        let label = format!("{value:.2}");
        root.draw(&Text::new(
            label,
            (278 + width, top + 6),
            ("sans-serif", 15),
        ))?;
    }
    root.present()?;
    Ok(())
}

pub(crate) fn lines(
    name: &str,
    title: &str,
    lines: &[(&str, Vec<(f64, f64)>)],
    labels: SeriesLabelPosition,
) -> Result<(), Error> {
    let path = path(name);
    let root = SVGBackend::new(&path, (760, 460)).into_drawing_area();
    root.fill(&WHITE)?;
    let all = || lines.iter().flat_map(|(_, points)| points);
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        let least = all().map(of).fold(f64::INFINITY, f64::min);
        let most = all().map(of).fold(0.0, f64::max);
        (least * 0.7)..(most * 1.6)
    };
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(36)
        .y_label_area_size(76)
        .build_cartesian_2d(
            bounds(|point| point.0).log_scale(),
            bounds(|point| point.1).log_scale(),
        )?;
    chart.configure_mesh().light_line_style(WHITE).draw()?;
    for (at, (name, points)) in lines.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        chart
            .draw_series(
                LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3),
            )?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 205, 212))
        .position(labels)
        .draw()?;
    root.present()?;
    Ok(())
}
