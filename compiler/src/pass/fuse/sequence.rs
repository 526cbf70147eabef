//! An order in which clusters can run, kept up to date while they grow.
//!
//! With it, a search for what a cluster needs ends at whatever runs early enough, instead of at the beginning of the
//! program (the idea of Pearce and Kelly 2006, with a list in place of two searches).

/// Clusters, each after all that it needs.
#[derive(Debug, Default)]
pub struct Sequence {
    in_order: Vec<usize>,
    place: Vec<usize>,
}

impl Sequence {
    /// Adds the next cluster, behind all others.
    pub fn push(&mut self) {
        self.place.push(self.in_order.len());
        self.in_order.push(self.in_order.len());
    }

    /// How many clusters come before it.
    pub fn place(&self, cluster: usize) -> usize {
        self.place[cluster]
    }

    /// Lets the clusters, which are behind `cluster`, come right before it, in their order. With each of them must come all
    /// that it needs and that is behind `cluster` too.
    pub fn advance(&mut self, clusters: &[usize], cluster: usize) {
        let start = self.place[cluster];
        let Some(end) = clusters.iter().map(|c| self.place[*c]).max() else { return };
        let mut advanced = vec![false; end + 1 - start];
        clusters.iter().for_each(|c| advanced[self.place[*c] - start] = true);
        let part = |which: bool| {
            let range = self.in_order[start..=end].iter().zip(&advanced);
            range.filter(move |(_, moves)| **moves == which).map(|(cluster, _)| *cluster)
        };
        let moved: Vec<usize> = part(true).chain(part(false)).collect();
        for (place, cluster) in (start..).zip(moved) {
            self.in_order[place] = cluster;
            self.place[cluster] = place;
        }
    }

    /// Lets two clusters change places.
    pub fn swap(&mut self, a: usize, b: usize) {
        self.in_order.swap(self.place[a], self.place[b]);
        self.place.swap(a, b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(n_clusters: usize) -> Sequence {
        let mut sequence = Sequence::default();
        (0..n_clusters).for_each(|_| sequence.push());
        sequence
    }

    #[test]
    fn what_is_advanced_keeps_its_order_and_so_does_the_rest() {
        let mut sequence = of(6);
        sequence.advance(&[4, 2], 1);
        assert_eq!(sequence.in_order, [0, 2, 4, 1, 3, 5]);
        assert_eq!((0..6).map(|c| sequence.place(c)).collect::<Vec<_>>(), [0, 3, 1, 4, 2, 5]);
    }

    #[test]
    fn nothing_to_advance_changes_nothing() {
        let mut sequence = of(3);
        sequence.advance(&[], 1);
        assert_eq!(sequence.in_order, [0, 1, 2]);
    }

    #[test]
    fn clusters_that_change_places_are_found_there() {
        let mut sequence = of(3);
        sequence.swap(0, 2);
        assert_eq!(sequence.in_order, [2, 1, 0]);
        assert_eq!([sequence.place(0), sequence.place(2)], [2, 0]);
    }
}
