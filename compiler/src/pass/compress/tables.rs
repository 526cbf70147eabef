//! The tables that say where the elements of a pattern stand.

/// The inputs that say where the elements of a pattern stand, in the order of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// The index of the pattern.
    pub pattern: usize,
    /// How many elements it has.
    pub non_zeros: usize,
    /// How their names begin; [`Table::suffix`] follows.
    pub prefix: String,
}

/// One of a pattern's tables, `i32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The position of each element in the matrix, row by row.
    Positions,
    /// The row of each element.
    Rows,
    /// The column of each element.
    Columns,
    /// The pattern of the matrix, for [`Op::Sparse`](crate::tir::Op::Sparse).
    ByRow,
    /// The ordered pattern of its transpose.
    ByColumn,
}

impl Tables {
    /// What the function calls one of them.
    pub fn name(&self, table: Table) -> String {
        format!("{}.{}", self.prefix, table.suffix())
    }

    /// Whether a function calls one of them so.
    pub fn has(&self, name: &str) -> bool {
        name.strip_prefix(&self.prefix).is_some_and(|suffix| suffix.starts_with('.'))
    }

    /// What [`Compression::strays`](super::Compression::strays) calls the matrix that is 1 outside of the pattern and else 0.
    pub fn outside(&self) -> String {
        format!("{}.outside", self.prefix)
    }
}

impl Table {
    /// All of them.
    pub const ALL: [Table; 5] = [Table::Positions, Table::Rows, Table::Columns, Table::ByRow, Table::ByColumn];

    /// The end of its name.
    pub fn suffix(self) -> &'static str {
        match self {
            Table::Positions => "positions",
            Table::Rows => "rows",
            Table::Columns => "columns",
            Table::ByRow => "by_row",
            Table::ByColumn => "by_column",
        }
    }

    /// How many numbers it has.
    pub(super) fn len(self, [rows, columns]: [usize; 2], non_zeros: usize) -> usize {
        match self {
            Table::Positions | Table::Rows | Table::Columns => non_zeros,
            Table::ByRow => rows + 1 + non_zeros,
            Table::ByColumn => columns + 1 + 2 * non_zeros,
        }
    }

    /// Its numbers, for the positions of the elements of a matrix, which increase.
    pub fn numbers(self, shape: [usize; 2], positions: &[usize]) -> Vec<i32> {
        let mut numbers = vec![0; self.len(shape, positions.len())];
        self.write(&Places::of(shape, positions), &mut numbers);
        numbers
    }

    /// Writes its numbers; there are as many as it has.
    pub fn write(self, places: &Places, to: &mut [i32]) {
        let [rows, columns] = places.shape;
        match self {
            Table::Positions => to.copy_from_slice(&places.positions),
            Table::Rows => to.copy_from_slice(&places.rows),
            Table::Columns => to.copy_from_slice(&places.columns),
            Table::ByRow => {
                let (starts, elements) = to.split_at_mut(rows + 1);
                write_starts(&places.rows, starts);
                elements.copy_from_slice(&places.columns);
            }
            Table::ByColumn => {
                let (starts, elements) = to.split_at_mut(columns + 1);
                write_starts(&places.columns, starts);
                let (of_rows, order) = elements.split_at_mut(places.rows.len());
                let mut next = starts.to_vec();
                for (element, (row, column)) in (0..).zip(places.rows.iter().zip(&places.columns)) {
                    let at = &mut next[*column as usize];
                    (of_rows[*at as usize], order[*at as usize]) = (*row, element);
                    *at += 1;
                }
            }
        }
    }
}

/// Where the elements of a pattern stand, row by row.
#[derive(Clone, Debug)]
pub struct Places {
    shape: [usize; 2],
    positions: Vec<i32>,
    rows: Vec<i32>,
    columns: Vec<i32>,
}

impl Places {
    /// Those of a matrix of fewer than 2³¹ elements, from positions that increase.
    pub fn of([rows, columns]: [usize; 2], positions: &[usize]) -> Places {
        let int = |number: usize| i32::try_from(number).expect("matrices have fewer than 2³¹ elements");
        let (mut row, mut begin) = (0, 0);
        // Positions increase, so that no division is needed.
        let places = positions.iter().map(|at| {
            while *at >= begin + columns {
                (row, begin) = (row + 1, begin + columns);
            }
            (int(row), int(at - begin))
        });
        let (of_rows, of_columns) = places.unzip();
        let positions = positions.iter().map(|at| int(*at)).collect();
        Places { shape: [rows, columns], positions, rows: of_rows, columns: of_columns }
    }
}

/// Where the elements of each line begin, and where the last ones end, from the line of each element.
fn write_starts(lines: &[i32], starts: &mut [i32]) {
    starts.fill(0);
    lines.iter().for_each(|line| starts[*line as usize + 1] += 1);
    (1..starts.len()).for_each(|line| starts[line] += starts[line - 1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The matrix [[0, a, 0], [b, c, 0]].
    #[test]
    fn tables_say_where_elements_stand() {
        let numbers = |table: Table| table.numbers([2, 3], &[1, 3, 4]);
        assert_eq!(numbers(Table::Rows), [0, 1, 1]);
        assert_eq!(numbers(Table::Columns), [1, 0, 1]);
        assert_eq!(numbers(Table::ByRow), [0, 1, 3, 1, 0, 1]);
        assert_eq!(numbers(Table::ByColumn), [0, 1, 3, 3, 1, 0, 1, 1, 0, 2]);
        for table in Table::ALL {
            assert_eq!(numbers(table).len(), table.len([2, 3], 3));
        }
    }
}
