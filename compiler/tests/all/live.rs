//! What runs say that is left of a network: live parameters and FLOPs.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A program of a network on the digits, with the layer `Net` that `body` declares.
fn program(body: &str) -> String {
    format!(
        "use std.layers.{{Dense, Depthwise, LinearConv2d, Lstm, global_pool, resize}}

data digits = digits()

{body}

model net = Net

minimize cross_entropy(net(digits.image / 16), digits.label)

train {{
    epochs    = 1
    batch     = 32
    optimizer = sgd(lr: 0.01)
    seed      = 1
}}
"
    )
}

fn spnc(folder: &Path, args: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_spnc")).args(args).current_dir(folder).output().expect("spnc starts");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What `spnc summary` counts, and the report of a run.
fn counted(body: &str) -> (u64, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("net.spnet"), program(body)).expect("written");
    let summary: Value =
        serde_json::from_slice(&spnc(folder.path(), &["summary", "net.spnet", "--json"])).expect("JSON");
    let _ = spnc(folder.path(), &["run", "net.spnet", "--limit", "32", "--out", "run", "-q"]);
    let report = std::fs::read_to_string(folder.path().join("run/report.json")).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    (summary["flops"].as_u64().expect("a number"), report["remaining"].clone())
}

/// Padding, strides, channels by themselves, a transposed convolution, a resized image.
#[test]
fn a_dense_run_counts_what_the_summary_counts() {
    let (summary, left) = counted(
        "layer Net(image: [B, H, W]) -> [B, 10] {
    wide = LinearConv2d[Out = 6]
    strided = LinearConv2d[Out = 4](stride: 2)
    each = Depthwise
    param up: [In: 4, Out: 3, KH: 3, KW: 3] ~ normal(0, 0.1)
    fc = Dense[Out = 10]
    maps = reshape(image, [B, 1, H, W]) |> resize(9, 11) |> wide |> relu |> strided |> each
    conv_transpose2d(maps, up, stride: 2, padding: 1) |> relu |> global_pool |> fc
}",
    );
    assert_eq!([&left["flops"], &left["live_flops"]].map(Value::as_u64), [Some(summary); 2]);
}

/// The share of the second branch is relu(0.25 - 1).
#[test]
fn a_branch_without_a_share_is_dead() {
    let (summary, left) = counted(
        "layer Net(image: [B, H, W]) -> [B, 10] {
    param alpha: [Branch: 2] = 0.25
    share = relu(alpha - positions(2))
    fc1 = Dense[Out = 10]
    fc2 = Dense[Out = 10]
    flat = reshape(image, [B, 64])
    element(share, Branch, 0) * fc1(flat) + element(share, Branch, 1) * fc2(flat)
}",
    );
    assert_eq!(left["live"], 1 + 650);
    assert_eq!(left["live_flops"].as_u64(), Some(summary / 2));
}

/// Of eight units the last six have a mask of 0.
#[test]
fn units_with_a_mask_of_zero_are_dead() {
    let (_, left) = counted(
        "layer Net(image: [B, H, W]) -> [B, 10] {
    param s: [Hidden: 8] = 1.5
    mask = relu(s - positions(8))
    fc1 = Dense[Out = 8]
    fc2 = Dense[Out = 10]
    fc2(relu(fc1(reshape(image, [B, 64]))) * mask)
}",
    );
    assert_eq!(left["live"], 2 + 2 * 65 + 2 * 10 + 10);
    assert_eq!(left["live_flops"], 2 * (64 * 2 + 2 * 10));
}

/// Nothing is multiplied with the zeros that a recurrence starts with, and the gates that would multiply them are not computed.
#[test]
fn a_recurrence_counts_what_its_steps_need() {
    let (summary, left) = counted(
        "layer Net(image: [B, H, W]) -> [B, 10] {
    lstm = Lstm[Hidden = 6]
    fc = Dense[Out = 10]
    fc(last(lstm(transpose(image, H, B, W)), H))
}",
    );
    // Every input for four gates, but the first one for three; every state but the first.
    assert_eq!(summary, 2 * (8 * 8 * 24 - 8 * 6 + 7 * 6 * 24 + 60));
    assert_eq!([&left["flops"], &left["live_flops"]].map(Value::as_u64), [Some(summary); 2]);
}
