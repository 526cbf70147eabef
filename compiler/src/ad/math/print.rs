//! Formulas as text.

use super::poly::{Atom, Cond, Poly, Term, shared_guards};
use crate::scalar::Binary;
use crate::tir::Reduction;

/// A formula in these indices, with what holds only under conditions said behind it.
pub fn formula(poly: &Poly, free: &[String]) -> String {
    let mut poly = poly.clone();
    poly.unshadow(free);
    let Some(first) = poly.0.first() else { return "0".into() };
    let shared = shared_guards(&poly.0);
    if shared.is_empty() {
        return sum(&poly);
    }
    let mut bare = poly.clone();
    bare.0.iter_mut().for_each(|term| term.guards.retain(|cond| !shared.contains(cond)));
    let excluded: Vec<String> = shared.iter().map(|cond| excluded(first, cond)).collect();
    format!("{}  (0 where {})", sum(&bare), excluded.join(" or "))
}

/// Where a guarded term is 0, in words if it is where a divisor is.
fn excluded(term: &Term, cond: &Cond) -> String {
    match term.divisor(cond) {
        Some(Atom::Call("sqrt", _)) => "the root is 0".into(),
        Some(Atom::Over(..) | Atom::Group(_)) => "the divisor is 0".into(),
        Some(Atom::Entry(..) | Atom::Call(..) | Atom::Where(..) | Atom::Index(_)) | None => condition(&cond.negated()),
    }
}

fn sum(poly: &Poly) -> String {
    let mut text = String::new();
    for (i, t) in poly.0.iter().enumerate() {
        let minus = t.coef < 0.0;
        text.push_str(match (i, minus) {
            (0, false) => "",
            (0, true) => "-",
            (_, false) => " + ",
            (_, true) => " - ",
        });
        text.push_str(&term(&Term { coef: t.coef.abs(), ..t.clone() }));
    }
    if text.is_empty() { "0".into() } else { text }
}

fn term(term: &Term) -> String {
    let (above, below): (Vec<_>, Vec<_>) = term.factors.iter().partition(|(_, power)| *power > 0.0);
    let mut texts: Vec<String> = term.guards.iter().map(|cond| format!("[{}]", condition(cond))).collect();
    if term.coef != 1.0 || above.is_empty() {
        texts.push(number(term.coef));
    }
    // A sum over indices reaches as far as it can: it stands last, or in parentheses.
    let (sums, others): (Vec<_>, Vec<_>) = above.into_iter().partition(|(atom, power)| is_sum(atom) && *power == 1.0);
    texts.extend(others.into_iter().map(|(atom, power)| factor(atom, *power)));
    let open = sums.len().saturating_sub(usize::from(below.is_empty()));
    texts.extend(sums.iter().take(open).map(|(atom, _)| format!("({})", atom_text(atom))));
    texts.extend(sums.iter().skip(open).map(|(atom, _)| atom_text(atom)));
    let above = texts.join("·");
    let below: Vec<String> = below.into_iter().map(|(atom, power)| factor(atom, -power)).collect();
    match below.as_slice() {
        [] => above,
        [one] => format!("{above} / {one}"),
        [_, ..] => format!("{above} / ({})", below.join("·")),
    }
}

fn is_sum(atom: &Atom) -> bool {
    matches!(atom, Atom::Over(..))
}

/// A power of a factor, which stands beside others.
fn factor(atom: &Atom, power: f64) -> String {
    let base = if is_sum(atom) { format!("({})", atom_text(atom)) } else { atom_text(atom) };
    if power == 1.0 {
        base
    } else if power == 2.0 {
        format!("{base}²")
    } else if power == 3.0 {
        format!("{base}³")
    } else {
        format!("{base}^{}", number(power))
    }
}

fn atom_text(atom: &Atom) -> String {
    match atom {
        Atom::Entry(name, at) if at.is_empty() => name.clone(),
        Atom::Entry(name, at) => format!("{name}[{}]", at.join(",")),
        Atom::Over(by, indices, body) => over(*by, indices, body),
        Atom::Call("abs", args) => format!("|{}|", sum(&args[0])),
        Atom::Call("pow", args) => format!("({})^({})", sum(&args[0]), sum(&args[1])),
        Atom::Call(f, args) => format!("{f}({})", args.iter().map(sum).collect::<Vec<_>>().join(", ")),
        Atom::Where(cond, a, b) => format!("where({}, {}, {})", condition(cond), sum(a), sum(b)),
        Atom::Group(body) => format!("({})", sum(body)),
        Atom::Index(index) => index.clone(),
    }
}

fn over(by: Reduction, indices: &[String], body: &Poly) -> String {
    let sign = match by {
        Reduction::Sum => "Σ",
        Reduction::Max => "max",
        Reduction::Min => "min",
    };
    let indices = if indices.len() == 1 { indices[0].clone() } else { format!("{{{}}}", indices.join(",")) };
    let body = if body.0.len() == 1 { sum(body) } else { format!("({})", sum(body)) };
    format!("{sign}_{indices} {body}")
}

fn condition(cond: &Cond) -> String {
    let joined = |conds: &[Cond], word: &str| conds.iter().map(condition).collect::<Vec<_>>().join(word);
    match cond {
        Cond::Compare(f, a, b) => format!("{} {} {}", side(a), comparison(*f), side(b)),
        Cond::All(conds) => joined(conds, " and "),
        Cond::Any(conds) => joined(conds, " or "),
        Cond::Not(cond) => format!("not ({})", condition(cond)),
        Cond::Holds(atom) => atom_text(atom),
    }
}

/// A side of a comparison needs no parentheses.
fn side(poly: &Poly) -> String {
    if let [Term { coef: 1.0, factors, guards }] = poly.0.as_slice()
        && let [(Atom::Group(body), 1.0)] = factors.as_slice()
        && guards.is_empty()
    {
        return sum(body);
    }
    sum(poly)
}

fn comparison(f: Binary) -> &'static str {
    match f {
        Binary::Lt => "<",
        Binary::Le => "≤",
        Binary::Gt => ">",
        Binary::Ge => "≥",
        Binary::Eq => "=",
        Binary::Ne => "≠",
        Binary::Add | Binary::Sub | Binary::Mul | Binary::MulZ | Binary::Div | Binary::Pow => f.name(),
        Binary::Min | Binary::Max | Binary::And | Binary::Or => f.name(),
    }
}

/// Six digits, for reading.
fn number(number: f64) -> String {
    let rounded: f64 = format!("{number:.5e}").parse().expect("a number is read back");
    if (1e-4..1e7).contains(&rounded.abs()) { rounded.to_string() } else { format!("{rounded:e}") }
}
