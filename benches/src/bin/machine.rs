//! What this machine can do at best, in one line of JSON: copy bandwidth and the rates of dense `f32` and `f64` products on
//! the threads of `RAYON_NUM_THREADS` (default: all cores). The floors in docs/performance.md are made of these.

use samap_core::plan::Rates;

fn main() -> samap_benches::Result<()> {
    let rates = Rates::measure(rayon::current_num_threads())?;
    let (threads, copy) = (rayon::current_num_threads(), rates.copy / 1e9);
    let (single, double) = (rates.single / 1e9, rates.double / 1e9);
    println!(
        "{{\"threads\": {threads}, \"copy_gb_s\": {copy:.1}, \"sgemm_gflop_s\": {single:.0}, \"dgemm_gflop_s\": {double:.0}}}"
    );
    Ok(())
}
