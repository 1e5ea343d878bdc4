use std::io::Write;

use tar::{Builder, EntryType, Header};

use super::*;

pub(super) fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o4755);
    header.set_mtime(77);
    header.set_size(size);
    header
}

/// A member whose name is written unchanged, however hostile.
pub(super) fn raw(path: &[u8], kind: EntryType, link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = header(kind, content.len() as u64);
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
    header.set_cksum();
    let mut out = header.as_bytes().to_vec();
    out.extend(content);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

pub(super) fn ended(mut archive: Vec<u8>) -> Vec<u8> {
    archive.resize(archive.len() + 1024, 0);
    archive
}

pub(super) fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut content = String::new();
    for (key, value) in records {
        let mut length = key.len() + value.len() + 3;
        while length != key.len() + value.len() + 3 + length.to_string().len() {
            length = key.len() + value.len() + 3 + length.to_string().len();
        }
        content += &format!("{length} {key}={value}\n");
    }
    // Some programs pad the last block and include the padding in the size.
    content += "\0\0\0";
    raw(b"pax", EntryType::XHeader, b"", content.as_bytes())
}

fn stream(bytes: Vec<u8>) -> TreeSource {
    TreeSource::stream(Cursor::new(bytes))
}

fn sample() -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    let long = format!("{}/{}", "d".repeat(150), "f".repeat(150));
    tar.append_data(&mut header(EntryType::Regular, 5), long, &b"12345"[..])
        .unwrap();
    tar.append_data(&mut header(EntryType::Regular, 3), "x/y", &b"abc"[..])
        .unwrap();
    let (mut link, mut hard) = (header(EntryType::Symlink, 0), header(EntryType::Link, 0));
    tar.append_link(&mut link, "x/l", "t".repeat(200)).unwrap();
    tar.append_link(&mut hard, "x/h", "./x/y").unwrap();
    tar.into_inner().unwrap()
}

fn is_sample(source: TreeSource) {
    let yard = Yard::new();
    let built = yard.build(source).unwrap();
    let d = "d".repeat(150);
    assert_eq!(
        words(&built.manifest),
        [
            ". 755 77.000000000 dir".to_owned(),
            format!("{d} 755 77.000000000 dir"),
            format!("{d}/{} 755 77.000000000 file of 5", "f".repeat(150)),
            "x 755 77.000000000 dir".to_owned(),
            "x/h 755 77.000000000 file of 3".to_owned(),
            format!("x/l 0 77.000000000 link to {}", "t".repeat(200)),
            "x/y 755 77.000000000 file of 3, same as 4".to_owned(),
        ]
    );
    assert_eq!(yard.differences(&built), [""; 0]);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn compressed() -> Vec<(&'static str, Vec<u8>)> {
    let plain = sample();
    let (one, two) = plain.split_at(plain.len() / 2);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(&plain).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&plain).unwrap();
    vec![
        ("gzip", gzip(&plain)),
        ("two gzip members", [gzip(one), gzip(two)].concat()),
        ("zlib", zlib.finish().unwrap()),
        ("zstd", zstd::encode_all(&plain[..], 1).unwrap()),
        ("xz", xz.finish().unwrap()),
        ("plain", plain),
    ]
}

#[test]
fn every_compression_is_recognized_from_a_file_and_from_a_stream() {
    for (name, bytes) in compressed() {
        let yard = Yard::new();
        let path = yard.path.join(name);
        std::fs::write(&path, &bytes).unwrap();
        is_sample(TreeSource::archive(&path));
        is_sample(TreeSource::at(&path));
        is_sample(stream(bytes));
    }
}

#[test]
fn archives_that_are_truncated_anywhere_are_damaged() {
    for (name, bytes) in compressed() {
        // A plain archive is complete after its first empty block.
        let whole = if name == "plain" {
            bytes.len() - 1024
        } else {
            bytes.len() - 1
        };
        for end in (0..whole).step_by(97).chain([whole]) {
            let words = Yard::new().refusal(stream(bytes[..end].to_vec()));
            assert!(
                words.contains("is damaged at or after"),
                "{name} at {end}: {words}"
            );
        }
    }
    let words = Yard::new().refusal(stream(b"<html>no such file</html>".repeat(50)));
    assert!(
        words.contains("damaged at or after its beginning"),
        "{words}"
    );
}

#[test]
fn pax_times_and_names_are_kept_and_global_headers_ignored() {
    let archive = [
        raw(
            b"g",
            EntryType::XGlobalHeader,
            b"",
            b"20 comment=whatever\n",
        ),
        pax(&[("path", "line\nbreak ü"), ("mtime", "-1.25")]),
        raw(b"short", EntryType::Regular, b"", b"abc"),
        pax(&[("mtime", "12.123456789")]),
        raw(b"./", EntryType::Directory, b"", b""),
    ];
    let yard = Yard::new();
    let built = yard.build(stream(ended(archive.concat()))).unwrap();
    assert_eq!(
        words(&built.manifest),
        [
            ". 755 12.123456789 dir",
            "line\nbreak ü 755 -2.750000000 file of 3"
        ]
    );
    assert_eq!(yard.differences(&built), [""; 0]);
}

#[test]
fn g8_hostile_members_are_refused_by_name() {
    let cases: [(&[u8], EntryType, &[u8], &str); 10] = [
        (
            b"../x",
            EntryType::Regular,
            b"",
            "`../x`: it leaves the tree",
        ),
        (
            b"/../x",
            EntryType::Regular,
            b"",
            "`../x`: it leaves the tree",
        ),
        (b"dev", EntryType::Char, b"", "`dev`: it is a device"),
        (b"dev", EntryType::Block, b"", "`dev`: it is a device"),
        (b"pipe", EntryType::Fifo, b"", "`pipe`: it is a fifo"),
        (
            b"m",
            EntryType::new(b'M'),
            b"",
            "`m`: it is the rest of a file",
        ),
        (
            b"h",
            EntryType::Link,
            b"/etc/passwd",
            "`etc/passwd` is not an earlier file",
        ),
        (b"h", EntryType::Link, b"x", "`x` is not an earlier file"),
        (
            b"caf\xe9",
            EntryType::Regular,
            b"",
            "`caf\\xe9`: its name is not UTF-8",
        ),
        (
            b"l",
            EntryType::Symlink,
            b"\xe9",
            "`l`: it is a link to something",
        ),
    ];
    for (path, kind, link, told) in cases {
        let words = Yard::new().refusal(stream(ended(raw(path, kind, link, b""))));
        assert!(words.contains(told), "{words}");
    }
    let through = [
        raw(b"l", EntryType::Symlink, b"/tmp", b""),
        raw(b"l/x", EntryType::Regular, b"", b"x"),
    ];
    let words = Yard::new().refusal(stream(ended(through.concat())));
    assert!(words.contains("below a symbolic link"), "{words}");
}

#[test]
fn invalid_headers_are_damage_and_cost_no_memory() {
    let mut huge = header(EntryType::XHeader, 1 << 40);
    huge.set_cksum();
    let words = Yard::new().refusal(stream(huge.as_bytes().to_vec()));
    assert!(words.contains("more than 1 MiB"), "{words}");
    let mut sum = sample();
    sum[0] ^= 1;
    let words = Yard::new().refusal(stream(sum));
    assert!(words.contains("checksum"), "{words}");
}
