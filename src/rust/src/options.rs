//! The options of every step: from R's named lists to the engine's structs, and the engine's defaults back to R.

use crate::cluster_markers::TESTS;
use crate::convert::{Fields, matrix_from_r};
use crate::error::outcome;
use crate::gene_pairs::DIRECTIONS;
use crate::triangles::CLASSES;
use extendr_api::prelude::*;
use samap_core::analysis::TransferOptions;
use samap_core::analysis::{
    EnrichmentOptions, GenePairOptions, GeneTriangleOptions, SubstitutionOptions, Test, TypeTriangleOptions,
};
use samap_core::backend::Request;
use samap_core::context::DEFAULT_MEMORY;
use samap_core::embedding::{Init, UmapOptions};
use samap_core::knn::{KnnOptions, Method, Metric};
use samap_core::linalg::pca::PcaSolver;
use samap_core::mapping::{EdgeMode, Expansion, MappingOptions, RefineOptions};
use samap_core::sam::harmony::{Batch, HarmonyOptions};
use samap_core::sam::preprocess::{Norm, PreprocessOptions, SumNorm};
use samap_core::sam::run::{SamOptions, Scaling};
use samap_core::sam::weights::WeightMode;
use samap_core::{Context, Error, Result};

const NORMS: &[(&str, Norm)] = &[
    ("log", Norm::Log2),
    ("ftt", Norm::Ftt),
    ("asin", Norm::Asin),
    ("multinomial", Norm::Multinomial),
    ("none", Norm::None),
];
const SUM_NORMS: &[(&str, SumNorm)] =
    &[("cell_median", SumNorm::CellMedian), ("gene_median", SumNorm::GeneMedian), ("none", SumNorm::None)];
const METRICS: &[(&str, Metric)] =
    &[("cosine", Metric::Cosine), ("correlation", Metric::Correlation), ("euclidean", Metric::Euclidean)];
const SCALINGS: &[(&str, Scaling)] =
    &[("StandardScaler", Scaling::StandardScaler), ("Normalizer", Scaling::Normalizer)];
const WEIGHT_MODES: &[(&str, WeightMode)] = &[
    ("rms", WeightMode::Rms),
    ("dispersion", WeightMode::Dispersion),
    ("variance", WeightMode::Variance),
    ("combined", WeightMode::Combined),
];
const PCA_SOLVERS: &[(&str, PcaSolver)] = &[
    ("auto", PcaSolver::Auto),
    ("exact", PcaSolver::Exact),
    ("lanczos", PcaSolver::Lanczos),
    ("randomized", PcaSolver::Randomized),
];
const METHODS: &[(&str, Method)] =
    &[("auto", Method::Auto), ("exact", Method::Exact), ("ivf", Method::InvertedFile), ("hnsw", Method::Hnsw)];
const EDGE_MODES: &[(&str, EdgeMode)] = &[("pearson", EdgeMode::Pearson), ("xi", EdgeMode::Xi)];
const EXPANSIONS: &[(&str, Expansion)] =
    &[("bfs", Expansion::Bfs), ("nearest", Expansion::Nearest), ("matrix_power", Expansion::MatrixPower)];
const BACKENDS: &[(&str, Request)] = &[("auto", Request::Auto), ("cpu", Request::Cpu), ("cuda", Request::Cuda)];
const INITS: &[(&str, Init)] = &[("spectral", Init::Spectral), ("pca", Init::Pca), ("random", Init::Random)];

/// Components that the mapping projects through.
const LOADINGS: usize = 300;

fn name_of<T: PartialEq>(choices: &[(&'static str, T)], value: &T) -> &'static str {
    choices.iter().find(|(_, choice)| choice == value).map_or("", |(name, _)| name)
}

/// A number where `None` is R's NULL.
fn or_null(value: Option<usize>) -> Robj {
    value.map_or_else(|| NULL.into(), |value| Robj::from(value as f64))
}

/// A number where `None` is R's `Inf`.
fn or_infinity(value: Option<usize>) -> f64 {
    value.map_or(f64::INFINITY, |value| value as f64)
}

/// The backend that R asks for by name.
pub fn backend(name: &str) -> Result<Request> {
    let known = BACKENDS.iter().find(|(known, _)| *known == name);
    known
        .map(|&(_, request)| request)
        .ok_or_else(|| Error::argument("backend", format!("it is \"{name}\""), "Use \"auto\", \"cpu\" or \"cuda\"."))
}

/// Options of the preprocessing.
pub fn preprocess(object: &Robj) -> Result<PreprocessOptions> {
    let fields = Fields::of("preprocess", object)?;
    let sum_norm = match fields.get("sum_norm")?.as_real() {
        Some(total) => SumNorm::Total(total),
        None => fields.choice("sum_norm", SUM_NORMS)?,
    };
    Ok(PreprocessOptions {
        div: fields.number("div")?,
        sum_norm,
        norm: fields.choice("norm", NORMS)?,
        min_expression: fields.number("min_expression")?,
        thresh_low: fields.number("thresh_low")?,
        thresh_high: fields.number("thresh_high")?,
        filter_genes: fields.flag("filter_genes")?,
    })
}

/// Options of SAM.
pub fn sam(object: &Robj, knn: KnnOptions) -> Result<SamOptions> {
    let fields = Fields::of("sam", object)?;
    Ok(SamOptions {
        max_iter: fields.count("max_iter")?,
        stopping_condition: fields.number("stopping_condition")?,
        num_norm_avg: fields.count("num_norm_avg")?,
        k: fields.count("k")?,
        metric: fields.choice("distance", METRICS)?,
        scaling: fields.choice("scaling", SCALINGS)?,
        npcs: fields.count("npcs")?,
        n_genes: fields.optional("n_genes").map(|_| fields.count("n_genes")).transpose()?,
        weight_pcs: fields.flag("weight_pcs")?,
        sparse_pca: fields.flag("sparse_pca")?,
        weight_mode: fields.choice("weight_mode", WEIGHT_MODES)?,
        solver: fields.choice("pca_solver", PCA_SOLVERS)?,
        knn,
        seed: fields.count("seed")? as u64,
        components: fields.optional("components").map(|matrix| matrix_from_r("components", matrix)).transpose()?,
        batch: fields.optional("batch").map(batch).transpose()?,
    })
}

/// Batches from `list(of, options)`: a number from 1 per cell, and the options of Harmony.
fn batch(object: &Robj) -> Result<Batch> {
    let fields = Fields::of("batch", object)?;
    Ok(Batch { of: fields.indices("of", i32::MAX as usize)?, options: harmony(fields.get("options")?)? })
}

/// Options of Harmony.
fn harmony(object: &Robj) -> Result<HarmonyOptions> {
    let fields = Fields::of("harmony", object)?;
    Ok(HarmonyOptions {
        theta: fields.number("theta")?,
        lambda: fields.number("lambda")?,
        sigma: fields.number("sigma")?,
        n_clusters: fields.optional("n_clusters").map(|_| fields.count("n_clusters")).transpose()?,
        block_size: fields.number("block_size")?,
        max_iter: fields.count("max_iter")?,
        max_iter_clusters: fields.count("max_iter_clusters")?,
        epsilon_clusters: fields.number("epsilon_clusters")?,
        epsilon: fields.number("epsilon")?,
    })
}

/// Options of the label transfer.
pub fn transfer(object: &Robj) -> Result<TransferOptions> {
    let fields = Fields::of("transfer", object)?;
    Ok(TransferOptions { max_iterations: fields.count("max_iterations")?, tolerance: fields.number("tolerance")? })
}

/// Options of the neighbour search.
pub fn knn(object: &Robj, seed: f64) -> Result<KnnOptions> {
    let fields = Fields::of("knn", object)?;
    Ok(KnnOptions {
        method: fields.choice("method", METHODS)?,
        exact_limit: fields.count("exact_limit")?,
        probes: fields.count("probes")?,
        hnsw_m: fields.count("hnsw_m")?,
        hnsw_ef_construction: fields.count("hnsw_ef_construction")?,
        hnsw_ef: fields.count("hnsw_ef")?,
        seed: seed as u64,
    })
}

/// Number of components and solver of the loadings.
pub fn loadings(object: &Robj) -> Result<(usize, PcaSolver)> {
    let fields = Fields::of("loadings", object)?;
    Ok((fields.count("n_components")?, fields.choice("pca_solver", PCA_SOLVERS)?))
}

/// Options of a refinement on its own.
pub fn refinement(object: &Robj) -> Result<RefineOptions> {
    Ok(mapping(object, &[], KnnOptions::default())?.refinement())
}

/// Options of the mapping; those per species travel with the species.
pub fn mapping(object: &Robj, species: &[Fields], knn: KnnOptions) -> Result<MappingOptions> {
    let fields = Fields::of("mapping", object)?;
    let cap = fields.number("max_neighborhood")?;
    Ok(MappingOptions {
        n_iterations: fields.count("n_iterations")?,
        cross_species_k: fields.count("cross_species_k")?,
        neighborhood_sizes: species.iter().map(|s| s.count("neighborhood_size")).collect::<Result<_>>()?,
        neigh_from_keys: species.iter().map(|s| s.flag("neigh_from_keys")).collect::<Result<_>>()?,
        pairwise: fields.flag("pairwise")?,
        scale_edges_by_corr: fields.flag("scale_edges_by_corr")?,
        hom_edge_mode: fields.choice("hom_edge_mode", EDGE_MODES)?,
        hom_edge_thr: fields.number("hom_edge_thr")?,
        n_gene_chunks: fields.count("n_gene_chunks")?,
        wscale: fields.flag("wscale")?,
        expansion: fields.choice("expansion", EXPANSIONS)?,
        max_neighborhood: cap.is_finite().then_some(cap as usize),
        knn,
        correlation_memory: fields.number("correlation_memory")? as usize,
        keep_iterations: fields.flag("keep_iterations")?,
    })
}

/// Options of the layout.
pub fn umap(object: &Robj) -> Result<UmapOptions> {
    let fields = Fields::of("umap", object)?;
    Ok(UmapOptions {
        min_dist: fields.number("min_dist")?,
        spread: fields.number("spread")?,
        n_epochs: fields.optional("n_epochs").map(|_| fields.count("n_epochs")).transpose()?,
        negative_sample_rate: fields.count("negative_sample_rate")?,
        learning_rate: fields.number("learning_rate")?,
        repulsion: fields.number("repulsion")?,
        init: fields.choice("init", INITS)?,
        seed: fields.count("seed")? as u64,
        ..UmapOptions::default()
    })
}

/// All defaults of the engine, as the functions above read them.
#[extendr]
fn samap_defaults_() -> Robj {
    outcome(|| {
        Ok(list!(
            preprocess = preprocess_defaults(),
            sam = sam_defaults(),
            harmony = harmony_defaults(),
            knn = knn_defaults(),
            loadings = list!(n_components = LOADINGS as f64, pca_solver = name_of(PCA_SOLVERS, &PcaSolver::Auto)),
            mapping = mapping_defaults(),
            umap = umap_defaults(),
            gene_pairs = gene_pair_defaults(),
            enrichment = enrichment_defaults(),
            substitutions = list!(min_gain = SubstitutionOptions::default().min_gain),
            cell_type_triangles = type_triangle_defaults(),
            gene_triangles = gene_triangle_defaults(),
            transfer = transfer_defaults(),
            memory = DEFAULT_MEMORY as f64,
            on_disk = Context::default().folder().is_some()
        )
        .into())
    })
}

fn preprocess_defaults() -> List {
    let d = PreprocessOptions::default();
    list!(
        div = d.div,
        sum_norm = name_of(SUM_NORMS, &d.sum_norm),
        norm = name_of(NORMS, &d.norm),
        min_expression = d.min_expression,
        thresh_low = d.thresh_low,
        thresh_high = d.thresh_high,
        filter_genes = d.filter_genes
    )
}

fn sam_defaults() -> List {
    let d = SamOptions::default();
    list!(
        max_iter = d.max_iter as f64,
        stopping_condition = d.stopping_condition,
        num_norm_avg = d.num_norm_avg as f64,
        k = d.k as f64,
        distance = name_of(METRICS, &d.metric),
        scaling = name_of(SCALINGS, &d.scaling),
        npcs = d.npcs as f64,
        n_genes = or_null(d.n_genes),
        weight_pcs = d.weight_pcs,
        sparse_pca = d.sparse_pca,
        weight_mode = name_of(WEIGHT_MODES, &d.weight_mode),
        pca_solver = name_of(PCA_SOLVERS, &d.solver),
        seed = d.seed as f64,
        components = NULL,
        batch = NULL
    )
}

fn harmony_defaults() -> List {
    let d = HarmonyOptions::default();
    list!(
        theta = d.theta,
        lambda = d.lambda,
        sigma = d.sigma,
        n_clusters = or_null(d.n_clusters),
        block_size = d.block_size,
        max_iter = d.max_iter as f64,
        max_iter_clusters = d.max_iter_clusters as f64,
        epsilon_clusters = d.epsilon_clusters,
        epsilon = d.epsilon
    )
}

fn transfer_defaults() -> List {
    let d = TransferOptions::default();
    list!(max_iterations = d.max_iterations as f64, tolerance = d.tolerance)
}

fn knn_defaults() -> List {
    let d = KnnOptions::default();
    list!(
        method = name_of(METHODS, &d.method),
        exact_limit = d.exact_limit as f64,
        probes = d.probes as f64,
        hnsw_m = d.hnsw_m as f64,
        hnsw_ef_construction = d.hnsw_ef_construction as f64,
        hnsw_ef = d.hnsw_ef as f64
    )
}

fn mapping_defaults() -> List {
    let d = MappingOptions::default();
    list!(
        n_iterations = d.n_iterations as f64,
        cross_species_k = d.cross_species_k as f64,
        neighborhood_size = d.neighborhood_sizes[0] as f64,
        neigh_from_keys = d.neigh_from_keys[0],
        pairwise = d.pairwise,
        scale_edges_by_corr = d.scale_edges_by_corr,
        hom_edge_mode = name_of(EDGE_MODES, &d.hom_edge_mode),
        hom_edge_thr = d.hom_edge_thr,
        n_gene_chunks = d.n_gene_chunks as f64,
        wscale = d.wscale,
        expansion = name_of(EXPANSIONS, &d.expansion),
        max_neighborhood = or_infinity(d.max_neighborhood),
        correlation_memory = d.correlation_memory as f64,
        keep_iterations = d.keep_iterations
    )
}

fn umap_defaults() -> List {
    let d = UmapOptions::default();
    list!(
        min_dist = d.min_dist,
        spread = d.spread,
        n_epochs = or_null(d.n_epochs),
        negative_sample_rate = d.negative_sample_rate as f64,
        learning_rate = d.learning_rate,
        repulsion = d.repulsion,
        init = name_of(INITS, &d.init),
        seed = d.seed as f64
    )
}

fn gene_pair_defaults() -> List {
    let d = GenePairOptions::default();
    list!(
        min_score = d.min_score,
        min_weight = d.min_weight,
        min_fraction = d.min_fraction,
        max_pairs = d.max_pairs as f64,
        max_pval = d.max_pval,
        test = name_of(TESTS, &Test::default()),
        direction = name_of(DIRECTIONS, &d.direction)
    )
}

fn enrichment_defaults() -> List {
    let d = EnrichmentOptions::default();
    let max_size = if d.max_size == usize::MAX { f64::INFINITY } else { d.max_size as f64 };
    list!(min_size = d.min_size as f64, max_size = max_size)
}

fn type_triangle_defaults() -> List {
    let d = TypeTriangleOptions::default();
    list!(min_score = d.min_score, n = d.size as f64)
}

fn gene_triangle_defaults() -> List {
    let d = GeneTriangleOptions::default();
    let classes: Vec<&str> = d.classes.iter().map(|class| name_of(CLASSES, class)).collect();
    list!(min_correlation = d.min_correlation, n = d.size as f64, classes = classes)
}

extendr_module! {
    mod options;
    fn samap_defaults_;
}
