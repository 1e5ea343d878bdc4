//! Publishing and cleaning artifacts from shell tasks.

use crate::world::Project;

const PUBLISH: [&str; 10] = [
    "artifacts",
    "publish",
    "--arch",
    "x86_64",
    "--kind",
    "package",
    "--name",
    "bash",
    "--output",
    "build/rpms/bash",
];

#[test]
fn a_set_is_published_from_a_directory_or_by_name() {
    let project = Project::new();
    project.write("out/bash-1.rpm", "1");
    project.write("out/sub/lib-1.rpm", "1");
    let done = project.json(&[&PUBLISH[..], &["--from", "out"]].concat());
    assert_eq!(
        done["put"],
        serde_json::json!(["bash-1.rpm", "sub/lib-1.rpm"])
    );
    assert!(project.has("build/state/x86_64/packages/bash/sub/lib-1.rpm.buildsys_marker"));
    project.write("out/bash-2.rpm", "2");
    let done = project.ok(&[&PUBLISH[..], &["out/bash-2.rpm"]].concat());
    assert_eq!(
        done.out,
        "put bash-2.rpm\nremoved bash-1.rpm\nremoved sub/lib-1.rpm\n"
    );
    assert!(!project.has("out/bash-2.rpm") && !project.has("build/rpms/bash/bash-1.rpm"));
    for bad in [
        &["missing.rpm"][..],
        &["--from", "missing"],
        &["out", "--arch", "x/y"],
        &[],
    ] {
        let done = project.run(&[&PUBLISH[..], bad].concat());
        assert_eq!(done.code, 2, "{bad:?}: {done:?}");
    }
    assert!(project.has("build/rpms/bash/bash-2.rpm"));
}

#[test]
fn a_clean_reports_what_it_did() {
    let project = Project::new();
    project.write("build/rpms/bash/a", "x");
    project.write("build/kits/core/a", "x");
    let clean = [
        "artifacts",
        "clean",
        "build/rpms",
        "build/kits",
        "build/none",
    ];
    assert!(project.ok(&clean).out.contains("cleaned build/kits"));
    assert!(!project.has("build/rpms") && !project.has("build/kits"));
    assert!(project.ok(&clean).out.contains("unchanged build/rpms"));
    assert_eq!(
        project.run(&["artifacts", "clean", "build"]).code,
        2,
        "the home itself"
    );
}
