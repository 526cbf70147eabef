//! Reverse-mode differentiation, TIR to TIR.
//!
//! [`grad`] replaces every `grad loss, wrt` by definitions that compute it. All gradients of one loss come
//! from one sweep over the definitions above it, last to first: the sweep knows no calculus, only
//! accumulation; what each op passes to its operands stands in [`rules`].
//!
//! Only values that depend on a requested `wrt` (and that the loss depends on) get a cotangent. Cotangents carry
//! the origin of the value that they belong to, marked as a cotangent. Gradients of gradients need nothing
//! special: a loss may depend on a gradient that stands above it.

pub mod check;
pub mod math;
mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::tir::build::{Build, Builder};
use crate::tir::{DType, Def, Func, Op, Origin, Type, Value};

/// `func` with each derivative that it asks for written out.
pub fn grad(func: &Func) -> Func {
    let wrts = requests(func);
    let mut out = Func::new(func.name.clone());
    let mut map: Vec<Value> = Vec::with_capacity(func.defs.len());
    let mut gradients: BTreeMap<(Value, Value), Value> = BTreeMap::new();
    for def in &func.defs {
        if let Op::Grad(loss, wrt) = def.op {
            if !gradients.contains_key(&(loss, wrt)) {
                gradients.extend(sweep(&mut out, &map, loss, &wrts[&loss]));
            }
            map.push(gradients.get(&(loss, wrt)).copied().unwrap_or_else(|| zero(&mut out, def)));
        } else {
            map.push(push_mapped(&mut out, &map, def));
        }
    }
    out.results = func.results.iter().map(|(name, value)| (name.clone(), map[value.0 as usize])).collect();
    out
}

/// For each loss, the values that its derivative is asked for by.
fn requests(func: &Func) -> BTreeMap<Value, Vec<Value>> {
    let mut wrts: BTreeMap<Value, Vec<Value>> = BTreeMap::new();
    for def in &func.defs {
        if let Op::Grad(loss, wrt) = def.op {
            wrts.entry(loss).or_default().push(wrt);
        }
    }
    wrts
}

fn push_mapped(out: &mut Func, map: &[Value], def: &Def) -> Value {
    let mut op = def.op.clone();
    for operand in op.operands_mut() {
        *operand = map[operand.0 as usize];
    }
    out.push(op, def.ty.clone(), def.origin.clone())
}

/// What the loss does not depend on has the gradient zero.
fn zero(out: &mut Func, def: &Def) -> Value {
    out.push(Op::Const(0.0), def.ty.clone(), cotangent_origin(def.origin.as_ref()))
}

/// One sweep: the derivatives of `loss` by each of `wrts`, keyed as the function before it names them.
fn sweep(out: &mut Func, map: &[Value], loss: Value, wrts: &[Value]) -> Vec<((Value, Value), Value)> {
    // What stands below the loss cannot influence it, and has perhaps not been copied yet.
    let above: Vec<Value> = wrts.iter().copied().filter(|wrt| *wrt <= loss).collect();
    let roots: Vec<Value> = above.iter().map(|wrt| map[wrt.0 as usize]).collect();
    let mut sweep = Sweep::new(out, map[loss.0 as usize], &roots);
    sweep.run();
    let found = above.iter().zip(roots);
    found.filter_map(|(wrt, root)| sweep.cts[root.0 as usize].map(|ct| ((loss, *wrt), ct))).collect()
}

/// The state of one sweep.
struct Sweep<'a> {
    build: Builder<'a>,
    /// Whether a value depends on what the derivative is asked for by.
    active: Vec<bool>,
    /// The cotangents so far, of the values up to the loss.
    cts: Vec<Option<Value>>,
}

impl<'a> Sweep<'a> {
    fn new(func: &'a mut Func, loss: Value, wrts: &[Value]) -> Sweep<'a> {
        let active = active(func, loss, wrts);
        let mut cts = vec![None; active.len()];
        let origin = cotangent_origin(func.def(loss).origin.as_ref());
        let mut build = Builder { func, origin };
        if active[loss.0 as usize] {
            cts[loss.0 as usize] = Some(build.constant(1.0, Type::f32([])));
        }
        Sweep { build, active, cts }
    }

    fn run(&mut self) {
        for y in (0..self.cts.len() as u32).rev().map(Value) {
            let Some(ct) = self.cts[y.0 as usize] else { continue };
            self.build.origin = cotangent_origin(self.build.func.def(y).origin.as_ref());
            rules::vjp(self, y, ct);
        }
    }

    /// Adds what `ct` builds to the cotangent of `operand`; builds nothing where nobody asks for it.
    fn give(&mut self, operand: Value, ct: impl FnOnce(&mut Builder<'a>) -> Value) {
        if !self.active[operand.0 as usize] {
            return;
        }
        let ct = ct(&mut self.build);
        let slot = &mut self.cts[operand.0 as usize];
        *slot = Some(match *slot {
            Some(sum) => self.build.add(sum, ct),
            None => ct,
        });
    }
}

/// Which values up to `loss` are real numbers that depend on one of `wrts`.
fn active(func: &Func, loss: Value, wrts: &[Value]) -> Vec<bool> {
    let mut active = vec![false; loss.0 as usize + 1];
    for value in func.values().take(active.len()) {
        let def = func.def(value);
        let depends = rules::differentiable(&def.op).iter().any(|operand| active[operand.0 as usize]);
        active[value.0 as usize] = def.ty.dtype == DType::F32 && (depends || wrts.contains(&value));
    }
    active
}

fn cotangent_origin(origin: Option<&Arc<Origin>>) -> Option<Arc<Origin>> {
    origin.map(|origin| Arc::new(Origin { cotangent: true, ..Origin::clone(origin) }))
}
