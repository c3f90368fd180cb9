//! Binary sparse matrices in words of 64 columns or rows: where entries lie next to each other, as those of neighbourhoods do in an
//! order in which neighbours follow each other, a word takes the place of many indices, and serves 64 cells at once.

/// Bits of a word.
pub(super) const WORD: usize = 64;

/// Bytes of a word: the mask, and where it stands.
pub(super) const BYTES: usize = size_of::<u64>() + size_of::<u32>();

/// A sparse matrix of words, row by row. What the bits of a word stand for is up to its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    pointers: Vec<usize>,
    columns: Vec<u32>,
    masks: Vec<u64>,
}

impl Words {
    /// From columns and masks of each row.
    pub(super) fn from_rows(rows: Vec<(Vec<u32>, Vec<u64>)>) -> Self {
        let total = rows.iter().map(|(columns, _)| columns.len()).sum();
        let (mut columns, mut masks) = (Vec::with_capacity(total), Vec::with_capacity(total));
        let mut pointers = vec![0];
        for (of_row, masks_of_row) in rows {
            columns.extend(of_row);
            masks.extend(masks_of_row);
            pointers.push(columns.len());
        }
        Words { pointers, columns, masks }
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.pointers.len() - 1
    }

    /// Number of words.
    pub(super) fn count(&self) -> usize {
        self.columns.len()
    }

    /// Columns and masks of a row.
    pub(super) fn row(&self, i: usize) -> (&[u32], &[u64]) {
        let range = self.pointers[i]..self.pointers[i + 1];
        (&self.columns[range.clone()], &self.masks[range])
    }

    /// The transpose, with `columns` rows; the rows are called `name`(0), `name`(1), …, which ascend.
    pub(super) fn transpose(&self, columns: usize, name: impl Fn(usize) -> u32) -> Words {
        let mut pointers = vec![0; columns + 1];
        self.columns.iter().for_each(|&column| pointers[column as usize + 1] += 1);
        (0..columns).for_each(|i| pointers[i + 1] += pointers[i]);
        let mut next = pointers.clone();
        let (mut names, mut masks) = (vec![0; self.count()], vec![0; self.count()]);
        for i in 0..self.rows() {
            let (of_row, masks_of_row) = self.row(i);
            for (&column, &mask) in of_row.iter().zip(masks_of_row) {
                let place = &mut next[column as usize];
                (names[*place], masks[*place]) = (name(i), mask);
                *place += 1;
            }
        }
        Words { pointers, columns: names, masks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transpose_holds_the_same_words_under_the_names_of_their_rows() {
        let rows = vec![(vec![3, 1], vec![7, 8]), (vec![], vec![]), (vec![1, 0], vec![9, 1 << 63])];
        let words = Words::from_rows(rows);
        assert_eq!((words.rows(), words.count()), (3, 4));
        let transposed = words.transpose(4, |i| 10 * i as u32);
        let expected: [(&[u32], &[u64]); 4] = [(&[20], &[1 << 63]), (&[0, 20], &[8, 9]), (&[], &[]), (&[0], &[7])];
        (0..4).for_each(|i| assert_eq!(transposed.row(i), expected[i]));
    }
}
