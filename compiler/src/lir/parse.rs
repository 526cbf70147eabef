//! Reads the text form of LIR back: the inverse of [`mod@super::print`].

use super::print::cut_name;
use super::{
    Buffer, BufferId, Call, Cut, DType, Def, Fold, Func, Gemm, Inst, Kernel, KernelId, Lanes, Matrix, Module, Param,
    ParamId, Phase, Place, Quantile, Role, Routine, Run, Step, Store, Task, Terms, Value,
};
use crate::scalar::{Binary, Unary};

/// Reads a module; the error says what was expected and in which line.
pub fn parse(text: &str) -> Result<Module, String> {
    let mut reader = Reader { tokens: tokens(text), next: 0 };
    reader.expect("arena")?;
    let mut module = Module { arena: reader.number()?, ..Module::default() };
    loop {
        match reader.word()?.as_str() {
            "buffer" => module.buffers.push(reader.buffer()?),
            "kernel" => module.kernels.push(reader.kernel()?),
            "func" => module.funcs.push(reader.func()?),
            "" => return Ok(module),
            _ => return reader.wanted("`buffer`, `kernel` or `func`"),
        }
    }
}

/// A token and its line.
type Token = (String, usize);

/// Words (with `@`, `%`, `.`, `+`, `-`, `=`), quoted strings with their first quote, and single signs.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = vec![];
    for (number, line) in text.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let end = match first {
                '"' => quoted(rest),
                c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                c => c.len_utf8(),
            };
            tokens.push((rest[..end].to_owned(), number + 1));
            rest = rest[end..].trim_start();
        }
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || "@%._+-=".contains(c)
}

/// Where a quoted string ends.
fn quoted(text: &str) -> usize {
    let mut escaped = true;
    for (index, c) in text.char_indices() {
        match c {
            '"' if !escaped => return index + 1,
            '\\' if !escaped => escaped = true,
            _ => escaped = false,
        }
    }
    text.len()
}

struct Reader {
    tokens: Vec<Token>,
    next: usize,
}

type Read<T> = Result<T, String>;

impl Reader {
    fn peek(&self) -> &str {
        self.tokens.get(self.next).map_or("", |(word, _)| word)
    }

    /// The next token, empty at the end.
    fn word(&mut self) -> Read<String> {
        let word = self.peek().to_owned();
        self.next += 1;
        Ok(word)
    }

    /// The error that the token just read is not what it should be.
    fn wanted<T>(&self, what: &str) -> Read<T> {
        match self.tokens.get(self.next - 1) {
            Some((word, line)) => Err(format!("line {line}: expected {what}, found `{word}`")),
            None => Err(format!("expected {what}, found the end")),
        }
    }

    fn expect(&mut self, word: &str) -> Read<()> {
        if self.word()? == word { Ok(()) } else { self.wanted(&format!("`{word}`")) }
    }

    fn skip(&mut self, word: &str) -> bool {
        let found = self.peek() == word;
        self.next += usize::from(found);
        found
    }

    /// The next token as what `read` makes of it.
    fn read<T>(&mut self, what: &str, read: impl Fn(&str) -> Option<T>) -> Read<T> {
        let word = self.word()?;
        read(&word).map_or_else(|| self.wanted(what), Ok)
    }

    fn number(&mut self) -> Read<usize> {
        self.read("a number", |word| word.parse().ok())
    }

    /// A number behind a mark, as `@3`.
    fn index(&mut self, mark: &str) -> Read<u32> {
        self.read(&format!("`{mark}` and a number"), |word| word.strip_prefix(mark)?.parse().ok())
    }

    fn value(&mut self) -> Read<Value> {
        self.index("%").map(Value)
    }

    fn param(&mut self) -> Read<ParamId> {
        self.index("p").map(ParamId)
    }

    fn dtype(&mut self) -> Read<DType> {
        let all = [DType::F32, DType::I32, DType::Bool];
        self.read("an element type", |word| all.into_iter().find(|dtype| dtype.name() == word))
    }

    fn string(&mut self) -> Read<String> {
        self.read("a string", |word| serde_json::from_str(word).ok())
    }

    /// Items between brackets, with commas.
    fn list<T>(&mut self, open: &str, close: &str, item: impl Fn(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        self.expect(open)?;
        let mut items = vec![];
        while !self.skip(close) {
            items.push(item(self)?);
            if self.peek() != close {
                self.expect(",")?;
            }
        }
        Ok(items)
    }

    fn numbers(&mut self) -> Read<Vec<usize>> {
        self.list("[", "]", Self::number)
    }

    fn buffer(&mut self) -> Read<Buffer> {
        let _id = self.index("@")?;
        let roles = [Role::Lasting, Role::Input, Role::Output, Role::Scratch, Role::Kept];
        let role = self.read("a role", |word| roles.into_iter().find(|role| role.name() == word))?;
        let name = self.string()?.into();
        let dtype = self.dtype()?;
        self.expect("x")?;
        let len = self.number()?;
        self.expect("at")?;
        Ok(Buffer { name, role, dtype, len, offset: self.number()? })
    }

    fn kernel(&mut self) -> Read<Kernel> {
        let _id = self.index("k")?;
        let params = self.list("(", ")", |reader| {
            let _id = reader.param()?;
            reader.expect(":")?;
            Ok(Param { dtype: reader.dtype()? })
        })?;
        self.expect("rows")?;
        let rows = self.numbers()?;
        self.expect("lanes")?;
        let all = [Lanes::Rows, Lanes::Inner];
        let lanes = self.read("`rows` or `inner`", |word| all.into_iter().find(|lanes| lanes.name() == word))?;
        self.expect("{")?;
        let mut phases = vec![];
        while !self.skip("}") {
            phases.push(self.phase()?);
        }
        Ok(Kernel { params, rows, lanes, phases })
    }

    fn phase(&mut self) -> Read<Phase> {
        self.expect("each")?;
        let mut phase = Phase { inner: self.numbers()?, ..Phase::default() };
        self.expect("{")?;
        while !self.skip("}") {
            if self.skip("store") {
                phase.stores.push(Store { param: self.param()?, strides: self.numbers()?, value: self.value()? });
            } else {
                phase.defs.push(self.def()?);
            }
        }
        Ok(phase)
    }

    fn def(&mut self) -> Read<Def> {
        let _value = self.value()?;
        self.expect(":")?;
        let dtype = self.dtype()?;
        self.expect("=")?;
        Ok(Def { inst: self.inst()?, dtype })
    }

    fn inst(&mut self) -> Read<Inst> {
        let name = self.word()?;
        Ok(match name.as_str() {
            "load" => Inst::Load(self.param()?, self.numbers()?),
            "const" => Inst::Const(self.read("a number", |word| word.parse().ok())?),
            "index" => Inst::Index(self.number()?),
            "select" => Inst::Select(self.value()?, self.value()?, self.value()?),
            "convert" => Inst::Convert(self.value()?),
            "uniform" => {
                let (seed, step) = (self.value()?, self.value()?);
                let site = self.read("a number", |word| word.parse().ok())?;
                Inst::Uniform { seed, step, site, strides: self.numbers()? }
            }
            "fold" => {
                let all = [Fold::Sum, Fold::Max, Fold::Min];
                let fold = self.read("a fold", |word| all.into_iter().find(|fold| fold.name() == word))?;
                Inst::Fold(fold, self.value()?)
            }
            name => match (Unary::from_name(name), Binary::from_name(name)) {
                (Some(unary), _) => Inst::Unary(unary, self.value()?),
                (_, Some(binary)) => Inst::Binary(binary, self.value()?, self.value()?),
                (None, None) => return self.wanted("an instruction"),
            },
        })
    }

    fn func(&mut self) -> Read<Func> {
        let name = self.string()?;
        let buffers = |reader: &mut Self| reader.list("[", "]", |reader| reader.index("@").map(BufferId));
        self.expect("in")?;
        let inputs = buffers(self)?;
        self.expect("out")?;
        let outputs = buffers(self)?;
        self.expect("{")?;
        let mut steps = vec![];
        while !self.skip("}") {
            self.expect("step")?;
            let slices = self.number()?;
            self.expect("{")?;
            let mut step = Step { slices, calls: vec![], starts: vec![], labels: vec![] };
            while !self.skip("}") {
                step.calls.push(self.call()?);
                step.starts.push(if self.skip("at") { self.number()? } else { 0 });
                step.labels.push(if self.skip("of") { self.string()?.into() } else { "".into() });
            }
            steps.push(step);
        }
        Ok(Func { name, inputs, outputs, steps })
    }

    fn call(&mut self) -> Read<Call> {
        match self.word()?.as_str() {
            "run" => {
                let kernel = KernelId(self.index("k")?);
                let args = self.list("(", ")", Self::place)?;
                Ok(Call::Run(Run { kernel, args, chunk: self.chunk()? }))
            }
            "gemm" => self.gemm().map(Call::Gemm),
            "quantile" => {
                let (from, len) = (self.place()?, self.number()?);
                let (share, to, work) = (self.place()?, self.place()?, self.place()?);
                Ok(Call::Quantile(Quantile { from, len, share, to, work }))
            }
            name => self.routine(name),
        }
    }

    fn routine(&mut self, name: &str) -> Read<Call> {
        if self.peek() != "[" {
            return self.wanted("a call");
        }
        let Some(task) = Task::from_sizes(name, &self.numbers()?) else { return self.wanted("the sizes of a routine") };
        let from = self.list("(", ")", Self::place)?;
        self.expect("to")?;
        let to = self.place()?;
        let work = if self.skip("work") { Some(self.place()?) } else { None };
        Ok(Call::Routine(Routine { task, from, to, work, chunk: self.chunk()? }))
    }

    fn gemm(&mut self) -> Read<Gemm> {
        let (m, n, k) = (self.number()?, self.number()?, self.number()?);
        self.expect("x")?;
        let stack = self.number()?;
        let c = self.matrix()?;
        self.expect("=")?;
        let terms = if self.skip("sum") { self.terms()? } else { Terms::ONE };
        let (a, in_panels, b) = (self.matrix()?, self.skip("panels"), self.matrix()?);
        self.expect("cut")?;
        let all = [Cut::Stack, Cut::Rows, Cut::Cols];
        let cut = self.read("what is cut", |word| all.into_iter().find(|cut| cut_name(*cut) == word))?;
        Ok(Gemm { m, n, k, stack, terms, a, b, in_panels, c, cut, chunk: self.chunk()? })
    }

    fn terms(&mut self) -> Read<Terms> {
        let count = self.number()?;
        match self.numbers()?[..] {
            [a, b] => Ok(Terms { count, a, b }),
            _ => self.wanted("two strides"),
        }
    }

    fn chunk(&mut self) -> Read<usize> {
        self.expect("chunk")?;
        self.number()
    }

    fn matrix(&mut self) -> Read<Matrix> {
        let place = self.place()?;
        match self.numbers()?[..] {
            [stack, row, col] => Ok(Matrix { place, row, col, stack }),
            _ => self.wanted("three strides"),
        }
    }

    fn place(&mut self) -> Read<Place> {
        self.read("a buffer", |word| {
            let (buffer, start) = word.strip_prefix('@')?.split_once('+').unwrap_or((word.strip_prefix('@')?, "0"));
            Some(Place { buffer: BufferId(buffer.parse().ok()?), start: start.parse().ok()? })
        })
    }
}
