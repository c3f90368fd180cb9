//! Memory and work of every phase, as formulas. n cells, g genes, h of them in the homology graph, z counts other than 0, z'
//! those left after preprocessing, k neighbours, K cross-species neighbours, d components of SAM, m components of the mapping
//! per species, D of all species.

use super::ledger::{Ledger, Work};
use super::{AtlasSize, Settings};
use crate::context::MAPPED_SHARE;
use crate::knn::{DIRECTIONS, HELD, KnnOptions, LISTS, Method};
use crate::linalg::eigen::are_few;
use crate::linalg::integers;
use crate::linalg::integers::coarse::{self, Coarse};
use crate::linalg::lanczos;
use crate::linalg::pca::{PcaSolver, exact_limit};
use crate::linalg::randomized_svd::basis;
use crate::linalg::tiled::{SECTION, TILE as TILE_OF_CELLS};
use crate::mapping::Expansion;
use crate::sparse::LANES;

/// Share of the counts that is left after preprocessing with the default options (the rest is below `min_expression`).
const LEFT: f64 = 0.6;
/// Share of what is left that lies in the genes SAM uses.
const IN_USED_GENES: f64 = 0.6;
/// SAM iterations until the weights settle.
const ITERATIONS: f64 = 3.0;
/// Groups that clusters are taken for until they are known.
const CLUSTERS: f64 = 12.0;
/// Sums per gene that exist side by side when cells are gone through in blocks.
const BLOCKS: f64 = 32.0;
/// Bytes per column of factors and sums of a product under way, and of loadings under way.
const PRODUCT: f64 = 384.0;
const LOADINGS: f64 = 512.0;
/// Dense operations in the time of a product of two entries whose place has to be looked up.
const GATHERED: f64 = 45.0;
/// Queries and database rows in a tile of an exact search.
const TILE: f64 = 384.0;
/// Bytes per cell that a neighbourhood may have, where it is held. Two words of 12 bytes hold 64 cells at most: those of cells
/// between cells of the human pancreas some 32, 0.75 bytes each. Neighbourhoods of copies of the same cells stay far smaller
/// than they may be. Before neighbours are known nobody can tell which it will be; with a third of it both are planned within 25 %.
const IN_WORDS: f64 = 0.25;
/// Share of the memory budget that sections of neighbourhoods take: half of its entries, which are counted as 32 bytes each, have a
/// partner (20 bytes), beside which words are few.
const SECTIONS: f64 = 0.3125;
/// Bytes of a number in single and in double precision, of a coordinate in whole units, and of an index.
const SINGLE: f64 = 4.0;
const DOUBLE: f64 = 8.0;
const UNITS: f64 = 2.0;
const INDEX: f64 = 4.0;
/// Bytes of a (column, weight) pair in a row under construction, of such a row itself, and of an edge of a finished graph.
const PAIR: f64 = 16.0;
const ROW: f64 = 24.0;
const EDGE: f64 = 12.0;

/// Products of 16-bit integers in the time of one in single precision: a vector has twice as many of them.
const INTEGERS: f64 = 2.0;

/// Recorded seconds over the floor, per kind of work. Dense products come near the floor; what goes through sparse rows, tables
/// of candidates or sorted lists does not.
mod factor {
    pub const PREPROCESS: f64 = 6.0;
    pub const DECOMPOSITION: f64 = 1.2;
    pub const KRYLOV: f64 = 4.6;
    pub const EXACT_NEIGHBOURS: f64 = 1.5;
    /// In fewer bits first: the floor is that of the looks.
    pub const LOOKS: f64 = 2.4;
    pub const INVERTED_FILE: f64 = 1.9;
    pub const DISPERSIONS: f64 = 3.3;
    pub const PROJECTION: f64 = 4.0;
    pub const NEIGHBOURHOODS: f64 = 10.0;
    pub const MUTUAL: f64 = 2.5;
    pub const REFINEMENT: f64 = 4.1;
    pub const LAYOUT: f64 = 9.0;
}

/// Sizes of one species as numbers.
struct Size {
    n: f64,
    g: f64,
    z: f64,
    left: f64,
    /// Genes of the homology graph.
    h: f64,
    /// Bytes of an entry of the expression.
    entry: f64,
}

impl Size {
    fn of(atlas: &AtlasSize) -> Self {
        let column = if atlas.genes < 1 << 16 { 2.0 } else { 4.0 };
        let z = atlas.stored as f64;
        let (n, g, h) = (atlas.cells as f64, atlas.genes as f64, atlas.homologous as f64);
        Size { n, g, z, left: LEFT * z, h, entry: SINGLE + column }
    }

    /// Components of the mapping.
    fn components(&self, settings: &Settings) -> f64 {
        (settings.components as f64).min(self.n.min(self.g) - 1.0).max(0.0)
    }
}

/// The phases of one species: preprocessing, SAM, loadings.
pub(super) fn species(ledger: &mut Ledger, species: usize, atlas: &AtlasSize, settings: &Settings) {
    let size = Size::of(atlas);
    preprocess(ledger, species, &size, settings);
    if !atlas.fitted {
        sam(ledger, species, &size, settings);
    }
    loadings(ledger, species, &size, settings);
}

/// Counts are copied, transformed in place and compacted. Where they lie in files only the pages in use are in memory.
fn preprocess(ledger: &mut Ledger, species: usize, size: &Size, settings: &Settings) {
    let pages = settings.memory as f64 / MAPPED_SHARE as f64;
    let counts = size.z * size.entry;
    let counts = if settings.on_disk { pages.min(counts) } else { counts };
    let working = counts + 48.0 * size.n + 2.0 * BLOCKS * DOUBLE * size.g;
    let work = Work { moved: size.z * (12.0 + size.entry) + size.left * size.entry, ..Work::default() };
    ledger.phase(Some(species), "preprocess", working, &[(work, factor::PREPROCESS)]);
    ledger.hold(expression(size, settings));
}

/// Bytes of the expression that the engine holds until the end of the mapping.
fn expression(size: &Size, settings: &Settings) -> f64 {
    let entries = size.left * size.entry;
    let pages = settings.memory as f64 / MAPPED_SHARE as f64;
    DOUBLE * size.n + if settings.on_disk { pages.min(entries) } else { entries }
}

/// Averages of a gene under way.
fn averages(settings: &Settings) -> f64 {
    (LANES * settings.threads) as f64
}

/// Principal components, neighbours and dispersions in turn; of an iteration only the last coordinates are kept.
fn sam(ledger: &mut Ledger, species: usize, size: &Size, settings: &Settings) {
    let Size { n, g, left, entry, .. } = *size;
    let genes = settings.sam.n_genes.map_or(g, |genes| g.min(genes as f64));
    let (d, k) = ((settings.sam.npcs as f64).min(n).min(genes), settings.sam.k as f64);
    let entries = IN_USED_GENES * left;
    let components = pca((n, genes, entries), d, settings.sam.solver, true, settings.memory);
    let neighbours = knn(n, n, d, (k, 0.0), &settings.sam.knn, settings.threads);
    let found = n * d * SINGLE + genes * d * SINGLE;
    let sums = (2.0 * BLOCKS + averages(settings)) * DOUBLE * g;
    // What R receives is made while the engine's own is still there.
    let (ours, theirs) = (EDGE * n * k + found, EDGE * n * k + DOUBLE * n * d);
    let working = components.bytes.max(found + neighbours.bytes).max(found + EDGE * n * k + sums).max(ours + theirs);
    let dispersions = Work { moved: k * left * entry, ..Work::default() };
    let parts = [
        (components.work.times(ITERATIONS), components.factor),
        (neighbours.work.times(ITERATIONS), neighbours.factor),
        (dispersions.times(ITERATIONS), factor::DISPERSIONS),
    ];
    ledger.phase(Some(species), "sam", working, &parts);
    ledger.hold(theirs);
}

/// The components the mapping projects through: of all genes, of which those of the homology graph are kept.
fn loadings(ledger: &mut Ledger, species: usize, size: &Size, settings: &Settings) {
    let m = size.components(settings);
    let need = pca((size.n, size.g, size.left), m, settings.solver, false, settings.memory);
    ledger.phase(Some(species), "loadings", need.bytes, &[(need.work, need.factor)]);
    ledger.hold(size.h * m * SINGLE);
}

/// Memory and work of a step.
struct Need {
    bytes: f64,
    work: Work,
    factor: f64,
}

/// The `k` leading components of n cells × g genes with `entries` entries; with `scores`, coordinates of the cells too.
fn pca((n, g, entries): (f64, f64, f64), k: f64, solver: PcaSolver, scores: bool, memory: usize) -> Need {
    let side = n.min(g);
    let exact = match solver {
        PcaSolver::Auto => side <= exact_limit(k as usize) as f64,
        PcaSolver::Exact | PcaSolver::Lanczos => true,
        PcaSolver::Randomized => false,
    };
    let result = side * k * DOUBLE + g * (k * SINGLE + LOADINGS) + if scores { n * k * SINGLE } else { 0.0 };
    if exact && !are_few(k as usize, side as usize) {
        // The Gram matrix of the smaller side; while it is made, entries by gene where cells are fewer; afterwards eigenvectors one
        // by one, or all of them with room for two more such matrices.
        let some = 4.0 * k <= side;
        let by_gene = if n <= g { entries * (INDEX + SINGLE) } else { 0.0 };
        let vectors = if some { 2.0 * k } else { 3.0 * side };
        let bytes = (side * side * DOUBLE + by_gene.max(vectors * side * DOUBLE)).max(result + n * k * DOUBLE);
        // From entry to entry, or densely where that is less.
        let pairs = |shared: f64| GATHERED * entries * entries / (2.0 * shared);
        let gram = if n <= g { pairs(g).min(n * n * g) } else { pairs(n).min(n * g * g) };
        // A tridiagonal matrix and its eigenvectors.
        let eigen = side * if some { 4.0 } else { 9.0 } * side * side;
        let work = Work { double: gram + eigen + 4.0 * entries * k, ..Work::default() };
        return Need { bytes, work, factor: factor::DECOMPOSITION };
    }
    // A Krylov basis over the smaller side and its projection; two products with each of its vectors, of entries in order, as many
    // as are held.
    let number = if exact { DOUBLE } else { SINGLE };
    let vectors = if exact {
        // Exact pairs are mostly there at the second look.
        let lanczos = lanczos::Settings::exact(k as usize, 0, side as usize);
        lanczos.growth * lanczos.first as f64
    } else {
        basis(k as usize) as f64
    };
    let vectors = vectors.min(side);
    let (in_order, section) = (entries * (1.0 + number) + n / TILE_OF_CELLS as f64 * 2.0 * g, SECTION as f64);
    let held = in_order.min((memory as f64).max(in_order * (section / n).min(1.0)));
    let search = vectors * side * number + vectors * vectors * (DOUBLE + number / 2.0) + g * PRODUCT;
    let rows = if n > g { (n.min(section) + g) * k * SINGLE } else { 0.0 };
    let flops = 4.0 * entries * vectors + 2.0 * entries * k + 2.0 * side * vectors * vectors;
    let work =
        if exact { Work { double: flops, ..Work::default() } } else { Work { single: flops, ..Work::default() } };
    Need { bytes: held + search.max(result + rows), work, factor: factor::KRYLOV }
}

/// A search for the `k` nearest of m cells for each of n in d dimensions, and for the `back` nearest of n for each of m (0: none
/// asked for). An exact search serves both from one tile of scores, of which a search within one species needs half.
fn knn(n: f64, m: f64, d: f64, (k, back): (f64, f64), options: &KnnOptions, threads: usize) -> Need {
    let exact = match options.method {
        Method::Auto => n.max(m) <= options.exact_limit as f64,
        method => method == Method::Exact,
    };
    let found = |cells: f64, k: f64| cells * k * (PAIR + EDGE);
    if exact {
        // Products, and the rows of one side once more.
        let tiles = threads as f64 * TILE * (TILE * SINGLE + d * UNITS);
        // Candidates with their scores are held until all tiles have been seen.
        let candidates = |cells: f64, k: f64| cells * (128.0 + 8.0 * (1.5 * k + 8.0));
        let (rows, scored) = if back > 0.0 { (n + m, 2.0 * n * m * d) } else { (m, n * m * d) };
        let queries = if back > 0.0 { candidates(m, back) + found(m, back) } else { 0.0 };
        // Both sides are looked at in fewer bits first, where that pays.
        let short = if Coarse::pays(d as usize) { SINGLE * coarse::words(d as usize) as f64 } else { 0.0 };
        let (share, factor) =
            if short > 0.0 { (short / (d * UNITS), factor::LOOKS) } else { (1.0, factor::EXACT_NEIGHBOURS) };
        let bytes = rows * (d * UNITS + short + 2.0 * SINGLE) + tiles + candidates(n, k) + found(n, k) + queries;
        let work = Work { single: scored * share / INTEGERS, ..Work::default() };
        return Need { bytes, work, factor };
    }
    let probes = options.probes(back == 0.0) as f64;
    let (width, held) = scored(d, k);
    let one_way = |n: f64, m: f64| {
        let lists = LISTS * m.sqrt();
        let pairs = n * (m * (probes / lists).min(1.0) + 3.0 * lists) + 10.0 * 32.0 * lists * lists;
        Work { single: 2.0 * pairs * width / INTEGERS, moved: n * held * d * SINGLE, ..Work::default() }
    };
    // The last panel of a list is half empty.
    let largest = n.max(m);
    let rows = (largest + LISTS * largest.sqrt() * integers::LANES as f64 / 2.0) * width * UNITS;
    let bytes = rows + found(largest, k) + found(m, back) + (ROW + SINGLE) * largest;
    let work = if back > 0.0 { one_way(n, m).plus(one_way(m, n)) } else { one_way(n, m) };
    Need { bytes, work, factor: factor::INVERTED_FILE }
}

/// Coordinates that an inverted file scores of d, and rows that it measures for k neighbours.
fn scored(d: f64, k: f64) -> (f64, f64) {
    let few = DIRECTIONS as f64;
    if d < 2.0 * few { (d, k) } else { (few, HELD as f64 * k) }
}

/// What the phases of the mapping share.
struct Joint {
    sizes: Vec<Size>,
    cells: f64,
    components: Vec<f64>,
    width: f64,
    /// Cells in the neighbourhoods of each species, added up.
    reached: Vec<f64>,
    k: f64,
    /// Edges of a stitched graph.
    edges: f64,
}

impl Joint {
    fn new(atlases: &[AtlasSize], settings: &Settings) -> Self {
        let sizes: Vec<Size> = atlases.iter().map(Size::of).collect();
        let components: Vec<f64> = sizes.iter().map(|size| size.components(settings)).collect();
        let cells = sizes.iter().map(|size| size.n).sum();
        let k = settings.mapping.cross_species_k as f64;
        let partners = if settings.mapping.pairwise { k * (atlases.len() as f64 - 1.0) } else { k };
        Joint {
            width: components.iter().sum(),
            reached: atlases.iter().map(|atlas| reached(atlas, settings)).collect(),
            edges: cells * (settings.sam.k as f64 - 1.0 + partners),
            sizes,
            cells,
            components,
            k,
        }
    }

    /// Bytes of the links of all cells to their cross-species neighbours.
    fn links(&self) -> f64 {
        self.pairs().map(|(a, _)| self.sizes[a].n * self.k * EDGE).sum()
    }

    fn are_searched_exactly(&self, settings: &Settings) -> bool {
        settings.mapping.knn.are_exact(self.sizes.iter().map(|size| size.n).fold(0.0, f64::max) as usize)
    }

    /// Pairs (a, b) of different species.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let species = self.sizes.len();
        (0..species).flat_map(move |a| (0..species).filter(move |&b| b != a).map(move |b| (a, b)))
    }
}

/// Σ over the cells of the size of their neighbourhood, which is at most their budget.
fn reached(atlas: &AtlasSize, settings: &Settings) -> f64 {
    let n = atlas.cells as f64;
    let cap = settings.mapping.max_neighborhood.map_or(f64::INFINITY, |cap| cap as f64);
    if atlas.groups.is_empty() {
        return n * (n / CLUSTERS).min(cap);
    }
    atlas.groups.iter().map(|&size| size as f64 * (size as f64).min(cap)).sum()
}

/// The phases of the mapping, and what R receives.
pub(super) fn mapping(ledger: &mut Ledger, atlases: &[AtlasSize], settings: &Settings) {
    let joint = Joint::new(atlases, settings);
    ledger.hold(joint.cells * settings.sam.k as f64 * INDEX);
    own(ledger, &joint);
    neighbourhoods(ledger, &joint, settings);
    let passes = settings.mapping.n_iterations;
    for pass in 1..=passes {
        projection(ledger, &joint, pass);
        cross_knn(ledger, &joint, settings, pass);
        mutual(ledger, &joint, settings, pass);
        if pass == 1 && joint.are_searched_exactly(settings) {
            // The links of a pass are kept until the next one has its own.
            ledger.hold(joint.links());
        }
        if pass < passes || pass == 1 {
            refinement(ledger, &joint, settings, pass);
        }
        let kept = if settings.mapping.keep_iterations { passes } else { 2 };
        if pass > kept {
            ledger.hold(-joint.edges * EDGE);
        }
    }
    // Only results are left when R receives them; one graph at a time is turned into columns before R has it.
    let inputs = |size: &Size| expression(size, settings) + size.h * size.components(settings) * SINGLE;
    let given_up: f64 = joint.sizes.iter().map(inputs).sum();
    ledger.hold(-(given_up + joint.cells * settings.sam.k as f64 * INDEX + kept_neighbourhoods(&joint, settings)));
    let kept = if settings.mapping.keep_iterations { passes } else { passes.min(2) };
    let (graphs, columns) = (kept as f64 * joint.edges * EDGE, joint.edges * EDGE);
    let coordinates = joint.cells * joint.width;
    ledger.hold(graphs + columns + coordinates * DOUBLE);
    ledger.hold(-(graphs + columns + coordinates * SINGLE));
}

fn own(ledger: &mut Ledger, joint: &Joint) {
    let flops = joint.sizes.iter().zip(&joint.components).map(|(size, m)| 2.0 * size.left * m).sum();
    let latent = joint.cells * joint.width * SINGLE;
    let work = Work { double: flops, ..Work::default() };
    ledger.phase(None, "projection within species", latent, &[(work, factor::PROJECTION)]);
    ledger.hold(latent);
}

/// Bytes of the neighbourhoods that are held: those of the species that fit a quarter of the memory budget. The others are
/// made a section of cells at a time.
fn held_neighbourhoods(joint: &Joint, settings: &Settings) -> f64 {
    let most = settings.memory as f64 / 4.0;
    joint.reached.iter().map(|reached| reached * IN_WORDS).filter(|&bytes| bytes <= most).sum()
}

/// The same, where neighbourhoods may be whole groups.
fn kept_neighbourhoods(joint: &Joint, settings: &Settings) -> f64 {
    let from_keys = settings.mapping.neigh_from_keys.iter().all(|&keys| keys);
    if from_keys { joint.cells * INDEX } else { held_neighbourhoods(joint, settings) }
}

/// Words by block of cells and by member.
fn neighbourhoods(ledger: &mut Ledger, joint: &Joint, settings: &Settings) {
    let reached: f64 = joint.reached.iter().sum();
    let kept = kept_neighbourhoods(joint, settings);
    let hops = match settings.mapping.expansion {
        Expansion::Bfs | Expansion::Nearest => 1.0,
        Expansion::MatrixPower => 10.0,
    };
    let work = Work { moved: hops * 4.0 * reached * INDEX, ..Work::default() };
    ledger.phase(None, "neighbourhoods", kept + ROW * joint.cells, &[(work, factor::NEIGHBOURHOODS)]);
    ledger.hold(kept);
}

fn projection(ledger: &mut Ledger, joint: &Joint, pass: usize) {
    let flops = joint.pairs().map(|(a, b)| 2.0 * joint.sizes[a].left * joint.components[b]).sum();
    let operator = joint.pairs().map(|(a, b)| joint.sizes[a].h * joint.components[b] * SINGLE).fold(0.0, f64::max);
    let work = Work { double: flops, ..Work::default() };
    ledger.phase(None, &format!("pass {pass}: projection"), operator, &[(work, factor::PROJECTION)]);
}

fn cross_knn(ledger: &mut Ledger, joint: &Joint, settings: &Settings, pass: usize) {
    let of_pair = |(a, b): (usize, usize)| {
        let (n, m) = (joint.sizes[a].n, joint.sizes[b].n);
        let need = knn(n, m, joint.width, (joint.k, joint.k), &settings.mapping.knn, settings.threads);
        (need.bytes.max((n + m) * (joint.k * (PAIR + 2.0 * EDGE) + ROW)), (need.work, need.factor))
    };
    let (bytes, work): (Vec<f64>, Vec<(Work, f64)>) = joint.pairs().filter(|&(a, b)| a < b).map(of_pair).unzip();
    let largest = bytes.into_iter().fold(0.0, f64::max);
    ledger.phase(None, &format!("pass {pass}: cross-species neighbours"), joint.links() + largest, &work);
}

/// Rows of the mutual graph are made in blocks; what is kept of them becomes the stitched graph.
fn mutual(ledger: &mut Ledger, joint: &Joint, settings: &Settings, pass: usize) {
    let blocks = joint.links();
    let largest = joint.sizes.iter().map(|size| size.n).fold(0.0, f64::max);
    let threads = settings.threads as f64;
    // Candidates of a cell: those in whose neighbourhoods its partners are.
    let candidates: f64 =
        joint.pairs().map(|(a, b)| joint.sizes[a].n * joint.reached[b] / joint.sizes[b].n.max(1.0)).sum();
    let scratch = threads * (1.5 * DOUBLE * joint.cells + 64.0 * (PAIR + SINGLE) * candidates / joint.cells.max(1.0));
    let rows = joint.cells * (2.0 * ROW + joint.k * PAIR);
    let stitching = joint.edges * (PAIR + EDGE) + joint.cells * (ROW + joint.k * EDGE);
    let all: f64 = joint.reached.iter().map(|reached| reached * IN_WORDS).sum();
    let sections = if all > held_neighbourhoods(joint, settings) { SECTIONS * settings.memory as f64 } else { 0.0 };
    let making = blocks * largest / joint.cells.max(1.0) + scratch + rows + sections;
    let correlations = settings.mapping.scale_edges_by_corr;
    let coordinates = if correlations { joint.cells * (2.0 * DOUBLE + UNITS * joint.width) } else { 0.0 };
    let working = blocks + coordinates + making.max(stitching);
    let correlated = if correlations { 2.0 * candidates * joint.width } else { 0.0 };
    let work = Work { single: correlated / INTEGERS, moved: candidates * joint.k * PAIR, ..Work::default() };
    ledger.phase(None, &format!("pass {pass}: mutual neighbours"), working, &[(work, factor::MUTUAL)]);
    ledger.hold(joint.edges * EDGE);
}

/// Sums per gene and edge, in blocks of cells.
fn refinement(ledger: &mut Ledger, joint: &Joint, settings: &Settings, pass: usize) {
    let genes: f64 = joint.sizes.iter().map(|size| size.g).sum();
    let working = BLOCKS * DOUBLE * (2.0 * genes + settings.edges as f64) + averages(settings) * DOUBLE * genes;
    let entries: f64 = joint.sizes.iter().map(|size| size.left / size.n.max(1.0) * size.entry).sum();
    let work = Work { moved: joint.edges * entries / joint.sizes.len() as f64, ..Work::default() };
    ledger.phase(None, &format!("pass {pass}: refinement"), working, &[(work, factor::REFINEMENT)]);
}

/// The layout of the stitched graph.
pub(super) fn layout(ledger: &mut Ledger, atlases: &[AtlasSize], settings: &Settings) {
    let joint = Joint::new(atlases, settings);
    let working = joint.edges * 2.0 * PAIR + joint.cells * 64.0 * DOUBLE;
    let work = Work { moved: settings.epochs as f64 * joint.edges * 6.0 * DOUBLE, ..Work::default() };
    ledger.phase(None, "umap", working, &[(work, factor::LAYOUT)]);
}
