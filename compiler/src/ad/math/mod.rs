//! The gradient of a function as mathematics: `spnc grad --math`.
//!
//! A differentiated and optimised function of a few tensors is read element by element: an axis becomes an index, a reduction a sum
//! sign, a `select` against 0 a condition. What occurs more than once gets a name. So the group lasso reads
//!
//! ```text
//! f = Σ_g sqrt(Σ_m w[g,m]²)
//! ∂f/∂w[g,m] = w[g,m] / sqrt(Σ_m w[g,m]²)  (0 where the root is 0)
//! ```
//!
//! The formulas are those of the IR, so they show the derivative that is computed: a surrogate's where the program
//! declares one, and the conventions at points without a derivative.

mod poly;
mod print;
mod read;
#[cfg(test)]
mod tests;

use std::fmt;

use self::poly::{Atom, Poly};
use self::read::Reader;
use crate::tir::Func;

/// A function and its derivatives.
#[derive(Clone, Debug, PartialEq)]
pub struct Formulas {
    /// The function, as `f = …`.
    pub value: String,
    /// Each derivative, as `∂f/∂w[g,m] = …`.
    pub gradients: Vec<String>,
    /// What the names in the derivatives stand for, as `n[g] = …`; later ones can be used in earlier ones.
    pub names: Vec<String>,
}

/// More names than this do not make a formula clearer.
const MAX_NAMES: usize = 12;

/// The formulas of the result `value` of `func`, called `name`, and of each result `grad.<input>`. `axes` names the
/// axes of an input. `None` if they would fill pages: mathematics does not help then.
///
/// # Panics
///
/// If `func` has no result `value`, still asks for derivatives, or has a `grad.<input>` that is no input's.
pub fn formulas(func: &Func, name: &str, axes: &dyn Fn(&str) -> Vec<String>) -> Option<Formulas> {
    let mut reader = Reader::new(func, axes);
    let mut value = reader.poly(func.result("value").expect("a function to print has a value"), &[]);
    let mut gradients: Vec<Equation> = vec![];
    for (result, grad) in func.results.iter().filter(|(result, _)| result.starts_with("grad.")) {
        let input = &result["grad.".len()..];
        let param = func.params().find(|(name, _, _)| &***name == input).expect("a gradient is one of an input").1;
        let at = reader.indices(param);
        let gradient = reader.poly(*grad, &at);
        gradients.push(Equation { left: format!("∂{name}/∂{}", entry(input, &at)), right: gradient, at });
    }
    if reader.is_exhausted() {
        return None;
    }
    let names = name_common(&mut value, &mut gradients);
    Some(Formulas {
        value: format!("{name} = {}", print::formula(&value, &[])),
        gradients: gradients.iter().map(Equation::to_string).collect(),
        names,
    })
}

/// An equation in some indices.
struct Equation {
    left: String,
    right: Poly,
    at: Vec<String>,
}

impl fmt::Display for Equation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.left, print::formula(&self.right, &self.at))
    }
}

fn entry(name: &str, at: &[String]) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{name}[{}]", at.join(",")) }
}

/// Gives names to what is long and occurs more than once. In the function itself only what depends on no sum, as a schedule,
/// gets its name.
fn name_common(value: &mut Poly, equations: &mut Vec<Equation>) -> Vec<String> {
    let n_gradients = equations.len();
    while equations.len() < n_gradients + MAX_NAMES {
        let Some(common) = most_common(equations) else { break };
        let name = new_name(&common, equations);
        let at = free_indices(&common);
        let in_value = (!has_sum(&common) && at.is_empty()).then_some(value as &mut Poly);
        for poly in equations.iter_mut().map(|equation| &mut equation.right).chain(in_value) {
            poly.rewrite(&mut |atom| {
                if *atom == common {
                    *atom = Atom::Entry(name.clone(), at.clone());
                }
            });
        }
        let right = match common {
            Atom::Group(body) => body,
            Atom::Entry(..) | Atom::Over(..) | Atom::Call(..) | Atom::Where(..) | Atom::Index(_) => Poly::atom(common),
        };
        equations.push(Equation { left: entry(&name, &at), right, at });
    }
    equations.split_off(n_gradients).iter().map(Equation::to_string).collect()
}

/// The largest factor worth a name that occurs twice.
fn most_common(equations: &[Equation]) -> Option<Atom> {
    let mut seen: Vec<(&Atom, usize)> = vec![];
    for equation in equations {
        equation.right.visit(&mut |atom| match seen.iter_mut().find(|(other, _)| *other == atom) {
            Some((_, count)) => *count += 1,
            None => seen.push((atom, 1)),
        });
    }
    let common = seen.into_iter().filter(|(atom, count)| *count > 1 && is_worth_a_name(atom));
    common.map(|(atom, _)| atom).max_by_key(|atom| size(atom)).cloned()
}

/// Factors with so many factors inside get a name if they occur twice.
const LONG: usize = 5;

fn is_worth_a_name(atom: &Atom) -> bool {
    match atom {
        Atom::Over(..) => true,
        Atom::Call(..) | Atom::Where(..) | Atom::Group(_) => has_sum(atom) || size(atom) >= LONG,
        Atom::Entry(..) | Atom::Index(_) => false,
    }
}

fn has_sum(atom: &Atom) -> bool {
    let mut found = false;
    Poly::atom(atom.clone()).visit(&mut |inner| found |= matches!(inner, Atom::Over(..)));
    found
}

fn size(atom: &Atom) -> usize {
    let mut size = 0;
    Poly::atom(atom.clone()).visit(&mut |_| size += 1);
    size
}

/// The indices that an atom's value depends on, in the order in which they occur.
fn free_indices(atom: &Atom) -> Vec<String> {
    let mut indices: Vec<String> = vec![];
    Poly::atom(atom.clone()).visit(&mut |inner| {
        if let Atom::Entry(_, at) = inner {
            indices.extend(at.iter().filter(|index| atom.depends_on(index)).cloned());
        }
    });
    let mut free: Vec<String> = vec![];
    for index in indices {
        if !free.contains(&index) {
            free.push(index);
        }
    }
    free
}

/// n for a root, s for a sum, else a letter from a on: one that no tensor has.
fn new_name(atom: &Atom, equations: &[Equation]) -> String {
    let mut taken: Vec<&String> = vec![];
    for equation in equations {
        equation.right.visit(&mut |inner| {
            if let Atom::Entry(name, _) = inner {
                taken.push(name);
            }
        });
    }
    let first = match atom {
        Atom::Call("sqrt", _) => 'n',
        Atom::Over(..) => 's',
        Atom::Call(..) | Atom::Where(..) | Atom::Group(_) | Atom::Entry(..) | Atom::Index(_) => 'a',
    };
    let letters = (first..='z').chain('a'..=first).map(String::from);
    letters.into_iter().find(|letter| !taken.contains(&letter)).unwrap_or_else(|| format!("a{}", equations.len()))
}

impl fmt::Display for Formulas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.value)?;
        self.gradients.iter().try_for_each(|gradient| writeln!(f, "{gradient}"))?;
        for (i, name) in self.names.iter().enumerate() {
            writeln!(f, "  {} {name}", if i == 0 { "with" } else { "    " })?;
        }
        Ok(())
    }
}
