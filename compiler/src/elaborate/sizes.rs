//! Sizes as unification variables.

use crate::diag::Span;
use crate::model::{Size, Symbol};

/// A size that is inferred.
#[derive(Clone, Debug)]
pub(super) struct SizeVar {
    /// Its name in the signature.
    pub name: Symbol,
    /// The function or layer it belongs to.
    pub owner: Symbol,
    /// Where it would be set.
    pub span: Span,
    value: Option<Size>,
    /// Whether a mistake that is reported already keeps it unknown.
    poisoned: bool,
}

/// All variables of a program: a union-find forest whose roots are unknown or bound.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    vars: Vec<SizeVar>,
}

impl Sizes {
    /// A new unknown.
    pub(super) fn fresh(&mut self, name: &Symbol, owner: &Symbol, span: Span) -> Size {
        self.vars.push(SizeVar { name: name.clone(), owner: owner.clone(), span, value: None, poisoned: false });
        Size::Var(self.vars.len() as u32 - 1)
    }

    /// What is known about a size: never a bound variable.
    pub(super) fn find(&self, size: Size) -> Size {
        let mut size = size;
        while let Size::Var(var) = size
            && let Some(next) = self.vars[var as usize].value
        {
            size = next;
        }
        size
    }

    /// Makes two sizes equal; false where they can't be.
    pub(super) fn unify(&mut self, a: Size, b: Size) -> bool {
        match (self.find(a), self.find(b)) {
            (a, b) if a == b => true,
            (Size::Var(var), other) | (other, Size::Var(var)) => {
                if self.vars[var as usize].poisoned {
                    self.poison(other);
                }
                self.vars[var as usize].value = Some(other);
                true
            }
            (Size::Known(_) | Size::Batch, Size::Known(_) | Size::Batch) => false,
        }
    }

    /// Marks an unknown size as one that a mistake keeps unknown.
    pub(super) fn poison(&mut self, size: Size) {
        if let Size::Var(var) = self.find(size) {
            self.vars[var as usize].poisoned = true;
        }
    }

    /// Whether a mistake that is reported already keeps this variable unknown.
    pub(super) fn is_poisoned(&self, var: u32) -> bool {
        matches!(self.find(Size::Var(var)), Size::Var(root) if self.vars[root as usize].poisoned)
    }

    /// The facts about a variable.
    pub(super) fn var(&self, var: u32) -> &SizeVar {
        &self.vars[var as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::FileId;

    #[test]
    fn a_chain_of_unknowns_learns_its_size_from_the_last() {
        let span = Span { file: FileId(0), start: 0, end: 0 };
        let mut sizes = Sizes::default();
        let vars: Vec<Size> = (0..4).map(|_| sizes.fresh(&"N".into(), &"f".into(), span)).collect();
        assert!(vars.windows(2).all(|pair| sizes.unify(pair[0], pair[1])));
        assert!(sizes.unify(vars[3], Size::Known(7)));
        assert!(vars.iter().all(|&var| sizes.find(var) == Size::Known(7)));
        assert!(!sizes.unify(vars[0], Size::Batch));
    }
}
