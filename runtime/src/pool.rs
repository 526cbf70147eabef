//! A pool of spinning threads that take slices of work.
//!
//! A run is a list of steps; each step is a fixed number of slices that do not depend on one another. Each thread has a
//! share of the slices of a step, and whoever finishes the last one opens the next step. A thread that has lost its core
//! to another process holds nobody up unless it is in the middle of a slice: others, when they have waited for a while,
//! take over from its share. How many threads there are decides who computes a slice, never what it computes.
//!
//! Threads wait by spinning, since handing over work that way costs a tenth of a microsecond; after a while they
//! yield and then sleep, so that an idle process does not keep a core busy. While they compute, denormal numbers are
//! flushed to zero: gradients that fade would otherwise slow training down by a third.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use crate::float::FlushDenormals;

/// Threads that run steps together; the caller of [`Pool::run`] is one of them.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
}

/// What runs a slice: called with the index of the step and that of the slice.
type Work<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// One run, as its threads see it.
#[derive(Clone, Copy)]
struct Job<'a> {
    /// How many slices each step has.
    slices: &'a [usize],
    work: Work<'a>,
}

impl Pool {
    /// A pool of this many threads, of which one less is started now.
    pub fn new(threads: NonZeroUsize) -> Pool {
        let shared = Arc::new(Shared::new(threads.get()));
        let helper = |id| {
            let shared = Arc::clone(&shared);
            let body = move || serve(&shared, id);
            thread::Builder::new().name(format!("spnc-{id}")).spawn(body).expect("the system gives a thread")
        };
        let helpers = (1..threads.get()).map(helper).collect();
        Pool { shared, helpers }
    }

    /// How many threads compute.
    pub fn threads(&self) -> usize {
        self.shared.shares.len()
    }

    /// Runs the steps one after the other: step `i` is `work(i, 0)`, …, `work(i, slices[i] - 1)`, in any order and at
    /// the same time. Allocates nothing.
    ///
    /// # Panics
    ///
    /// If `work` does; what was left of the run is then skipped. If a step has more than 4,095 slices.
    pub fn run(&mut self, slices: &[usize], work: &(dyn Fn(usize, usize) + Sync)) {
        assert!(slices.iter().all(|count| *count <= MOST_SLICES), "a step has at most {MOST_SLICES} slices");
        let job = Job { slices, work };
        let flush = FlushDenormals::on();
        // Steps of one slice each leave nothing to share, however short they are.
        if self.helpers.is_empty() || slices.iter().all(|count| *count <= 1) {
            let all = slices.iter().enumerate().flat_map(|(step, count)| (0..*count).map(move |slice| (step, slice)));
            all.for_each(|(step, slice)| self.shared.guarded(|| work(step, slice)));
        } else {
            let first = self.publish(job);
            self.shared.take_part(first);
        }
        drop(flush);
        assert!(!self.shared.failed.swap(false, Ordering::Relaxed), "a slice of the work panicked");
    }

    /// Opens the first step of `job` to all threads, and takes a slice of it for this one.
    #[expect(unsafe_code, reason = "helpers see a borrow that they do not outlive")]
    fn publish(&mut self, job: Job<'_>) -> Option<usize> {
        // SAFETY: only the lifetime changes. A helper touches the job only while it has a slice of it that is not done,
        // and `run`, which holds the borrow, does not return before all are.
        let job = unsafe { std::mem::transmute::<Job<'_>, Job<'static>>(job) };
        // SAFETY: `&mut self` rules out another run, and without a slice no helper looks here.
        unsafe { *self.shared.job.get() = Some(job) };
        self.shared.running.store(true, Ordering::SeqCst);
        let first = self.shared.open(job, 0, 0);
        if self.shared.sleepers.load(Ordering::SeqCst) > 0 {
            self.wake();
        }
        first
    }

    fn wake(&self) {
        self.helpers.iter().for_each(|helper| helper.thread().unpark());
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.wake();
        for helper in self.helpers.drain(..) {
            helper.join().expect("a helper catches what its slices throw");
        }
    }
}

/// What all threads of a pool look at. What they change often is apart, so that it does not share cache lines.
#[derive(Debug)]
struct Shared {
    /// What each thread has of the slices of the step that is open, see [`Share`].
    shares: Box<[Apart<AtomicU64>]>,
    /// How many slices of this step are not done.
    left: Apart<AtomicUsize>,
    /// The index of this step in its run.
    step: AtomicUsize,
    /// Steps that have been opened in all runs.
    stage: AtomicU64,
    /// Whether a run has begun whose last slice is not done.
    running: Apart<AtomicBool>,
    /// Helpers that sleep or are about to.
    sleepers: Apart<AtomicUsize>,
    job: JobCell,
    failed: AtomicBool,
    closing: AtomicBool,
}

#[derive(Debug)]
#[repr(align(128))]
struct Apart<T>(T);

impl<T> std::ops::Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The current job. Written by the thread that starts a run, read by those that have taken a slice of it.
struct JobCell(std::cell::UnsafeCell<Option<Job<'static>>>);

impl JobCell {
    fn get(&self) -> *mut Option<Job<'static>> {
        self.0.get()
    }
}

impl std::fmt::Debug for JobCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JobCell")
    }
}

// SAFETY: accesses are ordered by `Shared::shares` and `Shared::running`: `Pool::publish` writes before it opens a step, helpers
// read after they have taken a slice of it, and the next write comes after all slices are done.
#[expect(unsafe_code, reason = "a job is handed to other threads")]
unsafe impl Sync for JobCell {}

// SAFETY: a job is two shared references to what is `Sync`.
#[expect(unsafe_code, reason = "a job is handed to other threads")]
unsafe impl Send for JobCell {}

/// Slices that nobody has taken, as one number: a compare and exchange that succeeds has found the same step still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    /// Counts steps over all runs, modulo 2⁴⁰.
    stage: u64,
    /// The first slice and the one behind the last.
    first: u64,
    end: u64,
}

/// Bits for the number of a slice.
const SLICE_BITS: u32 = 12;

/// The most slices of a step.
const MOST_SLICES: usize = (1 << SLICE_BITS) - 1;

impl Share {
    fn to_bits(self) -> u64 {
        self.stage << (2 * SLICE_BITS) | self.first << SLICE_BITS | self.end
    }

    fn from_bits(bits: u64) -> Share {
        let slice = |bits: u64| bits & MOST_SLICES as u64;
        Share { stage: bits >> (2 * SLICE_BITS), first: slice(bits >> SLICE_BITS), end: slice(bits) }
    }

    /// A slice, and what is left. Whoever owns the share begins at the front, others at the end.
    fn take(self, is_own: bool) -> Option<(u64, Share)> {
        match is_own {
            _ if self.first >= self.end => None,
            true => Some((self.first, Share { first: self.first + 1, ..self })),
            false => Some((self.end - 1, Share { end: self.end - 1, ..self })),
        }
    }
}

impl Shared {
    fn new(threads: usize) -> Shared {
        Shared {
            shares: (0..threads).map(|_| Apart(AtomicU64::new(0))).collect(),
            left: Apart(AtomicUsize::new(0)),
            step: AtomicUsize::new(0),
            stage: AtomicU64::new(0),
            running: Apart(AtomicBool::new(false)),
            sleepers: Apart(AtomicUsize::new(0)),
            job: JobCell(std::cell::UnsafeCell::new(None)),
            failed: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        }
    }

    /// The part of the thread that started the run: it ends when all slices are done.
    fn take_part(&self, first: Option<usize>) {
        let mut wait = Wait::default();
        self.work(first, 0);
        while self.running.load(Ordering::Acquire) {
            match self.find(0, &mut wait) {
                None => wait.pause(),
                slice => self.work(slice, 0),
            }
        }
    }

    /// Opens the first step of the job, from this one on, that has slices, and takes one for thread `id`, or ends the run.
    fn open(&self, job: Job<'_>, from: usize, id: usize) -> Option<usize> {
        let next = job.slices.iter().enumerate().skip(from).find(|(_, count)| **count > 0);
        let Some((step, &count)) = next else {
            self.running.store(false, Ordering::Release);
            return None;
        };
        self.left.store(count, Ordering::Relaxed);
        self.step.store(step, Ordering::Relaxed);
        let stage = self.stage.load(Ordering::Relaxed).wrapping_add(1);
        self.stage.store(stage, Ordering::Relaxed);
        // Neighbouring slices, step after step the same ones, whose numbers are in the thread's cache.
        let start = |id: usize| (id * count).div_ceil(self.shares.len());
        let own = Some(start(id)).filter(|first| *first < start(id + 1));
        for other in 0..self.shares.len() {
            let first = start(other) + usize::from(own.is_some() && other == id);
            // Without a slice the share stays as it is, so that nobody who waits has to fetch it.
            if first < start(other + 1) {
                let share = Share { stage, first: first as u64, end: start(other + 1) as u64 };
                self.shares[other].store(share.to_bits(), Ordering::Release);
            }
        }
        own
    }

    /// Looks for a slice in the thread's share or, after some looks, in another's.
    fn find(&self, id: usize, wait: &mut Wait) -> Option<usize> {
        if let Some(slice) = self.take(id, true) {
            wait.end_with_own();
            return Some(slice);
        }
        let is_over = wait.is_over();
        let slice = is_over.then(|| (0..self.shares.len()).find_map(|other| self.take(other, false))).flatten();
        slice.inspect(|_| wait.end_with_others())
    }

    /// Does this slice, and all that come to thread `id` without a wait.
    fn work(&self, mut slice: Option<usize>, id: usize) {
        while let Some(taken) = slice {
            slice = self.work_in_step(taken, id);
        }
    }

    /// Does this slice and those in the share of thread `id`. If they were the last of their step, gives a slice of the next one.
    fn work_in_step(&self, mut slice: usize, id: usize) -> Option<usize> {
        // Until a slice that was taken is counted as done, its step is open and its job goes on.
        let (job, step) = (self.job(), self.step.load(Ordering::Relaxed));
        let mut done = 1;
        loop {
            self.guarded(|| (job.work)(step, slice));
            match self.take(id, true) {
                Some(next) => slice = next,
                None => break,
            }
            done += 1;
        }
        // Whoever counts the last one has seen what all others wrote, and shows it to those who take slices of the next step.
        let is_last = self.left.fetch_sub(done, Ordering::AcqRel) == done;
        if is_last { self.open(job, step + 1, id) } else { None }
    }

    /// Takes a slice of a thread's share.
    fn take(&self, id: usize, is_own: bool) -> Option<usize> {
        let share = &self.shares[id];
        let mut bits = share.load(Ordering::Relaxed);
        loop {
            let (slice, rest) = Share::from_bits(bits).take(is_own)?;
            match share.compare_exchange_weak(bits, rest.to_bits(), Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(slice as usize),
                Err(now) => bits = now,
            }
        }
    }

    /// The job of which the caller has a slice.
    #[expect(unsafe_code, reason = "a job is handed over through a cell")]
    fn job(&self) -> Job<'static> {
        // SAFETY: the slice was taken after its step was opened, which came after the job was written, and the job is not written
        // again before the slice is done.
        unsafe { *self.job.get() }.expect("a step is open only while there is a job")
    }

    /// Runs `body` unless the run has failed; a panic fails it. All slices are still counted, so that nobody waits for ever.
    fn guarded(&self, body: impl FnOnce()) {
        if !self.failed.load(Ordering::Relaxed) && catch_unwind(AssertUnwindSafe(body)).is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
    }

    /// Sleeps until a run begins or the pool closes.
    fn sleep(&self) {
        let _ = self.sleepers.fetch_add(1, Ordering::SeqCst);
        while !self.running.load(Ordering::SeqCst) && !self.closing.load(Ordering::SeqCst) {
            thread::park();
        }
        let _ = self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How often a waiting thread looks before it lets others use its core: longer than slices of equal work differ, and
/// short enough where threads have to share a core.
const SPINS: usize = 500;

/// How often a thread without work looks before it sleeps: some milliseconds.
const AWAKE: usize = 6_000;

/// How often a thread looks for slices of its own before it takes those of others, at most: some microseconds.
const PATIENCE: usize = 128;

/// How a thread waits.
#[derive(Debug)]
struct Wait {
    /// How often it has looked in vain.
    looks: usize,
    /// How often it looks before it takes slices of others: less often as long as they do not come to take theirs.
    patience: usize,
}

impl Default for Wait {
    fn default() -> Wait {
        Wait { looks: 0, patience: PATIENCE }
    }
}

impl Wait {
    /// Waits for a moment, the longer the more looks there were before.
    fn pause(&mut self) {
        if self.looks < SPINS {
            std::hint::spin_loop()
        } else {
            thread::yield_now()
        }
        self.looks += 1;
    }

    /// Whether it is time to take slices of others. Every look at their shares costs them time, so there are fewer of these.
    fn is_over(&self) -> bool {
        self.looks >= self.patience && (self.looks - self.patience).is_multiple_of(8)
    }

    /// There were slices of the thread's own.
    fn end_with_own(&mut self) {
        *self = Wait { looks: 0, patience: PATIENCE.min(2 * self.patience) };
    }

    /// There were some that others had not come to take.
    fn end_with_others(&mut self) {
        *self = Wait { looks: 0, patience: 1.max(self.patience / 8) };
    }
}

/// The life of a helper.
fn serve(shared: &Shared, id: usize) {
    let _flush = FlushDenormals::on();
    let mut wait = Wait::default();
    while !shared.closing.load(Ordering::Relaxed) {
        let slice = shared.find(id, &mut wait);
        if slice.is_some() {
            shared.work(slice, id);
        } else if wait.looks < AWAKE || shared.running.load(Ordering::Relaxed) {
            wait.pause();
        } else {
            shared.sleep();
            wait = Wait::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::time::Duration;

    fn pool(threads: usize) -> Pool {
        Pool::new(NonZeroUsize::new(threads).expect("at least one thread"))
    }

    #[test]
    fn every_slice_runs_once_and_after_all_of_the_steps_before() {
        for threads in 1..5 {
            let mut pool = pool(threads);
            for slices in [vec![], vec![1], vec![3, 1, 1, 8, 0, 2], vec![0], vec![1, 1, 1], vec![7; 50]] {
                let log = Mutex::new(vec![]);
                pool.run(&slices, &|step, slice| log.lock().expect("no slice panics").push((step, slice)));
                let mut log = log.into_inner().expect("no slice panics");
                assert!(log.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{threads} threads: {log:?}");
                log.sort_unstable();
                let expected: Vec<_> =
                    slices.iter().enumerate().flat_map(|(i, n)| (0..*n).map(move |s| (i, s))).collect();
                assert_eq!(log, expected, "{threads} threads");
            }
        }
    }

    #[test]
    fn what_one_step_writes_the_next_one_reads() {
        // In every step each slice reads its neighbour's last number and writes the next one of its own.
        let mut pool = pool(2);
        let cells = [[AtomicUsize::new(0), AtomicUsize::new(0)], [AtomicUsize::new(0), AtomicUsize::new(0)]];
        pool.run(&[2; 2000], &|step, slice| {
            assert_eq!(cells[1 - slice][step % 2].load(Ordering::Relaxed), step);
            cells[slice][(step + 1) % 2].store(step + 1, Ordering::Relaxed);
        });
    }

    #[test]
    fn a_thread_in_a_long_slice_leaves_the_others_to_the_rest() {
        for threads in 2..5 {
            let mut pool = pool(threads);
            let done = AtomicUsize::new(0);
            pool.run(&[16], &|_, slice| {
                // Waits for all the others, those in its thread's share too.
                while slice == 0 && done.load(Ordering::SeqCst) < 15 {
                    thread::yield_now();
                }
                let _ = done.fetch_add(1, Ordering::SeqCst);
            });
            assert_eq!(done.load(Ordering::SeqCst), 16);
        }
    }

    #[test]
    fn slices_are_taken_from_both_ends() {
        let mut share = Share { stage: (1 << 40) - 1, first: 0, end: MOST_SLICES as u64 };
        for (is_own, slice) in [(true, 0), (false, 4094), (false, 4093), (true, 1)] {
            let (taken, rest) = share.take(is_own).expect("there are more");
            assert_eq!(taken, slice);
            share = rest;
            assert_eq!(Share::from_bits(share.to_bits()), share);
        }
        let last = Share { first: 7, end: 8, ..share };
        for is_own in [true, false] {
            let (slice, rest) = last.take(is_own).expect("there is one");
            assert_eq!((slice, rest.take(true), rest.take(false)), (7, None, None));
        }
    }

    #[test]
    fn threads_wake_up_after_a_long_sleep() {
        let mut pool = pool(3);
        let count = AtomicUsize::new(0);
        let work = |_, _| {
            let _ = count.fetch_add(1, Ordering::Relaxed);
        };
        pool.run(&[3], &work);
        thread::sleep(Duration::from_millis(60));
        pool.run(&[3], &work);
        assert_eq!(count.load(Ordering::Relaxed), 6);
    }

    #[test]
    fn denormals_are_flushed_in_every_thread_and_not_after() {
        use std::hint::black_box;
        let half_of_the_smallest = || black_box(f32::MIN_POSITIVE) * black_box(0.5);
        pool(3).run(&[30], &|_, _| assert_eq!(half_of_the_smallest(), 0.0));
        assert!(half_of_the_smallest() > 0.0);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        for threads in [1, 3] {
            let mut pool = pool(threads);
            let failing = |step, slice| assert!((step, slice) != (1, 2), "on purpose");
            let result = catch_unwind(AssertUnwindSafe(|| pool.run(&[4, 4, 4], &failing)));
            assert!(result.is_err());
            pool.run(&[4, 4], &|_, _| ());
        }
    }
}
