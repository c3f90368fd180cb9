//! In place of the CUDA backend where it is compiled out: the same type, which cannot be made and says why.

use super::{Averaged, Backend, Cpu, Inventory};
use crate::embedding::UmapOptions;
use crate::embedding::layout::{Edges, Forces};
use crate::knn::{KnnOptions, Metric, Neighbours};
use crate::linalg::scaled::Scale;
use crate::mapping::cross_knn::Blocks;
use crate::mapping::expand::Pattern;
use crate::mapping::mutual::Cut;
use crate::mapping::{Atlas, Expansion, RefineOptions};
use crate::sam::weights::Sums;
use crate::sparse::{Expression, Graph};
use crate::{Context, Error, Result};
use ndarray::{Array2, ArrayView2};
use std::ops::Range;

const WHY: &str = "this build of samap has no CUDA backend (it was built without the cargo feature \"cuda\")";

/// There is none.
#[derive(Debug, Clone, Copy)]
pub enum Cuda {}

impl Cuda {
    /// # Errors
    /// Always [`Error::Device`].
    pub fn new() -> Result<Self> {
        Err(Error::Device { device: "cuda".to_owned(), reason: WHY.to_owned() })
    }

    /// Name and memory of the device.
    pub fn description(&self) -> String {
        match *self {}
    }

    /// Notes what was sent to and from the device.
    pub fn report(&self, _: &Context) {
        match *self {}
    }
}

/// No device, and why.
pub fn inventory() -> Inventory {
    Inventory { device: "cuda", available: false, reason: WHY.to_owned(), memory: None }
}

#[rustfmt::skip] // one line per operation that cannot be reached
impl Backend for Cuda {
    type Expression<'a> = &'a Expression;
    type Scaled<'a> = <Cpu as Backend>::Scaled<'a>;
    type Projector<'a> = <Cpu as Backend>::Projector<'a>;
    type Latent = Array2<f32>;
    type Neighbourhood = <Cpu as Backend>::Neighbourhood;

    fn expression<'a>(&self, _: &'a Expression) -> Result<&'a Expression> { match *self {} }
    fn neighbours(&self, _: ArrayView2<f32>, _: ArrayView2<f32>, _: usize, _: Metric, _: &KnnOptions, _: &Context) -> Result<Neighbours> { match *self {} }
    fn scaled<'a, 'x: 'a>(&'a self, _: &&'x Expression, _: &[u32], _: Scale, _: &'a [f64], _: &'a Context) -> Result<Self::Scaled<'a>> { match *self {} }
    fn sums_of_averages(&self, _: &&Expression, _: &Neighbours, _: &Context) -> Result<Sums> { match *self {} }
    fn projector<'a, 'x: 'a>(&'a self, _: &'a Atlas<'a>, _: &&'x Expression, _: &Context) -> Result<Self::Projector<'a>> { match *self {} }
    fn project_own(&self, _: &[Self::Projector<'_>], _: &[usize], _: &Context) -> Result<Self::Latent> { match *self {} }
    fn project_cross(&self, _: &[Self::Projector<'_>], _: &Graph, _: (&[usize], &[usize]), _: bool, _: &mut Self::Latent, _: &Context) -> Result<()> { match *self {} }
    fn latent_neighbours(&self, _: &Self::Latent, _: Range<usize>, _: Range<usize>, _: usize, _: &KnnOptions, _: &Context) -> Result<Neighbours> { match *self {} }
    fn expand(&self, _: &Neighbours, _: &[usize], _: usize, _: Expansion, _: &Context) -> Result<Pattern> { match *self {} }
    fn neighbourhood(&self, _: &[u32], _: &Neighbours, _: &[usize], _: usize, _: Expansion, _: &Context) -> Result<Self::Neighbourhood> { match *self {} }
    fn neighbourhood_of_groups(&self, _: &[u32]) -> Self::Neighbourhood { match *self {} }
    fn mutual_graph(&self, _: &Blocks, _: &[Self::Neighbourhood], _: &[usize], _: Option<&Self::Latent>, _: Cut, _: &Context) -> Result<Graph> { match *self {} }
    fn correlations(&self, _: &Averaged<'_, &Expression>, _: &[(u32, u32)], _: &RefineOptions, _: &Context) -> Result<Vec<f64>> { match *self {} }
    fn layout<const D: usize>(&self, _: Vec<[f32; D]>, _: &Edges, _: &Forces, _: usize, _: &UmapOptions, _: &Context) -> Result<Vec<[f32; D]>> { match *self {} }
    fn latent(&self, _: Self::Latent) -> Result<Array2<f32>> { match *self {} }
}
