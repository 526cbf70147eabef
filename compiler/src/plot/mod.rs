//! Pictures of numbers as SVG: curves and scattered points over two axes.
//!
//! A [`Chart`] is data; [`Chart::draw`] makes a text of it. Colours are told apart by people who see few of them; texts never cover each
//! other; ticks are round. Knows nothing of runs or programs.

mod frame;
mod place;
mod scale;

use std::collections::BTreeSet;

use svg::Document;
use svg::node::element::path::Data;
use svg::node::element::{Circle, Group, Path};

pub use scale::Kind;

use frame::{Frame, INK, text};
use place::{Area, beside, width};

/// A picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chart {
    /// What stands above it; nothing if empty.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What is shown. Those with one name have one colour and one line in the legend.
    pub series: Vec<Series>,
}

/// An axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// What it counts.
    pub label: String,
    /// How distances grow.
    pub kind: Kind,
}

/// Points that belong together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// What they are.
    pub name: String,
    /// The points in order.
    pub points: Vec<Point>,
    /// How they are shown.
    pub style: Style,
}

/// How points are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// A line through them.
    #[default]
    Line,
    /// A dot for each.
    Dots,
    /// Both.
    LineAndDots,
}

/// A point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// Its place on the horizontal axis.
    pub x: f64,
    /// Its place on the vertical axis. Where it is not a number the line is broken.
    pub y: f64,
    /// What is written beside it; nothing if empty.
    pub note: String,
}

/// Colours for names, in order (after Okabe and Ito).
const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7f3c8d", "#666666"];

/// The height of small letters, in pixels.
const NOTE: f64 = 11.0;

impl Chart {
    /// The picture as the text of an SVG file.
    pub fn draw(&self) -> String {
        let frame = Frame::new(self, &self.names());
        let mut document = Document::new()
            .set("viewBox", (0, 0, frame::WIDTH as i32, frame::HEIGHT as i32))
            .set("width", frame::WIDTH)
            .set("height", frame::HEIGHT)
            .set("font-family", "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif");
        document = frame.draw(self, document);
        for series in &self.series {
            document = document.add(self.curve(series, &frame));
        }
        self.notes(&frame).into_iter().fold(document, Document::add).to_string() + "\n"
    }

    /// The names of the series, each once.
    fn names(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.series.iter().map(|series| series.name.as_str()).filter(|name| seen.insert(*name)).collect()
    }

    /// The colour of a name.
    fn colour(&self, name: &str) -> &'static str {
        let index = self.names().iter().position(|known| *known == name).unwrap_or(0);
        COLOURS[index % COLOURS.len()]
    }

    fn curve(&self, series: &Series, frame: &Frame) -> Group {
        let colour = self.colour(&series.name);
        let places: Vec<Option<(f64, f64)>> = series.points.iter().map(|point| frame.place(point)).collect();
        let mut group = Group::new();
        if series.style != Style::Dots {
            let line = Path::new().set("d", line(&places)).set("fill", "none").set("stroke", colour);
            group = group.add(line.set("stroke-width", 1.8).set("stroke-linejoin", "round"));
        }
        if series.style != Style::Line {
            let dot = |(x, y)| Circle::new().set("cx", x).set("cy", y).set("r", 4).set("fill", colour);
            group = places.iter().flatten().map(|place| dot(*place)).fold(group, Group::add);
        }
        group
    }

    /// What is written beside points, where there is room.
    fn notes(&self, frame: &Frame) -> Vec<svg::node::element::Text> {
        let points = || self.series.iter().flat_map(|series| series.points.iter().map(move |point| (series, point)));
        let mut taken: Vec<Area> = self.series.iter().flat_map(|series| covered(series, frame)).collect();
        let mut notes = vec![];
        for (series, point) in points().filter(|(_, point)| !point.note.is_empty()) {
            let Some((x, y)) = frame.place(point) else { continue };
            let size = (width(&point.note, NOTE), NOTE + 2.0);
            if let Some(area) = beside(x, y, size, &frame.plot, &taken) {
                let (middle, base) = (area.x + area.width / 2.0, area.y + area.height - 3.0);
                let note = text(&point.note, middle, base, NOTE, "middle", INK);
                notes.push(note.set("fill", self.colour(&series.name)));
                taken.push(area);
            }
        }
        notes
    }
}

/// What the dots and lines of a series cover, in small squares.
fn covered(series: &Series, frame: &Frame) -> Vec<Area> {
    let square =
        |(x, y): (f64, f64), size: f64| Area { x: x - size / 2.0, y: y - size / 2.0, width: size, height: size };
    let places: Vec<(f64, f64)> = series.points.iter().filter_map(|point| frame.place(point)).collect();
    let dots = places.iter().map(|place| square(*place, 10.0));
    if series.style == Style::Dots {
        return dots.collect();
    }
    let along = |ends: &[(f64, f64)]| {
        let (from, way) = (ends[0], (ends[1].0 - ends[0].0, ends[1].1 - ends[0].1));
        let steps = (way.0.hypot(way.1) / 4.0).ceil() as usize;
        let at = move |step: usize| (step as f64 + 0.5) / steps as f64;
        (0..steps).map(move |step| square((from.0 + at(step) * way.0, from.1 + at(step) * way.1), 4.0))
    };
    dots.chain(places.windows(2).flat_map(along)).collect()
}

/// A line through places, broken where there is none.
fn line(places: &[Option<(f64, f64)>]) -> Data {
    let mut data = Data::new();
    let mut is_down = false;
    for place in places {
        data = match place {
            Some(to) if is_down => data.line_to(*to),
            Some(to) => data.move_to(*to),
            None => data,
        };
        is_down = place.is_some();
    }
    data
}

#[cfg(test)]
mod tests;
