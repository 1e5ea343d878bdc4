//! Processes one hostile input and prints by how many KiB the memory of this process has grown at most.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program of the tests, which measures itself"
)]

use std::fs;
use std::io::{self, Cursor, Read, Write};

use tljournal::{Manifest, SourceEntry, Timestamp, TreeOptions, TreeSource};
use tljournal_cli::describe::Description;
use tljournal_testkit::{World, explain};

use crate::{Args, Played};

type Said = Result<(), String>;

pub(crate) fn play(args: Args) -> Played {
    let arguments: Vec<_> = args.collect();
    let [root, name, number] = &arguments[..] else {
        panic!("peak ROOT NAME NUMBER");
    };
    let number: u64 = number.parse().expect("a number");
    let world = World::at(root.as_str());
    let meet: Box<dyn FnOnce() -> Said> = match name.as_str() {
        "zeros" => installed(world, compressed(&[&file(number << 20)], number << 20)),
        "extended" => installed(world, compressed(&[&header(b'x', number << 30)], 64 << 20)),
        "global" => installed(world, compressed(&[&header(b'g', number << 30)], 64 << 20)),
        "window-zstd" => installed(world, wide_zstd()),
        "window-xz" => installed(world, wide_xz()),
        "entries" => Box::new(move || install(&world, entries(number))),
        "manifest" => decoded(listed(number)),
        "claim" => decoded([&b"tljmft\0\x01"[..], &[0xff; 8], &[0; 8]].concat()),
        "nested" => described(format!(
            "{{\"changes\": [{{\"put\": {}",
            "[".repeat(4 << 20)
        )),
        "changes" => described(many(number)),
        name => panic!("`{name}` is no input"),
    };
    fs::write("/proc/self/clear_refs", "5").expect("a peak that begins anew");
    let before = peak_kib();
    let said = meet();
    println!("{}", peak_kib() - before);
    println!("{}", said.err().unwrap_or_default());
    Ok(())
}

/// The peak memory of this process.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let digits = line.expect("a peak").trim().trim_end_matches(" kB");
    digits.parse().expect("a number")
}

fn install(world: &World, source: TreeSource) -> Said {
    let journal = world.open();
    let done = journal.install("build/tools", source, TreeOptions::default());
    done.map(drop).map_err(|error| explain(&error))
}

fn installed(world: World, archive: Vec<u8>) -> Box<dyn FnOnce() -> Said> {
    Box::new(move || install(&world, TreeSource::stream(Cursor::new(archive))))
}

fn decoded(bytes: Vec<u8>) -> Box<dyn FnOnce() -> Said> {
    Box::new(move || {
        let read = Manifest::decode(&bytes);
        read.map(drop).map_err(|error| error.to_string())
    })
}

fn described(text: String) -> Box<dyn FnOnce() -> Said> {
    Box::new(move || {
        let read = Description::parse(text.as_bytes());
        read.map(drop).map_err(|error| error.to_string())
    })
}

fn header(kind: u8, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("name").expect("a name");
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn file(size: u64) -> Vec<u8> {
    header(b'0', size)
}

/// These bytes, followed by zeros and the end of an archive, compressed.
fn compressed(begin: &[&[u8]], zeros: u64) -> Vec<u8> {
    let mut out = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
    for bytes in begin {
        out.write_all(bytes).expect("a byte");
    }
    io::copy(&mut io::repeat(0).take(zeros + 1024), &mut out).expect("zeros");
    out.finish().expect("an end")
}

/// A frame that requires a window of 2 GiB.
fn wide_zstd() -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3];
    frame.extend([0x01 | 0x02, 0x00, 0x10, 0x00]);
    frame
}

/// A stream that requires a dictionary of 4 GiB.
fn wide_xz() -> Vec<u8> {
    let mut stream = Vec::new();
    let mut out = liblzma::write::XzEncoder::new(&mut stream, 0);
    out.write_all(&file(0)).expect("a byte");
    out.finish().expect("an end");
    // The header of the first block: its size, flags, the filter, one byte of properties, a checksum.
    let begin = 12;
    let end = begin + (usize::from(stream[begin]) + 1) * 4 - 4;
    stream[begin + 4] = 40;
    let mut sum = flate2::Crc::new();
    sum.update(&stream[begin..end]);
    stream[end..end + 4].copy_from_slice(&sum.sum().to_le_bytes());
    stream
}

fn entries(count: u64) -> TreeSource {
    let time = Timestamp::new(1, 2);
    let entry = move |n: u64| {
        let path = format!("{}/a-name-of-some-length-{n}", n % 100);
        Ok(SourceEntry::file(path, 0o644, time, io::empty()))
    };
    TreeSource::entries((0..count).map(entry))
}

/// An encoded manifest with entries of minimal length.
fn listed(count: u64) -> Vec<u8> {
    let mut bytes = b"tljmft\0\x01".to_vec();
    bytes.extend((count + 1).to_le_bytes());
    for n in 0..=count {
        let path = if n == 0 {
            String::new()
        } else {
            format!("{n:08}")
        };
        bytes.extend((path.len() as u64).to_le_bytes());
        bytes.extend(path.as_bytes());
        bytes.extend([0; 16]);
        bytes.push(b'd');
    }
    bytes
}

fn many(count: u64) -> String {
    let changes = vec![r#"{"remove":"a"}"#; count as usize];
    format!("{{\"changes\":[{}]}}", changes.join(","))
}
