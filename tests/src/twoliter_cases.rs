//! Transactions made through twoliter's state.

use tljournal::{Digest, OnPinned};
use tljournal_testkit::Steps;
use twoliter_state::{Artifact, EXTERNAL_KITS_DIR, Kind, Outputs, Verified};

use crate::cases::{Act, Case};
use crate::trees::tools;

pub(crate) fn twoliter_cases() -> Vec<Case> {
    of_tags().into_iter().chain(of_artifacts()).collect()
}

/// Tags in twoliter's directory, as written for these images.
fn tags(label: &str, sdk: &str, kits: &str) -> Steps {
    let content = |image: &str| format!("[\"{image}\"]");
    Steps::new(label)
        .put("build/external-kits/.sdk-verified", content(sdk))
        .put("build/external-kits/.kits-verified", content(kits))
}

fn verified() -> Verified {
    Verified::sdk(Digest::of(b"lock file"), "sdk").kits(["kit"])
}

/// Tags that are written, replaced, reduced to a lower level, and cleared.
fn of_tags() -> Vec<Case> {
    let with_tags = |case: Case, sdk| case.after(tags("tags", sdk, "another kit"));
    let write: Act = |state| state.write_tags(EXTERNAL_KITS_DIR, &verified()).map(drop);
    let write_less: Act = |state| {
        let sdk = Verified::sdk(Digest::of(b"lock file"), "sdk");
        state.write_tags(EXTERNAL_KITS_DIR, &sdk).map(drop)
    };
    let clear: Act = |state| state.cleanup_existing_tags(EXTERNAL_KITS_DIR).map(drop);
    let less = Steps::new("less").remove("build/external-kits/.kits-verified");
    let none = less.clone().remove("build/external-kits/.sdk-verified");
    vec![
        Case::new("tags-new", tags("new", "sdk", "kit")).made_by(write),
        with_tags(
            Case::new("tags-replace", tags("new", "sdk", "kit")),
            "old sdk",
        )
        .made_by(write),
        with_tags(Case::new("tags-less", less), "sdk").made_by(write_less),
        with_tags(Case::new("tags-clear", none), "sdk").made_by(clear),
    ]
}

/// Publishes artifacts from a directory next to the project, and cleans.
fn of_artifacts() -> Vec<Case> {
    let publish: Act = |state| {
        let out = state.journal().root().with_file_name("out");
        std::fs::create_dir_all(&out).expect("a directory beside the project");
        let mut outputs = Outputs::new();
        for name in ["a-1.rpm", "both.rpm"] {
            std::fs::write(out.join(name), "new").expect("something that was built");
            outputs = outputs.with(name, out.join(name));
        }
        let artifact = Artifact {
            arch: "x86_64".into(),
            kind: Kind::Package,
            name: "a".into(),
            state_dir: "build/state".into(),
            output_dir: "build/rpms".into(),
            shares_output_dir: true,
        };
        state.publish(&artifact, &outputs).map(drop)
    };
    let marker = |name: &str| format!("build/state/x86_64/packages/a/{name}.buildsys_marker");
    let old = Steps::new("old")
        .put("build/rpms/a-0.rpm", "old")
        .put("build/rpms/both.rpm", "old")
        .put(&marker("a-0.rpm"), "")
        .put(&marker("both.rpm"), "");
    let new = Steps::new("new")
        .put("build/rpms/a-1.rpm", "new")
        .put("build/rpms/both.rpm", "new")
        .put(&marker("a-1.rpm"), "")
        .remove("build/rpms/a-0.rpm")
        .remove(&marker("a-0.rpm"));
    let clean: Act = |state| {
        let paths = ["build/tools", "build/dir"];
        state.clean(paths, OnPinned::Fail).map(drop)
    };
    let tools = Steps::new("tools").tree("build/tools", tools());
    let none = Steps::new("none").remove("build/tools").remove("build/dir");
    vec![
        Case::new("artifacts-publish", new)
            .after(old)
            .made_by(publish),
        Case::new("artifacts-clean", none)
            .after(tools)
            .made_by(clean),
    ]
}
