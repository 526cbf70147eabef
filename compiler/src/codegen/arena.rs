//! The memory that a compiled program works on: one block, aligned to cache lines.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use spnc_runtime::huge_pages::{self, HUGE_PAGE};

/// A zeroed block of memory that belongs to one program.
#[derive(Debug)]
pub(super) struct Arena {
    /// Where it begins, aligned.
    start: NonNull<u8>,
    bytes: usize,
    /// What was allocated: the block, and what lies before and behind it for its alignment.
    allocated: NonNull<u8>,
    layout: Layout,
}

/// The alignment of the block and of every buffer in it: a cache line, and a 512-bit vector.
const ALIGNMENT: usize = 64;

/// What the allocator aligns to by itself. It has zeroed pages from the system then, and a page costs memory and time only once somebody writes to it:
/// much of a block belongs to forms of a step that may never run.
const ALLOCATED: usize = 16;

impl Arena {
    /// A block of this many bytes.
    #[expect(unsafe_code, reason = "memory with an alignment of our own")]
    pub fn new(bytes: usize) -> Arena {
        let alignment = if bytes > HUGE_PAGE { HUGE_PAGE } else { ALIGNMENT };
        let bytes = bytes.max(ALIGNMENT);
        let layout = Layout::from_size_align(bytes + alignment, ALLOCATED).expect("an arena fits the address space");
        // SAFETY: the layout has a size above zero.
        let allocated = unsafe { alloc_zeroed(layout) };
        let allocated = NonNull::new(allocated).unwrap_or_else(|| handle_alloc_error(layout));
        let before = allocated.as_ptr().align_offset(alignment);
        // SAFETY: `before` is less than the alignment, and the allocation is so much longer than the block.
        let start = unsafe { allocated.add(before) };
        if bytes > HUGE_PAGE {
            huge_pages::ask_for(start, bytes);
        }
        Arena { start, bytes, allocated, layout }
    }

    /// The element this many bytes behind the start.
    ///
    /// # Panics
    ///
    /// If it lies outside, or elements there would not be aligned.
    pub fn at(&self, offset: usize) -> *mut f32 {
        assert!(offset < self.bytes && offset.is_multiple_of(4), "no element at byte {offset}");
        self.start.as_ptr().wrapping_add(offset).cast()
    }

    /// The elements from a byte offset on, read as numbers.
    #[expect(unsafe_code, reason = "memory with an alignment of our own")]
    pub fn elements(&self, offset: usize, len: usize) -> &[f32] {
        self.check(offset, len);
        // SAFETY: the range lies in the block, which is initialised, aligned, and borrowed as long as the slice.
        unsafe { std::slice::from_raw_parts(self.at(offset), len) }
    }

    /// The elements from a byte offset on, to be written.
    #[expect(unsafe_code, reason = "memory with an alignment of our own")]
    pub fn elements_mut(&mut self, offset: usize, len: usize) -> &mut [f32] {
        self.check(offset, len);
        // SAFETY: as above, and the block is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.at(offset), len) }
    }

    /// The elements from a byte offset on, to be written as integers.
    #[expect(unsafe_code, reason = "memory with an alignment of our own")]
    pub fn integers_mut(&mut self, offset: usize, len: usize) -> &mut [i32] {
        self.check(offset, len);
        // SAFETY: as above; an `i32` has the size and alignment of an `f32`, and any bits are one.
        unsafe { std::slice::from_raw_parts_mut(self.at(offset).cast(), len) }
    }

    fn check(&self, offset: usize, len: usize) {
        let end = len.checked_mul(4).and_then(|bytes| bytes.checked_add(offset));
        assert!(end.is_some_and(|end| end <= self.bytes), "{len} elements at byte {offset} do not fit");
    }
}

impl Drop for Arena {
    #[expect(unsafe_code, reason = "memory with an alignment of our own")]
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.allocated.as_ptr(), self.layout) };
    }
}

// SAFETY: the block belongs to the arena alone, as a `Vec`'s does.
#[expect(unsafe_code, reason = "memory with an alignment of our own")]
unsafe impl Send for Arena {}

// SAFETY: through a shared reference it is only read.
#[expect(unsafe_code, reason = "memory with an alignment of our own")]
unsafe impl Sync for Arena {}
