//! The rules that the grammar tried, in words.

use std::collections::BTreeSet;

use pest::error::{Error, ErrorVariant};
use spnc_grammar::Rule;

/// What would have been right.
pub struct Expected {
    /// In words, most telling first.
    pub phrases: Vec<String>,
    /// The words with a meaning among it.
    pub words: Vec<String>,
}

impl Expected {
    /// What would have been right in a declaration that starts with `declaration`.
    pub fn of(error: &Error<Rule>, declaration: &str) -> Expected {
        let ErrorVariant::ParsingError { positives, .. } = &error.variant else {
            return Expected { phrases: vec![], words: vec![] };
        };
        let words = positives.iter().filter_map(|rule| Some(format!("{rule:?}").strip_prefix("kw_")?.to_string()));
        let ranked: BTreeSet<(u8, String)> = positives.iter().filter_map(|rule| expectation(*rule)).collect();
        let ranked: Vec<String> = ranked.into_iter().map(|(_, phrase)| phrase).collect();
        let telling = ranked.iter().filter(|phrase| !is_noise(phrase, &ranked, declaration));
        Expected { phrases: telling.take(4).cloned().collect(), words: words.collect() }
    }
}

/// What is always possible beside the others, or part of them.
fn is_noise(phrase: &str, all: &[String], declaration: &str) -> bool {
    match phrase {
        "`with`" => !["sparsify", "proximal"].contains(&declaration),
        "`by`" => !["group", "budget"].contains(&declaration),
        _ => is_start_of_value(phrase) && all.iter().any(|other| other == "a value"),
    }
}

fn is_start_of_value(phrase: &str) -> bool {
    ["a name", "a string", "`{`", "`if`", "`not`"].contains(&phrase) || phrase.starts_with("a type")
}

/// A rule in words, with a rank: what closes and separates first, what may follow last.
fn expectation(rule: Rule) -> Option<(u8, String)> {
    let name = format!("{rule:?}");
    if let Some(word) = name.strip_prefix("kw_") {
        return Some((3, format!("`{word}`")));
    }
    let (rank, words) = match rule {
        Rule::equals => (0, "`=`"),
        Rule::colon => (1, "`:`"),
        Rule::comma => (2, "`,`"),
        Rule::tilde | Rule::start_draw => (1, "`~`"),
        Rule::start_value => (0, "`=`"),
        Rule::arrow | Rule::result => (2, "`->`"),
        Rule::update_arrow => (4, "`<-`"),
        Rule::less_equal => (0, "`<=`"),
        Rule::open_brace | Rule::plan | Rule::fields | Rule::handler => (1, "`{`"),
        Rule::close_brace => (1, "`}`"),
        Rule::close_paren => (1, "`)`"),
        Rule::close_bracket => (1, "`]`"),
        Rule::inputs | Rule::args => (1, "`(`"),
        Rule::body => (0, "a body (`= …` or `{ … }`)"),
        Rule::line_end => (1, "the end of the line"),
        Rule::ident | Rule::use_name | Rule::layer_size | Rule::size | Rule::input => (0, "a name"),
        Rule::use_path => (0, "a module and a name"),
        Rule::quantity => (0, "`params` or `flops`"),
        Rule::tensor_type | Rule::axes => (0, "a type such as `[B, 10]`"),
        Rule::axis_type => (1, "`axis`"),
        Rule::source => (0, "a data source such as `idx(\"mnist\")`"),
        Rule::string => (0, "a string"),
        Rule::setting | Rule::phase | Rule::fire => (0, "an entry of the plan"),
        Rule::field | Rule::mapping => (0, "a field"),
        Rule::expr | Rule::inner_expr | Rule::operand_by | Rule::reference | Rule::number | Rule::paren => {
            (0, "a value")
        }
        Rule::add | Rule::mul | Rule::pipe | Rule::sub => (3, "an operator"),
        _ => return None,
    };
    Some((rank, words.to_string()))
}
