//! The graph of activities: tiers, ancestors, cycles. Nodes are indices in definition order.
//!
//! Responsible for: what follows from the edges alone, in O(V+E) where no one waits for an explanation. Must never:
//! know what a node is.

use std::collections::VecDeque;

/// A directed graph; an edge leads from a node to one that it depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    dependencies: Vec<Vec<usize>>,
    dependants: Vec<Vec<usize>>,
}

impl Graph {
    /// A graph of as many nodes as there are lists. Edges to nodes that do not exist are left out.
    #[must_use]
    pub fn new(mut dependencies: Vec<Vec<usize>>) -> Self {
        let size = dependencies.len();
        let mut dependants = vec![Vec::new(); size];
        for (node, list) in dependencies.iter_mut().enumerate() {
            list.retain(|dependency| *dependency < size);
            for dependency in list.iter() {
                if let Some(list) = dependants.get_mut(*dependency) {
                    list.push(node);
                }
            }
        }
        Self { dependencies, dependants }
    }

    /// The nodes that a node depends on.
    #[must_use]
    pub fn dependencies(&self, node: usize) -> &[usize] {
        self.dependencies.get(node).map_or(&[], Vec::as_slice)
    }

    /// The nodes that depend on a node.
    #[must_use]
    pub fn dependants(&self, node: usize) -> &[usize] {
        self.dependants.get(node).map_or(&[], Vec::as_slice)
    }

    /// The tier of every node: the length of the longest path from a node without dependencies. The error is the
    /// set of nodes on or behind a cycle.
    pub fn tiers(&self) -> Result<Vec<usize>, Vec<usize>> {
        let mut missing: Vec<usize> = self.dependencies.iter().map(Vec::len).collect();
        let mut tiers = vec![0; missing.len()];
        let mut queue: VecDeque<usize> =
            missing.iter().enumerate().filter(|(_, count)| **count == 0).map(|(node, _)| node).collect();
        let mut done = 0;
        while let Some(node) = queue.pop_front() {
            done += 1;
            let next_tier = tiers.get(node).map_or(0, |tier| tier + 1);
            for dependant in self.dependants(node) {
                if let Some(tier) = tiers.get_mut(*dependant) {
                    *tier = next_tier.max(*tier);
                }
                if let Some(count) = missing.get_mut(*dependant) {
                    *count -= 1;
                    if *count == 0 {
                        queue.push_back(*dependant);
                    }
                }
            }
        }
        if done == tiers.len() {
            return Ok(tiers);
        }
        Err(missing.iter().enumerate().filter(|(_, count)| **count > 0).map(|(node, _)| node).collect())
    }

    /// One shortest cycle through one of the given nodes, in the direction of work: every node comes before the one
    /// that waits for it, and the first is the smallest. Empty if there is none.
    #[must_use]
    pub fn shortest_cycle(&self, among: &[usize]) -> Vec<usize> {
        let mut best: Vec<usize> = Vec::new();
        for start in among {
            if let Some(cycle) = self.cycle_through(*start)
                && (best.is_empty() || cycle.len() < best.len())
            {
                best = cycle;
            }
        }
        let smallest = best.iter().enumerate().min_by_key(|(_, node)| **node).map_or(0, |(at, _)| at);
        best.rotate_left(smallest);
        best
    }

    /// A shortest cycle through one node, by breadth-first search along the dependants.
    fn cycle_through(&self, start: usize) -> Option<Vec<usize>> {
        let mut came_from: Vec<Option<usize>> = vec![None; self.dependencies.len()];
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for next in self.dependants(node) {
                if *next == start {
                    let mut cycle = vec![node];
                    while let Some(before) =
                        cycle.last().and_then(|last| came_from.get(*last).copied().flatten())
                    {
                        cycle.push(before);
                    }
                    cycle.reverse();
                    return Some(cycle);
                }
                if let Some(from @ None) = came_from.get_mut(*next) {
                    *from = Some(node);
                    queue.push_back(*next);
                }
            }
        }
        None
    }

    /// The ancestors of every node: what it depends on, directly or through others. The graph must have no cycle.
    #[must_use]
    pub fn ancestors(&self, tiers: &[usize]) -> Vec<NodeSet> {
        let size = self.dependencies.len();
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by_key(|node| tiers.get(*node).copied().unwrap_or_default());
        let mut ancestors: Vec<NodeSet> = vec![NodeSet::new(size); size];
        for node in order {
            let mut set = NodeSet::new(size);
            for dependency in self.dependencies(node) {
                set.insert(*dependency);
                if let Some(others) = ancestors.get(*dependency) {
                    set.union(others);
                }
            }
            if let Some(slot) = ancestors.get_mut(node) {
                *slot = set;
            }
        }
        ancestors
    }
}

/// A set of nodes, one bit each: a thousand activities with ten thousand edges need no more than a few thousand words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSet {
    words: Vec<u64>,
}

impl NodeSet {
    fn new(size: usize) -> Self {
        Self { words: vec![0; size.div_ceil(64)] }
    }

    fn insert(&mut self, node: usize) {
        if let Some(word) = self.words.get_mut(node / 64) {
            *word |= 1 << (node % 64);
        }
    }

    fn union(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// Whether a node is in the set.
    #[must_use]
    pub fn contains(&self, node: usize) -> bool {
        self.words.get(node / 64).is_some_and(|word| word & (1 << (node % 64)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tier_is_the_longest_path() {
        // A, B←A, C←B and a lone D
        assert_eq!(Graph::new(vec![vec![], vec![0], vec![1], vec![]]).tiers(), Ok(vec![0, 1, 2, 0]));
        // diamond with a shortcut
        assert_eq!(Graph::new(vec![vec![], vec![0], vec![0], vec![1, 2, 0]]).tiers(), Ok(vec![0, 1, 1, 2]));
        // W: two roots, three middles, two ends
        let w = vec![vec![], vec![], vec![0], vec![0, 1], vec![1], vec![2, 3], vec![3, 4]];
        assert_eq!(Graph::new(w).tiers(), Ok(vec![0, 0, 1, 1, 1, 2, 2]));
    }

    #[test]
    fn a_shortest_cycle_is_found_in_the_direction_of_work() {
        // 0→1→2→0 (each depends on the one before), 3 behind it, 4 and 5 wait for each other
        let graph = Graph::new(vec![vec![2], vec![0], vec![1], vec![2], vec![5], vec![4]]);
        let stuck = graph.tiers().unwrap_err();
        assert_eq!(stuck, [0, 1, 2, 3, 4, 5]);
        assert_eq!(graph.shortest_cycle(&stuck), [4, 5]);
        assert_eq!(Graph::new(vec![vec![2], vec![0], vec![1]]).shortest_cycle(&[0, 1, 2]), [0, 1, 2]);
    }

    #[test]
    fn ancestors_are_transitive() {
        let graph = Graph::new(vec![vec![], vec![0], vec![1], vec![]]);
        let ancestors = graph.ancestors(&graph.tiers().unwrap());
        assert!(ancestors[2].contains(0) && ancestors[2].contains(1) && !ancestors[2].contains(3));
    }

    proptest! {
        #[test]
        fn every_edge_leads_to_an_earlier_tier(edges in prop::collection::vec((0usize..60, 0usize..60), 0..200)) {
            let mut dependencies = vec![Vec::new(); 60];
            for (a, b) in edges {
                if a > b { dependencies[a].push(b); }
            }
            let graph = Graph::new(dependencies.clone());
            let tiers = graph.tiers().unwrap();
            let ancestors = graph.ancestors(&tiers);
            for (node, list) in dependencies.iter().enumerate() {
                let expected = list.iter().map(|d| tiers[*d] + 1).max().unwrap_or(0);
                prop_assert_eq!(tiers[node], expected);
                for dependency in list {
                    prop_assert!(ancestors[node].contains(*dependency));
                }
                prop_assert!(!ancestors[node].contains(node));
            }
        }

        #[test]
        fn a_cycle_that_is_told_is_one(edges in prop::collection::vec((0usize..12, 0usize..12), 0..30)) {
            let mut dependencies = vec![Vec::new(); 12];
            for (a, b) in edges {
                if a != b { dependencies[a].push(b); }
            }
            let graph = Graph::new(dependencies);
            if let Err(stuck) = graph.tiers() {
                let cycle = graph.shortest_cycle(&stuck);
                prop_assert!(cycle.len() >= 2);
                for (at, node) in cycle.iter().enumerate() {
                    let next = cycle[(at + 1) % cycle.len()];
                    prop_assert!(graph.dependencies(next).contains(node));
                }
            }
        }
    }
}
