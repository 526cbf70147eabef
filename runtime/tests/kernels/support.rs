//! What the tests of routines over whole tensors have in common: they run a routine in pieces, over tensors that start
//! anywhere and have margins that must not be touched.

use spnc_runtime::kernels::Routine;
use spnc_runtime::random::{fill_uniform, uniform};

/// Numbers with a margin on either side.
#[derive(Clone)]
pub struct Tensor {
    numbers: Vec<f32>,
    margin: usize,
}

/// What margins are filled with: arithmetic with it would be seen.
const MARGIN: f32 = 1e30;

impl Tensor {
    pub fn new(margin: usize, content: &[f32]) -> Tensor {
        let border = vec![MARGIN; margin];
        Tensor { numbers: [&border, content, &border].concat(), margin }
    }

    /// Numbers between -1 and 1.
    pub fn random(site: u64, margin: usize, len: usize) -> Tensor {
        let mut content = vec![0.0; len];
        fill_uniform(1, 2, site, 0, &mut content);
        content.iter_mut().for_each(|x| *x = 2.0 * *x - 1.0);
        Tensor::new(margin, &content)
    }

    pub fn content(&self) -> &[f32] {
        &self.numbers[self.margin..self.numbers.len() - self.margin]
    }

    fn start(&mut self) -> *mut f32 {
        self.numbers[self.margin..].as_mut_ptr()
    }

    fn margins_are_whole(&self) -> bool {
        let (before, after) = (&self.numbers[..self.margin], &self.numbers[self.numbers.len() - self.margin..]);
        before.iter().chain(after).all(|x| *x == MARGIN)
    }
}

/// The tensors of a call.
#[derive(Clone)]
pub struct Call {
    pub a: Tensor,
    pub b: Tensor,
    pub to: Tensor,
    pub work: Tensor,
}

impl Call {
    /// Runs a routine over its whole extent, cut into pieces of random lengths in a random order.
    pub fn run<Shape>(&mut self, routine: Routine<Shape>, shape: &Shape, extent: usize, cuts: i32) {
        self.run_with(&mut Tensor::new(0, &[]), routine, shape, extent, cuts);
    }

    /// [`Call::run`] for a routine that reads a third operand.
    #[expect(unsafe_code, reason = "calls a routine")]
    pub fn run_with<Shape>(
        &mut self,
        c: &mut Tensor,
        routine: Routine<Shape>,
        shape: &Shape,
        extent: usize,
        cuts: i32,
    ) {
        for (first, last) in pieces(extent, cuts) {
            let from = [&mut self.a, &mut self.b, &mut *c].map(|tensor| tensor.start().cast_const());
            let [to, work] = [&mut self.to, &mut self.work].map(Tensor::start);
            // SAFETY: the tensors are as large as the shape says and apart from each other; the range lies in the
            // extent, and the instruction set is one of those available.
            unsafe { routine(shape, &from, to, work, first, last) };
        }
        assert!(c.margins_are_whole(), "something was written beyond c");
        for (tensor, name) in [(&self.a, "a"), (&self.b, "b"), (&self.to, "to"), (&self.work, "work")] {
            assert!(tensor.margins_are_whole(), "something was written beyond {name}");
        }
    }
}

/// The whole for a seed of 0, else pieces that cover it.
fn pieces(extent: usize, cuts: i32) -> Vec<(usize, usize)> {
    if cuts == 0 {
        return vec![(0, extent)];
    }
    let below = |index: usize, bound: usize| (uniform(cuts, 0, 0, index as u64) * bound as f32) as usize;
    let (mut found, mut first) = (vec![], 0);
    while first < extent {
        let last = extent.min(first + 1 + below(first, 1 + extent / 2));
        found.push((first, last));
        first = last;
    }
    let turn = below(extent, found.len());
    found.rotate_left(turn);
    found
}

/// The same bits.
pub fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}
