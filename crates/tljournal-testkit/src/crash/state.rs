use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::image::{Body, Image, NodeId, write};
use super::record::{Name, Op, Recording};

/// One power cut: its moment, and which of the changes that were not durable are lost.
///
/// Its text form, such as `at=37 lost=12,15 content=4:zero`, can be replayed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Cut {
    /// The number of calls made before.
    pub(super) at: usize,
    /// The changes of names that are lost.
    pub(super) lost: BTreeSet<usize>,
    /// The losses of content that was not synced; other content is complete.
    pub(super) content: BTreeMap<NodeId, Loss>,
}

/// The loss of an inode's changes since its last sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Loss {
    /// All changes are lost.
    All,
    /// Mode and times are new, content and size are old.
    Content,
    /// The written bytes are zero.
    Zero,
    /// The added content is truncated in the middle.
    Half,
    /// Every other sector of this many bytes is old, starting with the first or the second.
    Torn { sector: usize, odd: bool },
    /// Only this many of its writes have happened.
    After(usize),
    /// One of its writes has not happened.
    Without(usize),
}

/// The changes that can be lost at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Pending {
    /// Changes of names, in order.
    pub(super) names: Vec<usize>,
    /// Writes and changes of metadata, by inode, in order.
    pub(super) content: BTreeMap<NodeId, Vec<usize>>,
}

impl Recording {
    /// The changes that are not durable after this many calls.
    pub(super) fn pending(&self, at: usize) -> Pending {
        let mut pending = Pending::default();
        for (index, op) in self.ops[..at].iter().enumerate() {
            match op {
                Op::Sync { node } => {
                    pending.content.remove(node);
                    let within = |index: &usize| dirs(&self.ops[*index]).contains(node);
                    pending.names.retain(|index| !within(index));
                    pending
                        .content
                        .retain(|link, _| !self.is_link_in(*link, *node, index));
                }
                Op::SyncAll => pending = Pending::default(),
                Op::Write { node, .. }
                | Op::Truncate { node, .. }
                | Op::Mode { node, .. }
                | Op::Mtime { node, .. } => pending.content.entry(*node).or_default().push(index),
                Op::Add { .. } | Op::Remove { .. } | Op::Move { .. } | Op::Exchange { .. } => {
                    pending.names.push(index);
                }
                Op::Nothing | Op::Told { .. } => {}
            }
        }
        pending
    }

    /// Whether an inode is a symbolic link with a name in this directory: it can only be synced with its directory.
    fn is_link_in(&self, link: NodeId, dir: NodeId, before: usize) -> bool {
        let dir_after = |op: &Op| match op {
            Op::Add { at, node, .. } if *node == link => Some(at.dir),
            Op::Move { to, node, .. } if *node == link => Some(to.dir),
            Op::Exchange { names, nodes, .. } => {
                let exchanged = nodes.iter().zip([&names[1], &names[0]]);
                let mut of_link = exchanged.filter(|(node, _)| **node == link);
                of_link.next().map(|(_, name)| name.dir)
            }
            _ => None,
        };
        matches!(self.start.nodes[link].body, Body::Link(_))
            && self.ops[..before].iter().rev().find_map(dir_after) == Some(dir)
    }

    /// The changes that are lost together with a change of a name: every later one of the same name or inode. `None`
    /// if one of them is durable.
    pub(super) fn lost_with(
        &self,
        lost: usize,
        at: usize,
        pending: &Pending,
    ) -> Option<BTreeSet<usize>> {
        let mut all = BTreeSet::from([lost]);
        for index in lost + 1..at {
            let follows = |earlier: &usize| are_related(&self.ops[*earlier], &self.ops[index]);
            if all.iter().any(follows) {
                if pending.names.binary_search(&index).is_err() {
                    return None;
                }
                all.insert(index);
            }
        }
        Some(all)
    }

    /// The state of the medium after a cut.
    pub(super) fn state(&self, cut: &Cut) -> Image {
        let pending = self.pending(cut.at);
        let mut image = self.start.clone();
        for (index, op) in self.ops[..cut.at].iter().enumerate() {
            let late = match op {
                Op::Write { node, .. }
                | Op::Truncate { node, .. }
                | Op::Mode { node, .. }
                | Op::Mtime { node, .. } => {
                    cut.content.contains_key(node)
                        && pending
                            .content
                            .get(node)
                            .is_some_and(|of| of.contains(&index))
                }
                _ => cut.lost.contains(&index),
            };
            if !late {
                image.apply(op);
            }
        }
        for (node, loss) in &cut.content {
            let ops: Vec<&Op> = pending
                .content
                .get(node)
                .into_iter()
                .flatten()
                .map(|index| &self.ops[*index])
                .collect();
            lose(&mut image, *node, &ops, *loss);
        }
        image
    }

    /// The progress that the work had reported: begun and done.
    pub(super) fn told(&self, at: usize) -> (u32, u32) {
        let told = |op: &Op| match op {
            Op::Told { begun, done } => Some((*begun, *done)),
            _ => None,
        };
        self.ops[..at]
            .iter()
            .rev()
            .find_map(told)
            .unwrap_or_default()
    }
}

fn lose(image: &mut Image, node: NodeId, ops: &[&Op], loss: Loss) {
    if loss == Loss::All {
        return;
    }
    let writes: Vec<_> = ops.iter().filter(|op| op.is_write()).collect();
    for op in ops.iter().filter(|op| !op.is_write()) {
        image.apply(op);
    }
    let Body::File(before) = &image.nodes[node].body else {
        return;
    };
    let before = before.clone();
    let with = |is_kept: &dyn Fn(usize) -> bool| {
        let mut content = (*before).clone();
        let kept = writes.iter().enumerate();
        for (_, op) in kept.filter(|(number, _)| is_kept(*number)) {
            match op {
                Op::Write { offset, data, .. } => write(&mut content, *offset as usize, data),
                Op::Truncate { size, .. } => content.resize(*size as usize, 0),
                _ => {}
            }
        }
        content
    };
    let mut content = with(&|_| true);
    match loss {
        Loss::All => {}
        Loss::Content => content = (*before).clone(),
        Loss::Zero => {
            for op in &writes {
                if let Op::Write { offset, data, .. } = op {
                    let from = (*offset as usize).min(content.len());
                    let to = (*offset as usize + data.len()).min(content.len());
                    content[from..to].fill(0);
                }
            }
        }
        Loss::Half => {
            let shortest = before.len().min(content.len());
            let half = shortest + (content.len() - shortest) / 2;
            let whole = half / 512 * 512;
            content.truncate(if whole > shortest { whole } else { half });
        }
        Loss::Torn { sector, odd } => {
            for (number, new) in content.chunks_mut(sector).enumerate() {
                if (number % 2 == 1) == odd {
                    let from = number * sector;
                    for (at, byte) in new.iter_mut().enumerate() {
                        *byte = before.get(from + at).copied().unwrap_or(0);
                    }
                }
            }
        }
        Loss::After(count) => content = with(&|number| number < count),
        Loss::Without(lost) => content = with(&|number| number != lost),
    }
    image.nodes[node].body = Body::File(Arc::new(content));
}

/// The directories whose sync makes a change of a name durable.
fn dirs(op: &Op) -> Vec<NodeId> {
    names(op).iter().map(|name| name.dir).collect()
}

fn names(op: &Op) -> Vec<&Name> {
    match op {
        Op::Add { at, .. } | Op::Remove { at, .. } => vec![at],
        Op::Move { from, to, .. } => vec![from, to],
        Op::Exchange { names, .. } => names.iter().collect(),
        _ => Vec::new(),
    }
}

fn nodes(op: &Op) -> Vec<NodeId> {
    match op {
        Op::Add { node, .. } | Op::Remove { node, .. } | Op::Move { node, .. } => vec![*node],
        Op::Exchange { nodes, .. } => nodes.to_vec(),
        _ => Vec::new(),
    }
}

/// Whether two changes of names touch the same name or the same inode.
fn are_related(one: &Op, other: &Op) -> bool {
    names(one).iter().any(|name| names(other).contains(name))
        || nodes(one).iter().any(|node| nodes(other).contains(node))
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at={}", self.at)?;
        if !self.lost.is_empty() {
            let lost: Vec<_> = self.lost.iter().map(usize::to_string).collect();
            write!(f, " lost={}", lost.join(","))?;
        }
        if !self.content.is_empty() {
            let content = self.content.iter();
            let content: Vec<_> = content
                .map(|(node, loss)| format!("{node}:{loss}"))
                .collect();
            write!(f, " content={}", content.join(","))?;
        }
        Ok(())
    }
}

impl FromStr for Cut {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no cut: at=N [lost=N,..] [content=NODE:LOSS,..]");
        let mut cut = Self::default();
        for part in text.split_whitespace() {
            let (key, value) = part.split_once('=').ok_or_else(bad)?;
            let number = |text: &str| text.parse::<usize>().map_err(|_| bad());
            match key {
                "at" => cut.at = number(value)?,
                "lost" => cut.lost = value.split(',').map(number).collect::<Result<_, _>>()?,
                "content" => {
                    for one in value.split(',') {
                        let (node, loss) = one.split_once(':').ok_or_else(bad)?;
                        cut.content
                            .insert(number(node)?, loss.parse().map_err(|()| bad())?);
                    }
                }
                _ => return Err(bad()),
            }
        }
        Ok(cut)
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Content => f.write_str("content"),
            Self::Zero => f.write_str("zero"),
            Self::Half => f.write_str("half"),
            Self::Torn { sector, odd: true } => write!(f, "odd-{sector}"),
            Self::Torn { sector, odd: false } => write!(f, "even-{sector}"),
            Self::After(count) => write!(f, "after-{count}"),
            Self::Without(number) => write!(f, "without-{number}"),
        }
    }
}

impl FromStr for Loss {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (word, number) = text.split_once('-').unwrap_or((text, "0"));
        let number = number.parse().map_err(drop)?;
        Ok(match word {
            "all" => Self::All,
            "content" => Self::Content,
            "zero" => Self::Zero,
            "half" => Self::Half,
            "odd" | "even" => Self::Torn {
                sector: number,
                odd: word == "odd",
            },
            "after" => Self::After(number),
            "without" => Self::Without(number),
            _ => return Err(()),
        })
    }
}
