use super::*;

fn series(name: &str, points: &[(f64, f64)]) -> Series {
    let point = |(x, y): &(f64, f64)| Point { x: *x, y: *y, note: String::new() };
    Series { name: name.into(), points: points.iter().map(point).collect(), style: Style::Line }
}

fn chart(series: Vec<Series>) -> Chart {
    let axis = |label: &str| Axis { label: label.into(), kind: Kind::Linear };
    Chart { title: "A & B".into(), x: axis("epoch"), y: axis("accuracy"), series }
}

/// How often a text occurs.
fn count(svg: &str, text: &str) -> usize {
    svg.matches(text).count()
}

#[test]
fn series_of_one_name_share_a_colour_and_a_line_of_the_legend() {
    let curves = [(1.0, 0.5), (2.0, 0.7)];
    let svg = chart(vec![series("dense", &curves), series("dense", &curves), series("sparse", &curves)]).draw();
    assert_eq!((count(&svg, ">\ndense\n<"), count(&svg, ">\nsparse\n<")), (1, 1), "{svg}");
    assert_eq!(count(&svg, "<path"), 3);
    assert_eq!(count(&svg, &format!("stroke=\"{}\"", COLOURS[0])), 3, "two curves and the legend");
    let alone = chart(vec![series("dense", &curves)]).draw();
    assert_eq!(count(&alone, "dense"), 0, "one series needs no legend");
}

#[test]
fn a_line_is_broken_where_there_is_no_number() {
    let svg = chart(vec![series("a", &[(1.0, 1.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 2.0)])]).draw();
    let path = svg.lines().find(|line| line.contains("<path")).expect("a curve");
    assert_eq!((count(path, "M"), count(path, "L")), (2, 1), "{path}");
}

#[test]
fn names_are_text_and_nothing_else() {
    let svg = chart(vec![series("<b>", &[(0.0, 0.0)]), series("\"&", &[(1.0, 1.0)])]).draw();
    assert!(svg.contains("&lt;b&gt;") && svg.contains("A &amp; B"), "{svg}");
}

#[test]
fn notes_stand_beside_their_points() {
    let mut scatter = series("a", &[(0.0, 0.0), (1.0, 1.0)]);
    scatter.style = Style::Dots;
    scatter.points[0].note = "λ = 0.1".into();
    let svg = chart(vec![scatter]).draw();
    assert_eq!((count(&svg, "<circle"), count(&svg, "<path"), count(&svg, "λ = 0.1")), (2, 0, 1));
}

#[test]
fn a_picture_of_nothing_is_a_picture() {
    for kind in [Kind::Linear, Kind::Log] {
        let mut chart = chart(vec![series("a", &[(f64::NAN, 1.0), (-1.0, f64::INFINITY)])]);
        (chart.x.kind, chart.y.kind) = (kind, kind);
        let svg = chart.draw();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
