//! Layouts with one image of a larger index, which still lists the others.

use std::fs;

use serde_json::json;
use twoliter_state::KitOptions;

use super::images::{digest_in, edit_index, has_tools, kit};
use super::{project, told};

const KIT: &str = "build/external-kits/partial";

/// An image could not be unpacked because another one was missing, or because an entry was not an image.
#[test]
fn an_existing_image_is_unpacked_although_others_are_missing() {
    if !has_tools() {
        return;
    }
    let (world, state, outside) = project();
    let layout = kit(&outside, "1");
    let digest = digest_in(&layout);
    let listed = |number: u32, media_type: &str, arch: &str| {
        json!({
            "mediaType": format!("application/vnd.{media_type}+json"), "size": 500 + number,
            "digest": format!("sha256:{number:064}"), "platform": {"architecture": arch, "os": "linux"},
        })
    };
    edit_index(&layout, |index| {
        let images = index["manifests"].as_array_mut().unwrap();
        images[0]["platform"] = json!({"architecture": "amd64", "os": "linux"});
        images.insert(0, listed(1, "oci.image.manifest.v1", "arm64"));
        images.insert(1, listed(2, "oci.image.index.v1", "s390x"));
        images.push(listed(3, "example.sbom.v3", "amd64"));
        images.push(listed(4, "oci.image.manifest.v1", "unknown"));
        let mut other = listed(5, "oci.image.manifest.v1", "riscv64");
        other["digest"] = json!(format!("sha512:{}", "0".repeat(128)));
        images.push(other);
    });
    let unpack = |arch: Option<&str>| {
        let options = KitOptions {
            arch: arch.map(str::to_owned),
            ..KitOptions::default()
        };
        state.unpack_kit(&layout, KIT, options)
    };
    for arch in [Some("x86_64"), None] {
        assert_eq!(unpack(arch).unwrap().digest, digest);
        fs::remove_dir_all(world.path(KIT)).unwrap();
    }
    let error = unpack(Some("aarch64")).unwrap_err();
    let name = format!("{:064}", 1);
    assert!(
        told(&error).contains(&name) && told(&error).contains("missing"),
        "{}",
        told(&error)
    );
}

#[test]
fn an_archive_of_docker_save_is_named() {
    let (_world, state, outside) = project();
    let saved = outside.join("saved");
    fs::create_dir(&saved).unwrap();
    fs::write(saved.join("manifest.json"), "[]").unwrap();
    let error = state
        .unpack_kit(&saved, KIT, KitOptions::default())
        .unwrap_err();
    assert!(told(&error).contains("docker archive"), "{}", told(&error));
}
