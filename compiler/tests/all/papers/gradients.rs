//! The derivatives of every program of the papers, at reduced size: what narrows, shortens or shrinks a network are constants of its program.
//!
//! Small batches make batch norm ill-conditioned, so that single precision would hide mistakes: narrow networks on more samples are the
//! better check, and the cheaper one.

use std::path::Path;

use super::made_up::{Copy, Data};
use super::{name_of, spnc};

/// A smaller form of the programs whose names begin so.
struct Reduced {
    programs: &'static str,
    /// How many samples; two such numbers, or none where states are carried from batch to batch.
    batches: &'static [&'static str],
    /// What is set.
    sets: &'static [&'static str],
}

/// The first that fits counts.
const REDUCED: [Reduced; 14] = [
    reduced("alexnet", &["8", "12"], &["width=2", "size=67", "classes=5"]),
    reduced("resnet50", &["8", "12"], &["width=2", "blocks=2", "size=32", "classes=5"]),
    reduced("deeplab", &["2", "3"], &["width=2", "blocks=2", "size=17", "classes=3"]),
    reduced("mobilenet_imagenet", &["16", "24"], &["width=2", "size=16", "classes=5"]),
    reduced("mobilenet_dnw", &["20", "32"], &["width=2", "edges=3000"]),
    reduced("mobilenet", &["20", "32"], &["width=2"]),
    reduced("resnet20", &["8", "12"], &["width=2"]),
    reduced("resnet164", &["8", "12"], &["width=2", "blocks=2"]),
    reduced("densenet100", &["8", "12"], &["layers=2", "growth=4"]),
    reduced("wrn", &["4", "6"], &["width=2", "blocks=2", "factor=2"]),
    reduced(WIDE, &["4", "6"], &["width=2"]),
    reduced("ptb_lstm", &[], &["hidden=8"]),
    reduced("traffic", &["2", "3"], &[]),
    reduced("", &["2", "3"], &[]),
];

const fn reduced(programs: &'static str, batches: &'static [&'static str], sets: &'static [&'static str]) -> Reduced {
    Reduced { programs, batches, sets }
}

/// It halves images five times, so that they can't be smaller than those of CIFAR-10.
const WIDE: &str = "vgg16";

#[test]
fn every_derivative_agrees() {
    let [narrow, wide] = [8, 32].map(|side| Copy::new(Data::Small { side }));
    for path in narrow.programs() {
        let name = name_of(&path);
        let started = std::time::Instant::now();
        let form = REDUCED.iter().find(|form| name.starts_with(form.programs)).expect("the last one fits");
        check(&if form.programs == WIDE { wide.program(&name) } else { path }, form);
        println!("{name}: its derivatives agree ({:.1} s)", started.elapsed().as_secs_f64());
    }
}

/// Checks a program. Where a relu sits so close to its kink that rounding decides, compiled and interpreted gradients are apart by
/// chance: another batch must then agree.
#[track_caller]
fn check(path: &Path, form: &Reduced) {
    let sets: Vec<&str> = form.sets.iter().flat_map(|set| ["--set", set]).collect();
    let batches = form.batches.iter().map(|batch| vec!["--batch", batch]);
    let batches = if form.batches.is_empty() { vec![vec![]] } else { batches.collect() };
    let mut printed = String::new();
    for batch in batches {
        let output = spnc("gradcheck", path, &[&["--threads", "1"], &batch[..], &sets].concat());
        if output.status.success() {
            return;
        }
        printed += &String::from_utf8_lossy(&output.stdout);
        printed += &String::from_utf8_lossy(&output.stderr);
    }
    panic!("{}:\n{printed}", path.display());
}
