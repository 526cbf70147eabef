//! How a run is made: what the command line says, or what a run folder remembers of it.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use indexmap::IndexMap;
use spnc_runtime::data::{DataError, Fault};
use spnc_runtime::store::Origin;

use crate::cli::evaluator::{self, Evaluator, Form, Kernels};
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::source::{Setting, Source};

/// How a run is made.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The program, and what is set in it.
    pub source: Source,
    /// What runs it.
    pub evaluator: evaluator::Choice,
    /// The epochs of every phase, whatever the program says.
    pub epochs: Option<usize>,
    /// The samples in a batch of training, whatever the program says.
    pub batch: Option<usize>,
    /// Use only so many samples of each split.
    pub limit: Option<usize>,
    /// The seed, whatever the program says.
    pub seed: Option<u64>,
    /// Where start values come from.
    pub init: Option<PathBuf>,
}

impl Setup {
    /// What a run folder remembers: constants by name, options by the name that they have on the command line.
    pub fn settings(&self) -> IndexMap<String, String> {
        let constants = self.source.set.iter().map(|set| (set.name.clone(), set.value.clone()));
        let evaluator::Choice { evaluator, kernels, forms, threads: _ } = self.evaluator;
        let options = [
            ("--epochs", self.epochs.map(|epochs| epochs.to_string())),
            ("--limit", self.limit.map(|limit| limit.to_string())),
            ("--init", self.init.as_ref().map(|path| path.display().to_string())),
            ("--evaluator", name(evaluator)),
            ("--kernels", name(kernels)),
            ("--forms", name(forms)),
        ];
        let options = options.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        constants.chain(options).collect()
    }

    /// The opposite of [`Setup::settings`], for the program in the folder of a run. Data is looked for in the folders of `data`, then
    /// where the run found it.
    ///
    /// # Errors
    ///
    /// When an option has no value that makes sense, which has been said.
    pub fn of_run(
        folder: &Path,
        origin: &Origin,
        data: &[PathBuf],
        threads: Option<NonZeroUsize>,
    ) -> Result<Setup, Exit> {
        let constants = origin.settings.iter().filter(|(name, _)| !name.starts_with("--"));
        let set = constants.map(|(name, value)| Setting { name: name.clone(), value: value.clone() }).collect();
        let data = data.iter().chain(&origin.folders).cloned().collect();
        let evaluator = option(folder, origin, "--evaluator", |text| Evaluator::from_str(text, false).ok())?;
        let kernels = option(folder, origin, "--kernels", |text| Kernels::from_str(text, false).ok())?;
        let forms = option(folder, origin, "--forms", |text| Form::from_str(text, false).ok())?;
        Ok(Setup {
            source: Source { file: folder.join(&origin.program), set, data },
            evaluator: evaluator::Choice {
                evaluator: evaluator.unwrap_or(Evaluator::Jit),
                threads,
                kernels: kernels.unwrap_or(Kernels::Native),
                forms: forms.unwrap_or(Form::Live),
            },
            batch: None,
            epochs: option(folder, origin, "--epochs", |text| text.parse().ok())?,
            limit: option(folder, origin, "--limit", |text| text.parse().ok())?,
            seed: Some(origin.seed),
            init: option(folder, origin, "--init", |text| Some(PathBuf::from(text)))?,
        })
    }
}

/// How a choice is written on the command line.
fn name(choice: impl ValueEnum) -> Option<String> {
    choice.to_possible_value().map(|value| value.get_name().to_owned())
}

fn option<T>(
    folder: &Path,
    origin: &Origin,
    name: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Exit> {
    let Some(text) = origin.settings.get(name) else { return Ok(None) };
    let value = parse(text).ok_or_else(|| {
        let place = format!("`{}`", folder.display());
        let error = DataError::new(Fault::Damaged, place, format!("a value of `{name}`"), format!("`{text}`"));
        output::data_error(&error)
    })?;
    Ok(Some(value))
}
