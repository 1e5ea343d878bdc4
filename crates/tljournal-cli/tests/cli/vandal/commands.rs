//! Every command, and what must hold after it.

use super::Case;
use super::object::Object;
use super::outside::given_away;
use super::world::{Account, Ended, World};

/// The commands, in this order.
const COMMANDS: &[&[&str]] = &[
    &["status"],
    &["log"],
    &["show", "2"],
    &["diff", "2"],
    &["blame", "build/a"],
    &["runs"],
    &["postmortem"],
    &["postmortem", "--bundle", "bundle.tar.zst"],
    &["report", "--html", "report.html"],
    &["export", "--format", "jsonl", "-o", "history.jsonl"],
    &["tag", "list", "build/external-kits"],
    &["tree", "verify", "build/t"],
    &["tree", "show", "build/t"],
    &["fsck", "--quick"],
    &["fsck", "--full"],
    &["gc", "--dry-run"],
    &["undo", "2", "--dry-run"],
    &["put", "build/new/file"],
    &["put", "build/a"],
    &["link", "b", "build/l"],
    &["apply", "changes.json"],
    &["tree", "install", "build/t", "--from", "src"],
    &["rm", "build/e"],
    &["exec", "--lock", "vendor", "--log", "--", "true"],
    &[
        "populate",
        "build/k",
        "--key",
        "2",
        "--",
        "sh",
        "-c",
        "echo 2 > $TLJOURNAL_STAGE/f",
    ],
    &["pin", "build/t", "--", "true"],
    &["recover"],
    &["undo", "2"],
    &["restore", "build/a", "--at", "1"],
    &["restore", "build/d", "--at", "7"],
    &["fsck", "--repair"],
    &["gc", "--keep-count", "0"],
    &["fsck"],
];

/// What the owner must be able to do at the end.
const WORK: &[&[&str]] = &[
    &["put", "build/another"],
    &["exec", "--lock", "vendor", "--log", "--", "true"],
    &["tree", "install", "build/another-tree", "--from", "src"],
    &[
        "populate",
        "build/k3",
        "--key",
        "3",
        "--",
        "sh",
        "-c",
        "echo 3 > $TLJOURNAL_STAGE/f",
    ],
    &["recover"],
];

/// The exit code for a failure of the system.
const SYSTEM: i32 = 6;

/// Tries a case; returns the failure.
pub(crate) fn try_case(case: &Case) -> Result<(), String> {
    let world = World::new();
    let at = case.place.find(&world);
    let set_id = case.object.put(&world, &at, case.vandal);
    let run = |account: Account, args: &[&str]| -> Result<Ended, String> {
        let ended = world.tljournal(account, args);
        let failed = |why: &str| format!("{account:?}: `{}` {why}: {ended:?}", args.join(" "));
        if let Some(why) = ended.has_crashed() {
            return Err(failed(why));
        }
        if let Some(what) = world.outside.has_changed() {
            return Err(failed(&format!("has changed what is outside: {what}")));
        }
        if let Some(what) = given_away(&world.project(), set_id) {
            return Err(failed(&format!("has given something away: {what}")));
        }
        Ok(ended)
    };
    let seen = run(Account::Root, &["fsck"])?;
    if case.must_be_named() && !format!("{}{}", seen.out, seen.err).contains(case.place.name()) {
        return Err(format!("`fsck` does not name it: {seen:?}"));
    }
    for args in COMMANDS {
        run(case.runner, args)?;
    }
    if case.object.closes_everything(case) {
        return Ok(());
    }
    for args in WORK {
        // A failing command may have repaired the problem for the next one.
        if run(Account::Owner, args)?.code == Some(SYSTEM) {
            let again = run(Account::Owner, args)?;
            if again.code == Some(SYSTEM) {
                return Err(format!("`{}` fails again: {}", args.join(" "), again.err));
            }
        }
    }
    Ok(())
}

impl Case {
    /// Whether `fsck` must report it.
    fn must_be_named(&self) -> bool {
        let place = self.place.to_string();
        let depth = place.matches('/').count();
        // Below retained or quarantined content there may be anything that users had in their directories.
        let is_theirs = place.contains("/txn/") && depth > 3 && !place.ends_with("/paths")
            || place.contains("/aside/") && depth > 3;
        let is_own = place.starts_with("build/.state") || place.starts_with("build/.tljournal");
        self.object.is_strange() && is_own && !is_theirs
    }
}

impl Object {
    /// Whether the owner legitimately can do nothing until it is removed by hand.
    fn closes_everything(self, case: &Case) -> bool {
        use Object::{ClosedDir, DeepDir, EmptyDir, FullDir, Immutable, Mounted, Nothing, Open};
        let place = case.place.to_string();
        let is_home = place == "build";
        let is_fixed = matches!(self, Immutable | Mounted);
        let is_a_directory = matches!(
            self,
            Nothing | Open | EmptyDir | FullDir | DeepDir | ClosedDir
        );
        // The home belongs to another user, or cannot be entered and written.
        is_fixed && (is_home || place.starts_with("build/.state"))
            || is_home && (case.vandal != Account::Owner || !is_a_directory)
    }
}
