//! Starts of the layout. Spectral: per connected component the eigenvectors of the normalised Laplacian
//! I − D^{-1/2} W D^{-1/2} with the smallest eigenvalues above 0, W = (A + A')/2 (Belkin & Niyogi 2003); the components lie
//! side by side on a grid. PCA: the first principal components of the latent coordinates.
//! In: edges between n vertices, or n × d coordinates. Out: n positions of no particular scale.

use super::eigen::leading;
use super::layout::Edges;
use super::uniform;
use crate::rng::Rng;
use crate::{Context, Result};
use ndarray::ArrayView2;
use rayon::prelude::*;

const SMALL: u64 = 0x7370_6300;
/// Rows per parallel block.
const BLOCK: usize = 1024;
/// Half the width of a component; the grid's step is 1.
const HALF: f32 = 0.4;

/// Symmetric weights, row by row.
struct Symmetric {
    offsets: Vec<usize>,
    links: Vec<(u32, f32)>,
}

impl Symmetric {
    fn new(n: usize, edges: &Edges) -> Self {
        let mut offsets = vec![0; n + 1];
        for &(i, j, _) in edges {
            offsets[i as usize + 1] += 1;
            offsets[j as usize + 1] += 1;
        }
        (0..n).for_each(|i| offsets[i + 1] += offsets[i]);
        let (mut next, mut links) = (offsets.clone(), vec![(0, 0.0); 2 * edges.len()]);
        for &(i, j, weight) in edges {
            for (from, to) in [(i, j), (j, i)] {
                links[next[from as usize]] = (to, (weight / 2.0) as f32);
                next[from as usize] += 1;
            }
        }
        Symmetric { offsets, links }
    }

    fn of(&self, i: usize) -> &[(u32, f32)] {
        &self.links[self.offsets[i]..self.offsets[i + 1]]
    }

    /// Vertices of each connected component, ascending, the components by their first vertex.
    fn components(&self) -> Vec<Vec<u32>> {
        let n = self.offsets.len() - 1;
        let mut seen = vec![false; n];
        let mut components = Vec::new();
        for first in 0..n {
            if std::mem::replace(&mut seen[first], true) {
                continue;
            }
            let mut component = vec![first as u32];
            let mut at = 0;
            while at < component.len() {
                for &(j, _) in self.of(component[at] as usize) {
                    if !std::mem::replace(&mut seen[j as usize], true) {
                        component.push(j);
                    }
                }
                at += 1;
            }
            component.sort_unstable();
            components.push(component);
        }
        components
    }

    /// Names the other end of each link by its place in its component.
    fn number_within(&mut self, components: &[Vec<u32>]) {
        let mut number = vec![0; self.offsets.len() - 1];
        for component in components {
            component.iter().zip(0..).for_each(|(&i, place)| number[i as usize] = place);
        }
        self.links.par_iter_mut().for_each(|(j, _)| *j = number[*j as usize]);
    }
}

/// Spectral positions of `n` vertices that all have an edge.
pub(super) fn positions<const D: usize>(n: usize, edges: &Edges, seed: u64, ctx: &Context) -> Result<Vec<[f32; D]>> {
    let mut graph = Symmetric::new(n, edges);
    let components = graph.components();
    graph.number_within(&components);
    let side = (1..).find(|side: &usize| side.pow(D as u32) >= components.len()).unwrap_or(1);
    let mut out = vec![[0.0; D]; n];
    for (c, component) in components.iter().enumerate() {
        let place: [f32; D] = std::array::from_fn(|dim| (c / side.pow(dim as u32) % side) as f32);
        let layout = component_positions::<D>(&graph, component, seed, ctx)?;
        for (&i, position) in component.iter().zip(layout) {
            out[i as usize] = std::array::from_fn(|dim| place[dim] + position[dim]);
        }
    }
    Ok(out)
}

/// Positions within ±[`HALF`]; random ones for components too small for eigenvectors. The links of `graph` name places within
/// the component.
fn component_positions<const D: usize>(
    graph: &Symmetric,
    component: &[u32],
    seed: u64,
    ctx: &Context,
) -> Result<Vec<[f32; D]>> {
    let size = component.len();
    if size <= D + 1 || size < 2 * D {
        let at_random = |&i: &u32| uniform(Rng::keyed(seed, SMALL, u64::from(i)), [-HALF; D], [HALF; D]);
        return Ok(component.iter().map(at_random).collect());
    }
    let degree = |&i: &u32| graph.of(i as usize).iter().map(|&(_, weight)| f64::from(weight)).sum::<f64>();
    let roots: Vec<f64> = component.iter().map(|i| degree(i).sqrt()).collect();
    let apply = |x: &[f64], out: &mut [f64]| {
        let x: Vec<f64> = x.iter().zip(&roots).map(|(x, root)| x / root).collect();
        let sum =
            |i: u32| graph.of(i as usize).iter().map(|&(j, weight)| f64::from(weight) * x[j as usize]).sum::<f64>();
        let rows = component.par_iter().zip(&roots).with_min_len(BLOCK);
        out.par_iter_mut().zip(rows).for_each(|(out, (&i, root))| *out = sum(i) / root);
    };
    // The eigenvector of the Laplacian's 0 is D^{1/2} 1.
    let total = roots.iter().map(|x| x * x).sum::<f64>().sqrt();
    let trivial: Vec<f64> = roots.iter().map(|x| x / total).collect();
    let vectors = leading(size, D, &[trivial], apply, seed, ctx)?;
    Ok(within_half(&vectors, size))
}

/// The first `D` principal components of the `chosen` rows.
pub(super) fn principal<const D: usize>(
    chosen: &[u32],
    latent: ArrayView2<f32>,
    seed: u64,
    ctx: &Context,
) -> Result<Vec<[f32; D]>> {
    let (n, d) = (chosen.len(), latent.ncols());
    let mut means = vec![0.0; d];
    for &i in chosen {
        means.iter_mut().zip(latent.row(i as usize)).for_each(|(mean, &x)| *mean += f64::from(x) / n as f64);
    }
    let project = |v: &[f64]| -> Vec<f64> {
        let along = |&i: &u32| {
            let terms = latent.row(i as usize).into_iter().zip(&means).zip(v);
            terms.map(|((&x, mean), v)| (f64::from(x) - mean) * v).sum::<f64>()
        };
        chosen.par_iter().with_min_len(BLOCK).map(along).collect()
    };
    let apply = |v: &[f64], out: &mut [f64]| {
        let scores = project(v);
        out.fill(0.0);
        for (&i, score) in chosen.iter().zip(&scores) {
            let row = latent.row(i as usize).into_iter().zip(&means);
            out.iter_mut().zip(row).for_each(|(out, (&x, mean))| *out += (f64::from(x) - mean) * score);
        }
    };
    let axes = leading(d, D, &[], apply, seed, ctx)?;
    let scores: Vec<Vec<f64>> = axes.iter().map(|axis| project(axis)).collect();
    Ok(within_half(&scores, n))
}

/// Columns (at most D) as positions whose largest coordinate is [`HALF`].
fn within_half<const D: usize>(columns: &[Vec<f64>], n: usize) -> Vec<[f32; D]> {
    let longest = columns.iter().flatten().fold(0.0f64, |a, x| a.max(x.abs()));
    let scale = if longest > 0.0 { f64::from(HALF) / longest } else { 0.0 };
    (0..n).map(|i| std::array::from_fn(|dim| columns.get(dim).map_or(0.0, |x| (x[i] * scale) as f32))).collect()
}
