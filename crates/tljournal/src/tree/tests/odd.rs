//! Unusual but valid members of archives.

use std::io::Write;

use tar::EntryType;

use super::archives::{ended, raw};
use super::layers::merge;
use super::*;

/// A member whose size field differs from the length of its content.
fn sized(path: &[u8], letter: u8, link: &[u8], size: u64, content: &[u8]) -> Vec<u8> {
    let mut member = raw(path, EntryType::new(letter), link, content);
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes().copy_from_slice(&member[..512]);
    header.set_size(size);
    header.set_cksum();
    member[..512].copy_from_slice(header.as_bytes());
    member
}

fn installed(archive: Vec<u8>) -> Vec<String> {
    let yard = Yard::new();
    let built = yard.build(TreeSource::stream(Cursor::new(archive)));
    let built =
        built.unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
    assert_eq!(yard.differences(&built), [""; 0]);
    let words = words(&built.manifest);
    words
        .into_iter()
        .map(|line| line.replace("77.000000000 ", ""))
        .collect()
}

/// The following blocks were taken for their content, so that the next header was missed.
#[test]
fn the_size_field_of_a_member_without_content_is_ignored() {
    let file = || raw(b"f", EntryType::Regular, b"", b"hello");
    for (path, letter, link, told) in [
        (&b"d/"[..], b'5', &b""[..], "d 755 dir"),
        (b"d/", b'0', b"", "d 755 dir"),
        (b"d/", 0, b"", "d 755 dir"),
        (b"h", b'1', b"f", "h 755 file of 5, same as 1"),
        (b"l", b'2', b"f", "l 0 link to f"),
    ] {
        let archive = [
            file(),
            sized(path, letter, link, 4096, b""),
            raw(b"z", EntryType::Regular, b"", b""),
        ];
        let found = installed(ended(archive.concat()));
        let letter = letter.escape_ascii();
        for told in [told, "z 755 file of 0"] {
            let is_there = found.iter().any(|line| line == told);
            assert!(is_there, "{letter}: {found:?}");
        }
    }
}

#[test]
fn labels_and_lists_of_names_are_ignored_and_unknown_types_are_files() {
    let archive = [
        raw(b"My backup", EntryType::new(b'V'), b"", b""),
        raw(b"d/", EntryType::new(b'D'), b"", b"Yfile\0Ddir\0\0"),
        raw(b"d/contiguous", EntryType::Continuous, b"", b"12"),
        raw(b"d/odd", EntryType::new(b'?'), b"", b"123"),
    ];
    assert_eq!(
        installed(ended(archive.concat())),
        [
            ". 755 dir",
            "d 755 dir",
            "d/contiguous 755 file of 2",
            "d/odd 755 file of 3"
        ]
    );
}

#[test]
fn solaris_and_global_headers_are_used_and_an_empty_value_resets() {
    let archive = [
        raw(
            b"g",
            EntryType::XGlobalHeader,
            b"",
            b"13 mtime=9.5\n18 comment=a1b2c3\n",
        ),
        raw(
            b"X",
            EntryType::new(b'X'),
            b"",
            b"14 path=named\n9 mtime=\n\0\0\0",
        ),
        raw(b"short", EntryType::Regular, b"", b"1"),
    ];
    assert_eq!(
        installed(ended(archive.concat()))[1],
        "named 755 9.500000000 file of 1"
    );
}

#[test]
fn absolute_names_are_relative_to_the_root_of_the_tree() {
    let archive = [
        raw(b"/", EntryType::Directory, b"", b""),
        raw(b"//usr/f", EntryType::Regular, b"", b"1"),
        raw(b"/h", EntryType::Link, b"/usr/f", b""),
    ];
    assert_eq!(
        installed(ended(archive.concat())),
        [
            ". 755 dir",
            "h 755 file of 1",
            "usr 755 dir",
            "usr/f 755 file of 1, same as 1"
        ]
    );
}

/// Archives of builders that name everything from the root of the image were refused.
#[test]
fn absolute_names_are_relative_to_the_root_of_the_image() {
    let listed: &[&[&str]] = &[
        &["/usr/", "/usr/a: 1", "/etc/b: 2"],
        &["/usr/.wh.a", "usr/c = /etc/b", "/etc/b: 3"],
    ];
    assert_eq!(
        merge(listed),
        ["etc/ implied", "etc/b: 3", "usr/", "usr/c: 2"]
    );
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(bytes).unwrap();
    xz.finish().unwrap()
}

/// Tapes and downloads pad the last block; pigz, pzstd and `cat` create several members.
#[test]
fn trailing_data_is_ignored_and_several_members_are_read() {
    let plain = ended(raw(b"f", EntryType::Regular, b"", &[b'f'; 2000]));
    type Compress = fn(&[u8]) -> Vec<u8>;
    let compress: [(&str, Compress); 3] = [
        ("gzip", gzip),
        ("zstd", |bytes| zstd::encode_all(bytes, 1).unwrap()),
        ("xz", xz),
    ];
    for (name, compress) in compress {
        let members: Vec<_> = plain.chunks(100).map(compress).collect();
        for behind in [
            &b""[..],
            &[0; 1],
            &[0; 10_000],
            b"\n",
            b"junk that is no member",
        ] {
            let archive = [members.concat(), behind.to_vec()].concat();
            assert_eq!(installed(archive)[1], "f 755 file of 2000", "{name}");
        }
        let mut endless = members.concat();
        endless.resize(endless.len() + (65 << 20), 0);
        let words = Yard::new().refusal(TreeSource::stream(Cursor::new(endless)));
        assert!(words.contains("64 MiB"), "{name}: {words}");
    }
    let skippable = [
        &[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..],
        &zstd::encode_all(&plain[..], 1).unwrap(),
    ];
    assert_eq!(installed(skippable.concat())[1], "f 755 file of 2000");
}

/// The padding between two xz streams is part of the format. It was taken for trailing data, like everything after it.
#[test]
fn zeros_between_xz_streams_are_padding() {
    let plain = ended(raw(b"f", EntryType::Regular, b"", &[b'f'; 2000]));
    let (one, other) = plain.split_at(700);
    for zeros in [4, 8, 4096] {
        let archive = [xz(one), vec![0; zeros], xz(other), vec![0; 4]].concat();
        assert_eq!(installed(archive)[1], "f 755 file of 2000", "{zeros}");
    }
}

#[test]
fn a_window_of_128_mib_is_enough_for_zstd_and_a_larger_one_is_named() {
    let plain = ended(raw(b"f", EntryType::Regular, b"", b"1"));
    let long = |log| {
        let mut out = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        out.window_log(log).unwrap();
        out.long_distance_matching(true).unwrap();
        out.write_all(&plain).unwrap();
        out.finish().unwrap()
    };
    assert_eq!(installed(long(27))[1], "f 755 file of 1");
    let words = Yard::new().refusal(TreeSource::stream(Cursor::new(long(30))));
    assert!(
        words.contains("a window of 1024 MiB") && !words.contains("damaged"),
        "{words}"
    );
}

/// All of them were reported as damaged.
#[test]
fn a_format_that_is_not_supported_is_named() {
    for (begin, told) in [
        (&b"BZh91AY&SY"[..], "bzip2"),
        (b"LZIP\x01", "lzip"),
        (b"\x04\x22\x4d\x18\x64", "lz4"),
        (b"]\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0", "lzma"),
        (b"]\0\0\x01\0\x10\0\0\0\0\0\0\0\0", "lzma"),
        (b"\x89LZO\0\r\n\x1a\n", "lzop"),
        (b"\x1f\x9d\x90", "compress"),
        (b"PK\x03\x04", "zip"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"Rar!\x1a\x07\x01\0", "rar"),
        (b"\xed\xab\xee\xdb\x03", "rpm"),
        (b"070701000", "cpio"),
        (b"!<arch>\ndebian-binary", "Debian"),
        (b"hsqs", "squashfs"),
    ] {
        let file = [begin, &[0x55; 2000]].concat();
        let words = Yard::new().refusal(TreeSource::stream(Cursor::new(file)));
        let is_named = words.contains(told) && words.contains("not supported");
        assert!(is_named && !words.contains("damaged"), "{told}: {words}");
        // An archive whose first member has this name is a tar archive.
        if begin.iter().take(3).all(u8::is_ascii_graphic) {
            let named = ended(raw(&begin[..3], EntryType::Regular, b"", b"1"));
            assert_eq!(installed(named).len(), 2, "{told}");
        }
    }
}
