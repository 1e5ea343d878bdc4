//! Compressed layers: their ends, and the memory that decompressing needs.

use std::io::Write;

use super::layers::{packed, tar};
use super::*;

/// `umoci insert --whiteout` (0.4.7) creates layers without an end marker, `umoci insert` with a truncated last
/// block. Such a file is complete if its digest is right, and may be truncated otherwise.
#[test]
fn a_layer_with_a_known_digest_needs_no_end_marker() {
    let yard = Yard::new();
    let whole = tar(&["a: 1", "b: 1"]);
    let layer = yard.layer(0, &whole[..whole.len() - 1024 - 511]);
    let unknown = Layer::new(layer.path.clone());
    assert_eq!(
        yard.merged(TreeSource::layers([layer], Vec::new())),
        ["a: 1", "b: 1"]
    );
    let error = Yard::new().refusal(TreeSource::layers([unknown], Vec::new()));
    assert!(error.contains("cut short"), "{error}");
}

/// The layer was truncated with a warning: the data after the first member was ignored, because a layer with a known
/// digest needs no end marker.
#[test]
fn a_layer_that_goes_on_behind_ignored_data_is_refused() {
    let whole = tar(&["a: 1", "b: 1"]);
    let (one, other) = whole.split_at(1024);
    let gzip = |bytes: &[u8]| packed(1, bytes.to_vec());
    let yard = Yard::new();
    let layer = yard.layer(0, &[gzip(one), vec![0; 8], gzip(other)].concat());
    let error = yard.refusal(TreeSource::layers([layer], Vec::new()));
    assert!(error.contains("before the end of the archive"), "{error}");
    // After the end marker it is ignored.
    let yard = Yard::new();
    let layer = yard.layer(0, &[gzip(&whole), b"appended".to_vec()].concat());
    assert_eq!(
        yard.merged(TreeSource::layers([layer], Vec::new())),
        ["a: 1", "b: 1"]
    );
}

/// Every core had a decompressor that could use 128 MiB and more.
#[test]
fn layers_that_need_much_memory_are_refused_or_decompressed_one_by_one() {
    let yard = Yard::new();
    let compressed = |window_log| {
        let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
        zstd.window_log(window_log).unwrap();
        zstd.write_all(&tar(&["a: 1"])).unwrap();
        zstd.finish().unwrap()
    };
    let source = |bytes: &[u8]| TreeSource::layers(vec![yard.layer(0, bytes)], Vec::new());
    assert!(yard.refusal(source(&compressed(28))).contains("layer-0"));
    yard.build(source(&compressed(27))).unwrap();
    // A frame without content, as pzstd writes one first, does not show how large a window is needed.
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    let yard = Yard::new();
    let layer = yard.layer(0, &[&skippable[..], &compressed(27)].concat());
    yard.build(TreeSource::layers(vec![layer], Vec::new()))
        .unwrap();
    let yard = Yard::new();
    let layer = |index: usize| {
        let content = format!("own-{index}: {}", "x".repeat(1_000_000));
        let tar = tar(&["big: 1", &content]);
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
        xz.write_all(&tar).unwrap();
        let bytes = match index % 4 {
            0 => xz.finish().unwrap(),
            _ => zstd::encode_all(tar.as_slice(), 1).unwrap(),
        };
        yard.layer(index, &bytes)
    };
    let layers: Vec<_> = (0..12).map(layer).collect();
    let source = TreeSource::layers(layers, Vec::new());
    assert_eq!(yard.merged(source).len(), 13);
}
