//! Claims about segments: that they lose nothing, and that of a file only what is wanted is read.

mod reading;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Anything that a number can be, to the bit, and often nothing.
fn real() -> impl Strategy<Value = f64> {
    prop_oneof![any::<u64>().prop_map(f64::from_bits), -1e3..1e3, Just(0.0), Just(-0.0)]
}

fn maybe() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(real())
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), Just(0), Just(u64::MAX)]
}

/// Many fields at once.
fn maybes<const N: usize>() -> impl Strategy<Value = [Option<f64>; N]> {
    prop::collection::vec(maybe(), N).prop_map(|values| values.try_into().expect("as many"))
}

fn settings() -> impl Strategy<Value = v1::SamplerSettings> {
    let texts = ("[a-zα]{0,9}", "[a-z_]{0,9}", "[a-z]{0,9}");
    let counts = prop::array::uniform4(any::<u32>());
    (texts, maybe(), real(), real(), counts, count()).prop_map(
        |((preset, method, initial_loss), step_size, localization, nbeta, counts, batch_size)| {
            let [chains, burn_in, draws, layer] = counts;
            v1::SamplerSettings {
                preset,
                step_size,
                localization,
                nbeta,
                chains,
                burn_in,
                draws,
                batch_size,
                method,
                layer,
                initial_loss,
            }
        },
    )
}

fn estimate() -> impl Strategy<Value = v1::Estimate> {
    let health = prop_oneof![0..7_i32, any::<i32>()];
    (any::<u32>(), maybes::<15>(), prop::option::of(settings()), health, ".{0,9}").prop_map(
        |(sampler, values, settings, health, health_reason)| {
            let [llc, llc_se, llc_baseline_zero, llc_baseline_init, r_hat, ess, drift, below_initial, rest @ ..] =
                values;
            let [distance, initial_loss, stiffness, acceptance, localization, step_size, llc_gauss_newton] = rest;
            v1::Estimate {
                sampler,
                llc,
                llc_se,
                llc_baseline_zero,
                llc_baseline_init,
                r_hat,
                ess,
                drift,
                below_initial,
                distance,
                initial_loss,
                settings,
                health,
                health_reason,
                stiffness,
                acceptance,
                sensitivity_localization: localization,
                sensitivity_step_size: step_size,
                llc_gauss_newton,
            }
        },
    )
}

fn record() -> impl Strategy<Value = v1::Record> {
    let estimates = prop::collection::vec(estimate(), 0..4);
    (count(), maybes::<10>(), estimates, prop::option::of(count())).prop_map(
        |(step, values, estimates, jacobian_rank)| {
            let [train_loss, val_loss, train_loss_reported, val_loss_reported, rest @ ..] = values;
            let [train_accuracy, val_accuracy, weight_norm, ipr, hessian_trace, hessian_trace_se] = rest;
            v1::Record {
                step,
                train_loss,
                val_loss,
                train_loss_reported,
                val_loss_reported,
                train_accuracy,
                val_accuracy,
                weight_norm,
                ipr,
                estimates,
                jacobian_rank,
                hessian_trace,
                hessian_trace_se,
            }
        },
    )
}

fn measurement(point: u64, record: &v1::Record) -> Measurement {
    Measurement { point, step: record.step, payload: record.encode_to_vec() }
}

/// What a segment of these holds, as the messages' bytes.
fn read_back(encoded: &Encoded) -> Vec<(u64, Vec<u8>)> {
    let bytes = Bytes::copy_from_slice(&encoded.bytes);
    let footer = Footer::read(&bytes[bytes.len() - encoded.footer as usize..], &encoded.digest).unwrap();
    let rows = footer.groups.iter().enumerate().flat_map(|(number, group)| {
        decode(&footer, number, bytes.slice(group.extent.start as usize..group.extent.end as usize)).unwrap()
    });
    rows.map(|row| (row.point, row.record.encode_to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn any_records_read_back_to_the_bit(records in prop::collection::vec((any::<u64>(), record()), 1..40)) {
        let mut records: Vec<_> = records.iter().map(|(point, record)| measurement(*point, record)).collect();
        records.sort_by_key(|record| (record.point, record.step));
        let expected: Vec<_> = records.iter().map(|record| (record.point, record.payload.clone())).collect();
        prop_assert_eq!(read_back(&encode::encode(&records).unwrap()), expected);
        // What the seal itself makes sure of.
        prop_assert_eq!(Draft::new(&records).unwrap().rows, records.len() as u64);
    }
}

/// A record as a sweep leaves them: one estimate, settings and all.
fn plain(point: u64, step: u64) -> Measurement {
    let number = |salt: u64| Some(((point * 31 + step * 7 + salt) as f64).sin());
    let settings = v1::SamplerSettings { nbeta: 26.0, chains: 4, method: "sgld".into(), ..Default::default() };
    let estimate = v1::Estimate {
        llc: number(1),
        llc_se: number(2),
        settings: Some(settings),
        health: v1::Health::Ok.into(),
        ..Default::default()
    };
    let record = v1::Record {
        step,
        train_loss: number(3),
        train_accuracy: Some(1.0),
        estimates: vec![estimate],
        ..Default::default()
    };
    measurement(point, &record)
}

fn plain_records(points: Range<u64>) -> Vec<Measurement> {
    points.flat_map(|point| (0..10).map(move |step| plain(point, step * 100))).collect()
}

#[test]
fn a_record_that_is_none_is_not_sealed() {
    let records = [Measurement { point: 3, step: 0, payload: vec![0xff] }];
    let refused = Draft::new(&records).unwrap_err();
    assert!(refused.to_string().starts_with("a record of point 3 cannot be read"), "{refused}");
}

#[test]
fn columns_are_named_once_and_as_in_the_records_table() {
    let encoded = encode::encode(&[plain(0, 0)]).unwrap();
    let footer =
        Footer::read(&encoded.bytes[encoded.bytes.len() - encoded.footer as usize..], &encoded.digest).unwrap();
    let paths: Vec<_> =
        footer.metadata.row_group(0).columns().iter().map(|column| column.column_path().string()).collect();
    assert_eq!(paths.len(), 13 + 18 + 11);
    assert_eq!(paths.iter().collect::<std::collections::BTreeSet<_>>().len(), paths.len());
    for path in
        ["point", "step", "val_accuracy", "estimates.list.element.llc_se", "estimates.list.element.settings.nbeta"]
    {
        assert!(paths.iter().any(|known| known == path), "{path}");
    }
}

#[test]
fn pandas_opens_a_segment_as_it_is() {
    let settings = v1::SamplerSettings { nbeta: 26.4, batch_size: 128, method: "sgld".into(), ..Default::default() };
    let one = v1::Estimate { llc: Some(0.1), settings: Some(settings), health: 1, ..Default::default() };
    let another = v1::Estimate { sampler: 7, health: 99, ..Default::default() };
    let full = v1::Record { step: 5, jacobian_rank: Some(3), estimates: vec![one, another], ..Default::default() };
    let records = [
        measurement(0, &v1::Record { train_loss: Some(1e-300), ..Default::default() }),
        measurement(0, &full),
        measurement(u64::MAX, &v1::Record { step: u64::MAX, ..Default::default() }),
    ];
    let settings = json!({ "method": "sgld", "nbeta": 26.4, "batch_size": 128, "step_size": null });
    let estimates = [
        json!({ "sampler": 0, "llc": 0.1, "health": "ok", "settings": settings }),
        json!({ "sampler": 7, "llc": null, "health": "99", "settings": null }),
    ];
    let row = |point: u64, step: u64, train_loss: Option<f64>, jacobian_rank: Option<u64>, estimates: &[Value]| {
        json!({
            "point": point, "step": step, "train_loss": train_loss, "jacobian_rank": jacobian_rank, "estimates": estimates
        })
    };
    let expected = json!([
        row(0, 0, Some(1e-300), None, &[]),
        row(0, 5, None, Some(3), &estimates),
        row(u64::MAX, u64::MAX, None, None, &[]),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let (segment, wanted) = (folder.path().join("00000001.parquet"), folder.path().join("expected.json"));
    std::fs::write(&segment, encode::encode(&records).unwrap().bytes).unwrap();
    std::fs::write(&wanted, expected.to_string()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/segment_check.py");
    let check = std::process::Command::new("python3").arg(script).arg(segment).arg(wanted).output();
    let check = check.expect("python3 is needed for this test");
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}
