//! Many processes that commit concurrently: waiting must not cost throughput, and no process may starve.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use tljournal::{Expect, Journal};

use crate::Fallible;
use crate::measure::Report;

const MEMBERS: u32 = 64;

/// What one process reports about its turns.
struct Turns {
    count: u32,
    longest: Duration,
}

/// Compares this many processes with a single one.
pub(crate) fn run(scratch: &Utf8Path, smoke: bool, report: &mut Report) -> Fallible<()> {
    let members = if smoke { 8 } else { MEMBERS };
    let time = Duration::from_secs(if smoke { 1 } else { 10 });
    let root = scratch.join("crowd");
    std::fs::create_dir_all(&root)?;
    Journal::open(&root)?.close()?;
    let alone = crowd(&root, 1, time / 2)?;
    let all = crowd(&root, members, time)?;
    let rate = |turns: &[Turns], time: Duration| {
        f64::from(turns.iter().map(|turns| turns.count).sum::<u32>()) / time.as_secs_f64()
    };
    let (one_rate, all_rate) = (rate(&alone, time / 2), rate(&all, time));
    let shown = |rate: f64| format!("{rate:.0}/s");
    let what = format!("{members} processes at once: time for each commit, to one alone");
    report.ratio(
        &what,
        (&shown(all_rate), &shown(one_rate)),
        one_rate / all_rate,
        1.25,
    );
    let longest = all
        .iter()
        .map(|turns| turns.longest)
        .max()
        .unwrap_or_default();
    let queue = Duration::from_secs_f64(f64::from(members) / one_rate);
    let shown = |time: Duration| format!("{:.0} ms", time.as_secs_f64() * 1000.0);
    let what = format!("{members} processes at once: worst wait, to {members} commits alone");
    let ratio = longest.as_secs_f64() / queue.as_secs_f64();
    report.ratio(&what, (&shown(longest), &shown(queue)), ratio, 4.0);
    let most = all
        .iter()
        .map(|turns| turns.count)
        .max()
        .unwrap_or_default();
    let fewest = all
        .iter()
        .map(|turns| turns.count)
        .min()
        .unwrap_or_default();
    let what = format!("{members} processes at once: most turns, to fewest");
    let ratio = f64::from(most) / f64::from(fewest.max(1));
    report.ratio(&what, (&most.to_string(), &fewest.to_string()), ratio, 2.0);
    Ok(())
}

/// Starts the processes, lets them begin together, and collects their reports.
fn crowd(root: &Utf8Path, members: u32, time: Duration) -> Fallible<Vec<Turns>> {
    let mut children = Vec::new();
    for member in 0..members {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([
            "--dir",
            root.as_str(),
            "--crowd-member",
            &member.to_string(),
        ]);
        children.push(
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?,
        );
    }
    for child in &mut children {
        // Each process reports that it has opened the journal.
        if let Some(out) = &mut child.stdout {
            out.read_exact(&mut [0])?;
        }
    }
    for child in &mut children {
        if let Some(mut input) = child.stdin.take() {
            input.write_all(&time.as_micros().to_string().into_bytes())?;
        }
    }
    children.into_iter().map(collect).collect()
}

fn collect(child: Child) -> Fallible<Turns> {
    let told = String::from_utf8(child.wait_with_output()?.stdout)?;
    let (count, longest) = told
        .trim()
        .split_once(' ')
        .ok_or("a member of the crowd died")?;
    Ok(Turns {
        count: count.parse()?,
        longest: Duration::from_micros(longest.parse()?),
    })
}

/// Commits two small files repeatedly, for the given time.
pub(crate) fn be_member(root: &Utf8Path, member: u32) -> Fallible<()> {
    let journal = Journal::open(root)?;
    print!(".");
    std::io::stdout().flush()?;
    let time = Duration::from_micros(std::io::read_to_string(std::io::stdin())?.parse()?);
    let (begun, mut turns) = (
        Instant::now(),
        Turns {
            count: 0,
            longest: Duration::ZERO,
        },
    );
    while begun.elapsed() < time {
        let turn = Instant::now();
        let mut txn = journal.begin("crowd");
        for name in ["a", "b"] {
            let text = format!("{member} {}", turns.count);
            txn.put(format!("build/crowd/{member}-{name}"), text, Expect::Any)?;
        }
        txn.prepare()?.commit()?;
        turns.longest = turns.longest.max(turn.elapsed());
        turns.count += 1;
    }
    print!("{} {}", turns.count, turns.longest.as_micros());
    journal.close()?;
    Ok(())
}
