//! From the text of a program to its model: stages 1 to 3, and what they say about mistakes.

use std::path::{Path, PathBuf};

use spnc_runtime::data::{Dataset, Split};

use crate::diag::{self, Diagnostic, FileId, Sources, Span};
use crate::elaborate;
use crate::lower::to_tir::cuts;
use crate::model::{Model, Plan};
use crate::resolve::{self, hir};
use crate::syntax::{self, ast};

use super::exit::Exit;
use super::output;
use super::source::Source;
use super::world::Files;

/// A program on its way through the stages, with all texts that it is made of.
#[derive(Debug)]
pub struct Front {
    source: Source,
    /// The modules of the user that have been read, by name.
    modules: Vec<(String, String)>,
    /// The texts.
    pub sources: Sources,
    /// Data and files.
    pub files: Files,
}

/// The program itself among the texts that it is made of.
const MAIN: FileId = FileId(0);

/// What a stage gives, or the user's mistakes.
pub type Stage<T> = Result<T, Vec<Diagnostic>>;

impl Front {
    /// A program that nothing has been done with.
    pub fn new(source: &Source) -> Front {
        Front {
            source: source.clone(),
            modules: vec![],
            sources: Sources::default(),
            files: Files::new(source.search()),
        }
    }

    /// The name of the program without its folder and ending.
    pub fn name(&self) -> String {
        let stem = self.source.file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        stem.filter(|stem| stem != "-").unwrap_or_else(|| "program".to_owned())
    }

    /// The text of the program, once it has been read.
    pub fn text(&self) -> &str {
        self.sources.text(MAIN)
    }

    /// The last line of the program that is not empty, once it has been read.
    pub fn end(&self) -> Span {
        let text = self.text().trim_end();
        let start = text.rfind('\n').map_or(0, |at| at + 1);
        Span { file: MAIN, start: start as u32, end: text.len() as u32 }
    }

    /// The program's files by name: its own and the modules that it imports, the library aside.
    pub fn texts(&self) -> Vec<(String, String)> {
        let own = format!("{}.spnet", self.name());
        let imported = self.modules.iter().cloned();
        std::iter::once((own, self.text().to_owned())).chain(imported).collect()
    }

    /// Reads the text.
    ///
    /// # Errors
    ///
    /// When the file can't be read, which has been said; the inner ones are the user's.
    pub fn parse(&mut self) -> Result<Stage<ast::File>, Exit> {
        let bytes = output::read(&self.source.file)?;
        let (text, not_text) = syntax::decode(MAIN, &bytes);
        let (ast, mistakes) = syntax::parse(MAIN, &text);
        let file = self.sources.add(shown(&self.source.file), text);
        assert_eq!(file, MAIN, "the program is the first text");
        let mistakes: Vec<Diagnostic> = not_text.into_iter().chain(mistakes).collect();
        Ok(if mistakes.is_empty() { Ok(ast) } else { Err(mistakes) })
    }

    /// Looks up its names.
    ///
    /// # Errors
    ///
    /// As for [`Front::parse`].
    pub fn resolve(&mut self) -> Result<Stage<hir::Program>, Exit> {
        let ast = match self.parse()? {
            Ok(ast) => ast,
            Err(mistakes) => return Ok(Err(mistakes)),
        };
        let folder = self.source.file.parent().map(PathBuf::from).unwrap_or_default();
        let modules = &mut self.modules;
        let mut read = |name: &str| {
            let text = std::fs::read_to_string(folder.join(name)).map_err(|error| error.to_string())?;
            modules.push((name.to_owned(), text.clone()));
            Ok(text)
        };
        let sets: Vec<(String, String)> =
            self.source.set.iter().map(|set| (set.name.clone(), set.value.clone())).collect();
        Ok(resolve::resolve(&ast, &mut self.sources, &mut read, &sets))
    }

    /// Infers all sizes, and checks everything.
    ///
    /// # Errors
    ///
    /// As for [`Front::parse`].
    pub fn elaborate(&mut self) -> Result<Stage<Model>, Exit> {
        let program = match self.resolve()? {
            Ok(program) => program,
            Err(mistakes) => return Ok(Err(mistakes)),
        };
        Ok(elaborate::elaborate(&program, &mut self.files).and_then(one_pass))
    }

    /// The same without `init … from`: every tensor has the sizes that the program gives it.
    ///
    /// # Errors
    ///
    /// As for [`Front::parse`].
    pub fn elaborate_without_starts(&mut self) -> Result<Stage<Model>, Exit> {
        let mut program = match self.resolve()? {
            Ok(program) => program,
            Err(mistakes) => return Ok(Err(mistakes)),
        };
        program.decls.retain(|decl| !matches!(decl.kind, hir::DeclKind::Init(_)));
        Ok(elaborate::elaborate(&program, &mut self.files).and_then(one_pass))
    }

    /// The model, or the user's mistakes said on standard error.
    ///
    /// # Errors
    ///
    /// When there is no model.
    pub fn model(&mut self) -> Result<Model, Exit> {
        let stage = self.elaborate()?;
        self.expect(stage)
    }

    /// How many samples are in a batch of its plan; 1 without a plan or data.
    ///
    /// # Errors
    ///
    /// When the data can't be read, which has been said.
    pub fn batch(&mut self, model: &Model) -> Result<usize, Exit> {
        match &model.plan {
            None => Ok(1),
            Some(Plan { batch: Some(batch), .. }) => Ok(*batch),
            Some(Plan { batch: None, .. }) => Ok(self.open(model)?.map_or(1, |data| data.n(Split::Train).max(1))),
        }
    }

    /// The data of a model, taken from its files; nothing for one that has none.
    ///
    /// # Errors
    ///
    /// When it can't be read, or not be cut into batches, which has been said.
    pub fn take_data(&mut self, model: &Model) -> Result<Dataset, Exit> {
        let Some(data) = self.open(model)? else { return Ok(Dataset::empty()) };
        if let Some(batch) = model.plan.as_ref().and_then(|plan| plan.batch) {
            data.check_batch(batch).map_err(|error| output::data_error(&error))?;
        }
        if let Some(lacks) = &data.lacks {
            output::note(&format!("note: {lacks}"));
        }
        Ok(self.files.take(&model.data[0].spec))
    }

    fn open(&mut self, model: &Model) -> Result<Option<&Dataset>, Exit> {
        match model.data.first() {
            None => Ok(None),
            Some(data) => self.files.dataset(&data.spec).map(Some).map_err(|error| output::data_error(&error)),
        }
    }

    /// What a stage gave, or the user's mistakes said on standard error.
    ///
    /// # Errors
    ///
    /// When there are mistakes.
    pub fn expect<T>(&self, stage: Stage<T>) -> Result<T, Exit> {
        stage.map_err(|mistakes| {
            output::note(diag::render_all(&mistakes, &self.sources, output::is_terminal()).trim_end());
            Exit::Errors
        })
    }
}

/// A file as messages name it.
fn shown(file: &Path) -> String {
    if file == Path::new("-") { "<stdin>".to_owned() } else { file.display().to_string() }
}

/// Refuses a report that needs a number of the whole split for each sample: the split is read once.
fn one_pass(model: Model) -> Result<Model, Vec<Diagnostic>> {
    match cuts::nested(&model) {
        None => Ok(model),
        Some(inner) => {
            let title = "a report that needs a number of the whole split for each sample";
            let span = model.graph.node(inner).span;
            let found =
                Diagnostic::new("E0324", title, span, "this combines all samples, and a sum over samples uses it");
            Err(vec![found.help("report the two numbers by themselves")])
        }
    }
}
