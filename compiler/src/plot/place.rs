//! Where texts go so that none covers another.

/// A rectangle, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// The left edge.
    pub x: f64,
    /// The upper edge.
    pub y: f64,
    /// The width.
    pub width: f64,
    /// The height.
    pub height: f64,
}

impl Area {
    /// Whether two areas share a pixel.
    pub fn meets(&self, other: &Area) -> bool {
        let apart = self.x + self.width <= other.x
            || other.x + other.width <= self.x
            || self.y + self.height <= other.y
            || other.y + other.height <= self.y;
        !apart
    }

    /// Whether all of `other` lies in it.
    fn holds(&self, other: &Area) -> bool {
        other.x >= self.x
            && other.y >= self.y
            && other.x + other.width <= self.x + self.width
            && other.y + other.height <= self.y + self.height
    }
}

/// About how wide a text is. Fonts differ, so it is on the safe side.
pub fn width(text: &str, size: f64) -> f64 {
    0.62 * size * text.chars().count() as f64
}

/// Directions in which a text may lie from its point, the best first.
const AROUND: [(f64, f64); 8] =
    [(1.0, 0.0), (-1.0, 0.0), (0.0, -1.0), (0.0, 1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, -1.0), (-1.0, 1.0)];

/// A place within `bounds` for a text of this width and height beside the point (`x`, `y`), away from all of `taken`; `None` where
/// there is none near enough.
pub fn beside(x: f64, y: f64, size: (f64, f64), bounds: &Area, taken: &[Area]) -> Option<Area> {
    let (width, height) = size;
    let candidates = [8.0, 14.0, 22.0, 32.0].into_iter().flat_map(|gap| AROUND.map(|way| (gap, way)));
    let area = |(gap, (right, down)): (f64, (f64, f64))| {
        let across = (width / 2.0 + gap) * right;
        let along = (height / 2.0 + gap) * down;
        Area { x: x + across - width / 2.0, y: y + along - height / 2.0, width, height }
    };
    candidates.map(area).find(|area| bounds.holds(area) && !taken.iter().any(|other| other.meets(area)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn texts_never_cover_texts_or_points(points in prop::collection::vec((0.0_f64..400.0, 0.0_f64..200.0), 1..40)) {
            let bounds = Area { x: 0.0, y: 0.0, width: 400.0, height: 200.0 };
            let dot = |(x, y): &(f64, f64)| Area { x: x - 4.0, y: y - 4.0, width: 8.0, height: 8.0 };
            let dots: Vec<Area> = points.iter().map(dot).collect();
            let mut taken = dots.clone();
            for (x, y) in &points {
                if let Some(area) = beside(*x, *y, (40.0, 12.0), &bounds, &taken) {
                    prop_assert!(!taken.iter().any(|other| other.meets(&area)) && bounds.holds(&area));
                    taken.push(area);
                }
            }
            prop_assert!(points.len() > 1 || taken.len() == 2, "a single one always has a text");
        }
    }
}
