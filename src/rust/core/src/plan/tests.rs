use super::*;

const RATES: Rates = Rates { single: 1e11, double: 5e10, copy: 2e10 };

fn atlas(cells: usize) -> AtlasSize {
    AtlasSize { cells, genes: 15_000, stored: 1_700 * cells, homologous: 12_000, ..AtlasSize::default() }
}

fn settings() -> Settings {
    Settings {
        sam: SamOptions::default(),
        mapping: MappingOptions { max_neighborhood: Some(1_000), ..MappingOptions::default() },
        components: 300,
        solver: PcaSolver::Auto,
        edges: 12_000,
        epochs: 200,
        threads: 2,
        memory: 1 << 30,
        on_disk: false,
    }
}

fn peak(phases: &[PlannedPhase]) -> f64 {
    phases.iter().map(|phase| phase.bytes).fold(0.0, f64::max)
}

#[test]
fn phases_are_those_of_a_run_in_their_order() {
    let phases = plan(&[atlas(2_000), AtlasSize { fitted: true, ..atlas(3_000) }], &settings(), Some(RATES));
    let names: Vec<&str> = phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(names[..5], ["preprocess", "sam", "loadings", "preprocess", "loadings"]);
    assert_eq!(
        names[5..9],
        ["projection within species", "neighbourhoods", "pass 1: projection", "pass 1: cross-species neighbours"]
    );
    assert_eq!(names[names.len() - 3..], ["pass 3: cross-species neighbours", "pass 3: mutual neighbours", "umap"]);
    assert_eq!(phases.iter().filter(|phase| phase.name.ends_with("refinement")).count(), 2);
    let usable = |phase: &PlannedPhase| phase.time.is_some_and(|t| t.floor > 0.0 && t.expected >= t.floor);
    assert!(phases.iter().all(|phase| phase.bytes > 0.0 && usable(phase)));
}

#[test]
fn with_capped_budgets_memory_grows_at_most_linearly_with_the_cells() {
    let peak = |cells| peak(&plan(&[atlas(cells), atlas(cells)], &settings(), Some(RATES)));
    // Less than tenfold: what belongs to the genes stays.
    let ratio = peak(400_000) / peak(40_000);
    assert!(ratio > 5.0 && ratio < 10.0, "{ratio}");
}

#[test]
fn what_takes_more_is_planned_with_more() {
    let base = plan(&[atlas(20_000), atlas(20_000)], &settings(), Some(RATES));
    let uncapped =
        Settings { mapping: MappingOptions { max_neighborhood: None, ..MappingOptions::default() }, ..settings() };
    let wider = Settings { components: 600, ..settings() };
    for other in [&uncapped, &wider] {
        assert!(peak(&plan(&[atlas(20_000), atlas(20_000)], other, Some(RATES))) > peak(&base));
    }
    let on_disk = plan(&[atlas(20_000), atlas(20_000)], &Settings { on_disk: true, ..settings() }, Some(RATES));
    // 20 000 x 1 700 counts of which six bytes each, for six in ten of them, are not held any more; pages in use are.
    let held = 2.0 * (20_000.0 * 1_700.0 * 0.6 * 6.0 - (1 << 30) as f64 / 16.0);
    assert!(peak(&base) - peak(&on_disk) > 0.9 * held, "{} {}", peak(&base), peak(&on_disk));
    let fast = Rates { single: 2e11, double: 1e11, copy: 4e10 };
    let twice = plan(&[atlas(20_000), atlas(20_000)], &settings(), Some(fast));
    for (slow, fast) in base.iter().zip(&twice) {
        let seconds = |phase: &PlannedPhase| phase.time.unwrap().expected;
        assert!((seconds(slow) / seconds(fast) - 2.0).abs() < 1e-9);
    }
}
