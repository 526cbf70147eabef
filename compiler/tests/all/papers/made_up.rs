//! The programs of `examples/papers` in a folder of their own, with made-up data in place of files.

use std::path::{Path, PathBuf};

use crate::support;

/// Programs, their modules, and the files that made-up data cannot stand for.
pub struct Copy(tempfile::TempDir);

/// What is read in the place of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// The files where they are here, and data of their shape otherwise. Images of CIFAR-10's shape in any case: unpacking the real ones takes
    /// longer than all the rest.
    Shaped,
    /// No files: images of `side` by `side` pixels for those of CIFAR-10, and a language of 20 words.
    Small {
        /// Pixels along each side of an image.
        side: usize,
    },
}

/// Sensors of the traffic data.
const SENSORS: usize = 207;

impl Copy {
    /// Copies all programs.
    pub fn new(data: Data) -> Self {
        let to = tempfile::tempdir().expect("a folder");
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/papers");
        std::fs::create_dir(to.path().join("networks")).expect("a folder");
        for path in sources(&from).into_iter().chain(sources(&from.join("networks"))) {
            let name = path.strip_prefix(&from).expect("a file of the folder");
            let text = std::fs::read_to_string(&path).expect("a program can be read");
            std::fs::write(to.path().join(name), data.instead_of_files(&text)).expect("a copy can be written");
        }
        if data.has_no_files() {
            std::fs::create_dir(to.path().join("traffic-los")).expect("a folder");
            std::fs::write(to.path().join("traffic-los/los_adj.csv"), roads()).expect("roads can be written");
        }
        Self(to)
    }

    /// The programs, by name.
    pub fn programs(&self) -> Vec<PathBuf> {
        sources(self.0.path())
    }

    /// The program with this name.
    pub fn program(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}.spnet"))
    }
}

impl Data {
    fn has_no_files(self) -> bool {
        matches!(self, Data::Small { .. }) || support::data_folder().is_none()
    }

    fn instead_of_files(self, text: &str) -> String {
        let (side, vocabulary, window) = match self {
            Data::Shaped => (32, 10_000, 35),
            Data::Small { side } => (side, 20, 5),
        };
        let cifar = format!("synthetic(image: [3, {side}, {side}], classes: 10, samples: 40)");
        let text = replace_call(text, "cifar10", &cifar);
        if !self.has_no_files() {
            return text;
        }
        let mnist = "synthetic(image: [1, 28, 28], classes: 10, samples: 40) { image = mean(image, C) }";
        let ptb = format!("synthetic(tokens: 40000, vocabulary: {vocabulary}, window: {window})");
        let roads = format!("synthetic(steps: 200, series: {SENSORS}, past: 8, ahead: 1, validation: 20%)");
        [("idx", mnist), ("text", &ptb), ("series", &roads)]
            .into_iter()
            .fold(text, |text, (source, made_up)| replace_call(&text, source, made_up))
    }
}

/// Replaces `= source(…)`, up to its closing parenthesis.
fn replace_call(text: &str, source: &str, by: &str) -> String {
    let opening = format!("= {source}(");
    let Some((before, behind)) = text.split_once(&opening) else { return text.to_owned() };
    let mut depth = 1;
    let closes = |c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    };
    let end = behind.find(closes).expect("the call ends");
    format!("{before}= {by}{}", &behind[end + 1..])
}

/// A road along all sensors, as a table of distances: 1 to oneself and to both neighbours.
fn roads() -> String {
    let row = |i: usize| (0..SENSORS).map(|j| if i.abs_diff(j) <= 1 { "1" } else { "0" }).collect::<Vec<_>>().join(",");
    (0..SENSORS).map(row).collect::<Vec<_>>().join("\n")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("there are programs").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "spnet")).collect();
    paths.sort();
    paths
}
