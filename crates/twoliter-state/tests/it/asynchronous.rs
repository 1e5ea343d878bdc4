//! Asynchronous callers, which may drop a call at any time.

#![cfg(feature = "tokio")]

use std::future::Future;
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};

use tljournal::{Expect, Payload};
use tljournal_testkit::{World, check_at_rest};
use twoliter_state::{AsyncState, Error, State};

fn put(state: &State, path: &str) -> Result<(), Error> {
    let mut txn = state.journal().begin("put");
    txn.put(path, Payload::from("done"), Expect::Any)?;
    txn.prepare()?.commit()?;
    Ok(())
}

#[tokio::test]
async fn calls_can_be_awaited_side_by_side() {
    let world = World::new();
    let state = AsyncState::open(world.root()).await.unwrap();
    let calls = (0..8).map(|n| {
        let state = state.clone();
        tokio::spawn(async move {
            state
                .run(move |state| put(state, &format!("build/{n}")))
                .await
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert!((0..8).all(|n| world.path(&format!("build/{n}")).exists()));
    state.close().await.unwrap();
}

#[test]
fn a_dropped_future_leaves_no_unfinished_transaction() {
    let world = World::new();
    let state = AsyncState::from(State::with(world.open()));
    let (begun, has_begun) = channel();
    let (go, may_go) = channel::<()>();
    let (ended, has_ended) = channel();
    let mut call = Box::pin(state.run(move |state| {
        begun.send(()).unwrap();
        may_go.recv().unwrap();
        let done = put(state, "build/a");
        ended.send(()).unwrap();
        done
    }));
    let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Pending));
    has_begun.recv().unwrap();
    drop(call);
    go.send(()).unwrap();
    has_ended.recv().unwrap();
    assert_eq!(world.read("build/a"), "done");
    drop(state);
    assert_eq!(check_at_rest(&world), [""; 0]);
}

#[test]
fn the_shutdown_of_a_runtime_does_not_wait_for_a_lock() {
    let world = World::new();
    let state = AsyncState::from(State::with(world.open()));
    let holder = world.open();
    let mode = tljournal::LockMode::Exclusive;
    let held = holder.lock("one", mode, "the test", None).unwrap();
    let (begun, has_begun) = channel();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let waiting = state.clone();
    runtime.spawn(async move {
        let work = move |state: &State| {
            begun.send(()).unwrap();
            state
                .journal()
                .lock("one", mode, "the test", None)?
                .release();
            Ok(())
        };
        waiting.run(work).await
    });
    has_begun.recv().unwrap();
    // With tokio's own blocking threads this would wait for the lock.
    drop(runtime);
    held.release();
}

#[tokio::test]
#[should_panic(expected = "as planned")]
async fn a_panic_is_propagated() {
    let world = World::new();
    let state = AsyncState::from(State::with(world.open()));
    let _: () = state.run(|_| panic!("as planned")).await.unwrap();
}
