//! A pool of spinning threads that take slices of work.
//!
//! A run is a list of steps; each step is a fixed number of slices that do not depend on one another. The threads
//! share the slices of a step, meet, and go on to the next one. How many threads there are decides who computes a
//! slice, never what it computes.
//!
//! Threads wait by spinning, since handing over work that way costs a tenth of a microsecond; after a while they
//! yield and then sleep, so that an idle process does not keep a core busy. While they compute, denormal numbers are
//! flushed to zero: gradients that fade would otherwise slow training down by a third.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
        self.shared.threads
    }

    /// Runs the steps one after the other: step `i` is `work(i, 0)`, …, `work(i, slices[i] - 1)`, in any order and at
    /// the same time. Allocates nothing.
    ///
    /// # Panics
    ///
    /// If `work` does; what was left of the run is then skipped.
    pub fn run(&mut self, slices: &[usize], work: &(dyn Fn(usize, usize) + Sync)) {
        if slices.is_empty() {
            return; // Without a step there is no barrier either, and nothing would tell that the helpers are done.
        }
        let job = Job { slices, work };
        if self.helpers.is_empty() {
            let _flush = FlushDenormals::on();
            self.shared.take_part(job, 0);
        } else {
            self.publish(job);
            let flush = FlushDenormals::on();
            self.shared.take_part(job, 0);
            drop(flush);
        }
        assert!(!self.shared.failed.swap(false, Ordering::Relaxed), "a slice of the work panicked");
    }

    /// Lets the helpers begin with `job`.
    #[expect(unsafe_code, reason = "the helpers outlive the borrow that a job is")]
    fn publish(&mut self, job: Job<'_>) {
        // SAFETY: only the lifetime changes. No helper touches the job after the last barrier of `take_part`, and
        // `run`, which holds the borrow, does not return before it has passed that barrier itself.
        let job = unsafe { std::mem::transmute::<Job<'_>, Job<'static>>(job) };
        // SAFETY: `&mut self` rules out another run, and every helper waits for the next round, which starts below.
        unsafe { *self.shared.job.get() = Some(job) };
        let _ = self.shared.round.fetch_add(1, Ordering::SeqCst);
        if self.shared.sleepers.load(Ordering::SeqCst) > 0 {
            self.helpers.iter().for_each(|helper| helper.thread().unpark());
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        let _ = self.shared.round.fetch_add(1, Ordering::SeqCst);
        for helper in self.helpers.drain(..) {
            helper.thread().unpark();
            helper.join().expect("a helper catches what its slices throw");
        }
    }
}

/// What all threads of a pool look at. The counters are apart from each other, so that they do not share cache lines.
#[derive(Debug)]
struct Shared {
    threads: usize,
    /// Counts runs; a change tells the helpers to begin.
    round: Apart<AtomicUsize>,
    /// Threads that have reached the current barrier.
    arrived: Apart<AtomicUsize>,
    /// Counts barriers passed.
    passed: Apart<AtomicUsize>,
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

/// The current job. Written between rounds only, by the thread that starts the next one.
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

// SAFETY: accesses are ordered by `Shared::round`: `Pool::publish` writes before it increases the round, helpers read
// after they have seen the increase, and the next write comes after the last barrier of the run.
#[expect(unsafe_code, reason = "a job is handed to other threads")]
unsafe impl Sync for JobCell {}

// SAFETY: a job is two shared references to what is `Sync`.
#[expect(unsafe_code, reason = "a job is handed to other threads")]
unsafe impl Send for JobCell {}

impl Shared {
    fn new(threads: usize) -> Shared {
        let zero = || Apart(AtomicUsize::new(0));
        Shared {
            threads,
            round: zero(),
            arrived: zero(),
            passed: zero(),
            sleepers: zero(),
            job: JobCell(std::cell::UnsafeCell::new(None)),
            failed: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        }
    }

    /// The part of thread `id` in a run.
    fn take_part(&self, job: Job<'_>, id: usize) {
        for (step, &count) in job.slices.iter().enumerate() {
            for slice in (id..count).step_by(self.threads) {
                self.guarded(|| (job.work)(step, slice));
            }
            // Steps of one slice are all done by thread 0, in order: nobody has to meet between them.
            let alone = count <= 1 && job.slices.get(step + 1).is_some_and(|&next| next <= 1);
            if !alone {
                self.barrier();
            }
        }
    }

    /// Runs `body` unless the run has failed; a panic fails it. The threads still meet, so that none waits for ever.
    fn guarded(&self, body: impl FnOnce()) {
        if !self.failed.load(Ordering::Relaxed) && catch_unwind(AssertUnwindSafe(body)).is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
    }

    /// Waits until every thread is here.
    fn barrier(&self) {
        if self.threads == 1 {
            return;
        }
        let passed = self.passed.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            self.arrived.store(0, Ordering::Relaxed);
            self.passed.store(passed.wrapping_add(1), Ordering::Release);
        } else {
            let _ = wait_until(usize::MAX, || self.passed.load(Ordering::Acquire) != passed);
        }
    }

    /// Waits for a round other than `seen`, awake at first, then asleep.
    fn next_round(&self, seen: usize) -> usize {
        let changed = || self.round.load(Ordering::SeqCst) != seen;
        if !wait_until(AWAKE, changed) {
            let _ = self.sleepers.fetch_add(1, Ordering::SeqCst);
            while !changed() {
                thread::park();
            }
            let _ = self.sleepers.fetch_sub(1, Ordering::SeqCst);
        }
        self.round.load(Ordering::Acquire)
    }
}

/// How often a waiting thread looks before it lets others use its core: longer than slices of equal work differ, and
/// short enough where threads have to share a core.
const SPINS: usize = 500;

/// How often a thread without work looks before it sleeps: some milliseconds.
const AWAKE: usize = 6_000;

/// Looks for `done` up to `looks` times, and says whether it came true.
fn wait_until(looks: usize, done: impl Fn() -> bool) -> bool {
    for look in 0..looks {
        if done() {
            return true;
        }
        if look < SPINS { std::hint::spin_loop() } else { thread::yield_now() }
    }
    false
}

/// The life of helper `id`.
fn serve(shared: &Shared, id: usize) {
    let _flush = FlushDenormals::on();
    let mut round = 0;
    loop {
        round = shared.next_round(round);
        if shared.closing.load(Ordering::SeqCst) {
            return;
        }
        let job = current_job(shared);
        shared.take_part(job, id);
    }
}

/// The job of the round that has just begun.
#[expect(unsafe_code, reason = "a job is handed over through a cell")]
fn current_job(shared: &Shared) -> Job<'static> {
    // SAFETY: the round has begun, so the job was written before, and it is not written again before this thread has
    // passed the last barrier of the run.
    unsafe { *shared.job.get() }.expect("a round begins with a job")
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
