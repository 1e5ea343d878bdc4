use tar::EntryType;

use super::archives::{ended, header, raw};
use super::*;

fn content_of(archive: Vec<u8>, path: &str) -> Vec<u8> {
    let yard = Yard::new();
    let built = yard
        .build(TreeSource::stream(Cursor::new(ended(archive))))
        .unwrap();
    assert_eq!(yard.differences(&built), [""; 0]);
    std::fs::read(yard.at(path)).unwrap()
}

/// Two pieces, a hole before each of them and one at the end.
fn expected() -> Vec<u8> {
    let mut content = vec![0; 5000];
    content[1024..1536].fill(b'a');
    content[3072..3077].fill(b'b');
    content
}

#[test]
fn sparse_files_in_the_old_gnu_format_are_filled_with_zeros() {
    let mut header = header(EntryType::GNUSparse, 517);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.name[..1].copy_from_slice(b"s");
    gnu.realsize.copy_from_slice(b"00000011610\0");
    for (at, (offset, length)) in [(1024, 512), (3072, 5), (5000, 0)].into_iter().enumerate() {
        let octal = |number: u64| format!("{number:011o}\0");
        gnu.sparse[at]
            .offset
            .copy_from_slice(octal(offset).as_bytes());
        gnu.sparse[at]
            .numbytes
            .copy_from_slice(octal(length).as_bytes());
    }
    header.set_cksum();
    let mut archive = header.as_bytes().to_vec();
    archive.extend([b'a'; 512]);
    archive.extend(b"bbbbb");
    archive.resize(512 * 3, 0);
    assert_eq!(content_of(archive, "s"), expected());
}

#[test]
fn sparse_files_in_the_pax_format_are_filled_with_zeros_and_have_their_own_name() {
    let records = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n\
        21 GNU.sparse.name=s\n28 GNU.sparse.realsize=5000\n";
    let mut content = b"3\n1024\n512\n3072\n5\n5000\n0\n".to_vec();
    content.resize(512, 0);
    content.extend([b'a'; 512]);
    content.extend(b"bbbbb");
    let archive = [
        raw(b"x", EntryType::XHeader, b"", records),
        raw(b"GNUSparseFile.0/s", EntryType::Regular, b"", &content),
    ];
    assert_eq!(content_of(archive.concat(), "s"), expected());
}

/// They were refused.
#[test]
fn sparse_files_in_the_two_older_pax_formats_are_filled_with_zeros() {
    let one = b"26 GNU.sparse.numblocks=2\n24 GNU.sparse.size=5000\n26 GNU.sparse.offset=1024\n\
        27 GNU.sparse.numbytes=512\n26 GNU.sparse.offset=3072\n25 GNU.sparse.numbytes=5\n";
    let two = b"21 GNU.sparse.name=s\n24 GNU.sparse.size=5000\n34 GNU.sparse.map=1024,512,3072,5\n";
    let content = [&[b'a'; 512][..], b"bbbbb"].concat();
    for records in [&one[..], two] {
        let archive = [
            raw(b"x", EntryType::XHeader, b"", records),
            raw(b"s", EntryType::Regular, b"", &content),
        ];
        assert_eq!(content_of(archive.concat(), "s"), expected());
    }
}
