//! Text → a table of cells with named columns; numbers are parsed only where a column is used.

use std::collections::HashSet;

use crate::data::error::{DataError, Fault};

/// Whether the first line names the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// It does, if it is more than numbers; those alone are probably values.
    Expected,
    /// It does, or not, as somebody said.
    Known(bool),
    /// It does if it has a cell that is no number.
    IfNotNumbers,
    /// It does if it has a cell that is no number, or different whole numbers above a line of other numbers: the names of
    /// sensors.
    Guessed,
}

/// The cells of a file.
#[derive(Debug)]
pub(crate) struct Table {
    /// The file as messages show it.
    pub(crate) file: String,
    /// The name of each column, or its number from 1.
    pub(crate) names: Vec<String>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    /// The line of the file that it starts on.
    line: u64,
    cells: csv::StringRecord,
}

impl Table {
    /// Reads `bytes`; every row must have as many cells as the first.
    pub(crate) fn read(file: &str, bytes: &[u8], separator: u8, header: Header) -> Result<Table, DataError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .trim(csv::Trim::All)
            .from_reader(bytes);
        let mut rows = Vec::new();
        for record in reader.records() {
            let cells = record.map_err(|error| broken(file, &error))?;
            let line = cells.position().map_or(0, csv::Position::line);
            rows.push(Row { line, cells });
        }
        let names = names(file, &mut rows, header)?;
        if rows.is_empty() {
            return Err(DataError::new(Fault::Damaged, file, "at least one row of numbers", "none"));
        }
        let table = Table { file: file.to_owned(), names, rows };
        table.check_width()?;
        Ok(table)
    }

    /// The number of samples.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Where a cell is.
    pub(crate) fn place(&self, row: usize, column: usize) -> String {
        let (line, name) = (self.rows[row].line, &self.names[column]);
        format!("{}, line {line}, column `{name}`", self.file)
    }

    /// The numbers of a column in the rows asked for.
    pub(crate) fn numbers(&self, column: usize, rows: &[usize]) -> Result<Vec<f64>, DataError> {
        rows.iter().map(|&row| self.number(row, column)).collect()
    }

    /// The number in a cell.
    pub(crate) fn number(&self, row: usize, column: usize) -> Result<f64, DataError> {
        let cell = &self.rows[row].cells[column];
        match cell.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            Ok(_) | Err(_) => Err(self.bad_cell(row, column, cell)),
        }
    }

    fn bad_cell(&self, row: usize, column: usize, cell: &str) -> DataError {
        let found = match cell {
            "" => "an empty cell".to_owned(),
            _ => format!("`{}`", cell.chars().take(40).collect::<String>()),
        };
        DataError::new(Fault::Value, self.place(row, column), "a finite number", found)
    }

    fn check_width(&self) -> Result<(), DataError> {
        let width = self.names.len();
        match self.rows.iter().find(|row| row.cells.len() != width) {
            None => Ok(()),
            Some(Row { line, cells }) => {
                let place = format!("{}, line {line}", self.file);
                let expected = format!("{width} cells as in the first line");
                Err(DataError::new(Fault::Disagreement, place, expected, cells.len().to_string()))
            }
        }
    }
}

impl Header {
    /// Whether the first of these lines names the columns; `None` where it should and does not.
    fn names(self, rows: &[Row]) -> Option<bool> {
        let are_numbers = rows.first().is_some_and(|row| row.cells.iter().all(|cell| cell.parse::<f64>().is_ok()));
        match self {
            Header::Known(known) => Some(known),
            Header::Expected if are_numbers => None,
            Header::Expected => Some(true),
            Header::IfNotNumbers => Some(!are_numbers),
            Header::Guessed => {
                Some(!are_numbers || rows.len() > 1 && are_numerals(&rows[0]) && !are_numerals(&rows[1]))
            }
        }
    }
}

/// Whether the cells are different whole numbers.
fn are_numerals(row: &Row) -> bool {
    let mut seen = HashSet::new();
    row.cells.iter().all(|cell| cell.bytes().all(|byte| byte.is_ascii_digit()) && seen.insert(cell))
}

fn names(file: &str, rows: &mut Vec<Row>, header: Header) -> Result<Vec<String>, DataError> {
    let Some(first) = rows.first() else {
        return Err(DataError::new(Fault::Damaged, file, "a table", "an empty file"));
    };
    match header.names(rows) {
        Some(true) => {}
        Some(false) => return Ok((1..=first.cells.len()).map(|number| number.to_string()).collect()),
        None => {
            let (place, expected) = (format!("{file}, line 1"), "the names of the columns");
            let error = DataError::new(Fault::Name, place, expected, "numbers only");
            return Err(error.help("write `header: false`"));
        }
    }
    let names: Vec<String> = rows.remove(0).cells.iter().map(str::to_owned).collect();
    let mut seen = HashSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(twice) => {
            let place = format!("{file}, line 1");
            Err(DataError::new(Fault::Name, place, "a different name for each column", format!("`{twice}` twice")))
        }
        None => Ok(names),
    }
}

fn broken(file: &str, error: &csv::Error) -> DataError {
    let place = match error.position() {
        Some(position) => format!("{file}, line {}", position.line()),
        None => file.to_owned(),
    };
    DataError::new(Fault::Damaged, place, "text in UTF-8", "other bytes").help("write the table anew as UTF-8")
}
