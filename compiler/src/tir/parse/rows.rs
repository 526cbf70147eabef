//! Ops that choose, move or add up elements by their positions.

use super::{Cursor, Parsed};
use crate::tir::{Op, SparseRole, Value};

/// The op of this name, which must be one of these.
pub fn read(name: &str, cursor: &mut Cursor<'_>) -> Parsed<Op> {
    match name {
        "pad" => read_pad(cursor),
        "slice" => read_slice(cursor),
        "concat" => read_concat(cursor),
        "top_k" => read_top_k(cursor),
        "cumsum" => read_cumsum(cursor),
        "gather" => {
            let (table, index) = cursor.two_values()?;
            Ok(Op::Gather { batch: cursor.labelled("batch", Cursor::number)?, table, index })
        }
        "sparse_product" => read_sparse(SparseRole::Product, cursor),
        "sparse_sampled" => read_sparse(SparseRole::Sampled, cursor),
        _ => {
            let (values, index) = cursor.two_values()?;
            Ok(Op::Scatter { batch: cursor.labelled("batch", Cursor::number)?, values, index })
        }
    }
}

fn read_sparse(role: SparseRole, cursor: &mut Cursor<'_>) -> Parsed<Op> {
    let (a, b) = cursor.two_values()?;
    cursor.expect(",")?;
    Ok(Op::Sparse { role, a, b, pattern: cursor.value()? })
}

fn read_pad(cursor: &mut Cursor<'_>) -> Parsed<Op> {
    let a = cursor.value()?;
    let value = cursor.labelled("value", Cursor::number)?;
    let lo = cursor.labelled("lo", Cursor::list)?;
    let hi = cursor.labelled("hi", Cursor::list)?;
    Ok(Op::Pad { value, lo, hi, gap: cursor.labelled("gap", Cursor::list)?, a })
}

fn read_slice(cursor: &mut Cursor<'_>) -> Parsed<Op> {
    let a = cursor.value()?;
    let start = cursor.labelled("start", Cursor::list)?;
    Ok(Op::Slice { start, step: cursor.labelled("step", Cursor::list)?, a })
}

/// `%1, %2, axis 0`
fn read_concat(cursor: &mut Cursor<'_>) -> Parsed<Op> {
    let mut parts: Vec<Value> = vec![];
    while !cursor.eat("axis") {
        parts.push(cursor.value()?);
        cursor.expect(",")?;
    }
    Ok(Op::Concat(parts, cursor.number()?))
}

fn read_top_k(cursor: &mut Cursor<'_>) -> Parsed<Op> {
    let a = cursor.value()?;
    cursor.expect(",")?;
    Ok(Op::TopK(a, cursor.number()?))
}

fn read_cumsum(cursor: &mut Cursor<'_>) -> Parsed<Op> {
    let a = cursor.value()?;
    let axis = cursor.labelled("axis", Cursor::number)?;
    Ok(Op::CumSum { a, axis, reverse: cursor.eat(", reverse") })
}
