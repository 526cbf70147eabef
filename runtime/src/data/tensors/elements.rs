//! Bytes → elements, for each element type that files use.

use super::Values;

/// The type of the elements of a tensor in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

/// The order of the bytes of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Kind {
    /// Bytes of an element.
    pub(super) fn size(self) -> usize {
        match self {
            Kind::Bool | Kind::U8 | Kind::I8 => 1,
            Kind::U16 | Kind::I16 => 2,
            Kind::U32 | Kind::I32 | Kind::F32 => 4,
            Kind::U64 | Kind::I64 | Kind::F64 => 8,
        }
    }

    /// The bytes that a tensor of `shape` has, if that is a number.
    pub(super) fn length(self, shape: &[usize]) -> Option<usize> {
        shape.iter().try_fold(self.size(), |length, &axis| length.checked_mul(axis))
    }

    /// Decodes elements. Integers become 32 bits wide; fails, saying what was found, where they do not fit.
    pub(super) fn decode(self, bytes: &[u8], order: Order) -> Result<Values, String> {
        Ok(match self {
            Kind::Bool => Values::U8(bytes.iter().map(|&byte| u8::from(byte != 0)).collect()),
            Kind::U8 => Values::U8(bytes.to_vec()),
            Kind::I8 => Values::I32(each(bytes, order, i8::from_le_bytes, i32::from)),
            Kind::U16 => Values::I32(each(bytes, order, u16::from_le_bytes, i32::from)),
            Kind::I16 => Values::I32(each(bytes, order, i16::from_le_bytes, i32::from)),
            Kind::I32 => Values::I32(each(bytes, order, i32::from_le_bytes, |x| x)),
            Kind::U32 => narrow(each(bytes, order, u32::from_le_bytes, |x| x))?,
            Kind::U64 => narrow(each(bytes, order, u64::from_le_bytes, |x| x))?,
            Kind::I64 => narrow(each(bytes, order, i64::from_le_bytes, |x| x))?,
            Kind::F32 => Values::F32(each(bytes, order, f32::from_le_bytes, |x| x)),
            Kind::F64 => Values::F64(each(bytes, order, f64::from_le_bytes, |x| x)),
        })
    }
}

fn each<const N: usize, T, U>(
    bytes: &[u8],
    order: Order,
    from_le: impl Fn([u8; N]) -> T,
    convert: impl Fn(T) -> U,
) -> Vec<U> {
    let (elements, _) = bytes.as_chunks::<N>();
    let element = |&bytes: &[u8; N]| {
        let mut bytes = bytes;
        if order == Order::Big {
            bytes.reverse();
        }
        convert(from_le(bytes))
    };
    elements.iter().map(element).collect()
}

fn narrow<T: Copy + TryInto<i32> + std::fmt::Display>(wide: Vec<T>) -> Result<Values, String> {
    let narrow = wide.into_iter().map(|x| x.try_into().map_err(|_| x.to_string())).collect::<Result<_, _>>()?;
    Ok(Values::I32(narrow))
}
