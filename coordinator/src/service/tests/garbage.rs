//! Whatever is asked, in whatever order: nothing panics, nothing is refused as the service's own fault, and the sweep beside it
//! ends as it would have.

use proptest::prelude::*;

use super::*;

/// A call, with words and numbers that may or may not mean something.
#[derive(Clone, Debug)]
enum Call {
    Register { id: String, slots: u32, version: u32 },
    Lease { worker: String },
    Heartbeat { worker: String, token: String, running: Vec<(u64, f64)> },
    Report { token: String, points: Vec<(u64, Vec<u64>)> },
    Finish { token: String, outcomes: Vec<(u64, Option<u64>)> },
    Release { token: String },
    Baseline { digest: String },
    Create { request: String, source: String, overrides: Vec<String> },
    Ask { id: String, from: u64, page_token: String },
    Cancel { id: String },
    Retry { id: String },
    Drain { worker: String },
}

/// A word: one that is in use, or any.
fn word(known: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![prop::sample::select(known).prop_map(str::to_owned), any::<String>(), "[a-z0-9:-]{0,20}"]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..12_u64, any::<u64>(), Just(u64::MAX), Just(i64::MAX as u64 + 1)]
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    // The sweep that is to end well is none of these names' business: they know of it, but may not cancel it.
    const WORKERS: &[&str] = &["other", "a", ""];
    const TOKENS: &[&str] = &["map-0:1", "map:1", "TOKEN"];
    const IDS: &[&str] = &["OTHER", "map"];
    const OVERRIDES: &[&str] = &["task.train.steps=0", "axes.seed.count=0", "=", "a.b.c=[[[", "name=1"];
    let source = prop_oneof![any::<String>(), Just(map(3)), Just(map(3).replace('=', ": "))];
    let call = prop_oneof![
        (word(WORKERS), any::<u32>(), 0..3_u32).prop_map(|(id, slots, version)| Call::Register { id, slots, version }),
        word(WORKERS).prop_map(|worker| Call::Lease { worker }),
        (word(WORKERS), word(TOKENS), prop::collection::vec((number(), any::<f64>()), 0..4))
            .prop_map(|(worker, token, running)| Call::Heartbeat { worker, token, running }),
        (word(TOKENS), prop::collection::vec((number(), prop::collection::vec(number(), 0..3)), 0..3))
            .prop_map(|(token, points)| Call::Report { token, points }),
        (word(TOKENS), prop::collection::vec((number(), prop::option::of(number())), 0..3))
            .prop_map(|(token, outcomes)| Call::Finish { token, outcomes }),
        word(TOKENS).prop_map(|token| Call::Release { token }),
        word(&["d"]).prop_map(|digest| Call::Baseline { digest }),
        (word(&["a wish", "another"]), source, prop::collection::vec(word(OVERRIDES), 0..2))
            .prop_map(|(request, source, overrides)| Call::Create { request, source, overrides }),
        (word(IDS), number(), word(&["1", "0"])).prop_map(|(id, from, page_token)| Call::Ask { id, from, page_token }),
        word(IDS).prop_map(|id| Call::Cancel { id }),
        word(IDS).prop_map(|id| Call::Retry { id }),
        word(WORKERS).prop_map(|worker| Call::Drain { worker }),
    ];
    prop::collection::vec(call, 0..40)
}

/// Makes the call, with the token and the sweep that the words TOKEN and OTHER stand for. Whatever it answers is one of the
/// answers that there are; that the store fails is none.
async fn make(coordinator: &Coordinator, call: Call, token: &str, other: &str) {
    let meant = |word: String| word.replace("TOKEN", token).replace("OTHER", other);
    let outcome: Result<(), Refusal> = match call {
        Call::Register { id, slots, version } => {
            let numerics_version = NUMERICS_VERSION - 1 + version;
            let worker = Registration { slots, numerics_version, ..worker(&id, 1) };
            coordinator.register(worker).await.map(drop)
        }
        Call::Lease { worker } => match coordinator.lease(&worker, Duration::ZERO).await {
            // Given back, so that the worker of the test finds it.
            Ok(LeaseAnswer { lease: Some(lease), .. }) => coordinator.release(&lease.token).await,
            answer => answer.map(drop),
        },
        Call::Heartbeat { worker, token, running } => {
            coordinator.heartbeat(&worker, vec![HeldLease { token: meant(token), running }]).await.map(drop)
        }
        Call::Report { token, points } => {
            let records = |(point, steps): (u64, Vec<u64>)| (point, steps.into_iter().map(record).collect());
            coordinator.report(&meant(token), points.into_iter().map(records).collect()).await.map(drop)
        }
        Call::Finish { token, outcomes } => {
            let outcome = |records: Option<u64>| match records {
                Some(records) => Outcome::Completed { records },
                None => Outcome::Failed { error: "garbage".to_owned(), permanent: false },
            };
            let outcomes = outcomes.into_iter().map(|(point, records)| (point, outcome(records))).collect();
            coordinator.finish(&meant(token), outcomes).await.map(drop)
        }
        Call::Release { token } => coordinator.release(&meant(token)).await,
        Call::Baseline { digest } => coordinator.store_baseline(&digest, v1::Estimate::default()).await,
        Call::Create { request, source, overrides } => {
            coordinator.create_sweep(&request, &source, &overrides).await.map(drop)
        }
        Call::Ask { id, from, page_token } => {
            let _ = coordinator.sweeps(u32::try_from(from % 2000).unwrap_or_default(), &page_token).await;
            coordinator.results(&meant(id), from, 10).await.map(drop)
        }
        Call::Cancel { id } => coordinator.cancel(&meant(id)).await.map(drop),
        Call::Retry { id } => coordinator.retry(&meant(id)).await.map(drop),
        Call::Drain { worker } => coordinator.drain(&worker).await,
    };
    if let Err(Refusal::Unavailable(reason) | Refusal::DataLoss(reason)) = outcome {
        panic!("the call was not refused but failed: {reason}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_call_does_harm(calls in calls()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            // A point that a call sets back is to be had again at once: the work that follows does not wait.
            let settings = Settings { retry_backoff: Duration::ZERO, ..patient() };
            let coordinator = Coordinator::open(folder.path(), &Place::Nowhere, settings).await.unwrap();
            let id = coordinator.create_sweep("a wish", &map(6), &[]).await.unwrap().id;
            coordinator.register(worker("w", 2)).await.unwrap();
            coordinator.register(worker("other", 1)).await.unwrap();
            let other = coordinator.create_sweep("other", &map(5).replace("\"map\"", "\"other\""), &[]).await.unwrap().id;
            let held = coordinator.lease("other", Duration::ZERO).await.unwrap().lease.unwrap();
            for call in calls {
                make(&coordinator, call, &held.token, &other).await;
            }
            coordinator.release(&held.token).await.unwrap();
            coordinator.register(worker("w", 2)).await.unwrap();
            work_off(&coordinator).await;
            let (view, failed) = coordinator.sweep(&id).await.unwrap();
            assert_eq!((view.state, view.progress.finished), (SweepState::Completed, 6), "{failed:?}");
            assert_eq!(coordinator.results(&id, 0, 100).await.unwrap().len(), 6);
            coordinator.shutdown().await;
            // What was stored can be read again.
            assert!(!open(&folder).await.sweeps(0, "").await.unwrap().0.is_empty());
        });
    }
}
