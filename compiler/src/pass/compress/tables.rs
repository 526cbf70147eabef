//! The tables that say where the elements of a pattern stand.

use super::groups::Groups;

/// The inputs that say where the elements of a pattern stand, in the order of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// The index of the pattern.
    pub pattern: usize,
    /// How many elements it has.
    pub non_zeros: usize,
    /// How their names begin; [`Table::suffix`] follows.
    pub prefix: String,
    /// Which of them there are.
    pub used: Vec<Table>,
}

/// One of a pattern's tables, `i32`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Where each element is along some axes of this shape, which has the matrix's elements in their order.
    Along(Vec<usize>, Vec<usize>),
}

impl Tables {
    /// What the function calls one of them.
    pub fn name(&self, table: &Table) -> String {
        format!("{}.{}", self.prefix, table.suffix())
    }

    /// Whether a function calls one of them so.
    pub fn has(&self, name: &str) -> bool {
        name.strip_prefix(&self.prefix).is_some_and(|suffix| suffix.starts_with('.'))
    }

    /// What [`Compression::strays`](super::Compression::strays) calls the input that [`Pattern::mark_outside`](super::Pattern::mark_outside) writes.
    pub fn outside(&self) -> String {
        format!("{}.outside", self.prefix)
    }
}

impl Table {
    /// Where each element of matrices of a shape is along some axes of another shape.
    pub fn along(matrix: [usize; 2], shape: &[usize], axes: &[usize]) -> Table {
        match axes {
            [0] if *shape == matrix => Table::Rows,
            [1] if *shape == matrix => Table::Columns,
            _ => Table::Along(shape.to_vec(), axes.to_vec()),
        }
    }

    /// The end of its name.
    pub fn suffix(&self) -> String {
        let joined =
            |numbers: &[usize], sign: &str| numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(sign);
        match self {
            Table::Positions => "positions".to_owned(),
            Table::Rows => "rows".to_owned(),
            Table::Columns => "columns".to_owned(),
            Table::ByRow => "by_row".to_owned(),
            Table::ByColumn => "by_column".to_owned(),
            Table::Along(shape, axes) => format!("along.{}.{}", joined(axes, "_"), joined(shape, "x")),
        }
    }

    /// How many numbers it has.
    pub(super) fn len(&self, [rows, columns]: [usize; 2], non_zeros: usize) -> usize {
        match self {
            Table::Positions | Table::Rows | Table::Columns | Table::Along(..) => non_zeros,
            Table::ByRow => rows + 1 + non_zeros,
            Table::ByColumn => columns + 1 + 2 * non_zeros,
        }
    }

    /// Its numbers, for the positions of the elements of a matrix, which increase.
    pub fn numbers(&self, shape: [usize; 2], positions: &[usize]) -> Vec<i32> {
        let mut numbers = vec![0; self.len(shape, positions.len())];
        self.write(&Places::of(shape, positions), &mut numbers);
        numbers
    }

    /// Writes its numbers; there are as many as it has.
    pub fn write(&self, places: &Places, to: &mut [i32]) {
        let [rows, columns] = places.shape;
        match self {
            Table::Positions => to.copy_from_slice(&places.positions),
            Table::Rows => to.copy_from_slice(&places.rows),
            Table::Columns => to.copy_from_slice(&places.columns),
            Table::Along(shape, axes) => {
                let place = Groups { shape: shape.clone(), axes: axes.clone() }.group_at();
                let place = |at: i32| i32::try_from(place(at as usize)).expect("fewer than there are elements");
                to.iter_mut().zip(&places.positions).for_each(|(to, at)| *to = place(*at));
            }
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
        // The same elements as [[[0], [a]], [[0], [b]], [[c], [0]]].
        let along = |axes: &[usize]| Table::along([2, 3], &[3, 2, 1], axes);
        assert_eq!(numbers(along(&[0])), [0, 1, 2]);
        assert_eq!(numbers(along(&[1])), [1, 1, 0]);
        assert_eq!(numbers(along(&[1, 0])), [3, 4, 2]);
        assert_eq!(Table::along([2, 3], &[2, 3], &[1]), Table::Columns);
    }
}
