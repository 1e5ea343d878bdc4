//! Invalid layouts: each is refused with an explanation, in bounded time.

use std::fs;

use camino::Utf8Path;
use serde_json::json;
use twoliter_state::KitOptions;

use super::images::{
    add_blob, blob, digest_in, edit_index, edit_json, has_tools, kit, manifest_in,
};
use super::{KIT, project, told};

/// Adds a changed copy of the manifest to the layout, and points the index to it.
fn edit_manifest(layout: &Utf8Path, edit: impl FnOnce(&mut serde_json::Value)) {
    let mut manifest = manifest_in(layout);
    edit(&mut manifest);
    let text = manifest.to_string();
    let digest = add_blob(layout, text.as_bytes());
    edit_index(layout, |index| {
        index["manifests"][0]["digest"] = json!(digest.to_string());
        index["manifests"][0]["size"] = json!(text.len());
    });
}

/// Wraps the index into another one, this many times.
fn nest(layout: &Utf8Path, times: usize) {
    for _ in 0..times {
        let inner = fs::read(layout.join("index.json")).unwrap();
        let digest = add_blob(layout, &inner);
        edit_index(layout, |index| {
            let media_type = "application/vnd.oci.image.index.v1+json";
            let (digest, size) = (digest.to_string(), inner.len());
            index["manifests"] = json!([{"mediaType": media_type, "digest": digest, "size": size}]);
        });
    }
}

#[test]
fn an_invalid_layout_is_refused_by_name() {
    if !has_tools() {
        return;
    }
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let docker_layer = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    type Spoil<'a> = Box<dyn Fn(&Utf8Path) + 'a>;
    let spoils: Vec<(&str, Spoil<'_>)> = vec![
        ("", Box::new(|layout| nest(layout, 3))),
        ("four levels", Box::new(|layout| nest(layout, 4))),
        (
            "",
            Box::new(|layout| {
                edit_manifest(layout, |manifest| {
                    manifest["mediaType"] = json!(docker);
                    manifest["layers"][0]["mediaType"] = json!(docker_layer);
                });
                edit_index(layout, |index| {
                    index["manifests"][0]["mediaType"] = json!(docker)
                });
            }),
        ),
        (
            "media type `text/html`",
            Box::new(|layout| {
                edit_index(layout, |index| {
                    index["manifests"][0]["mediaType"] = json!("text/html")
                });
            }),
        ),
        (
            "the layer `sha256:",
            Box::new(|layout| {
                edit_manifest(layout, |manifest| {
                    manifest["layers"][1]["mediaType"] = json!("application/vnd.in-toto+json");
                });
            }),
        ),
        (
            "only digests of the algorithm sha256",
            Box::new(|layout| {
                let digest = format!("sha512:{}", "0".repeat(128));
                edit_manifest(layout, |manifest| {
                    manifest["layers"][0]["digest"] = json!(digest)
                });
            }),
        ),
        (
            "failed to parse `index.json`",
            Box::new(|layout| fs::write(layout.join("index.json"), "{").unwrap()),
        ),
        (
            "failed to parse",
            Box::new(|layout| {
                edit_manifest(layout, |manifest| {
                    manifest["layers"][0]["digest"] = json!("sha256:../../../../etc/passwd");
                });
            }),
        ),
        (
            "the limit is 4194304",
            Box::new(|layout| {
                let long = format!("{{\"x\":\"{}\"}}", "x".repeat(5 << 20));
                fs::write(layout.join("index.json"), long).unwrap();
            }),
        ),
        (
            "version 2.0.0",
            Box::new(|layout| {
                edit_json(&layout.join("oci-layout"), |marker| {
                    marker["imageLayoutVersion"] = json!("2.0.0");
                });
            }),
        ),
        (
            "there is none",
            Box::new(|layout| edit_index(layout, |index| index["manifests"] = json!([]))),
        ),
        (
            "more than 1000 images",
            Box::new(|layout| {
                let manifest = manifest_in(layout).to_string();
                edit_index(layout, |index| {
                    let one = index["manifests"][0].clone();
                    let many = (0..1001).map(|number| {
                        let other = format!("{manifest}{}", " ".repeat(number));
                        let mut one = one.clone();
                        one["digest"] = json!(add_blob(layout, other.as_bytes()).to_string());
                        one["size"] = json!(other.len());
                        one
                    });
                    index["manifests"] = many.collect();
                });
            }),
        ),
        (
            "it is missing",
            Box::new(|layout| {
                let path = blob(layout, digest_in(layout));
                fs::rename(&path, path.with_extension("moved")).unwrap();
                std::os::unix::fs::symlink(path.with_extension("moved"), path).unwrap();
            }),
        ),
    ];
    let (world, state, outside) = project();
    let plain = kit(&outside, "1");
    for (number, (word, spoil)) in spoils.into_iter().enumerate() {
        let layout = outside.join(format!("rubbish-{number}"));
        fs::create_dir(&layout).unwrap();
        super::images::copy(&plain, &layout);
        spoil(&layout);
        let path = format!("{KIT}-{number}");
        match state.unpack_kit(&layout, &path, KitOptions::default()) {
            Ok(_) => assert_eq!(word, "", "{number}"),
            Err(error) => {
                let told = told(&error);
                assert!(
                    !word.is_empty() && told.contains(word),
                    "{number}, {word}: {told}"
                );
                assert!(!world.exists(&path));
            }
        }
    }
}
