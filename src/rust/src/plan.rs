//! The plan of a run: memory and time per phase before anything runs.

use crate::alignment_scores::each_species;
use crate::convert::Fields;
use crate::error::outcome;
use crate::job::{Job, Pack};
use crate::options;
use extendr_api::prelude::*;
use samap_core::Result;
use samap_core::plan::{AtlasSize, PlannedPhase, Rates, Settings, memory, plan};

/// Plans a run: `data.frame(species, phase, bytes, floor, seconds)`; species are numbers (0: all), times are NaN unless the
/// machine is `measured` first. `species`: list of `list(cells, genes, stored, homologous, groups, fitted, neighborhood_size,
/// neigh_from_keys)`; `settings`: `list(sam, knn, loadings, mapping, umap, edges, on_disk)`, `umap` being NULL for no layout.
#[extendr]
fn plan_start(species: Robj, settings: Robj, measured: bool, threads: i32, memory: f64) -> Robj {
    outcome(|| {
        let fields = each_species(&species)?;
        let atlases: Vec<AtlasSize> = fields.iter().map(atlas_size).collect::<Result<_>>()?;
        let settings = settings_of(&settings, &fields, &atlases, threads, memory)?;
        Job::start(threads, memory, vec![], move |_| {
            let rates = if measured { Some(Rates::measure(settings.threads)?) } else { None };
            let phases = plan(&atlases, &settings, rates);
            Ok(Box::new(move || Ok(phases_to_r(&phases))) as Pack)
        })
    })
}

fn atlas_size(fields: &Fields) -> Result<AtlasSize> {
    Ok(AtlasSize {
        cells: fields.count("cells")?,
        genes: fields.count("genes")?,
        stored: fields.count("stored")?,
        homologous: fields.count("homologous")?,
        groups: fields.numbers("groups")?.into_iter().map(|size| size as usize).collect(),
        fitted: fields.flag("fitted")?,
    })
}

fn settings_of(
    object: &Robj,
    species: &[Fields],
    atlases: &[AtlasSize],
    threads: i32,
    memory: f64,
) -> Result<Settings> {
    let fields = Fields::of("settings", object)?;
    let knn = options::knn(fields.get("knn")?, 0.0)?;
    let (components, solver) = options::loadings(fields.get("loadings")?)?;
    let cells = atlases.iter().map(|atlas| atlas.cells).sum();
    let epochs = fields.optional("umap").map(|object| Ok(options::umap(object)?.epochs(cells))).transpose()?;
    Ok(Settings {
        sam: options::sam(fields.get("sam")?, knn.clone())?,
        mapping: options::mapping(fields.get("mapping")?, species, knn)?,
        components,
        solver,
        edges: fields.count("edges")?,
        epochs: epochs.unwrap_or(0),
        threads: threads.max(1) as usize,
        memory: memory as usize,
        on_disk: fields.flag("on_disk")?,
    })
}

fn phases_to_r(phases: &[PlannedPhase]) -> Robj {
    let column = |of: fn(&PlannedPhase) -> f64| phases.iter().map(of).collect::<Vec<f64>>();
    data_frame!(
        species = column(|phase| phase.species.map_or(0.0, |species| species as f64 + 1.0)),
        phase = phases.iter().map(|phase| phase.name.clone()).collect::<Vec<_>>(),
        bytes = column(|phase| phase.bytes),
        floor = column(|phase| phase.time.map_or(f64::NAN, |time| time.floor)),
        seconds = column(|phase| phase.time.map_or(f64::NAN, |time| time.expected))
    )
}

/// Memory in bytes, NA where the system does not tell: `list(resident, available, total)`.
#[extendr]
fn machine_memory_() -> Robj {
    let memory = memory();
    let number = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
    list!(resident = number(memory.resident), available = number(memory.available), total = number(memory.total)).into()
}

extendr_module! {
    mod plan;
    fn plan_start;
    fn machine_memory_;
}
