use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use camino::Utf8PathBuf;
use tljournal::{Error, Journal};
use tljournal_testkit::{Random, Steps, Tell, World, explain, tell};

use super::Done;
use super::material::{TREE, counter, sealed, storm_tree};
use super::vandal::Acts;

/// A process that works next to a vandal.
///
/// Its guarantees: while the vandal is idle, a successful commit was made in the home at its path, and its files
/// exist. Whatever the vandal does, its files outside of the home exist.
#[derive(Debug)]
pub struct Survivor {
    world: World,
    role: String,
    acts: Acts,
    number: u64,
    random: Random,
}

/// The identity of the home: inode and birth time.
type Which = Option<(u64, std::time::SystemTime)>;

impl Survivor {
    /// A process for a role on a project.
    #[must_use]
    pub fn new(root: Utf8PathBuf, role: String, seed: u64) -> Self {
        let world = World::at(root);
        Self {
            acts: Acts::of(&world),
            world,
            role,
            number: 0,
            random: Random::new(seed),
        }
    }

    /// Makes changes until it is killed.
    ///
    /// # Errors
    /// When the storm has ended.
    pub fn work(&mut self) -> Done {
        loop {
            let before = self.acts.quiet();
            match self.world.try_open() {
                Err(error) => self.refused("open", &error)?,
                Ok(journal) => {
                    let home = self.home();
                    let quiet = before.is_some() && before == self.acts.quiet();
                    self.commit_some(&journal, home.filter(|_| quiet))?;
                    if let Err(error) = journal.close() {
                        self.refused("close", &error)?;
                    }
                }
            }
        }
    }

    fn home(&self) -> Which {
        let meta = self.world.path("build").metadata().ok()?;
        Some((meta.ino(), meta.created().ok()?))
    }

    /// Commits until an error, or for a while. `held` is the home of the journal, unless it was replaced while it was
    /// opened.
    fn commit_some(&mut self, journal: &Journal, held: Which) -> Done {
        let mut text = String::new();
        for _ in 0..self.random.below(20) + 1 {
            self.number += 1;
            // Sometimes nothing has to be changed.
            if text.is_empty() || self.random.chance(3, 4) {
                text = sealed(&format!("{} {}", self.role, self.random.next()));
            }
            let (inside, beside) = (counter(&self.role), format!("lock-{}", self.role));
            let mut steps = Steps::new("tags")
                .put(&inside, text.as_str())
                .put(&beside, text.as_str());
            if self.random.chance(1, 4) {
                steps = steps.tree(TREE, storm_tree(self.random.below(2)));
            }
            let (before, begun) = (self.acts.quiet(), Instant::now());
            let committed = steps.try_commit(journal);
            let took = begun.elapsed();
            let there =
                [inside, beside].map(|path| fs::read_to_string(self.world.path(&path)).ok());
            let home = self.home();
            let quiet = before.is_some() && before == self.acts.quiet();
            if let Err(error) = committed {
                return self.refused("commit", &error);
            }
            let put = |there: &Option<String>| there.as_ref() == Some(&text);
            let wrong = match (&there, held) {
                ([_, beside], _) if !put(beside) => "is missing next to the home",
                (_, Some(_)) if quiet && home != held => {
                    "was made in a home that is not at its path"
                }
                ([inside, _], Some(_)) if quiet && !put(inside) => "is missing in the home",
                _ => "",
            };
            if !wrong.is_empty() {
                let text = format!("what was committed {wrong}: {there:?}, not {text:?}");
                tell(&Tell::Violation(text))?;
            }
            if quiet && held.is_some() {
                tell(&Tell::Read)?;
            }
            tell(&Tell::Waited(took))?;
            tell(&Tell::Committed {
                number: self.number,
                took,
                bytes: text.len() as u64,
            })?;
        }
        Ok(())
    }

    /// Reports a refusal, without the variable parts of its text.
    fn refused(&self, what: &str, error: &Error) -> Done {
        let text = explain(error).replace(self.world.root().as_str(), "");
        let is_id = |word: &str| word.matches('-').count() == 4 && word.len() == 36;
        let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let plain = words.map(|word| {
            let end = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            match is_id(end) {
                true => word.replace(end, "ID"),
                false => word.to_owned(),
            }
        });
        let text = plain.collect::<String>();
        Ok(tell(&Tell::Refused(format!("{what}: {text}")))?)
    }
}
