//! Formulas in a normal form: sums of products of powers, each product under conditions outside of which it is 0.

use crate::scalar::Binary;
use crate::tir::Reduction;

/// A sum of terms; 0 without any.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Poly(pub Vec<Term>);

/// A number times powers; 0 where a guard does not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// The number.
    pub coef: f64,
    /// The factors, with their exponents.
    pub factors: Vec<(Atom, f64)>,
    /// The conditions.
    pub guards: Vec<Cond>,
}

/// A factor that no law takes apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Atom {
    /// An element of a named tensor: `w[g,m]`.
    Entry(String, Vec<String>),
    /// A reduction over indices.
    Over(Reduction, Vec<String>, Poly),
    /// A function.
    Call(&'static str, Vec<Poly>),
    /// One or the other.
    Where(Box<Cond>, Poly, Poly),
    /// A sum in parentheses.
    Group(Poly),
    /// An index as a number.
    Index(String),
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Cond {
    /// A comparison.
    Compare(Binary, Poly, Poly),
    /// All of them hold.
    All(Vec<Cond>),
    /// One of them holds.
    Any(Vec<Cond>),
    /// It does not hold.
    Not(Box<Cond>),
    /// An element of a named tensor of bools.
    Holds(Atom),
}

impl Poly {
    /// A number.
    pub fn number(coef: f64) -> Poly {
        if coef == 0.0 { Poly::default() } else { Term { coef, factors: vec![], guards: vec![] }.into() }
    }

    /// A factor by itself.
    pub fn atom(atom: Atom) -> Poly {
        Term { coef: 1.0, factors: vec![(atom, 1.0)], guards: vec![] }.into()
    }

    /// `f` of arguments.
    pub fn call(f: &'static str, args: Vec<Poly>) -> Poly {
        Poly::atom(Atom::Call(f, args))
    }

    /// 1 where `cond` holds, else 0.
    pub fn truth(cond: Cond) -> Poly {
        Poly::number(1.0).under(&cond)
    }

    /// The number that it is, if it is one.
    pub fn as_number(&self) -> Option<f64> {
        match self.0.as_slice() {
            [] => Some(0.0),
            [term] if term.factors.is_empty() && term.guards.is_empty() => Some(term.coef),
            [_, ..] => None,
        }
    }

    /// `self + other`, like terms together.
    pub fn plus(mut self, other: Poly) -> Poly {
        for term in other.0 {
            match self.0.iter_mut().find(|t| t.factors == term.factors && t.guards == term.guards) {
                Some(like) => like.coef += term.coef,
                None => self.0.push(term),
            }
        }
        self.0.retain(|term| term.coef != 0.0);
        self
    }

    /// `self * number`.
    pub fn times_number(mut self, number: f64) -> Poly {
        self.0.iter_mut().for_each(|term| term.coef *= number);
        self.0.retain(|term| term.coef != 0.0);
        self
    }

    /// `self * other`.
    pub fn times(self, other: Poly) -> Poly {
        match (self.as_number(), other.as_number()) {
            (Some(number), _) => other.times_number(number),
            (None, Some(number)) => self.times_number(number),
            (None, None) => self.into_term().times(other.into_term()).into(),
        }
    }

    /// `1 / self`.
    pub fn reciprocal(self) -> Poly {
        self.power(-1.0)
    }

    /// `self ^ exponent`.
    pub fn power(self, exponent: f64) -> Poly {
        if let Some(number) = self.as_number()
            && number > 0.0
        {
            return Poly::number(number.powf(exponent));
        }
        let mut term = self.clone().into_term();
        let splits =
            exponent.fract() == 0.0 || (term.coef > 0.0 && term.factors.iter().all(|(atom, _)| atom.is_positive()));
        // A condition of what is divided by is one of the quotient: elsewhere it would be divided by 0.
        if term.coef == 0.0 || !splits || (!term.guards.is_empty() && exponent < 0.0) {
            return Poly::atom_power(Atom::Group(self), exponent);
        }
        term.coef = term.coef.powf(exponent);
        term.factors.iter_mut().for_each(|(_, power)| *power *= exponent);
        term.into()
    }

    fn atom_power(atom: Atom, exponent: f64) -> Poly {
        Term { coef: 1.0, factors: vec![(atom, exponent)], guards: vec![] }.into()
    }

    /// `self` where `cond` holds, else 0.
    pub fn under(self, cond: &Cond) -> Poly {
        if self.0.is_empty() {
            return self;
        }
        let mut term = self.into_term();
        term.add_guard(cond);
        term.into()
    }

    /// The reduction of `self` over indices; what does not depend on them stands in front of a sum.
    pub fn over(self, by: Reduction, indices: Vec<String>) -> Poly {
        let [term] = self.0.as_slice() else { return Poly::atom(Atom::Over(by, indices, self)) };
        if by != Reduction::Sum {
            return Poly::atom(Atom::Over(by, indices, self));
        }
        let depends = |atom: &Atom| indices.iter().any(|index| atom.depends_on(index));
        let (inside, outside) = term.factors.iter().cloned().partition(|(atom, _)| depends(atom));
        let depends = |cond: &Cond| indices.iter().any(|index| cond.depends_on(index));
        let (inside_guards, guards) = term.guards.iter().cloned().partition(depends);
        let inside = Term { coef: 1.0, factors: inside, guards: inside_guards };
        let sum = Poly::atom(Atom::Over(by, indices, inside.into()));
        Poly::from(Term { coef: term.coef, factors: outside, guards }).times(sum)
    }

    fn in_parentheses(self) -> Poly {
        if self.0.len() > 1 { self.into_term().into() } else { self }
    }

    /// One term: several are put in parentheses.
    fn into_term(self) -> Term {
        let mut terms = self.0;
        if terms.len() == 1 {
            return terms.remove(0);
        }
        let guards = shared_guards(&terms);
        terms.iter_mut().for_each(|term| term.guards.retain(|guard| !guards.contains(guard)));
        Term { coef: 1.0, factors: vec![(Atom::Group(Poly(terms)), 1.0)], guards }
    }

    /// Whether an index occurs free.
    pub fn depends_on(&self, index: &str) -> bool {
        self.0.iter().any(|term| {
            term.factors.iter().any(|(atom, _)| atom.depends_on(index))
                || term.guards.iter().any(|c| c.depends_on(index))
        })
    }

    /// Whether it is 0 or more wherever it is defined.
    pub fn is_positive(&self) -> bool {
        let even = |power: f64| power % 2.0 == 0.0;
        let term = |t: &Term| t.coef > 0.0 && t.factors.iter().all(|(atom, p)| even(*p) || atom.is_positive());
        self.0.iter().all(term)
    }

    /// Renames the indices of inner sums that an outer sum has too. `free` are the indices of the whole formula: at the
    /// outermost level a sum may use their names, as in `w[m]` / Σ_m `w[m]`.
    pub fn unshadow(&mut self, free: &[String]) {
        self.unshadow_in(&[], free);
    }

    fn unshadow_in(&mut self, outer: &[String], free: &[String]) {
        self.each_part(&mut |atom| atom.unshadow_in(outer, free));
    }

    /// Puts an index in the place of another one, where that is free.
    fn rename(&mut self, from: &str, to: &str) {
        self.each_part(&mut |atom| atom.rename(from, to));
    }

    /// Calls `change` with the factors of its terms and of their conditions, not with what is inside of those.
    fn each_part(&mut self, change: &mut dyn FnMut(&mut Atom)) {
        for term in &mut self.0 {
            term.factors.iter_mut().for_each(|(atom, _)| change(atom));
            term.guards.iter_mut().for_each(|cond| cond.each_part(change));
        }
    }

    /// Calls `visit` with every factor, outer ones first.
    pub fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Atom)) {
        for term in &self.0 {
            term.factors.iter().for_each(|(atom, _)| atom.visit(visit));
            term.guards.iter().filter(|cond| !term.has_divisor(cond)).for_each(|cond| cond.visit(visit));
        }
    }

    /// Calls `change` with every factor, inner ones first.
    pub fn rewrite(&mut self, change: &mut dyn FnMut(&mut Atom)) {
        self.each_part(&mut |atom| atom.rewrite(change));
    }
}

/// The conditions of all terms.
pub fn shared_guards(terms: &[Term]) -> Vec<Cond> {
    let Some((first, others)) = terms.split_first() else { return vec![] };
    first.guards.iter().filter(|guard| others.iter().all(|term| term.guards.contains(guard))).cloned().collect()
}

impl From<Term> for Poly {
    fn from(term: Term) -> Poly {
        if term.coef == 0.0 { Poly::default() } else { Poly(vec![term]) }
    }
}

impl Term {
    fn times(mut self, other: Term) -> Term {
        for (atom, power) in other.factors {
            match self.factors.iter_mut().find(|(a, _)| *a == atom) {
                Some((_, sum)) => *sum += power,
                None => self.factors.push((atom, power)),
            }
        }
        self.factors.retain(|(_, power)| *power != 0.0);
        self.coef *= other.coef;
        other.guards.iter().for_each(|guard| self.add_guard(guard));
        self
    }

    fn add_guard(&mut self, cond: &Cond) {
        match cond {
            Cond::All(conds) => conds.iter().for_each(|cond| self.add_guard(cond)),
            Cond::Any(conds) if conds.is_empty() => self.coef = 0.0,
            Cond::Any(_) | Cond::Compare(..) | Cond::Not(_) | Cond::Holds(_) => {
                if !self.guards.contains(cond) {
                    self.guards.push(cond.clone());
                }
            }
        }
    }

    /// Whether the condition only says that a divisor of this term is not 0.
    pub fn has_divisor(&self, cond: &Cond) -> bool {
        self.divisor(cond).is_some()
    }

    /// The divisor that the condition says is not 0.
    pub fn divisor(&self, cond: &Cond) -> Option<&Atom> {
        let Cond::Compare(Binary::Gt | Binary::Ne, left, right) = cond else { return None };
        let [Term { coef, factors, guards }] = left.0.as_slice() else { return None };
        let [(atom, power)] = factors.as_slice() else { return None };
        let plain = *coef == 1.0 && *power == 1.0 && guards.is_empty() && right.as_number() == Some(0.0);
        let mut divisors = self.factors.iter().filter(|(_, power)| *power < 0.0);
        if plain { divisors.find(|(a, _)| a == atom).map(|(a, _)| a) } else { None }
    }
}

impl Atom {
    /// Whether an index occurs free.
    pub fn depends_on(&self, index: &str) -> bool {
        match self {
            Atom::Entry(_, indices) => indices.iter().any(|i| i == index),
            Atom::Over(_, bound, body) => !bound.iter().any(|i| i == index) && body.depends_on(index),
            Atom::Call(_, args) => args.iter().any(|arg| arg.depends_on(index)),
            Atom::Where(cond, a, b) => cond.depends_on(index) || a.depends_on(index) || b.depends_on(index),
            Atom::Group(body) => body.depends_on(index),
            Atom::Index(i) => i == index,
        }
    }

    /// Whether it is 0 or more wherever it is defined.
    pub fn is_positive(&self) -> bool {
        match self {
            Atom::Call(f, _) => ["sqrt", "abs", "exp", "sigmoid"].contains(f),
            Atom::Over(_, _, body) | Atom::Group(body) => body.is_positive(),
            Atom::Where(_, a, b) => a.is_positive() && b.is_positive(),
            Atom::Index(_) => true,
            Atom::Entry(..) => false,
        }
    }

    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Atom)) {
        visit(self);
        match self {
            Atom::Entry(..) | Atom::Index(_) => {}
            Atom::Over(_, _, body) | Atom::Group(body) => body.visit(visit),
            Atom::Call(_, args) => args.iter().for_each(|arg| arg.visit(visit)),
            Atom::Where(cond, a, b) => {
                cond.visit(visit);
                a.visit(visit);
                b.visit(visit);
            }
        }
    }

    fn rewrite(&mut self, change: &mut dyn FnMut(&mut Atom)) {
        self.each_part(&mut |atom| atom.rewrite(change));
        change(self);
    }

    fn unshadow_in(&mut self, outer: &[String], free: &[String]) {
        let Atom::Over(_, bound, body) = self else {
            self.each_part(&mut |atom| atom.unshadow_in(outer, free));
            return;
        };
        for index in bound.iter_mut() {
            let old = index.clone();
            while outer.contains(index) {
                index.push('′');
            }
            if *index != old {
                body.rename(&old, index);
            }
        }
        let scope = [outer, free, bound].concat();
        body.unshadow_in(&scope, free);
    }

    fn rename(&mut self, from: &str, to: &str) {
        match self {
            Atom::Entry(_, at) => at.iter_mut().filter(|index| *index == from).for_each(|index| *index = to.into()),
            Atom::Index(index) if index == from => *index = to.into(),
            Atom::Over(_, bound, _) if bound.iter().any(|index| index == from) => {}
            Atom::Over(..) | Atom::Call(..) | Atom::Where(..) | Atom::Group(_) | Atom::Index(_) => {
                self.each_part(&mut |atom| atom.rename(from, to));
            }
        }
    }

    /// As [`Poly::each_part`], of the formulas that it is made of.
    fn each_part(&mut self, change: &mut dyn FnMut(&mut Atom)) {
        match self {
            Atom::Entry(..) | Atom::Index(_) => {}
            Atom::Over(_, _, body) | Atom::Group(body) => body.each_part(change),
            Atom::Call(_, args) => args.iter_mut().for_each(|arg| arg.each_part(change)),
            Atom::Where(cond, a, b) => {
                cond.each_part(change);
                a.each_part(change);
                b.each_part(change);
            }
        }
    }
}

impl Cond {
    /// A comparison with what is known put to use: `|x| > 0` is `x != 0`.
    pub fn compare(f: Binary, a: Poly, b: Poly) -> Cond {
        let zero = b.as_number() == Some(0.0);
        let f = if f == Binary::Gt && zero && a.is_positive() {
            Binary::Ne
        } else if f == Binary::Le && zero && a.is_positive() {
            Binary::Eq
        } else {
            f
        };
        if let [Term { factors, guards, .. }] = a.0.as_slice()
            && let [(Atom::Call("abs", args), _)] = factors.as_slice()
            && [Binary::Eq, Binary::Ne].contains(&f)
            && zero
            && guards.is_empty()
        {
            return Cond::compare(f, args[0].clone(), b);
        }
        // A sum in parentheses can be given a name.
        Cond::Compare(f, a.in_parentheses(), b.in_parentheses())
    }

    /// The opposite.
    pub fn negated(&self) -> Cond {
        match self {
            Cond::Compare(f, a, b) => match opposite(*f) {
                Some(f) => Cond::compare(f, a.clone(), b.clone()),
                None => Cond::Not(Box::new(self.clone())),
            },
            Cond::All(conds) => Cond::Any(conds.iter().map(Cond::negated).collect()),
            Cond::Any(conds) => Cond::All(conds.iter().map(Cond::negated).collect()),
            Cond::Not(cond) => Cond::clone(cond),
            Cond::Holds(_) => Cond::Not(Box::new(self.clone())),
        }
    }

    /// Whether an index occurs free.
    pub fn depends_on(&self, index: &str) -> bool {
        match self {
            Cond::Compare(_, a, b) => a.depends_on(index) || b.depends_on(index),
            Cond::All(conds) | Cond::Any(conds) => conds.iter().any(|cond| cond.depends_on(index)),
            Cond::Not(cond) => cond.depends_on(index),
            Cond::Holds(atom) => atom.depends_on(index),
        }
    }

    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a Atom)) {
        match self {
            Cond::Compare(_, a, b) => {
                a.visit(visit);
                b.visit(visit);
            }
            Cond::All(conds) | Cond::Any(conds) => conds.iter().for_each(|cond| cond.visit(visit)),
            Cond::Not(cond) => cond.visit(visit),
            Cond::Holds(atom) => atom.visit(visit),
        }
    }

    fn each_part(&mut self, change: &mut dyn FnMut(&mut Atom)) {
        match self {
            Cond::Compare(_, a, b) => {
                a.each_part(change);
                b.each_part(change);
            }
            Cond::All(conds) | Cond::Any(conds) => conds.iter_mut().for_each(|cond| cond.each_part(change)),
            Cond::Not(cond) => cond.each_part(change),
            Cond::Holds(atom) => change(atom),
        }
    }
}

/// The comparison that holds where this one does not, of numbers.
fn opposite(f: Binary) -> Option<Binary> {
    let pairs = [(Binary::Lt, Binary::Ge), (Binary::Le, Binary::Gt), (Binary::Eq, Binary::Ne)];
    pairs.into_iter().find_map(|(a, b)| if f == a { Some(b) } else { (f == b).then_some(a) })
}
