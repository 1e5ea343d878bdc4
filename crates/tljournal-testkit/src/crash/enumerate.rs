use std::collections::{BTreeMap, BTreeSet};

use super::image::NodeId;
use super::record::Recording;
use super::state::{Cut, Loss, Pending};

/// The largest number of name changes for which every subset is tried.
const SUBSETS_MAX: usize = 6;

/// The largest number of writes of a file for which each is tried alone.
const WRITES_MAX: usize = 12;

const WHOLE: [Loss; 8] = [
    Loss::All,
    Loss::Content,
    Loss::Zero,
    Loss::Half,
    Loss::Torn {
        sector: 512,
        odd: true,
    },
    Loss::Torn {
        sector: 512,
        odd: false,
    },
    Loss::Torn {
        sector: 4096,
        odd: true,
    },
    Loss::Torn {
        sector: 4096,
        odd: false,
    },
];

type Lost = BTreeSet<usize>;
type Content = BTreeMap<NodeId, Loss>;

impl Recording {
    /// The cuts at one moment: each change of a name lost or kept alone, and all combinations if there are few; all
    /// files with each loss, and each file with each loss while all others are complete or lost. A loss of all files
    /// is combined with each change of names, a loss of one file only with all names kept and all lost.
    pub(super) fn cuts(&self, at: usize) -> Vec<Cut> {
        let pending = self.pending(at);
        let names = self.lost_names(at, &pending);
        let (all_files, one_file) = self.lost_content(&pending);
        let mut cuts = Vec::new();
        let mut add = |lost: &Lost, content: &Content| {
            let (lost, content) = (lost.clone(), content.clone());
            cuts.push(Cut { at, lost, content });
        };
        for lost in &names {
            all_files.iter().for_each(|content| add(lost, content));
        }
        for lost in names.iter().take(2) {
            one_file.iter().for_each(|content| add(lost, content));
        }
        cuts
    }

    /// No changes lost, then all, then the other combinations.
    fn lost_names(&self, at: usize, pending: &Pending) -> Vec<Lost> {
        let mut all = vec![Lost::new()];
        let each: Vec<Lost> = pending
            .names
            .iter()
            .filter_map(|index| self.lost_with(*index, at, pending))
            .collect();
        let everything: Lost = each.iter().flatten().copied().collect();
        all.push(everything.clone());
        if each.len() <= SUBSETS_MAX {
            for bits in 0_u32..1 << each.len() {
                let chosen = each.iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1);
                all.push(chosen.flat_map(|(_, lost)| lost.iter().copied()).collect());
            }
        } else {
            all.extend(each.iter().cloned());
            // All but one are lost; changes that it depends on are kept too.
            for kept in &everything {
                let without = |lost: &&Lost| !lost.contains(kept);
                all.push(each.iter().filter(without).flatten().copied().collect());
            }
        }
        let mut seen = BTreeSet::new();
        all.retain(|lost| seen.insert(lost.clone()));
        all
    }

    /// The losses of the content of all files together, and of each alone.
    fn lost_content(&self, pending: &Pending) -> (Vec<Content>, Vec<Content>) {
        let nodes: Vec<NodeId> = pending.content.keys().copied().collect();
        let mut all = vec![Content::new()];
        let mut one = Vec::new();
        if nodes.is_empty() {
            return (all, one);
        }
        for loss in WHOLE {
            all.push(nodes.iter().map(|node| (*node, loss)).collect());
        }
        for node in &nodes {
            let is_write = |index: &&usize| self.ops[**index].is_write();
            let writes = pending.content[node].iter().filter(is_write).count();
            let some = 0..if writes > 1 {
                writes.min(WRITES_MAX)
            } else {
                0
            };
            let each = some.flat_map(|number| [Loss::After(number), Loss::Without(number)]);
            let others = nodes.iter().filter(|other| *other != node);
            let lost: Content = others.map(|other| (*other, Loss::All)).collect();
            one.push(lost.clone());
            for loss in WHOLE.into_iter().chain(each) {
                let alone = Content::from([(*node, loss)]);
                one.push(lost.clone().into_iter().chain(alone.clone()).collect());
                one.push(alone);
            }
        }
        (all, one)
    }
}
