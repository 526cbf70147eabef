//! What stands around the points: title, axes with their ticks, legend.

use svg::Document;
use svg::node::element::{Line, Rectangle, Text};

use super::place::{Area, width};
use super::scale::Scale;
use super::{Axis, Chart, Point};

/// The size of a picture, in pixels.
pub const WIDTH: f64 = 760.0;
/// Its height.
pub const HEIGHT: f64 = 440.0;
/// The colour of texts.
pub const INK: &str = "#333333";

const FAINT: &str = "#e4e4e4";
const LETTERS: f64 = 12.0;
const GAP: f64 = 8.0;
/// The height of a line of the legend.
const ROW: f64 = 20.0;
/// The longest name in a legend, in letters; longer ones are cut.
const LONGEST: usize = 34;

/// Where things are.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Where the points are.
    pub plot: Area,
    x: Scale,
    y: Scale,
    /// The names of the legend; none where there is only one series.
    names: Vec<String>,
}

impl Frame {
    /// Makes room for everything that is written.
    pub fn new(chart: &Chart, names: &[&str]) -> Frame {
        let points = || chart.series.iter().flat_map(|series| &series.points);
        let y = Scale::new(chart.y.kind, points().map(|point| point.y), 6);
        let x = Scale::new(chart.x.kind, points().map(|point| point.x), 7);
        let names: Vec<String> = if names.len() > 1 { names.iter().map(|name| cut(name)).collect() } else { vec![] };
        let widest = |texts: &mut dyn Iterator<Item = String>| texts.fold(0.0_f64, |w, t| w.max(width(&t, LETTERS)));
        let numbers = widest(&mut y.ticks.iter().map(|tick| y.text(*tick)));
        let legend = widest(&mut names.iter().cloned());
        let left = 2.0 * GAP + 1.6 * LETTERS + numbers;
        let right = if names.is_empty() { 3.0 * GAP } else { legend + 6.0 * GAP };
        let top = if chart.title.is_empty() { 2.0 * GAP } else { 5.0 * GAP };
        let (bottom, width) = (7.0 * GAP, WIDTH - left - right);
        Frame { plot: Area { x: left, y: top, width, height: HEIGHT - top - bottom }, x, y, names }
    }

    /// Where a point is, in pixels; `None` if it has no place.
    pub fn place(&self, point: &Point) -> Option<(f64, f64)> {
        Some((self.across(self.x.place(point.x)?), self.down(self.y.place(point.y)?)))
    }

    fn across(&self, share: f64) -> f64 {
        rounded(self.plot.x + share * self.plot.width)
    }

    fn down(&self, share: f64) -> f64 {
        rounded(self.plot.y + (1.0 - share) * self.plot.height)
    }

    /// Draws all that is no point.
    pub fn draw(&self, chart: &Chart, document: Document) -> Document {
        let paper = Rectangle::new().set("width", WIDTH).set("height", HEIGHT).set("fill", "#ffffff");
        let document = self.ticks(document.add(paper));
        let document = self.titles(chart, document);
        self.legend(chart, document)
    }

    fn ticks(&self, mut document: Document) -> Document {
        let Area { x: left, y: top, width, height } = self.plot;
        let (right, bottom) = (left + width, top + height);
        for tick in &self.y.ticks {
            let y = self.down(self.y.place(*tick).unwrap_or(0.0));
            let number = text(&self.y.text(*tick), left - GAP, y + 0.35 * LETTERS, LETTERS, "end", INK);
            document = document.add(stroke((left, y), (right, y), FAINT)).add(number);
        }
        for tick in &self.x.ticks {
            let x = self.across(self.x.place(*tick).unwrap_or(0.0));
            let number = text(&self.x.text(*tick), x, bottom + 1.6 * LETTERS, LETTERS, "middle", INK);
            document = document.add(stroke((x, bottom), (x, bottom + 5.0), INK)).add(number);
        }
        document.add(stroke((left, bottom), (right, bottom), INK))
    }

    fn titles(&self, chart: &Chart, document: Document) -> Document {
        let Area { x: left, y: top, width, height } = self.plot;
        let (middle, label) = (top + height / 2.0, |axis: &Axis| axis.label.clone());
        let below = text(&label(&chart.x), left + width / 2.0, HEIGHT - 1.5 * GAP, LETTERS + 1.0, "middle", INK);
        let beside = text(&label(&chart.y), 0.0, 0.0, LETTERS + 1.0, "middle", INK);
        let turned = format!("translate({:.1} {middle:.1}) rotate(-90)", 2.2 * GAP);
        let title = text(&chart.title, left, 3.0 * GAP, LETTERS + 3.0, "start", INK).set("font-weight", 600);
        document.add(below).add(beside.set("transform", turned)).add(title)
    }

    fn legend(&self, chart: &Chart, mut document: Document) -> Document {
        let left = self.plot.x + self.plot.width + 2.5 * GAP;
        for (index, (name, shown)) in chart.names().iter().zip(&self.names).enumerate() {
            let y = self.plot.y + (index as f64 + 0.5) * ROW;
            let line = stroke((left, y), (left + 2.0 * GAP, y), chart.colour(name)).set("stroke-width", 3);
            document =
                document.add(line).add(text(shown, left + 2.75 * GAP, y + 0.35 * LETTERS, LETTERS, "start", INK));
        }
        document
    }
}

/// A tenth of a pixel is enough, and keeps files short and equal everywhere.
fn rounded(pixels: f64) -> f64 {
    (pixels * 10.0).round() / 10.0
}

fn cut(name: &str) -> String {
    if name.chars().count() <= LONGEST {
        return name.to_owned();
    }
    name.chars().take(LONGEST - 1).chain(['…']).collect()
}

fn stroke(from: (f64, f64), to: (f64, f64), colour: &str) -> Line {
    let ends = [("x1", from.0), ("y1", from.1), ("x2", to.0), ("y2", to.1)];
    ends.into_iter().fold(Line::new(), |line, (name, value)| line.set(name, rounded(value))).set("stroke", colour)
}

/// A text whose base line begins, ends or has its middle at a place.
pub fn text(content: &str, x: f64, y: f64, size: f64, anchor: &str, colour: &str) -> Text {
    let text = Text::new(content).set("x", rounded(x)).set("y", rounded(y)).set("font-size", size);
    text.set("text-anchor", anchor).set("fill", colour)
}
